//! Standard Webhooks: `webhook-id`, `webhook-timestamp`, and in `webhook-signature` the HMAC-SHA256 of both and the body
//! (standardwebhooks.com, specification 1.0.0).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

const PREFIX: &str = "whsec_";
const VERSION: &str = "v1,";
/// What the specification asks for, in bytes.
const SECRET_MIN: usize = 24;

/// The secret that both sides know.
#[derive(Clone)]
pub struct WebhookKey(hmac::Key);

/// The values of the three headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    pub id: String,
    /// Seconds since 1970.
    pub timestamp: String,
    pub signature: String,
}

impl WebhookKey {
    /// `whsec_` and base64, else the text's own bytes; at least 24 of them.
    ///
    /// # Errors
    /// Why it is no secret, without it.
    pub fn new(secret: &str) -> Result<WebhookKey, &'static str> {
        let bytes = match secret.strip_prefix(PREFIX) {
            Some(coded) => STANDARD
                .decode(coded)
                .map_err(|_| "what follows whsec_ is no base64")?,
            None => secret.as_bytes().to_owned(),
        };
        if bytes.len() < SECRET_MIN {
            return Err("it has fewer than 24 bytes");
        }
        Ok(WebhookKey(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    #[must_use]
    pub fn sign(&self, id: &str, now_ms: i64, body: &str) -> Signed {
        let timestamp = now_ms.div_euclid(1000).to_string();
        let signed = format!("{id}.{timestamp}.{body}");
        let tag = hmac::sign(&self.0, signed.as_bytes());
        Signed {
            id: id.to_owned(),
            signature: format!("{VERSION}{}", STANDARD.encode(tag)),
            timestamp,
        }
    }

    /// Whether one of the signatures in the header's value is that of this message.
    #[must_use]
    pub fn verify(&self, id: &str, timestamp: &str, body: &[u8], signatures: &str) -> bool {
        let signed = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
        let mut tags = signatures
            .split(' ')
            .filter_map(|signature| STANDARD.decode(signature.strip_prefix(VERSION)?).ok());
        tags.any(|tag| hmac::verify(&self.0, &signed, &tag).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The specification's own example.
    #[test]
    fn the_signature_is_that_of_standard_webhooks() {
        let key = WebhookKey::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = r#"{"test": 2432232314}"#;
        let signed = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330_999, body);
        assert_eq!(signed.timestamp, "1614265330");
        assert_eq!(
            signed.signature,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn a_weak_or_broken_secret_is_refused() {
        assert!(WebhookKey::new("short").is_err());
        assert!(WebhookKey::new("whsec_!").is_err());
        assert!(WebhookKey::new("a text of its own with enough bytes").is_ok());
    }
}
