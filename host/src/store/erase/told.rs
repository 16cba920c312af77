//! Plugins are told who has left, so that they forget as well: by the ids that Duet gave, which lead to nobody any more.

use rusqlite::Connection;
use serde_json::json;

use super::super::StoreError;
use super::super::own::{Own, make};
use super::Subject;

/// The kind of the event that tells it.
pub const ERASED: &str = "contact.erased";

/// The ids that a plugin could have kept, while they are still there.
pub(super) struct Ids {
    contacts: Vec<i64>,
    conversations: Vec<i64>,
}

impl Ids {
    pub(super) fn read(connection: &Connection, subject: &Subject) -> Result<Ids, StoreError> {
        let mut query = connection
            .prepare_cached("SELECT id FROM conversations WHERE contact = ?1 ORDER BY id")?;
        let mut conversations = Vec::new();
        for contact in &subject.contacts {
            for id in query.query_map([contact], |row| row.get(0))? {
                conversations.push(id?);
            }
        }
        Ok(Ids {
            contacts: subject.contacts.clone(),
            conversations,
        })
    }

    /// Makes the event, which is no contact's and in no conversation. The answer is its `seq`.
    pub(super) fn tell(
        self,
        connection: &Connection,
        business: &str,
        now_ms: i64,
    ) -> Result<i64, StoreError> {
        let body = json!({ "contacts": self.contacts, "conversations": self.conversations });
        let body = body.to_string();
        let own = Own {
            kind: ERASED.to_owned(),
            about: &body,
            business: business.to_owned(),
            instance: None,
            number: None,
            contact: None,
            conversation: None,
            at_ms: now_ms,
            now_ms,
            body: body.clone(),
        };
        Ok(make(connection, own)?.seq)
    }
}
