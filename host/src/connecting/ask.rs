use duet_rules::coexistence::{Kind, Outcome as Came};
use duet_rules::meta_error::Class;

use crate::failpoint;
use crate::graph::{Client, Outcome, refusal};
use crate::store::syncs::Answer;
use crate::store::{Store, StoreError};

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// The answer, or that it was lost, is kept; nothing more is to be done.
    Ended,
    /// Meta has surely not taken it, and may take it later.
    Later(String),
    /// It was not asked, with the reason and what is still possible.
    MustNot(String),
}

/// Asks once for a number's contacts or history; `None` when there is no such number. `again`: although it may have
/// been asked for before.
///
/// # Errors
/// When the store fails; then nothing was asked, or the request counts as unknown after the next start.
pub async fn ask(
    store: &Store,
    meta: &Client,
    number: &str,
    kind: Kind,
    again: bool,
) -> Result<Option<Asked>, StoreError> {
    let begun = store
        .begin_sync(number.to_owned(), kind, again, crate::now_ms())
        .await?;
    let request = match begun {
        None => return Ok(None),
        Some(Err(reason)) => return Ok(Some(Asked::MustNot(reason))),
        Some(Ok(request)) => request,
    };
    failpoint::hit("connect.asking");
    let called = meta.ask_sync(number, kind).await;
    failpoint::hit("connect.asked");
    let (answer, later) = kept(called);
    let cause = answer.cause.clone().unwrap_or_default();
    let outcome = answer.outcome.as_str();
    tracing::info!(
        number,
        kind = kind.as_str(),
        outcome,
        cause,
        "a sync was asked for"
    );
    store.end_sync(request, answer, crate::now_ms()).await?;
    Ok(Some(if later {
        Asked::Later(cause)
    } else {
        Asked::Ended
    }))
}

/// What is kept of a call, and whether it may be tried again because Meta has surely not taken it.
fn kept(called: Outcome<String>) -> (Answer, bool) {
    let answer = |outcome, cause: String| Answer {
        outcome,
        request_id: None,
        cause: Some(cause),
    };
    match called {
        Outcome::Done(request_id) => (
            Answer {
                outcome: Came::Accepted,
                request_id: Some(request_id),
                cause: None,
            },
            false,
        ),
        Outcome::Refused(error) => {
            let later = error.class() == Class::Retry;
            (answer(Came::Refused(error.code), refusal(&error)), later)
        }
        Outcome::Turned { status } => {
            let cause = format!("something before Meta answered {status}");
            (answer(Came::NotSent, cause), true)
        }
        Outcome::NotSent { cause } => (answer(Came::NotSent, cause), true),
        Outcome::Unsendable { cause } => (answer(Came::NotSent, cause), false),
        Outcome::Lost { cause } => (answer(Came::Unknown, cause), false),
    }
}
