//! What a run may read and whom it may call. Dispatch answers from the store and makes the calls; a run never touches
//! the store itself.

use duet_rules::sending::Refusal;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::effect::{Handling, Send};
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
}

/// An answer, or why there is none. None is never the plugin's fault: the run ends as
/// [`Outcome::Unavailable`](super::Outcome::Unavailable) and is repeated.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, Unavailable>>;

#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// Who has a conversation; times in ms since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationState {
    pub handling: Handling,
    pub handling_until_ms: Option<i64>,
    pub window_until_ms: Option<i64>,
}
