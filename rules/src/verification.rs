//! Meta's question before it sends webhooks: `GET /webhook?hub.mode=subscribe&hub.challenge=…&hub.verify_token=…`.
//!
//! Promises: the challenge is echoed only to whoever knows the verify token, which is compared in
//! constant time, and what is echoed is short and printable, so that the answer cannot carry markup
//! control characters or a header.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use ring::hmac;
use thiserror::Error;

const CHALLENGE_BYTES_MAX: usize = 1024;
const QUERY_BYTES_MAX: usize = 8 * 1024;

/// Why a challenge is not echoed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum VerificationError {
    #[error("the query lacks {0}")]
    Missing(&'static str),
    #[error("the query has {0} more than once")]
    Repeated(&'static str),
    #[error("hub.mode is not \"subscribe\"")]
    Mode,
    #[error("hub.challenge is empty, longer than 1024 bytes or not printable ASCII")]
    Challenge,
    #[error("hub.verify_token is not ours; check DUET_VERIFY_TOKEN and the app's dashboard")]
    Token,
    #[error("the query is longer than 8192 bytes or not UTF-8 after decoding")]
    Unreadable,
}

/// Answers Meta's verification request. `query` is what stands behind the `?`, still encoded.
/// Returns the challenge to echo as the whole response body.
///
/// # Errors
/// [`VerificationError`]; an empty `verify_token` of ours never matches.
pub fn challenge(query: &str, verify_token: &str) -> Result<String, VerificationError> {
    if query.len() > QUERY_BYTES_MAX {
        return Err(VerificationError::Unreadable);
    }
    let mode = parameter(query, "hub.mode")?;
    let token = parameter(query, "hub.verify_token")?;
    let challenge = parameter(query, "hub.challenge")?;
    if mode != "subscribe" {
        return Err(VerificationError::Mode);
    }
    if verify_token.is_empty() || !same(&token, verify_token) {
        return Err(VerificationError::Token);
    }
    let printable = challenge.bytes().all(|byte| byte.is_ascii_graphic());
    if challenge.is_empty() || challenge.len() > CHALLENGE_BYTES_MAX || !printable {
        return Err(VerificationError::Challenge);
    }
    Ok(challenge)
}

fn parameter(query: &str, name: &'static str) -> Result<String, VerificationError> {
    let mut found = None;
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        // A name that is not UTF-8 is somebody else's parameter.
        if decoded(key).is_ok_and(|key| key == name) && found.replace(value).is_some() {
            return Err(VerificationError::Repeated(name));
        }
    }
    decoded(found.ok_or(VerificationError::Missing(name))?)
}

fn decoded(text: &str) -> Result<String, VerificationError> {
    let spaced = if text.contains('+') {
        Cow::Owned(text.replace('+', " "))
    } else {
        Cow::Borrowed(text)
    };
    percent_decode_str(&spaced)
        .decode_utf8()
        .map(Cow::into_owned)
        .map_err(|_| VerificationError::Unreadable)
}

/// Compares through a keyed hash, so that the time tells nothing about a common beginning.
pub(crate) fn same(theirs: &str, ours: &str) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, ours.as_bytes());
    let tag = hmac::sign(&key, ours.as_bytes());
    hmac::verify(&key, theirs.as_bytes(), tag.as_ref()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str =
        "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=meaty+t%C3%B6ken";

    #[test]
    fn echoes_the_challenge_to_whoever_knows_the_token() {
        let echo = challenge(GOOD, "meaty t\u{f6}ken");
        assert_eq!(echo.as_deref(), Ok("1158201444"));
        let encoded = "hub%2Emode=subscribe&x&hub.verify_token=t&hub.challenge=a%2Bb";
        assert_eq!(challenge(encoded, "t").as_deref(), Ok("a+b"));
    }

    #[test]
    fn refuses_anything_else_and_says_why() {
        use VerificationError::*;
        let long = "1".repeat(1025);
        for (query, error) in [
            ("", Missing("hub.mode")),
            (
                "hub.mode=subscribe&hub.challenge=1",
                Missing("hub.verify_token"),
            ),
            (
                "hub.mode=subscribe&hub.verify_token=t",
                Missing("hub.challenge"),
            ),
            (
                "hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=t",
                Mode,
            ),
            (
                "hub.mode=subscribe&hub.challenge=1&hub.verify_token=T",
                Token,
            ),
            (
                "hub.mode=subscribe&hub.challenge=1&hub.verify_token=",
                Token,
            ),
            (
                "hub.mode=subscribe&hub.challenge=1&hub.verify_token=t&hub.verify_token=t",
                Repeated("hub.verify_token"),
            ),
            (
                "hub.mode=subscribe&hub.challenge=&hub.verify_token=t",
                Challenge,
            ),
            (
                "hub.mode=subscribe&hub.challenge=a%0D%0Ab&hub.verify_token=t",
                Challenge,
            ),
            (
                "hub.mode=subscribe&hub.challenge=%C3%A4&hub.verify_token=t",
                Challenge,
            ),
            (
                "hub.mode=subscribe&hub.challenge=%FF&hub.verify_token=t",
                Unreadable,
            ),
            (
                &format!("hub.mode=subscribe&hub.challenge={long}&hub.verify_token=t"),
                Challenge,
            ),
            (&"x".repeat(8193), Unreadable),
        ] {
            assert_eq!(challenge(query, "t"), Err(error), "{query}");
        }
        assert_eq!(
            challenge("hub.mode=subscribe&hub.challenge=1&hub.verify_token=", ""),
            Err(Token)
        );
    }

    proptest! {
        #[test]
        fn never_panics_and_never_echoes_unprintable(query in "(hub\\.(mode|challenge|verify_token)=(subscribe|t|.{0,9})&?){0,4}") {
            if let Ok(echo) = challenge(&query, "t") {
                prop_assert!(echo.bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }
    }
}
