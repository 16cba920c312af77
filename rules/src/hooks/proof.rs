use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde::{Deserialize, Serialize};
use url::form_urlencoded;

use super::Request;
use crate::alarm::WebhookKey;
use crate::outbound::{Encoding, Mask};
use crate::verification::same;

/// The headers of Standard Webhooks.
const ID: &str = "webhook-id";
const TIMESTAMP: &str = "webhook-timestamp";
const SIGNATURE: &str = "webhook-signature";
const PREFIX_BYTES_MAX: usize = 128;
const NAME_BYTES_MAX: usize = 128;
const TOLERANCE_SECONDS: u64 = 300;
const TOLERANCE_SECONDS_MAX: u64 = 86_400;

/// How a call proves that its caller knows the secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "scheme", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Scheme {
    /// HMAC-SHA256 over the body, or over a time and the body.
    HmacSha256 {
        /// Holds the signature after the prefix.
        header: String,
        /// Such as `sha256=`.
        #[serde(default)]
        prefix: String,
        encoding: Encoding,
        /// Without it a call that somebody has listened to can be repeated for ever.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timestamp: Option<Timestamp>,
    },
    /// The secret itself, in a header.
    Token {
        header: String,
        /// Such as `Bearer `.
        #[serde(default)]
        prefix: String,
    },
    /// The secret itself, as a parameter of the URL. Such a URL stands in logs along its way.
    QueryToken { name: String },
    /// `webhook-id`, `webhook-timestamp` and `webhook-signature` as standardwebhooks.com has them.
    StandardWebhooks {},
}

/// What is signed then: `before`, seconds since 1970, `between`, the body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timestamp {
    /// Holds the seconds.
    pub header: String,
    #[serde(default)]
    pub before: String,
    #[serde(default)]
    pub between: String,
    /// How far the time may be from now.
    #[serde(default = "tolerance_seconds")]
    pub tolerance_seconds: u64,
}

fn tolerance_seconds() -> u64 {
    TOLERANCE_SECONDS
}

impl Scheme {
    /// The headers that it looks at.
    pub(super) fn headers(&self) -> impl Iterator<Item = &str> {
        let (one, other) = match self {
            Scheme::HmacSha256 {
                header, timestamp, ..
            } => (
                Some(header.as_str()),
                timestamp
                    .as_ref()
                    .map(|timestamp| timestamp.header.as_str()),
            ),
            Scheme::Token { header, .. } => (Some(header.as_str()), None),
            Scheme::QueryToken { .. } => (None, None),
            Scheme::StandardWebhooks {} => (Some(SIGNATURE), Some(TIMESTAMP)),
        };
        one.into_iter().chain(other)
    }

    /// The header that holds what proves a call.
    fn proving(&self) -> Option<&str> {
        self.headers().next()
    }

    /// What is wrong with it beside the names of its headers.
    pub(super) fn refusal(&self) -> Option<&'static str> {
        match self {
            Scheme::QueryToken { name } if name.is_empty() || name.len() > NAME_BYTES_MAX => {
                Some("its parameter has no name, or one of more than 128 bytes")
            }
            Scheme::HmacSha256 { prefix, .. } | Scheme::Token { prefix, .. }
                if prefix.len() > PREFIX_BYTES_MAX =>
            {
                Some("its prefix has more than 128 bytes")
            }
            Scheme::HmacSha256 {
                timestamp: Some(timestamp),
                ..
            } => {
                let Timestamp {
                    before,
                    between,
                    tolerance_seconds,
                    ..
                } = timestamp;
                if before.len() > PREFIX_BYTES_MAX || between.len() > PREFIX_BYTES_MAX {
                    return Some("what stands before or after its time has more than 128 bytes");
                }
                let fits = (1..=TOLERANCE_SECONDS_MAX).contains(tolerance_seconds);
                (!fits).then_some("its tolerance_seconds is not from 1 to 86400")
            }
            _ => None,
        }
    }

    /// In words for an admin.
    #[must_use]
    pub fn told(&self) -> String {
        match self {
            Scheme::HmacSha256 {
                header,
                timestamp: None,
                ..
            } => {
                format!("signed with HMAC-SHA256 in {header}")
            }
            Scheme::HmacSha256 {
                header,
                timestamp: Some(_),
                ..
            } => {
                format!("signed with HMAC-SHA256 and its time in {header}")
            }
            Scheme::Token { header, .. } => format!("with the secret in {header}"),
            Scheme::QueryToken { name } => format!("with the secret as {name} in the URL"),
            Scheme::StandardWebhooks {} => "signed as Standard Webhooks".to_owned(),
        }
    }
}

/// Why a call does not prove from whom it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    #[error("what proves it is missing, or there twice")]
    Missing,
    #[error("its time is too far from now, or none")]
    Stale,
    #[error("the secret or the signature is another one")]
    Mismatch,
}

/// A scheme with its secret.
pub struct Proof {
    scheme: Scheme,
    secret: Secret,
    mask: Mask,
}

enum Secret {
    Key(hmac::Key),
    Text(String),
    Standard(WebhookKey),
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proof")
            .field("scheme", &self.scheme)
            .finish_non_exhaustive()
    }
}

impl Proof {
    /// # Errors
    /// Why it cannot be the secret of such a scheme, without it.
    pub fn new(scheme: &Scheme, secret: &str) -> Result<Proof, &'static str> {
        let kept = match scheme {
            Scheme::HmacSha256 { .. } => {
                Secret::Key(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))
            }
            Scheme::Token { .. } | Scheme::QueryToken { .. } => Secret::Text(secret.to_owned()),
            Scheme::StandardWebhooks {} => Secret::Standard(WebhookKey::new(secret)?),
        };
        Ok(Proof {
            scheme: scheme.clone(),
            secret: kept,
            mask: Mask::new([secret]),
        })
    }

    /// Whether the body is part of it; else a call can be judged before its body is read.
    #[must_use]
    pub fn needs_body(&self) -> bool {
        !matches!(self.secret, Secret::Text(_))
    }

    /// Judges a call at `now_ms`. How long it takes tells nothing about the secret.
    ///
    /// # Errors
    /// Why it is not proven.
    pub fn check(&self, request: &Request, body: &[u8], now_ms: i64) -> Result<(), Unproven> {
        match (&self.scheme, &self.secret) {
            (
                Scheme::HmacSha256 {
                    prefix,
                    encoding,
                    timestamp,
                    ..
                },
                Secret::Key(key),
            ) => {
                let shown = self.shown(request, prefix)?;
                let mut signed = Vec::with_capacity(body.len() + 2 * PREFIX_BYTES_MAX);
                if let Some(timestamp) = timestamp {
                    let time = text(request.only(&timestamp.header))?;
                    fresh(time, timestamp.tolerance_seconds, now_ms)?;
                    for part in [&timestamp.before, time, &timestamp.between] {
                        signed.extend_from_slice(part.as_bytes());
                    }
                }
                signed.extend_from_slice(body);
                let tag = match encoding {
                    Encoding::Hex => hex::decode(shown).ok(),
                    Encoding::Base64 => STANDARD.decode(shown).ok(),
                };
                let tag = tag.ok_or(Unproven::Mismatch)?;
                hmac::verify(key, &signed, &tag).map_err(|_| Unproven::Mismatch)
            }
            (Scheme::Token { prefix, .. }, Secret::Text(secret)) => {
                is_same(self.shown(request, prefix)?, secret)
            }
            (Scheme::QueryToken { name }, Secret::Text(secret)) => {
                let mut shown = form_urlencoded::parse(request.query.as_bytes())
                    .filter(|(parameter, _)| parameter == name);
                match (shown.next(), shown.next()) {
                    (Some((_, shown)), None) => is_same(&shown, secret),
                    _ => Err(Unproven::Missing),
                }
            }
            (Scheme::StandardWebhooks {}, Secret::Standard(key)) => {
                let [id, time, shown] =
                    [ID, TIMESTAMP, SIGNATURE].map(|name| text(request.only(name)));
                let (id, time, shown) = (id?, time?, shown?);
                fresh(time, TOLERANCE_SECONDS, now_ms)?;
                let fits = key.verify(id, time, body, shown);
                fits.then_some(()).ok_or(Unproven::Mismatch)
            }
            // A proof is made with the secret of its scheme.
            _ => Err(Unproven::Mismatch),
        }
    }

    /// What stands behind the prefix in the header that proves a call.
    fn shown<'r>(&self, request: &'r Request, prefix: &str) -> Result<&'r str, Unproven> {
        let header = self.scheme.proving().and_then(|name| request.only(name));
        let shown = text(header)?.trim();
        let (before, behind) = shown
            .split_at_checked(prefix.len())
            .ok_or(Unproven::Mismatch)?;
        // The names of schemes, such as Bearer, are written in any case.
        match before.eq_ignore_ascii_case(prefix) {
            true => Ok(behind.trim_start()),
            false => Err(Unproven::Mismatch),
        }
    }

    /// Whether a header is the gateway's to see alone.
    pub(super) fn hides(&self, header: &str) -> bool {
        self.scheme
            .proving()
            .is_some_and(|name| name.eq_ignore_ascii_case(header))
    }

    /// Whether a parameter of the URL is.
    pub(super) fn hides_parameter(&self, parameter: &str) -> bool {
        matches!(&self.scheme, Scheme::QueryToken { name } if name == parameter)
    }

    /// Finds the secret where nobody would look for it.
    pub(super) fn mask(&self) -> &Mask {
        &self.mask
    }
}

fn is_same(shown: &str, secret: &str) -> Result<(), Unproven> {
    let fits = same(shown, secret) && !secret.is_empty();
    fits.then_some(()).ok_or(Unproven::Mismatch)
}

fn text(header: Option<&[u8]>) -> Result<&str, Unproven> {
    let header = header.ok_or(Unproven::Missing)?;
    std::str::from_utf8(header).map_err(|_| Unproven::Mismatch)
}

fn fresh(time: &str, tolerance_seconds: u64, now_ms: i64) -> Result<(), Unproven> {
    const DIGITS_MAX: usize = 12;
    let digits = time.len() <= DIGITS_MAX && time.bytes().all(|byte| byte.is_ascii_digit());
    let seconds: i64 = time
        .parse()
        .ok()
        .filter(|_| digits)
        .ok_or(Unproven::Stale)?;
    let fits = seconds.abs_diff(now_ms.div_euclid(1000)) <= tolerance_seconds;
    fits.then_some(()).ok_or(Unproven::Stale)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const NOW_MS: i64 = 1_614_265_330_999;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;

    fn proof(scheme: Value) -> Proof {
        Proof::new(&serde_json::from_value(scheme).unwrap(), SECRET).unwrap()
    }

    fn request(query: &str, headers: &[(&str, &str)]) -> Request {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_owned()));
        Request {
            method: "POST".to_owned(),
            path: String::new(),
            query: query.to_owned(),
            headers: headers.collect(),
        }
    }

    fn hmac_of(text: &[u8]) -> Vec<u8> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        hmac::sign(&key, text).as_ref().to_owned()
    }

    #[test]
    fn a_signature_over_the_body_is_the_bodys_alone() {
        let hex = proof(
            json!({"scheme": "hmac-sha256", "header": "X-Signature", "prefix": "sha256=", "encoding": "hex"}),
        );
        let base64 =
            proof(json!({"scheme": "hmac-sha256", "header": "X-Signature", "encoding": "base64"}));
        let good = format!("sha256={}", hex::encode(hmac_of(BODY)));
        let check = |shown: &str| hex.check(&request("", &[("x-signature", shown)]), BODY, NOW_MS);
        assert_eq!(check(&good), Ok(()));
        assert_eq!(check(&good.to_uppercase()), Ok(()));
        for bad in [
            "",
            "sha256=",
            &good[7..],
            &good[..70],
            &format!("{good}00"),
            "sha256=é",
        ] {
            assert_eq!(check(bad), Err(Unproven::Mismatch), "{bad}");
        }
        let twice = request("", &[("x-signature", &good), ("x-signature", &good)]);
        assert_eq!(hex.check(&twice, BODY, NOW_MS), Err(Unproven::Missing));
        assert_eq!(
            hex.check(&request("", &[]), BODY, NOW_MS),
            Err(Unproven::Missing)
        );
        let shown = request("", &[("x-signature", &STANDARD.encode(hmac_of(BODY)))]);
        assert_eq!(base64.check(&shown, BODY, NOW_MS), Ok(()));
        assert_eq!(
            base64.check(&shown, b"other", NOW_MS),
            Err(Unproven::Mismatch)
        );
        assert!(hex.needs_body() && !format!("{hex:?}").contains("whsec"));
    }

    #[test]
    fn a_signed_time_has_to_be_near() {
        let proof = proof(
            json!({"scheme": "hmac-sha256", "header": "x-signature", "encoding": "hex",
            "timestamp": {"header": "X-Time", "before": "v0:", "between": ":", "tolerance_seconds": 60}}),
        );
        let check = |time: &str, signed: &str| {
            let tag = hex::encode(hmac_of(
                &[format!("v0:{signed}:").as_bytes(), BODY].concat(),
            ));
            proof.check(
                &request("", &[("x-signature", &tag), ("x-time", time)]),
                BODY,
                NOW_MS,
            )
        };
        for (time, told) in [
            ("1614265330", Ok(())),
            ("1614265390", Ok(())),
            ("1614265270", Ok(())),
            ("1614265391", Err(Unproven::Stale)),
            ("1614265269", Err(Unproven::Stale)),
            ("", Err(Unproven::Stale)),
            ("-1", Err(Unproven::Stale)),
            ("+1614265330", Err(Unproven::Stale)),
            ("9999999999999999999", Err(Unproven::Stale)),
        ] {
            assert_eq!(check(time, time), told, "{time}");
        }
        assert_eq!(check("1614265331", "1614265330"), Err(Unproven::Mismatch));
        let untimed = request("", &[("x-signature", "00")]);
        assert_eq!(proof.check(&untimed, BODY, NOW_MS), Err(Unproven::Missing));
    }

    #[test]
    fn a_token_is_compared_whole() {
        let header =
            proof(json!({"scheme": "token", "header": "Authorization", "prefix": "Bearer "}));
        let query = proof(json!({"scheme": "query-token", "name": "token"}));
        for (shown, told) in [
            (format!("Bearer {SECRET}"), Ok(())),
            (format!("bearer  {SECRET} "), Ok(())),
            (SECRET.to_owned(), Err(Unproven::Mismatch)),
            ("Bearer ".to_owned(), Err(Unproven::Mismatch)),
            (format!("Bearer {SECRET}x"), Err(Unproven::Mismatch)),
            (format!("Bearer {}", &SECRET[..20]), Err(Unproven::Mismatch)),
        ] {
            let request = request("", &[("authorization", &shown)]);
            assert_eq!(header.check(&request, b"", NOW_MS), told, "{shown}");
        }
        for (shown, told) in [
            (format!("a=b&token={SECRET}"), Ok(())),
            (format!("%74oken={SECRET}"), Ok(())),
            (
                format!("token={SECRET}&token={SECRET}"),
                Err(Unproven::Missing),
            ),
            ("token=".to_owned(), Err(Unproven::Mismatch)),
            (String::new(), Err(Unproven::Missing)),
        ] {
            assert_eq!(
                query.check(&request(&shown, &[]), b"", NOW_MS),
                told,
                "{shown}"
            );
        }
        assert!(!header.needs_body() && !query.needs_body());
    }

    /// The specification's own example.
    #[test]
    fn standard_webhooks_are_taken_as_they_are_sent() {
        let proof = proof(json!({"scheme": "standard-webhooks"}));
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let check = |signature: &str, now_ms: i64| {
            let headers = [
                ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
                ("webhook-timestamp", "1614265330"),
                ("webhook-signature", signature),
            ];
            proof.check(&request("", &headers), BODY, now_ms)
        };
        assert_eq!(check(signature, NOW_MS), Ok(()));
        assert_eq!(check(&format!("v1,AAAA v1a,x {signature}"), NOW_MS), Ok(()));
        assert_eq!(
            check(&signature.replace("v1", "v2"), NOW_MS),
            Err(Unproven::Mismatch)
        );
        assert_eq!(check("", NOW_MS), Err(Unproven::Mismatch));
        assert_eq!(check(signature, NOW_MS + 301_000), Err(Unproven::Stale));
        let weak = Proof::new(&Scheme::StandardWebhooks {}, "too short");
        assert!(weak.is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_shown_is_judged_and_nothing_but_the_secret_fits(
            query in ".{0,40}",
            shown in ".{0,80}",
            body: Vec<u8>,
        ) {
            for scheme in [
                json!({"scheme": "hmac-sha256", "header": "a", "prefix": "é=", "encoding": "hex"}),
                json!({"scheme": "hmac-sha256", "header": "a", "encoding": "base64", "timestamp": {"header": "b"}}),
                json!({"scheme": "token", "header": "a", "prefix": "b"}),
                json!({"scheme": "query-token", "name": "a"}),
                json!({"scheme": "standard-webhooks"}),
            ] {
                let headers = [("a", shown.as_str()), ("b", "1614265330"), ("webhook-id", "x"),
                    ("webhook-timestamp", "1614265330"), ("webhook-signature", shown.as_str())];
                prop_assert!(proof(scheme).check(&request(&query, &headers), &body, NOW_MS).is_err());
            }
        }

        #[test]
        fn a_changed_body_is_another_one(body: Vec<u8>, at: prop::sample::Index, flip in 1_u8..) {
            let proof = proof(json!({"scheme": "hmac-sha256", "header": "a", "encoding": "hex"}));
            let request = request("", &[("a", &hex::encode(hmac_of(&body)))]);
            prop_assert_eq!(proof.check(&request, &body, NOW_MS), Ok(()));
            if !body.is_empty() {
                let mut other = body.clone();
                other[at.index(body.len())] ^= flip;
                prop_assert!(proof.check(&request, &other, NOW_MS).is_err());
            }
        }
    }
}
