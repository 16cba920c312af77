//! Who is meant, and what gives it away.

use std::collections::{BTreeSet, HashSet};

use duet_rules::identity::other_spelling;
use duet_rules::webhook::Key;
use rusqlite::{Connection, OptionalExtension};
use serde_json::Value;

use super::super::StoreError;
use super::super::owner::Owners;
use super::super::traces::Traces;

/// One person is known under at most so many contacts.
const CONTACTS_MAX: usize = 64;
/// A shorter id of a message could be anybody's word.
const MESSAGE_ID_BYTES_MIN: usize = 10;

/// A person, with everything that leads to its data.
#[derive(Debug, Default)]
pub(in super::super) struct Subject {
    /// Whose contact it is: what other businesses know of the same person is not meant.
    pub(in super::super) business: String,
    pub(in super::super) owners: Owners,
    /// The contact asked for, and others that its events show to be the same person: known first by phone
    /// and then by user id, say.
    pub(in super::super) contacts: Vec<i64>,
    pub(in super::super) traces: Traces,
    /// Receipts that its events came with.
    pub(in super::super) receipts: BTreeSet<i64>,
    /// Its messages.
    pub(in super::super) messages: HashSet<i64>,
    /// Where a status, a medium, an edit or a revocation may wait for one of its messages.
    pub(in super::super) early: BTreeSet<[u8; 16]>,
    /// The person's phone is also a number of the business here.
    pub(in super::super) own_number: Option<String>,
    phones: BTreeSet<String>,
    user_ids: BTreeSet<String>,
}

impl Subject {
    /// `None` when there is no such contact.
    pub(in super::super) fn read(
        connection: &Connection,
        contact: i64,
    ) -> Result<Option<Subject>, StoreError> {
        let business: Option<String> = connection
            .query_row(
                "SELECT business FROM contacts WHERE id = ?1",
                [contact],
                |row| row.get(0),
            )
            .optional()?;
        let Some(business) = business else {
            return Ok(None);
        };
        let mut subject = Subject {
            business,
            owners: Owners::read(connection)?,
            ..Subject::default()
        };
        let mut next = vec![contact];
        while let Some(contact) = next.pop() {
            if subject.contacts.contains(&contact) || subject.contacts.len() >= CONTACTS_MAX {
                continue;
            }
            if subject.add_contact(connection, contact)? {
                next.extend(subject.same_person(connection)?);
            }
        }
        for phone in &subject.phones {
            subject.traces.add_phone(phone);
            let own: Option<String> = connection
                .query_row(
                    "SELECT id FROM numbers WHERE display = ?1 AND business = ?2",
                    [phone, &subject.business],
                    |row| row.get(0),
                )
                .optional()?;
            subject.own_number = subject.own_number.or(own);
        }
        for user_id in &subject.user_ids {
            subject.traces.add_user_id(user_id);
        }
        Ok(Some(subject))
    }

    /// Whether this phone or user id is the person's.
    pub(in super::super) fn is_known_as(&self, id: &str) -> bool {
        self.phones.contains(id) || self.user_ids.contains(id)
    }

    fn add_contact(&mut self, connection: &Connection, contact: i64) -> Result<bool, StoreError> {
        let ids: Option<(Option<String>, Option<String>)> = connection
            .query_row(
                "SELECT wa_id, user_id FROM contacts WHERE id = ?1",
                [contact],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        let Some((wa_id, user_id)) = ids else {
            return Ok(false);
        };
        self.contacts.push(contact);
        self.phones
            .extend(wa_id.as_deref().and_then(other_spelling));
        self.phones.extend(wa_id);
        self.user_ids.extend(user_id);
        self.add_events(connection, contact)?;
        self.add_messages(connection, contact)?;
        Ok(true)
    }

    fn add_events(&mut self, connection: &Connection, contact: i64) -> Result<(), StoreError> {
        let mut statement = connection.prepare(
            "SELECT receipt, number, kind, body, context FROM events WHERE contact = ?1",
        )?;
        let mut rows = statement.query([contact])?;
        while let Some(row) = rows.next()? {
            self.receipts.insert(row.get(0)?);
            let number: Option<String> = row.get(1)?;
            let kind: String = row.get(2)?;
            let body: Value = serde_json::from_str(row.get_ref(3)?.as_str().unwrap_or_default())
                .unwrap_or_default();
            for pointer in [
                "/id",
                "/edit/original_message_id",
                "/revoke/original_message_id",
            ] {
                if let Some(id) = text(&body, pointer) {
                    self.add_message_id(number.as_deref(), &id);
                }
            }
            if kind == "contact.user_id" {
                self.user_ids.extend(text(&body, "/user_id/previous"));
            }
            if let Some(context) = row.get::<_, Option<String>>(4)? {
                let context: Value = serde_json::from_str(&context).unwrap_or_default();
                let phone =
                    text(&context, "/wa_id").map(|phone| duet_rules::identity::digits(&phone));
                self.phones.extend(phone.filter(|phone| !phone.is_empty()));
                self.user_ids
                    .extend(text(&context, "/user_id").filter(|id| !id.is_empty()));
            }
        }
        Ok(())
    }

    fn add_messages(&mut self, connection: &Connection, contact: i64) -> Result<(), StoreError> {
        let mut statement = connection.prepare(
            "SELECT m.id, m.wamid, c.number FROM conversations c JOIN messages m ON m.conversation = c.id
             WHERE c.contact = ?1
             UNION ALL SELECT NULL, o.wamid, c.number FROM conversations c JOIN outbox o ON o.conversation = c.id
             WHERE c.contact = ?1",
        )?;
        let mut rows = statement.query([contact])?;
        while let Some(row) = rows.next()? {
            self.messages.extend(row.get::<_, Option<i64>>(0)?);
            if let Some(id) = row.get::<_, Option<String>>(1)? {
                self.add_message_id(Some(&row.get::<_, String>(2)?), &id);
            }
        }
        Ok(())
    }

    fn add_message_id(&mut self, number: Option<&str>, id: &str) {
        if id.len() >= MESSAGE_ID_BYTES_MIN {
            self.traces.add_message_id(id);
        }
        self.early
            .insert(Key::message(number.unwrap_or_default(), id).0);
    }

    /// Contacts with one of the phones or user ids found so far.
    fn same_person(&self, connection: &Connection) -> Result<Vec<i64>, StoreError> {
        let mut found = Vec::new();
        for contact in &self.contacts {
            let mut joined = connection.prepare_cached(
                "SELECT id FROM contacts WHERE same_as = ?1 UNION SELECT same_as FROM contacts WHERE id = ?1 AND same_as IS NOT NULL",
            )?;
            let rows = joined.query_map([contact], |row| row.get::<_, i64>(0))?;
            found.extend(rows.collect::<Result<Vec<_>, _>>()?);
        }
        let mut by = |sql: &str, ids: &BTreeSet<String>| -> Result<(), StoreError> {
            let mut statement = connection.prepare_cached(sql)?;
            for id in ids {
                found.extend(
                    statement
                        .query_row([id, &self.business], |row| row.get::<_, i64>(0))
                        .optional()?,
                );
            }
            Ok(())
        };
        by(
            "SELECT id FROM contacts WHERE wa_id = ?1 AND business = ?2",
            &self.phones,
        )?;
        by(
            "SELECT id FROM contacts WHERE user_id = ?1 AND business = ?2",
            &self.user_ids,
        )?;
        Ok(found)
    }
}

fn text(value: &Value, pointer: &str) -> Option<String> {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .map(str::to_owned)
}
