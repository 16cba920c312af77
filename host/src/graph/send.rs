//! `POST /{number}/messages`: messages and read marks.
//!
//! Promises: what did not get the wanted answer is told apart by what it means for a repetition. Nothing
//! left (safe to repeat), Meta or something on the way refused (nothing was done), or the answer is lost
//! (a repetition may send twice). When in doubt it is lost.

use duet_rules::meta_error::{self, Failure, MetaError};
use duet_rules::provider::Provider;
use serde_json::Value;

use super::Client;
use super::client::Unanswered;

/// Meta's answers have a few hundred bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Meta's code of a token that is not taken.
pub(super) const KEY_REFUSED: i64 = 190;

/// What came of a call.
#[derive(Debug)]
pub enum Outcome<T> {
    Done(T),
    /// Meta answered, and refused.
    Refused(MetaError),
    /// Something on the way refused with this status; Meta has seen nothing.
    Turned {
        status: u16,
    },
    /// No byte of the request left: no address, no connection, no TLS.
    NotSent {
        cause: String,
    },
    /// No request can be made of it, now or later.
    Unsendable {
        cause: String,
    },
    /// The request may have been carried out; nobody knows.
    Lost {
        cause: String,
    },
}

impl<T> Outcome<T> {
    pub fn map<U>(self, done: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Outcome::Done(value) => Outcome::Done(done(value)),
            Outcome::Refused(error) => Outcome::Refused(error),
            Outcome::Turned { status } => Outcome::Turned { status },
            Outcome::NotSent { cause } => Outcome::NotSent { cause },
            Outcome::Unsendable { cause } => Outcome::Unsendable { cause },
            Outcome::Lost { cause } => Outcome::Lost { cause },
        }
    }
}

/// Meta has taken a message. Whether the customer gets it, statuses tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    pub wamid: String,
    /// `contacts[0].wa_id`, absent when the message went to a user id.
    pub wa_id: Option<String>,
    pub user_id: Option<String>,
}

impl Client {
    /// Sends a message; `body` is the whole request as `rules::sending::request` makes it.
    pub async fn send(&self, number: &str, body: &Value) -> Outcome<Accepted> {
        self.messages(number, body, accepted).await
    }

    /// Marks a message read, perhaps with a typing indicator. Repeating it does no harm.
    pub async fn mark_read(&self, number: &str, body: &Value) -> Outcome<()> {
        self.messages(number, body, success).await
    }

    async fn messages<T>(
        &self,
        number: &str,
        body: &Value,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Outcome<T> {
        let path = self.provider().messages(number);
        self.of_partner(self.outcome(self.post(&path).json(body), read).await)
    }

    /// What an answer means where a partner gives it in Meta's place.
    pub(super) fn of_partner<T>(&self, outcome: Outcome<T>) -> Outcome<T> {
        match outcome {
            // A partner answers so to a key that it does not take, with a body of its own.
            Outcome::Turned { status: 401 } if self.provider() != Provider::Meta => {
                Outcome::Refused(MetaError {
                    code: KEY_REFUSED,
                    message: format!("{} does not take the key", self.provider().as_str()),
                    ..MetaError::default()
                })
            }
            outcome => outcome,
        }
    }

    /// Makes a call that changes something, and says what came of it.
    pub(super) async fn outcome<T>(
        &self,
        request: reqwest::RequestBuilder,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Outcome<T> {
        let response = match self.call(request).await {
            Ok(response) => response,
            Err(Unanswered::Unsendable(cause)) => return Outcome::Unsendable { cause },
            Err(Unanswered::NotSent(cause)) => return Outcome::NotSent { cause },
            Err(Unanswered::Lost(cause)) => return Outcome::Lost { cause },
        };
        let status = response.status();
        let answer = match bounded(response).await {
            Ok(answer) => answer,
            Err(cause) => return Outcome::Lost { cause },
        };
        if status.is_success()
            && let Some(done) = serde_json::from_slice(&answer).ok().as_ref().and_then(read)
        {
            return Outcome::Done(done);
        }
        match meta_error::read(status.as_u16(), &answer) {
            Failure::Refused(error) => Outcome::Refused(error),
            Failure::Turned { status } => Outcome::Turned { status },
            Failure::LostAnswer { status } => Outcome::Lost {
                cause: format!("an answer that is not Meta's, with status {status}"),
            },
        }
    }

    /// Makes a call that changes nothing; the answer is Meta's object.
    ///
    /// # Errors
    /// Why there is none: on the way, or Meta's code with what it means.
    pub(super) async fn read(&self, request: reqwest::RequestBuilder) -> Result<Value, String> {
        let response = self.call(request).await.map_err(Unanswered::words)?;
        let status = response.status();
        let answer = bounded(response).await?;
        if status.is_success()
            && let Ok(answer) = serde_json::from_slice(&answer)
        {
            return Ok(answer);
        }
        match meta_error::read(status.as_u16(), &answer) {
            Failure::Refused(error) => Err(refusal(&error)),
            _ => Err(format!(
                "an answer that is not Meta's, with status {status}"
            )),
        }
    }
}

/// Meta's refusal in words that hold no number: its code, and what to do where that is known.
pub fn refusal(error: &MetaError) -> String {
    match meta_error::meaning(error.code) {
        Some(meaning) => format!("Meta refused with code {}: {meaning}", error.code),
        None => format!("Meta refused with code {}", error.code),
    }
}

/// Meta's `{"success": true}`.
pub(super) fn success(answer: &Value) -> Option<()> {
    (answer.get("success") == Some(&Value::Bool(true))).then_some(())
}

pub(super) async fn bounded(mut response: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut answer = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(words)? {
        if answer.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(format!(
                "the answer is longer than {ANSWER_BYTES_MAX} bytes"
            ));
        }
        answer.extend_from_slice(&chunk);
    }
    Ok(answer)
}

/// The innermost cause, without the address: that holds the number.
pub(super) fn words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if error.is_timeout() {
        format!("no answer in time ({cause})")
    } else {
        cause.to_string()
    }
}

fn accepted(answer: &Value) -> Option<Accepted> {
    let text = |pointer: &str| {
        answer
            .pointer(pointer)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    Some(Accepted {
        wamid: text("/messages/0/id").filter(|wamid| !wamid.is_empty())?,
        wa_id: text("/contacts/0/wa_id"),
        user_id: text("/contacts/0/user_id"),
    })
}
