//! What a run may read, answered from the store, and the calls that it makes, for one instance and one event. What is
//! another business's is not there: the answer is the one for an id that nobody has.

use duet_rules::sending::{self, Refusal};
use futures_util::FutureExt;

use super::journal::Journal;
use crate::effect::{Handling, Send};
use crate::event::ContactView;
use crate::outbound::{Answered, Outgoing};
use crate::plugin::{Answer, ConversationState, Unavailable, World};
use crate::store::{Conversation, Store, StoreError};

pub(super) struct StoreWorld {
    pub(super) store: Store,
    pub(super) instance: String,
    /// The instance's.
    pub(super) business: String,
    /// The event that the run handles.
    pub(super) seq: i64,
    /// Whether that is of the imported history: it is there to be read, not to be answered.
    pub(super) is_history: bool,
    pub(super) now_ms: i64,
    /// Of a plugin that may call.
    pub(super) journal: Option<Journal>,
}

impl World for StoreWorld {
    fn kv_get<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Vec<u8>>> {
        async move { told(self.store.kv_get(&self.instance, key, self.now_ms).await) }.boxed()
    }

    fn kv_list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Vec<String>> {
        let after = after.map(str::to_owned);
        let listed = self.store.kv_list(
            self.instance.clone(),
            prefix.to_owned(),
            after,
            limit,
            self.now_ms,
        );
        async move { told(listed.await) }.boxed()
    }

    fn conversation(&self, id: i64) -> Answer<'_, Option<ConversationState>> {
        async move {
            let found = self.seen(id).await?;
            Ok(found.map(|conversation| {
                let person = conversation.with_person(self.now_ms);
                ConversationState {
                    handling: if person {
                        Handling::Person
                    } else {
                        Handling::Automation
                    },
                    handling_until_ms: conversation.handling_until_ms.filter(|_| person),
                    window_until_ms: conversation.window_until_ms,
                }
            }))
        }
        .boxed()
    }

    fn contact(&self, id: i64) -> Answer<'_, Option<ContactView>> {
        async move { told(self.store.contact(&self.business, id).await) }.boxed()
    }

    fn refuse<'a>(
        &'a self,
        send: &'a Send,
        handling: Option<Handling>,
    ) -> Answer<'a, Option<Refusal>> {
        async move {
            if self.is_history {
                return Ok(Some(Refusal {
                    code: "history".into(),
                    detail: "imported history is answered by nobody".into(),
                    meta_code: None,
                }));
            }
            match self.seen(send.conversation).await? {
                Some(conversation) => {
                    let files = self.store.check_files(send.conversation, &send.message);
                    if let Err(invalid) = told(files.await)? {
                        return Ok(Some(Refusal {
                            code: "invalid".into(),
                            detail: invalid.to_string(),
                            meta_code: None,
                        }));
                    }
                    let template = self
                        .store
                        .template(&conversation.number, &send.message, self.now_ms)
                        .await;
                    Ok(self.policy(&conversation, send, told(template)?, handling))
                }
                None => Ok(Some(Refusal {
                    code: "invalid".into(),
                    detail: format!("there is no conversation {}", send.conversation),
                    meta_code: None,
                })),
            }
        }
        .boxed()
    }

    fn call(&self, calls: Vec<Outgoing>) -> Answer<'_, Vec<Answered>> {
        async move {
            match &self.journal {
                Some(journal) => journal.call(calls).await,
                None => Err(Unavailable("this plugin may not call".into())),
            }
        }
        .boxed()
    }
}

impl StoreWorld {
    /// A conversation of the instance's business.
    async fn seen(&self, id: i64) -> Result<Option<Conversation>, Unavailable> {
        let found = told(self.store.conversation(id).await)?;
        Ok(found.filter(|conversation| conversation.business == self.business))
    }

    /// The gate's own rule, asked while the plugin can still do something else.
    fn policy(
        &self,
        conversation: &Conversation,
        send: &Send,
        template: Option<sending::Template>,
        handling: Option<Handling>,
    ) -> Option<Refusal> {
        let row = sending::Row {
            id: 0,
            seq: self.seq,
            instance: &self.instance,
            speaker: send.speaker,
            kind: sending::kind(&send.message),
            template,
        };
        // What this run has made of the conversation itself does not silence it; handing over to a person who has it
        // already changes nothing.
        let taken = conversation.with_person(self.now_ms)
            && conversation.handling_by.as_deref() != Some(&self.instance);
        let state = match handling.filter(|handling| !(taken && *handling == Handling::Person)) {
            Some(handling) => sending::ConversationState {
                handling,
                handling_until_ms: None,
                handling_seq: self.seq.max(conversation.handling_seq),
                handling_by: Some(&self.instance),
                ..conversation.state()
            },
            None => conversation.state(),
        };
        sending::refuse_early(&row, &state, self.now_ms).err()
    }
}

fn told<T>(result: Result<T, StoreError>) -> Result<T, Unavailable> {
    result.map_err(|error| Unavailable(error.to_string()))
}
