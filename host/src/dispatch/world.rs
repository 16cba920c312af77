//! What a run may read, answered from the store, and the calls that it makes, for one instance and one event. What is
//! another business's is not there: the answer is the one for an id that nobody has.

use bytes::Bytes;
use duet_rules::annotations::{Marks, Note, SHOWN_MAX};
use duet_rules::cases::CaseEntry;
use duet_rules::media::Digest;
use duet_rules::sending::{self, Refusal};
use futures_util::FutureExt;

use super::files::Files;
use super::journal::Journal;
use crate::effect::{Handling, Send};
use crate::event::ContactView;
use crate::media::{Deposit, DepositError, Deposits, NoRoom};
use crate::outbound::{Answered, Outgoing};
use crate::plugin::{Answer, Attachment, ConversationState, KeptFile, NewFile, Unavailable, World};
use crate::store::wall::Wall;
use crate::store::{Conversation, Store, StoreError};

pub(super) struct StoreWorld {
    pub(super) store: Store,
    pub(super) instance: String,
    /// The instance's.
    pub(super) business: String,
    /// The event that the run handles.
    pub(super) seq: i64,
    /// Whom that is about.
    pub(super) contact: Option<i64>,
    /// Whether that is of the imported history: it is there to be read, not to be answered.
    pub(super) is_history: bool,
    pub(super) now_ms: i64,
    /// Of a plugin that may call.
    pub(super) journal: Option<Journal>,
    /// Where files go that it brings along.
    pub(super) deposits: Deposits,
    pub(super) files: Files,
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
            let Some(conversation) = self.seen(id).await? else {
                return Ok(None);
            };
            let person = conversation.with_person(self.now_ms);
            let agent = match person {
                true => told(self.store.agent_of(id).await)?,
                false => None,
            };
            Ok(Some(ConversationState {
                handling: if person {
                    Handling::Person
                } else {
                    Handling::Automation
                },
                agent,
                handling_until_ms: conversation.handling_until_ms.filter(|_| person),
                window_until_ms: conversation.window_until_ms,
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

    fn attachment<'a>(
        &'a self,
        conversation: i64,
        message: &'a str,
    ) -> Answer<'a, Option<Attachment>> {
        let wall = Wall::around(&self.business);
        let found = self
            .store
            .message_file(wall, conversation, message.to_owned());
        async move {
            Ok(told(found.await)?.map(|file| Attachment {
                state: file.state,
                stored: file
                    .stored
                    .map(|stored| (stored.digest.to_string(), stored.bytes)),
                mime_type: file.mime_type,
                filename: file.filename,
            }))
        }
        .boxed()
    }

    fn file(&self, digest: Digest) -> Answer<'_, Option<KeptFile>> {
        let found = self.store.business_file(self.business.clone(), digest);
        async move {
            Ok(told(found.await)?.map(|file| KeptFile {
                mime_type: file.mime_type,
                bytes: file.bytes,
            }))
        }
        .boxed()
    }

    fn read_file(
        &self,
        digest: Digest,
        offset: u64,
        bytes_max: u32,
    ) -> Answer<'_, Option<Vec<u8>>> {
        self.files.read(digest, offset, bytes_max).boxed()
    }

    fn keep_file(&self, file: NewFile) -> Answer<'_, Result<Digest, String>> {
        async move {
            match self.keep(file).await {
                Ok(digest) => Ok(Ok(digest)),
                Err(error) if passes(&error) => Err(Unavailable(error.to_string())),
                Err(error) => Ok(Err(error.to_string())),
            }
        }
        .boxed()
    }

    fn case<'a>(&'a self, key: &'a str) -> Answer<'a, Option<CaseEntry>> {
        let found = self.store.case(self.instance.clone(), key.to_owned());
        async move { told(found.await) }.boxed()
    }

    fn cases(&self, conversation: i64) -> Answer<'_, Vec<CaseEntry>> {
        async move {
            match self.seen(conversation).await? {
                Some(_) => told(self.store.cases(conversation).await),
                None => Ok(Vec::new()),
            }
        }
        .boxed()
    }

    fn marks(&self, conversation: i64) -> Answer<'_, Marks> {
        async move {
            match self.seen(conversation).await? {
                Some(_) => told(self.store.marks(conversation).await),
                None => Ok(Marks::default()),
            }
        }
        .boxed()
    }

    fn notes(&self, conversation: i64) -> Answer<'_, Vec<Note>> {
        async move {
            match self.seen(conversation).await? {
                Some(_) => told(self.store.notes(conversation, SHOWN_MAX).await),
                None => Ok(Vec::new()),
            }
        }
        .boxed()
    }
}

/// Whether a file may be kept later: the plugin is not told, and the run is repeated.
fn passes(error: &DepositError) -> bool {
    match error {
        DepositError::NoPlace(_)
        | DepositError::Disk(_)
        | DepositError::Store(_)
        | DepositError::NoRoom(NoRoom::Coming { .. } | NoRoom::Store(_)) => true,
        DepositError::NoRoom(NoRoom::Full { .. })
        | DepositError::TooLarge(_)
        | DepositError::Empty
        | DepositError::Broken(_)
        | DepositError::Stalled(_)
        | DepositError::Slow(_) => false,
    }
}

impl StoreWorld {
    async fn keep(&self, file: NewFile) -> Result<Digest, DepositError> {
        let deposit = Deposit {
            business: self.business.clone(),
            mime_type: file.mime_type,
            bytes: u64::try_from(file.bytes.len()).ok(),
        };
        let body = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from(file.bytes))]);
        let (digest, _) = self.deposits.take(deposit, body).await?;
        if let Some(contact) = self.contact {
            let business = self.business.clone();
            self.store.given_for(business, digest, contact).await?;
        }
        Ok(digest)
    }

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
