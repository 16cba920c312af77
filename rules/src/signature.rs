//! Proves that a webhook body comes from Meta: `X-Hub-Signature-256` over the raw bytes.
//!
//! Promises: the comparison takes the same time whatever the header says, any of several app secrets
//! is accepted so that they can be rotated, and a secret never shows in a log.

use std::fmt;

use ring::hmac;
use thiserror::Error;

const PREFIX: &[u8] = b"sha256=";
const DIGEST_BYTES: usize = 32;

/// An app secret, prepared once for signing and verifying.
#[derive(Clone)]
pub struct Secret(hmac::Key);

impl Secret {
    #[must_use]
    pub fn new(app_secret: &str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, app_secret.as_bytes()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Why a body is not Meta's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignatureError {
    #[error("the header X-Hub-Signature-256 is missing")]
    Missing,
    #[error("the header X-Hub-Signature-256 is not \"sha256=\" and 64 hex digits")]
    Malformed,
    #[error("the signature fits none of the app secrets; check DUET_APP_SECRET")]
    Mismatch,
}

/// Checks the value of `X-Hub-Signature-256` against the raw body.
///
/// # Errors
/// [`SignatureError`] says whether the header is absent, unreadable or made with another secret.
pub fn verify(
    header: Option<&[u8]>,
    body: &[u8],
    secrets: &[Secret],
) -> Result<(), SignatureError> {
    let header = header.ok_or(SignatureError::Missing)?;
    let digits = header
        .strip_prefix(PREFIX)
        .ok_or(SignatureError::Malformed)?;
    let mut digest = [0_u8; DIGEST_BYTES];
    hex::decode_to_slice(digits, &mut digest).map_err(|_| SignatureError::Malformed)?;
    // Every secret is tried, so that the time does not tell which one fits.
    let fits = secrets.iter().fold(false, |fits, secret| {
        hmac::verify(&secret.0, body, &digest).is_ok() | fits
    });
    if fits {
        Ok(())
    } else {
        Err(SignatureError::Mismatch)
    }
}

/// The header value that Meta would send with this body.
#[must_use]
pub fn sign(secret: &Secret, body: &[u8]) -> String {
    let tag = hmac::sign(&secret.0, body);
    format!("sha256={}", hex::encode(tag.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 4231, test case 2.
    #[test]
    fn agrees_with_the_published_vector() {
        let secret = Secret::new("Jefe");
        let header = sign(&secret, b"what do ya want for nothing?");
        assert_eq!(
            header,
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn names_what_is_wrong_with_a_header() {
        let secrets = [Secret::new("new"), Secret::new("old")];
        let good = sign(&secrets[1], b"body");
        let check = |header: &str| verify(Some(header.as_bytes()), b"body", &secrets);
        assert_eq!(check(&good), Ok(()));
        assert_eq!(
            check(&format!("sha256={}", good[7..].to_uppercase())),
            Ok(())
        );
        assert_eq!(
            verify(None, b"body", &secrets),
            Err(SignatureError::Missing)
        );
        for bad in [
            "",
            "sha256=",
            &good[7..],
            &good[..70],
            &format!("{good}00"),
            &format!(" {good}"),
            &good.replace("sha256", "SHA256"),
            &format!("{}g", &good[..70]),
        ] {
            assert_eq!(check(bad), Err(SignatureError::Malformed), "{bad}");
        }
        let strange = sign(&Secret::new("third"), b"body");
        assert_eq!(check(&strange), Err(SignatureError::Mismatch));
        assert_eq!(
            verify(Some(good.as_bytes()), b"body", &[]),
            Err(SignatureError::Mismatch)
        );
        assert_eq!(format!("{:?}", secrets[0]), "Secret(..)");
    }

    proptest! {
        #[test]
        fn accepts_exactly_its_own_body(body: Vec<u8>, at: prop::sample::Index, flip in 1_u8..) {
            let secrets = [Secret::new("s3cret")];
            let header = sign(&secrets[0], &body);
            prop_assert_eq!(verify(Some(header.as_bytes()), &body, &secrets), Ok(()));
            let mut longer = body.clone();
            longer.push(flip);
            prop_assert!(verify(Some(header.as_bytes()), &longer, &secrets).is_err());
            if !body.is_empty() {
                let mut other = body.clone();
                other[at.index(body.len())] ^= flip;
                prop_assert!(verify(Some(header.as_bytes()), &other, &secrets).is_err());
            }
        }
    }
}
