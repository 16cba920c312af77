//! The days before onboarding: threads of messages, how far the transfer is, or that it was refused.

use super::Unreadable;
use super::change::Change;
use super::element::{HistoryProgress, Meaning};
use super::json::{Object, text};
use super::outline::Outline;
use super::rows::{Draft, Row};
use super::tree::{Branch, Shape, Tree};
use crate::history::PHASE_UNKNOWN;
use crate::identity::{Identity, digits};

/// "History sync is turned off by the business from the WhatsApp Business App".
const DECLINED: i64 = 2_593_109;

const LEAVES: Shape = Shape::List(&Shape::Leaf);
const THREAD: Shape = Shape::Object {
    open: &[("messages", LEAVES)],
    needs: &["messages"],
};

/// One item of `value.history[]`.
pub(super) const ITEM: Shape = Shape::Object {
    open: &[("threads", Shape::List(&THREAD)), ("errors", LEAVES)],
    needs: &["metadata", "threads", "errors"],
};

/// One chat of the history. It names the user, whoever sent a message.
pub(super) struct Thread {
    pub(super) user: Identity,
    pub(super) phase: i64,
}

impl Thread {
    fn read(thread: &Branch<'_>, phase: i64) -> Self {
        let context = thread.leaf("context").and_then(Object::read);
        let of_context = |name| context.as_ref().and_then(|context| context.string(name));
        let id = thread.leaf("id").and_then(text).map(|id| digits(&id));
        let wa_id = id.or_else(|| of_context("wa_id").map(|wa_id| digits(&wa_id)));
        Thread {
            user: Identity {
                wa_id,
                user_id: of_context("user_id"),
                parent_user_id: of_context("parent_user_id"),
                name: None,
                username: of_context("username"),
            },
            phase,
        }
    }
}

impl<'a> Outline<'a> {
    pub(super) fn add_history_item(&mut self, item: &Tree<'a>) -> Result<(), Unreadable> {
        let Tree::Object(item) = item else {
            return self.add_item(item, Row::Unknown);
        };
        let metadata = item.leaf("metadata");
        if let Some(json) = metadata {
            let messages = messages(item);
            self.add_item(&Tree::Closed(json), Row::HistoryProgress { messages })?;
        }
        let phase = metadata
            .and_then(Object::read)
            .and_then(|metadata| metadata.integer("phase"))
            .unwrap_or(PHASE_UNKNOWN);
        match item.get("errors") {
            Some(Tree::List(errors)) => {
                errors
                    .iter()
                    .try_for_each(|error| self.add_item(error, Row::HistoryError))?;
            }
            Some(Tree::Closed("null")) | None => {}
            Some(stray) => self.add_item(stray, Row::Unknown)?,
        }
        match item.get("threads") {
            Some(Tree::List(threads)) => threads
                .iter()
                .try_for_each(|thread| self.add_thread(thread, phase)),
            Some(Tree::Closed("null")) | None => Ok(()),
            Some(stray) => self.add_item(stray, Row::Unknown),
        }
    }

    fn add_thread(&mut self, thread: &Tree<'a>, phase: i64) -> Result<(), Unreadable> {
        let Tree::Object(branch) = thread else {
            return self.add_unknown(thread);
        };
        match branch.get("messages") {
            Some(Tree::List(messages)) => {
                let row = Row::HistoryMessage {
                    thread: self.threads.len(),
                };
                self.threads.push(Thread::read(branch, phase));
                messages
                    .iter()
                    .try_for_each(|message| self.add_item(message, row))
            }
            Some(Tree::Closed("null")) | None => Ok(()),
            Some(stray) => self.add_unknown(stray),
        }
    }

    fn add_unknown(&mut self, tree: &Tree<'a>) -> Result<(), Unreadable> {
        match tree {
            Tree::Closed(json) => self.add(Row::Unknown, *json),
            Tree::List(_) | Tree::Object(_) => Ok(()),
        }
    }
}

/// How many messages the threads of an item hold.
fn messages(item: &Branch<'_>) -> usize {
    let Some(Tree::List(threads)) = item.get("threads") else {
        return 0;
    };
    let of_thread = |thread: &Tree<'_>| match thread {
        Tree::Object(thread) => match thread.get("messages") {
            Some(Tree::List(messages)) => messages.len(),
            _ => 0,
        },
        _ => 0,
    };
    threads.iter().map(of_thread).sum()
}

pub(super) fn progress<'a>(
    change: &Change<'_>,
    json: &str,
    metadata: &Object<'_>,
    messages: usize,
) -> Draft<'a> {
    Draft {
        kind: "coexistence.history_progress".into(),
        meaning: Meaning::HistoryProgress(HistoryProgress {
            phase: metadata.integer("phase"),
            chunk_order: metadata.integer("chunk_order"),
            progress: metadata.integer("progress"),
            messages,
        }),
        ..Draft::new(
            // A number that is connected anew tells the same of its next history.
            change.key_of_moment("history_progress", json),
            change.at_ms(None),
        )
    }
}

pub(super) fn error<'a>(change: &Change<'_>, json: &str, error: &Object<'_>) -> Draft<'a> {
    let (kind, meaning) = if error.integer("code") == Some(DECLINED) {
        ("coexistence.history_declined", Meaning::HistoryDeclined)
    } else {
        ("coexistence.history_error", Meaning::Nothing)
    };
    Draft {
        kind: kind.into(),
        meaning,
        ..Draft::new(
            change.key_of_moment("history_error", json),
            change.at_ms(None),
        )
    }
}
