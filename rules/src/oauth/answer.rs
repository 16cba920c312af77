use std::fmt;

use serde_json::Value;

use crate::outbound::SECRET_BYTES_MIN;

/// Longer ones go into no header.
const TOKEN_BYTES_MAX: usize = 8 << 10;
const WORD_CHARS_MAX: usize = 64;

/// Words that stand for trouble of the moment, whatever the status. The last one is Zoho's for too many requests.
const PASSING: [&str; 5] = [
    "temporarily_unavailable",
    "server_error",
    "slow_down",
    "general_error",
    "access denied",
];

/// What the token URL has said.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    Granted(Granted),
    /// Asking again changes nothing before somebody does something. With its word, such as `invalid_grant`.
    Refused(String),
    /// It may come right by itself. With what came instead of a token.
    Failed(String),
}

/// The tokens are shown by nothing.
#[derive(PartialEq, Eq)]
pub struct Granted {
    pub access_token: String,
    /// In place of the one that was used.
    pub refresh_token: Option<String>,
    /// How long the access token lives, if that is said.
    pub expires_s: Option<u64>,
}

impl fmt::Debug for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Granted")
            .field("rotated", &self.refresh_token.is_some())
            .field("expires_s", &self.expires_s)
            .finish()
    }
}

impl Answer {
    /// Reads an answer of the token URL (RFC 6749, 5.1 and 5.2). Some providers refuse with a 200.
    #[must_use]
    pub fn read(status: u16, body: &[u8]) -> Answer {
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        let word = json.get("error").map(word);
        match (status, word) {
            (408 | 425 | 429 | 500.., _) => Answer::Failed(format!("status {status}")),
            (_, Some(word)) if PASSING.contains(&word.to_lowercase().as_str()) => {
                Answer::Failed(word)
            }
            (200..=299 | 400..=499, Some(word)) => Answer::Refused(word),
            (200..=299, None) => granted(&json),
            (400..=499, None) => Answer::Refused(format!("status {status}")),
            _ => Answer::Failed(format!("status {status}")),
        }
    }
}

/// As much of it as may be shown: it comes from outside.
fn word(error: &Value) -> String {
    let plain = |char: &char| char.is_ascii_alphanumeric() || " _-.".contains(*char);
    let text = error.as_str().unwrap_or_default();
    let word: String = text.chars().filter(plain).take(WORD_CHARS_MAX).collect();
    match word.is_empty() {
        true => "an error without a name".to_owned(),
        false => word,
    }
}

fn granted(json: &Value) -> Answer {
    let token = |name: &str| json.get(name).and_then(Value::as_str);
    let Some(access) = token("access_token") else {
        return Answer::Failed("an answer without a token".to_owned());
    };
    let refresh = token("refresh_token").filter(|token| !token.is_empty());
    if ![Some(access), refresh].into_iter().flatten().all(fits) {
        return Answer::Failed(format!(
            "a token that is not {SECRET_BYTES_MIN} to {TOKEN_BYTES_MAX} printable characters"
        ));
    }
    let expires = json.get("expires_in");
    // Some write the number as text.
    let expires_s =
        expires.and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok()));
    Answer::Granted(Granted {
        access_token: access.to_owned(),
        refresh_token: refresh.map(str::to_owned),
        expires_s,
    })
}

/// Whether a token can be masked, and carried by a header.
fn fits(token: &str) -> bool {
    (SECRET_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&token.len())
        && token.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn granted(access: &str, refresh: Option<&str>, expires_s: Option<u64>) -> Answer {
        Answer::Granted(Granted {
            access_token: access.into(),
            refresh_token: refresh.map(str::to_owned),
            expires_s,
        })
    }

    fn refused(word: &str) -> Answer {
        Answer::Refused(word.into())
    }

    fn failed(word: &str) -> Answer {
        Answer::Failed(word.into())
    }

    #[test]
    fn answers_mean_what_providers_mean_by_them() {
        let unfit = "a token that is not 8 to 8192 printable characters";
        for (status, body, expect) in [
            (
                200,
                r#"{"access_token":"access-1","token_type":"Bearer","expires_in":3600}"#,
                granted("access-1", None, Some(3600)),
            ),
            (
                200,
                r#"{"access_token":"access-1","refresh_token":"refresh-2","expires_in":"60"}"#,
                granted("access-1", Some("refresh-2"), Some(60)),
            ),
            (
                201,
                r#"{"access_token":"access-1","refresh_token":"","expires_in":-1}"#,
                granted("access-1", None, None),
            ),
            (
                400,
                r#"{"error":"invalid_grant"}"#,
                refused("invalid_grant"),
            ),
            (
                401,
                r#"{"error":"invalid_client"}"#,
                refused("invalid_client"),
            ),
            // Zoho refuses with a 200, and calls too many requests a refusal.
            (200, r#"{"error":"invalid_code"}"#, refused("invalid_code")),
            (
                400,
                r#"{"error_description":"You have made too many requests","error":"Access Denied"}"#,
                failed("Access Denied"),
            ),
            // HubSpot has words of its own.
            (
                400,
                r#"{"status":"BAD_REFRESH_TOKEN"}"#,
                refused("status 400"),
            ),
            (
                400,
                r#"{"error":"temporarily_unavailable"}"#,
                failed("temporarily_unavailable"),
            ),
            (
                400,
                r#"{"error":{"code":1}}"#,
                refused("an error without a name"),
            ),
            (400, r#"{"error":"<b>\u0007x\"}\n"}"#, refused("bx")),
            (503, r#"{"error":"invalid_grant"}"#, failed("status 503")),
            (429, "", failed("status 429")),
            (302, "", failed("status 302")),
            (200, "<html>", failed("an answer without a token")),
            (
                200,
                r#"{"access_token":7}"#,
                failed("an answer without a token"),
            ),
            (200, r#"{"access_token":"short"}"#, failed(unfit)),
            (200, "{\"access_token\":\"in two\\nlines\"}", failed(unfit)),
            (
                200,
                r#"{"access_token":"access-1","refresh_token":"short"}"#,
                failed(unfit),
            ),
        ] {
            assert_eq!(
                Answer::read(status, body.as_bytes()),
                expect,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn what_is_granted_shows_no_token() {
        let shown = format!("{:?}", granted("access-1", Some("refresh-2"), Some(1)));
        assert!(
            !shown.contains("access-1") && !shown.contains("refresh-2"),
            "{shown}"
        );
    }

    proptest! {
        /// Whatever comes: an answer, and no text of it that is long or odd.
        #[test]
        fn any_bytes_are_some_answer(status in 100u16..1000, body in prop::collection::vec(any::<u8>(), 0..200), error in ".{0,100}") {
            for body in [body, serde_json::json!({ "error": error }).to_string().into_bytes()] {
                if let Answer::Refused(word) | Answer::Failed(word) = Answer::read(status, &body) {
                    prop_assert!(word.len() <= WORD_CHARS_MAX && word.is_ascii() && !word.contains(char::is_control));
                }
            }
        }
    }
}
