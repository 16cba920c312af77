//! Meta's error bodies. Titles and HTTP statuses come from the embedded table of Meta's codes.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::http::StatusCode;
use rand::distr::{Alphanumeric, SampleString};
use serde_json::{Value, json};

static TABLE: LazyLock<HashMap<u32, (Option<u16>, &'static str)>> = LazyLock::new(|| {
    let mut table = HashMap::new();
    for row in include_str!("../data/error_codes.tsv").lines() {
        let mut columns = row.split('\t');
        let (Some(code), Some(http), Some(_section), Some(title)) = (
            columns.next(),
            columns.next(),
            columns.next(),
            columns.next(),
        ) else {
            continue;
        };
        if let Ok(code) = code.parse() {
            table.entry(code).or_insert((http.parse().ok(), title));
        }
    }
    table
});

/// Meta's title of a code; empty when the table does not have it.
pub(crate) fn title(code: u32) -> &'static str {
    match code {
        // Documented with business-scoped user ids, younger than the table.
        131_062 => "Business-scoped user IDs are not supported for this message",
        2_593_109 => "History sync is turned off by the business from the WhatsApp Business App",
        _ => TABLE.get(&code).map_or("", |(_, title)| title),
    }
}

/// A Graph call that fails: an HTTP status and what stands under `error`.
#[derive(Clone, Debug)]
pub(crate) struct GraphError {
    pub(crate) status: StatusCode,
    pub(crate) code: u32,
    pub(crate) message: String,
    kind: &'static str,
    subcode: Option<u32>,
    details: Option<String>,
    transient: bool,
}

impl GraphError {
    /// A messaging error: `(#code) title`, with `details` under `error_data`.
    pub(crate) fn of(code: u32, details: impl Into<String>) -> Self {
        let status = TABLE
            .get(&code)
            .and_then(|(status, _)| *status)
            .and_then(|status| StatusCode::from_u16(status).ok());
        Self {
            status: status.unwrap_or(StatusCode::BAD_REQUEST),
            code,
            message: format!("(#{code}) {}", title(code)),
            kind: "OAuthException",
            subcode: None,
            details: Some(details.into()),
            transient: matches!(
                code,
                1 | 2 | 4 | 80_007 | 130_429 | 131_000 | 131_016 | 131_056 | 131_057
            ),
        }
    }

    /// Code 100 about one parameter, as Meta words it.
    pub(crate) fn parameter(sentence: impl Into<String>) -> Self {
        let sentence = sentence.into();
        Self {
            message: format!("(#100) {sentence}"),
            ..Self::of(100, sentence)
        }
    }

    /// An error of a management call: a message and a code, no `error_data`.
    pub(crate) fn plain(status: StatusCode, code: u32, message: impl Into<String>) -> Self {
        let of = Self::of(code, "");
        Self {
            status,
            message: message.into(),
            details: None,
            transient: false,
            ..of
        }
    }

    /// No such object, or none that this token may see: Meta does not tell which.
    pub(crate) fn unknown_object(id: &str) -> Self {
        let message = format!(
            "Unsupported request. Object with ID '{id}' does not exist, cannot be loaded due to missing permissions, or does not support this operation"
        );
        Self {
            kind: "GraphMethodException",
            subcode: Some(33),
            ..Self::plain(StatusCode::BAD_REQUEST, 100, message)
        }
    }

    /// A plain error about an object or an edge.
    pub(crate) fn method(status: StatusCode, code: u32, message: &str) -> Self {
        Self {
            kind: "GraphMethodException",
            ..Self::plain(status, code, message)
        }
    }

    /// The bearer token is missing, wrong or expired.
    pub(crate) fn token(message: &str, subcode: Option<u32>) -> Self {
        Self {
            subcode,
            ..Self::plain(StatusCode::UNAUTHORIZED, 190, message)
        }
    }

    pub(crate) fn with_status(self, status: Option<u16>) -> Self {
        let status = status
            .and_then(|status| StatusCode::from_u16(status).ok())
            .unwrap_or(self.status);
        Self { status, ..self }
    }

    /// `{"error": {…}}` with a fresh `fbtrace_id`.
    pub(crate) fn body(&self) -> Value {
        let mut error = json!({
            "message": self.message,
            "type": self.kind,
            "code": self.code,
            "fbtrace_id": format!("A{}", Alphanumeric.sample_string(&mut rand::rng(), 22)),
        });
        if let Some(error) = error.as_object_mut() {
            if let Some(subcode) = self.subcode {
                error.insert("error_subcode".into(), subcode.into());
            }
            if let Some(details) = &self.details {
                error.insert(
                    "error_data".into(),
                    json!({"messaging_product": "whatsapp", "details": details}),
                );
            }
            if self.transient {
                error.insert("is_transient".into(), true.into());
            }
        }
        json!({ "error": error })
    }

    /// The same refusal as an element of `errors` in a webhook.
    pub(crate) fn in_webhook(code: u32, details: &str) -> Value {
        json!({
            "code": code,
            "title": title(code),
            "message": title(code),
            "error_data": {"details": details},
            "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_title_are_those_of_the_table() {
        let cases = [
            (130_429, 400, "(#130429) Rate limit hit"),
            (131_000, 500, "(#131000) Something went wrong"),
            (132_001, 404, "(#132001) Template does not exist"),
        ];
        for (code, status, message) in cases {
            let error = GraphError::of(code, "");
            assert_eq!(
                (error.status.as_u16(), error.message.as_str()),
                (status, message)
            );
        }
    }
}
