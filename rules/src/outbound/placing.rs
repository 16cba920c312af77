use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::body::{Body, Content, Part, Piece};
use super::{Encoding, Place, Request, Signed, Signing};

/// A request as it leaves, secrets and all: it is shown nowhere.
pub struct Filled {
    pub url: Url,
    pub headers: Vec<(String, String)>,
    /// One after the other.
    pub body: Vec<Piece>,
}

/// One that gets its secrets.
struct Filling {
    url: Url,
    headers: Vec<(String, String)>,
    body: Body,
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
    let mut filling = Filling {
        url,
        headers: request.headers.clone(),
        body: request.body.clone(),
    };
    for placement in &request.secrets {
        filling.place(&placement.place, known(&placement.secret)?)?;
    }
    // Whoever writes a part or a file cannot know it: its digest is in it.
    let mut filled = filling.written(&format!("duet-{}", hex::encode(request.hash())))?;
    for signing in &request.signatures {
        filled.sign(signing, known(&signing.secret)?, now_s)?;
    }
    Ok(filled)
}

impl Filling {
    fn place(&mut self, place: &Place, secret: &str) -> Result<(), String> {
        match place {
            Place::Header { name, prefix } => {
                set_header(&mut self.headers, name, format!("{prefix}{secret}"));
            }
            Place::Query { name } => {
                self.url.query_pairs_mut().append_pair(name, secret);
            }
            Place::Json { pointer } => match &mut self.body {
                Body::Bytes(body) => *body = in_json(body, pointer, secret)?,
                Body::File(_) | Body::Form(_) => {
                    return Err(
                        "a secret is to stand in the JSON body, and the body is no JSON".into(),
                    );
                }
            },
            Place::Form { name } => in_form(&mut self.body, name, secret)?,
            Place::Basic { user } => {
                let pair = match user {
                    Some(user) => format!("{user}:{secret}"),
                    None => format!("{secret}:"),
                };
                let value = format!("Basic {}", STANDARD.encode(pair));
                set_header(&mut self.headers, "authorization", value);
            }
        }
        Ok(())
    }

    fn written(self, boundary: &str) -> Result<Filled, String> {
        let Filling {
            url,
            mut headers,
            body,
        } = self;
        let has_type = headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if let Some(mime_type) = body.content_type(boundary) {
            match body {
                Body::Form(_) if has_type => {
                    return Err(
                        "Duet writes the content-type of form-data itself; leave the header out"
                            .into(),
                    );
                }
                _ if has_type => {}
                _ => headers.push(("content-type".into(), mime_type)),
            }
        }
        Ok(Filled {
            url,
            headers,
            body: body.pieces(boundary)?,
        })
    }
}

impl Filled {
    fn sign(&mut self, signing: &Signing, secret: &str, now_s: i64) -> Result<(), String> {
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
            set_header(&mut self.headers, header, time);
        }
        for piece in &self.body {
            match piece {
                Piece::Bytes(bytes) => over.update(bytes),
                Piece::File(_) => return Err("a body with files in it cannot be signed".into()),
            }
        }
        let signature = match signing.encoding {
            Encoding::Hex => hex::encode(over.sign()),
            Encoding::Base64 => STANDARD.encode(over.sign()),
        };
        let value = format!("{}{signature}", signing.prefix);
        set_header(&mut self.headers, &signing.header, value);
        Ok(())
    }
}

fn set_header(headers: &mut Vec<(String, String)>, name: &str, value: String) {
    headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    headers.push((name.to_owned(), value));
}

/// One more field of a form, in either spelling of one.
fn in_form(body: &mut Body, name: &str, secret: &str) -> Result<(), String> {
    match body {
        Body::Bytes(body) => {
            let field = form_urlencoded::Serializer::new(String::new())
                .append_pair(name, secret)
                .finish();
            if !body.is_empty() {
                body.push(b'&');
            }
            body.extend_from_slice(field.as_bytes());
        }
        Body::Form(parts) => parts.push(Part {
            name: name.to_owned(),
            filename: None,
            content_type: None,
            content: Content::Bytes(secret.into()),
        }),
        Body::File(_) => {
            return Err("a secret is to stand in a form, and the body is a file".into());
        }
    }
    Ok(())
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
    use super::super::body::File;
    use super::super::request::tests::request;
    use super::super::{Placement, target};
    use super::*;
    use crate::media::Digest;

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
            body: Body::Bytes(body.into()),
            secrets: vec![Placement {
                secret: "token".into(),
                place,
            }],
            ..request()
        })
    }

    fn text(filled: &Filled) -> String {
        let bytes = filled.body.iter().map(|piece| match piece {
            Piece::Bytes(bytes) => bytes.clone(),
            Piece::File(file) => format!("[{}]", file.bytes).into_bytes(),
        });
        String::from_utf8(bytes.collect::<Vec<_>>().concat()).unwrap()
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
        let form = |body| text(&placed(Place::Form { name: "key".into() }, body).unwrap());
        assert_eq!(form(""), "key=s3cr%26t%22value");
        assert_eq!(form("a=b"), "a=b&key=s3cr%26t%22value");
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
            Ok::<_, String>(text(&done))
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
        assert_eq!(text(&done), body);
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
    fn a_body_with_files_gets_secrets_in_forms_and_no_signature() {
        let file = File {
            digest: Digest([7; 32]),
            mime_type: "image/jpeg".into(),
            bytes: 9,
        };
        let part = |name: &str, filename: Option<&str>, content| Part {
            name: name.into(),
            filename: filename.map(str::to_owned),
            content_type: None,
            content,
        };
        let form = vec![
            part("note", None, Content::Bytes(b"see".to_vec())),
            part("a\"b", Some("c\r\n.jpg"), Content::File(file.clone())),
        ];
        let with = |body: Body, place: Option<Place>| Request {
            body,
            headers: Vec::new(),
            secrets: place
                .map(|place| Placement {
                    secret: "token".into(),
                    place,
                })
                .into_iter()
                .collect(),
            ..request()
        };
        let key = || Some(Place::Form { name: "key".into() });
        let done = filled(&with(Body::Form(form.clone()), key())).unwrap();
        let kind = header(&done, "content-type");
        let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
        assert!(boundary.len() <= 70, "RFC 2046 allows no longer one");
        let expect = [
            "--B\r\ncontent-disposition: form-data; name=\"note\"\r\n\r\nsee\r\n",
            "--B\r\ncontent-disposition: form-data; name=\"a%22b\"; filename=\"c%0D%0A.jpg\"\r\n",
            "content-type: image/jpeg\r\n\r\n[9]\r\n",
            "--B\r\ncontent-disposition: form-data; name=\"key\"\r\n\r\ns3cr&t\"value\r\n--B--\r\n",
        ];
        assert_eq!(text(&done), expect.concat().replace('B', boundary));
        let plain = filled(&with(Body::File(file.clone()), None)).unwrap();
        assert_eq!(header(&plain, "content-type"), "image/jpeg");
        let named = Request {
            headers: vec![("Content-Type".into(), "image/x".into())],
            ..with(Body::File(file.clone()), None)
        };
        assert_eq!(filled(&named).unwrap().headers, named.headers);
        let json = || {
            Some(Place::Json {
                pointer: "/a".into(),
            })
        };
        let odd = Part {
            content_type: Some("a\r\nb".into()),
            ..part("note", None, Content::Bytes(Vec::new()))
        };
        for refused in [
            with(Body::File(file.clone()), key()),
            with(Body::File(file.clone()), json()),
            with(Body::Form(form.clone()), json()),
            with(Body::Form(vec![odd]), None),
            Request {
                headers: named.headers.clone(),
                ..with(Body::Form(form.clone()), None)
            },
            Request {
                signatures: vec![Signing {
                    secret: "token".into(),
                    over: Signed::Body,
                    encoding: Encoding::Hex,
                    header: "x".into(),
                    prefix: String::new(),
                }],
                ..with(Body::Form(form.clone()), None)
            },
        ] {
            let error = filled(&refused).err().unwrap();
            assert!(!error.contains(SECRET), "{error}");
        }
    }

    #[test]
    fn text_that_looks_like_a_placeholder_is_text() {
        let words = "{{secret:token}} ${token} {token} %{token}";
        let done = filled(&Request {
            headers: vec![("x".into(), words.into())],
            body: Body::Bytes(words.into()),
            ..request()
        })
        .unwrap();
        assert_eq!((header(&done, "x"), &*text(&done)), (words, words));
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
