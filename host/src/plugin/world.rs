//! What a run may read and whom it may call. Dispatch answers from the store and makes the calls; a run never touches
//! the store itself.

use duet_rules::annotations::{Marks, Note};
use duet_rules::cases::CaseEntry;
use duet_rules::media::Digest;
use duet_rules::sending::Refusal;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::effect::{Agent, Handling, Send};
use crate::event::ContactView;
use crate::outbound::{Answered, Outgoing};

/// What a run may read, for one instance: keys are the instance's own.
pub trait World: std::marker::Send + Sync {
    fn kv_get<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Vec<u8>>>;

    /// Keys that start with `prefix`, in byte order, behind `after`, at most `limit`; fewer means there are no more.
    fn kv_list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Vec<String>>;

    fn conversation(&self, id: i64) -> Answer<'_, Option<ConversationState>>;

    fn contact(&self, id: i64) -> Answer<'_, Option<ContactView>>;

    /// Whether policy refuses a send already now. The last gate decides again before anything leaves.
    /// `handling` is what this run itself has made of the conversation, if it has.
    fn refuse<'a>(
        &'a self,
        send: &'a Send,
        handling: Option<Handling>,
    ) -> Answer<'a, Option<Refusal>>;

    /// Makes calls, all at once; the answers stand in their order.
    fn call(&self, calls: Vec<Outgoing>) -> Answer<'_, Vec<Answered>>;

    /// The file of a message in a conversation, by Meta's id of the message.
    fn attachment<'a>(
        &'a self,
        conversation: i64,
        message: &'a str,
    ) -> Answer<'a, Option<Attachment>>;

    /// A file that the instance's business has.
    fn file(&self, digest: Digest) -> Answer<'_, Option<KeptFile>>;

    /// At most so many bytes from `offset` on of a file that [`World::file`] has found; `None` when it has just gone.
    fn read_file(&self, digest: Digest, offset: u64, bytes_max: u32)
    -> Answer<'_, Option<Vec<u8>>>;

    /// Keeps a file for the instance's business, at once. The inner error is why it is not kept.
    fn keep_file(&self, file: NewFile) -> Answer<'_, Result<Digest, String>>;

    /// A case of the instance's own.
    fn case<'a>(&'a self, key: &'a str) -> Answer<'a, Option<CaseEntry>>;

    /// The cases of a conversation, the newest first.
    fn cases(&self, conversation: i64) -> Answer<'_, Vec<CaseEntry>>;

    /// Labels and assignee of a conversation.
    fn marks(&self, conversation: i64) -> Answer<'_, Marks>;

    /// The newest notes of a conversation, the newest first.
    fn notes(&self, conversation: i64) -> Answer<'_, Vec<Note>>;
}

/// An answer, or why there is none. None is never the plugin's fault: the run ends as
/// [`Outcome::Unavailable`](super::Outcome::Unavailable) and is repeated.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, Unavailable>>;

#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// What an instance finds before its first event.
pub(super) struct Nowhere;

impl Nowhere {
    fn nothing<'a, T: std::marker::Send + 'a>() -> Answer<'a, T> {
        let nothing = Unavailable("nothing is here before the first event".into());
        Box::pin(std::future::ready(Err(nothing)))
    }
}

impl World for Nowhere {
    fn kv_get<'a>(&'a self, _: &'a str) -> Answer<'a, Option<Vec<u8>>> {
        Self::nothing()
    }

    fn kv_list<'a>(&'a self, _: &'a str, _: Option<&'a str>, _: usize) -> Answer<'a, Vec<String>> {
        Self::nothing()
    }

    fn conversation(&self, _: i64) -> Answer<'_, Option<ConversationState>> {
        Self::nothing()
    }

    fn contact(&self, _: i64) -> Answer<'_, Option<ContactView>> {
        Self::nothing()
    }

    fn refuse<'a>(&'a self, _: &'a Send, _: Option<Handling>) -> Answer<'a, Option<Refusal>> {
        Self::nothing()
    }

    fn call(&self, _: Vec<Outgoing>) -> Answer<'_, Vec<Answered>> {
        Self::nothing()
    }

    fn attachment<'a>(&'a self, _: i64, _: &'a str) -> Answer<'a, Option<Attachment>> {
        Self::nothing()
    }

    fn file(&self, _: Digest) -> Answer<'_, Option<KeptFile>> {
        Self::nothing()
    }

    fn read_file(&self, _: Digest, _: u64, _: u32) -> Answer<'_, Option<Vec<u8>>> {
        Self::nothing()
    }

    fn keep_file(&self, _: NewFile) -> Answer<'_, Result<Digest, String>> {
        Self::nothing()
    }

    fn case<'a>(&'a self, _: &'a str) -> Answer<'a, Option<CaseEntry>> {
        Self::nothing()
    }

    fn cases(&self, _: i64) -> Answer<'_, Vec<CaseEntry>> {
        Self::nothing()
    }

    fn marks(&self, _: i64) -> Answer<'_, Marks> {
        Self::nothing()
    }

    fn notes(&self, _: i64) -> Answer<'_, Vec<Note>> {
        Self::nothing()
    }
}

/// Who has a conversation; times in ms since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationState {
    pub handling: Handling,
    /// Which person has it, if that was said.
    pub agent: Option<Agent>,
    pub handling_until_ms: Option<i64>,
    pub window_until_ms: Option<i64>,
}

/// The file of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// `stored`, or why it is not here.
    pub state: String,
    /// SHA-256 in hex, and how many bytes.
    pub stored: Option<(String, u64)>,
    pub mime_type: Option<String>,
    pub filename: Option<String>,
}

/// A file that is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptFile {
    pub mime_type: String,
    pub bytes: u64,
}

/// A file that a plugin brings along.
pub struct NewFile {
    pub bytes: Vec<u8>,
    /// One that Meta takes, without parameters.
    pub mime_type: &'static str,
}
