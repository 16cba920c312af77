//! What an error of Meta's means for a send: try again, not for a day, or never.
//!
//! Promises: the decision goes by `code` alone, never by HTTP status or title, since most codes come
//! with status 400 (rate limits too) and titles are going away (WhatsApp Cloud API, "Error codes").
//! A body that is not Meta's is told apart, and whether the request may have been carried out.
//!
//! Reading is tolerant: whatever is missing stays empty, whatever is unknown is ignored.

use serde_json::Value;

/// Longest text that is kept of Meta's words, in characters.
const TEXT_CHARS_MAX: usize = 400;

/// What may be done with a send that Meta refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A throttle or a hiccup: the same send may work later.
    Retry,
    /// Too many messages to this one user: wait 4^X seconds ([`crate::backoff::pair_delay_ms`]).
    RetryPair,
    /// Meta held it back for this user's good: nothing like it for 24 hours.
    NotFor24h,
    /// It speaks against the token, not against the send: this one and all that follow wait for another token.
    Token,
    /// The same send will never work.
    Never,
}

/// An error as Meta writes it, in an answer (`{"error":{…}}`) or in a webhook (`errors[]`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetaError {
    pub code: i64,
    pub subcode: Option<i64>,
    /// `OAuthException`, `GraphMethodException`, …
    pub kind: Option<String>,
    /// `message`, else `title`.
    pub message: String,
    /// `error_data.details`: the part that says what to do.
    pub details: Option<String>,
    pub is_transient: bool,
    /// Meta's support asks for it.
    pub fbtrace_id: Option<String>,
}

/// Why a request did not get what it asked for, judged by the whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Meta answered, and refused. Nothing was done.
    Refused(MetaError),
    /// Something on the way answered instead of Meta (a proxy's 403, 404, 413, 429 or a redirect), and
    /// did not pass the request on. Nothing was done; the same request may work later.
    Turned { status: u16 },
    /// Nobody can tell whether Meta has carried the request out: a 5xx or 408 without Meta's error body
    /// (a gateway that gave up waiting for Meta answers so), or a 2xx whose body says nothing.
    /// Repeating a message after this may send it twice.
    LostAnswer { status: u16 },
}

/// "API Permission" in "Error codes": the token lacks one, or it was taken away.
const PERMISSIONS: std::ops::RangeInclusive<i64> = 200..=299;

/// Code, class, and what an admin should know or do about it. Codes as of "Error codes" of the
/// WhatsApp Cloud API; the classes follow its advice.
const TABLE: &[(i64, Class, &str)] = &[
    (
        0,
        Class::Token,
        "the access token is not accepted; set a new one",
    ),
    (1, Class::Retry, "Meta does not know what went wrong"),
    (2, Class::Retry, "Meta's API is down or overloaded"),
    (
        3,
        Class::Token,
        "the app lacks a capability or permission for this call",
    ),
    (4, Class::Retry, "the app makes too many calls"),
    (
        10,
        Class::Token,
        "the token lacks a permission; grant whatsapp_business_messaging",
    ),
    (
        33,
        Class::Never,
        "the number does not exist or belongs to somebody else",
    ),
    (100, Class::Never, "a parameter is wrong"),
    (
        190,
        Class::Token,
        "the access token has expired; set a new one",
    ),
    (
        368,
        Class::Never,
        "Meta has blocked the account for a policy violation",
    ),
    (
        80007,
        Class::Retry,
        "the WhatsApp Business Account makes too many calls",
    ),
    (
        130_429,
        Class::Retry,
        "the number sends faster than its throughput allows",
    ),
    (
        130_472,
        Class::Never,
        "the user takes part in an experiment of Meta's and gets no marketing messages",
    ),
    (
        130_497,
        Class::Never,
        "the business may not message users in this country",
    ),
    (131_000, Class::Retry, "Meta failed for an unknown reason"),
    (131_005, Class::Token, "the token lacks a permission"),
    (131_008, Class::Never, "a required parameter is missing"),
    (131_009, Class::Never, "a parameter has a wrong value"),
    (131_016, Class::Retry, "a service of Meta's is unavailable"),
    (
        131_021,
        Class::Never,
        "the recipient is the sending number itself",
    ),
    (
        131_026,
        Class::Never,
        "the user cannot get the message: no WhatsApp, an old one, or terms not accepted",
    ),
    (131_031, Class::Never, "Meta has locked the account"),
    (
        131_037,
        Class::Never,
        "the number's display name is not approved yet",
    ),
    (
        131_042,
        Class::Never,
        "there is a payment problem; check the payment method in Meta's billing hub",
    ),
    (
        131_045,
        Class::Never,
        "the number is not registered correctly",
    ),
    (
        131_047,
        Class::Never,
        "the user's last message is older than 24 hours; send a template",
    ),
    (
        131_048,
        Class::Never,
        "too many users blocked or reported the number; check its quality",
    ),
    (
        131_049,
        Class::NotFor24h,
        "Meta held the message back so that the user does not get too many",
    ),
    (
        131_050,
        Class::Never,
        "the user has stopped marketing messages from this business",
    ),
    (131_051, Class::Never, "the message type is not supported"),
    (
        131_052,
        Class::Never,
        "Meta could not download the user's media",
    ),
    (
        131_053,
        Class::Never,
        "Meta could not take the media; check its type and size",
    ),
    (
        131_056,
        Class::RetryPair,
        "too many messages to this user in a short time",
    ),
    (
        131_057,
        Class::Retry,
        "the account is in maintenance, perhaps a throughput upgrade",
    ),
    (
        131_062,
        Class::Never,
        "this message cannot go to a business-scoped user id; it needs the phone",
    ),
    (
        132_000,
        Class::Never,
        "the template expects another count of parameters",
    ),
    (
        132_001,
        Class::Never,
        "there is no approved template of this name and language",
    ),
    (
        132_005,
        Class::Never,
        "the template's text is too long when filled in",
    ),
    (
        132_007,
        Class::Never,
        "the template breaks a rule on its characters or format",
    ),
    (
        132_012,
        Class::Never,
        "a template parameter has a wrong format",
    ),
    (
        132_015,
        Class::Never,
        "the template is paused for low quality",
    ),
    (
        132_016,
        Class::Never,
        "the template is disabled for low quality",
    ),
    (132_068, Class::Never, "the flow is blocked"),
    (
        132_069,
        Class::Never,
        "the flow is throttled to 10 messages an hour",
    ),
    (
        133_004,
        Class::Retry,
        "Meta's server is unavailable for a while",
    ),
    (
        133_010,
        Class::Never,
        "the number is not registered with the Cloud API",
    ),
    (
        134_011,
        Class::Never,
        "the payments terms of service are not accepted",
    ),
    (
        135_000,
        Class::Never,
        "Meta failed on the parameters of this message",
    ),
];

/// The class of a code. An unknown code is tried again only when Meta calls it transient.
#[must_use]
pub fn class(code: i64, is_transient: bool) -> Class {
    match (row(code), is_transient) {
        (Some((_, class, _)), _) => *class,
        (None, _) if PERMISSIONS.contains(&code) => Class::Token,
        (None, true) => Class::Retry,
        (None, false) => Class::Never,
    }
}

/// What the code means, in words for an admin.
#[must_use]
pub fn meaning(code: i64) -> Option<&'static str> {
    let permission = PERMISSIONS
        .contains(&code)
        .then_some("the token lacks a permission");
    row(code).map(|(_, _, meaning)| *meaning).or(permission)
}

fn row(code: i64) -> Option<&'static (i64, Class, &'static str)> {
    TABLE.iter().find(|(known, _, _)| *known == code)
}

/// Judges an answer that was no success.
#[must_use]
pub fn read(status: u16, body: &[u8]) -> Failure {
    if let Some(error) = MetaError::parse(body) {
        return Failure::Refused(error);
    }
    match status {
        408 => Failure::LostAnswer { status },
        300..=499 => Failure::Turned { status },
        _ => Failure::LostAnswer { status },
    }
}

impl MetaError {
    /// Reads `{"error":{…}}`; `None` when the body is not an error of Meta's. A body without a numeric
    /// `error.code` is not one: proxies write JSON with an `error` key too.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<MetaError> {
        let body: Value = serde_json::from_slice(body).ok()?;
        MetaError::from_json(body.get("error")?)
    }

    /// Reads one error object, of an answer or of a webhook's `errors[]`.
    #[must_use]
    pub fn from_json(error: &Value) -> Option<MetaError> {
        Some(MetaError {
            code: number(error.get("code")?)?,
            subcode: error.get("error_subcode").and_then(number),
            kind: text(error.get("type")),
            message: text(error.get("message"))
                .or_else(|| text(error.get("title")))
                .unwrap_or_default(),
            details: text(error.pointer("/error_data/details")),
            is_transient: error
                .get("is_transient")
                .and_then(Value::as_bool)
                .unwrap_or(false),
            fbtrace_id: text(error.get("fbtrace_id")),
        })
    }

    #[must_use]
    pub fn class(&self) -> Class {
        class(self.code, self.is_transient)
    }

    /// Whether it hides what was asked for from this token: a permission is lacking, or there is no such thing. Meta tells
    /// the two apart in no other way than "does not exist, cannot be loaded due to missing permissions" (100, subcode 33).
    #[must_use]
    pub fn hides(&self) -> bool {
        let lacks = self.class() == Class::Token && !token_is_void(self.code);
        lacks || matches!((self.code, self.subcode), (33, _) | (100, Some(33)))
    }
}

/// Whether a code of [`Class::Token`] says that the token is none at all; the others say that it may not do this for
/// this number.
#[must_use]
pub fn token_is_void(code: i64) -> bool {
    matches!(code, 0 | 190)
}

impl std::fmt::Display for MetaError {
    /// Code, our words for it if we have some, and Meta's own.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Meta refused ({})", self.code)?;
        if let Some(meaning) = meaning(self.code) {
            write!(f, ": {meaning}")?;
        }
        match (&self.details, self.message.as_str()) {
            (Some(details), _) => write!(f, " [{details}]"),
            (None, "") => Ok(()),
            (None, message) => write!(f, " [{message}]"),
        }
    }
}

/// A number, or a string that holds one.
fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn text(value: Option<&Value>) -> Option<String> {
    let text: String = value?.as_str()?.chars().take(TEXT_CHARS_MAX).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE_LIMIT: &str = r#"{"error":{"message":"(#130429) Rate limit hit","type":"OAuthException","code":130429,
        "error_data":{"messaging_product":"whatsapp","details":"Message failed to send"},
        "error_subcode":2494055,"fbtrace_id":"Az8or2yhqkZfEZ-_4Qn_Bam"}}"#;

    #[test]
    fn reads_every_part_of_an_error() {
        let error = MetaError::parse(RATE_LIMIT.as_bytes()).unwrap();
        assert_eq!(error.code, 130_429);
        assert_eq!(error.subcode, Some(2_494_055));
        assert_eq!(error.kind.as_deref(), Some("OAuthException"));
        assert_eq!(error.details.as_deref(), Some("Message failed to send"));
        assert_eq!(error.fbtrace_id.as_deref(), Some("Az8or2yhqkZfEZ-_4Qn_Bam"));
        assert!(
            error
                .to_string()
                .starts_with("Meta refused (130429): the number sends faster")
        );
    }

    #[test]
    fn the_code_decides_whatever_the_status() {
        for status in [200, 400, 403, 429, 500, 503] {
            let Failure::Refused(error) = read(status, RATE_LIMIT.as_bytes()) else {
                panic!("{status}")
            };
            assert_eq!(error.class(), Class::Retry, "{status}");
        }
    }

    #[test]
    fn classes_follow_metas_advice() {
        for code in [4, 80007, 130_429, 131_000, 131_016, 131_057, 2, 1, 133_004] {
            assert_eq!(class(code, false), Class::Retry, "{code}");
        }
        assert_eq!(class(131_056, false), Class::RetryPair);
        assert_eq!(class(131_049, true), Class::NotFor24h);
        for code in [
            131_026, 131_047, 131_048, 131_050, 131_051, 131_042, 131_031, 368, 132_001,
        ] {
            assert_eq!(class(code, true), Class::Never, "{code}");
        }
        for code in [0, 3, 10, 190, 200, 294, 131_005] {
            assert_eq!(class(code, true), Class::Token, "{code}");
            assert!(meaning(code).is_some_and(|words| words.contains("token") || code == 3));
        }
        assert_eq!(class(999_999, true), Class::Retry);
        assert_eq!(class(999_999, false), Class::Never);
    }

    #[test]
    fn what_is_hidden_is_told_from_what_just_fails() {
        let error = |code, subcode| MetaError {
            code,
            subcode,
            ..MetaError::default()
        };
        for (code, subcode) in [(10, None), (200, None), (131_005, None), (33, None)] {
            assert!(error(code, subcode).hides(), "{code}");
        }
        assert!(error(100, Some(33)).hides());
        for code in [0, 1, 2, 4, 100, 190, 80007, 130_429, 131_000, 999_999] {
            assert!(!error(code, None).hides(), "{code}");
        }
    }

    #[test]
    fn no_code_stands_twice() {
        for (at, (code, _, _)) in TABLE.iter().enumerate() {
            assert!(
                TABLE.iter().skip(at + 1).all(|(other, _, _)| other != code),
                "{code}"
            );
        }
    }

    #[test]
    fn an_answer_that_is_not_metas_is_lost_only_if_the_request_may_have_passed() {
        let html = b"<html><h1>502 Bad Gateway</h1></html>";
        for status in [408, 500, 502, 503, 504, 200] {
            assert_eq!(read(status, html), Failure::LostAnswer { status });
        }
        for status in [302, 403, 404, 413, 429] {
            assert_eq!(read(status, html), Failure::Turned { status });
        }
        assert_eq!(
            read(502, br#"{"error":"bad gateway"}"#),
            Failure::LostAnswer { status: 502 }
        );
        assert_eq!(
            read(502, br#"{"error":{"message":"x"}}"#),
            Failure::LostAnswer { status: 502 }
        );
    }

    #[test]
    fn a_code_in_quotes_and_missing_parts_are_read() {
        let error =
            MetaError::parse(br#"{"error":{"code":"190","error_data":"expired"}}"#).unwrap();
        assert_eq!(
            (error.code, error.message.as_str(), error.details),
            (190, "", None)
        );
    }

    proptest! {
        #[test]
        fn never_panics(status: u16, body: Vec<u8>, text in ".{0,40}") {
            let _ = read(status, &body);
            let _ = read(status, format!("{{\"error\":{text}}}").as_bytes());
        }
    }
}
