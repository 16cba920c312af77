use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::{Encoding, Place, Request, Signed, Signing};

/// A request as it leaves, secrets and all: it is shown nowhere.
pub struct Filled {
    pub url: Url,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Puts the secrets of `request` in their places, then signs. `url` is the one of the request that was checked,
/// `secret` knows those that may go there, `now_s` is the time in seconds since 1970. What stands in the request
/// itself is never looked into: a customer may have written it.
///
/// # Errors
/// Which place there is not, without a word of the secret.
pub fn fill<'s>(
    request: &Request,
    url: Url,
    secret: impl Fn(&str) -> Option<&'s str>,
    now_s: i64,
) -> Result<Filled, String> {
    let known = |name: &str| secret(name).ok_or_else(|| format!("there is no secret {name:?}"));
    let mut filled = Filled {
        url,
        headers: request.headers.clone(),
        body: request.body.clone(),
    };
    for placement in &request.secrets {
        filled.place(&placement.place, known(&placement.secret)?)?;
    }
    for signing in &request.signatures {
        filled.sign(signing, known(&signing.secret)?, now_s);
    }
    Ok(filled)
}

impl Filled {
    fn place(&mut self, place: &Place, secret: &str) -> Result<(), String> {
        match place {
            Place::Header { name, prefix } => self.set_header(name, format!("{prefix}{secret}")),
            Place::Query { name } => {
                self.url.query_pairs_mut().append_pair(name, secret);
            }
            Place::Json { pointer } => self.body = in_json(&self.body, pointer, secret)?,
            Place::Form { name } => {
                let field = form_urlencoded::Serializer::new(String::new())
                    .append_pair(name, secret)
                    .finish();
                if !self.body.is_empty() {
                    self.body.push(b'&');
                }
                self.body.extend_from_slice(field.as_bytes());
            }
            Place::Basic { user } => {
                let pair = match user {
                    Some(user) => format!("{user}:{secret}"),
                    None => format!("{secret}:"),
                };
                self.set_header("authorization", format!("Basic {}", STANDARD.encode(pair)));
            }
        }
        Ok(())
    }

    fn sign(&mut self, signing: &Signing, secret: &str, now_s: i64) {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let mut over = hmac::Context::with_key(&key);
        if let Signed::Timed {
            header,
            before,
            between,
        } = &signing.over
        {
            let time = now_s.to_string();
            for part in [before, &time, between] {
                over.update(part.as_bytes());
            }
            self.set_header(header, time);
        }
        over.update(&self.body);
        let signature = match signing.encoding {
            Encoding::Hex => hex::encode(over.sign()),
            Encoding::Base64 => STANDARD.encode(over.sign()),
        };
        self.set_header(&signing.header, format!("{}{signature}", signing.prefix));
    }

    fn set_header(&mut self, name: &str, value: String) {
        self.headers
            .retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value));
    }
}

/// The body with a text where the pointer leads: in place of what stands there, or as a new member.
fn in_json(body: &[u8], pointer: &str, secret: &str) -> Result<Vec<u8>, String> {
    let mut json: Value = serde_json::from_slice(body)
        .map_err(|_| "a secret is to stand in the JSON body, and the body is no JSON".to_owned())?;
    if let Some(found) = json.pointer_mut(pointer) {
        *found = secret.into();
        return Ok(json.to_string().into_bytes());
    }
    let within = pointer.rsplit_once('/');
    let object = within.and_then(|(parent, _)| json.pointer_mut(parent)?.as_object_mut());
    match (object, within) {
        (Some(object), Some((_, key))) => {
            object.insert(key.replace("~1", "/").replace("~0", "~"), secret.into());
            Ok(json.to_string().into_bytes())
        }
        _ => Err(format!(
            "a secret is to stand at {pointer:?}, where the body has nothing"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::request::tests::request;
    use super::super::{Placement, target};
    use super::*;

    const SECRET: &str = "s3cr&t\"value";

    fn filled(request: &Request) -> Result<Filled, String> {
        let secret = |name: &str| (name == "token").then_some(SECRET);
        fill(
            request,
            target(&request.url).unwrap(),
            secret,
            1_700_000_000,
        )
    }

    fn placed(place: Place, body: &str) -> Result<Filled, String> {
        filled(&Request {
            body: body.into(),
            secrets: vec![Placement {
                secret: "token".into(),
                place,
            }],
            ..request()
        })
    }

    fn header<'f>(filled: &'f Filled, name: &str) -> &'f str {
        let mut found = filled.headers.iter().filter(|(other, _)| other == name);
        let (_, value) = found.next().expect("the header");
        assert!(found.next().is_none(), "{name} stands twice");
        value
    }

    #[test]
    fn a_secret_goes_where_it_belongs() {
        let place = Place::Header {
            name: "a".into(),
            prefix: "Bearer ".into(),
        };
        let done = placed(place, "").unwrap();
        assert_eq!(header(&done, "a"), format!("Bearer {SECRET}"));
        let done = placed(Place::Query { name: "key".into() }, "").unwrap();
        assert_eq!(done.url.query(), Some("key=s3cr%26t%22value"));
        let form = |body| {
            placed(Place::Form { name: "key".into() }, body)
                .unwrap()
                .body
        };
        assert_eq!(form(""), b"key=s3cr%26t%22value");
        assert_eq!(form("a=b"), b"a=b&key=s3cr%26t%22value");
        for (user, pair) in [
            (Some("me"), format!("me:{SECRET}")),
            (None, format!("{SECRET}:")),
        ] {
            let user = user.map(str::to_owned);
            let done = placed(Place::Basic { user }, "").unwrap();
            let expect = format!("Basic {}", STANDARD.encode(pair));
            assert_eq!(header(&done, "authorization"), expect);
        }
        let json = |pointer: &str, body| {
            let pointer = pointer.to_owned();
            let done = placed(Place::Json { pointer }, body)?;
            Ok::<_, String>(String::from_utf8(done.body).unwrap())
        };
        let told = r#""s3cr&t\"value""#;
        assert_eq!(
            json("/a/b", r#"{"a":{"b":1}}"#),
            Ok(format!(r#"{{"a":{{"b":{told}}}}}"#))
        );
        assert_eq!(json("/a~1b", "{}"), Ok(format!(r#"{{"a/b":{told}}}"#)));
        assert_eq!(json("", "1"), Ok(told.to_owned()));
        for (pointer, body) in [("/a/b", "{}"), ("/0", "[]"), ("a", "{}"), ("/a", "no JSON")] {
            let refused = json(pointer, body).unwrap_err();
            assert!(!refused.contains(SECRET), "{refused}");
        }
    }

    #[test]
    fn what_is_signed_is_what_leaves() {
        let signed = |over, encoding| {
            let request = Request {
                secrets: vec![Placement {
                    secret: "token".into(),
                    place: Place::Form { name: "k".into() },
                }],
                signatures: vec![Signing {
                    secret: "token".into(),
                    over,
                    encoding,
                    header: "x-signature".into(),
                    prefix: "v0=".into(),
                }],
                ..request()
            };
            filled(&request).unwrap()
        };
        let mac = |text: &str| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
            hmac::sign(&key, text.as_bytes())
        };
        let body = "body&k=s3cr%26t%22value";
        let done = signed(Signed::Body, Encoding::Hex);
        assert_eq!(done.body, body.as_bytes());
        let expect = format!("v0={}", hex::encode(mac(body)));
        assert_eq!(header(&done, "x-signature"), expect);
        let timed = Signed::Timed {
            header: "x-time".into(),
            before: "v0:".into(),
            between: ":".into(),
        };
        let done = signed(timed, Encoding::Base64);
        assert_eq!(header(&done, "x-time"), "1700000000");
        let expect = format!(
            "v0={}",
            STANDARD.encode(mac(&format!("v0:1700000000:{body}")))
        );
        assert_eq!(header(&done, "x-signature"), expect);
    }

    #[test]
    fn text_that_looks_like_a_placeholder_is_text() {
        let text = "{{secret:token}} ${token} {token} %{token}";
        let done = filled(&Request {
            headers: vec![("x".into(), text.into())],
            body: text.into(),
            ..request()
        })
        .unwrap();
        assert_eq!(
            (header(&done, "x"), done.body.as_slice()),
            (text, text.as_bytes())
        );
        let unknown = Request {
            secrets: vec![Placement {
                secret: "other".into(),
                place: Place::Basic { user: None },
            }],
            ..request()
        };
        assert_eq!(
            filled(&unknown).err().as_deref(),
            Some("there is no secret \"other\"")
        );
    }
}
