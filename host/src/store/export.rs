//! A contact takes its data along: everything that is kept of it, as JSON.
//!
//! The files of messages are named: where they stand in the data folder, and where the admin API gives them.
//! What other people wrote is not handed out: a receipt that holds somebody else's elements too, or a plugin's
//! entry that only mentions the contact, is listed without its content. The contact's own part of such a
//! receipt stands among the events, byte for byte.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use duet_rules::webhook::{self, Part};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};
use serde_json::{Map, Value, json};

use super::erase::{Mentions, Share, Subject};
use super::receipts::{Receipt, ReceiptLog};
use super::{Store, StoreError};

const OTHERS: &str = "holds what others wrote";

impl Store {
    /// Everything that is kept of a contact; `None` when there is no such contact. Times are ms since 1970;
    /// bytes that are no JSON stand as base64.
    pub async fn export_contact(
        &self,
        log: &ReceiptLog,
        contact: i64,
    ) -> Result<Option<Value>, StoreError> {
        let subject = self
            .read(move |connection| Subject::read(connection, contact))
            .await?;
        let Some(subject) = subject.map(Arc::new) else {
            return Ok(None);
        };
        let mentions = Mentions::collect(self, &subject).await?;
        let asked = subject.clone();
        let mut export = self
            .read(move |connection| rows(connection, &asked, &mentions))
            .await?;
        let mut receipts = Vec::new();
        for id in log.mentioning(&subject, log.acknowledged()).await? {
            let subject = subject.clone();
            let log = log.clone();
            let read = move || {
                Ok(log
                    .get(id)?
                    .and_then(|receipt| receipt_json(&receipt, &subject)))
            };
            let receipt: Result<_, StoreError> = tokio::task::spawn_blocking(read)
                .await
                .map_err(|_| StoreError::Stopped)?;
            receipts.extend(receipt?);
        }
        export.insert("receipts".into(), receipts.into());
        Ok(Some(export.into()))
    }
}

const CONVERSATIONS: &str = "IN (SELECT id FROM conversations WHERE contact = ?1)";

fn rows(
    connection: &Connection,
    subject: &Subject,
    mentions: &Mentions,
) -> Result<Map<String, Value>, StoreError> {
    let of_contact = [
        (
            "contacts",
            "SELECT * FROM contacts WHERE id = ?1".to_owned(),
        ),
        (
            "conversations",
            "SELECT * FROM conversations WHERE contact = ?1".to_owned(),
        ),
        (
            "messages",
            format!("SELECT * FROM messages WHERE conversation {CONVERSATIONS} ORDER BY at_ms, id"),
        ),
        (
            "media",
            format!(
                "SELECT f.message, f.state, f.mime_type, f.digest AS sha256, f.bytes, f.cause, f.received_ms,
                 'media/' || substr(f.digest, 1, 2) || '/' || f.digest AS file,
                 '/api/v1/conversations/' || m.conversation || '/messages/m' || m.id || '/media' AS path
                 FROM messages m JOIN media f ON f.message = m.id WHERE m.conversation {CONVERSATIONS} ORDER BY m.id"
            ),
        ),
        (
            "events",
            "SELECT * FROM events WHERE contact = ?1 ORDER BY seq".to_owned(),
        ),
        (
            "outbox",
            format!("SELECT * FROM outbox WHERE conversation {CONVERSATIONS} ORDER BY id"),
        ),
        (
            "outbox_files",
            format!(
                "SELECT f.outbox, f.mime_type, f.digest AS sha256, f.bytes,
                 'media/' || substr(f.digest, 1, 2) || '/' || f.digest AS file
                 FROM outbox o JOIN outbox_files f ON f.outbox = o.id WHERE o.conversation {CONVERSATIONS} ORDER BY o.id"
            ),
        ),
        (
            "alarms",
            "SELECT * FROM alarms WHERE contact = ?1 ORDER BY id".to_owned(),
        ),
        (
            "handovers",
            format!("SELECT * FROM handovers WHERE conversation {CONVERSATIONS} ORDER BY id"),
        ),
        (
            "cases",
            format!("SELECT * FROM cases WHERE conversation {CONVERSATIONS} ORDER BY opened_ms, instance, key"),
        ),
        (
            "notes",
            format!("SELECT * FROM notes WHERE conversation {CONVERSATIONS} ORDER BY id"),
        ),
        (
            "labels",
            format!("SELECT * FROM labels WHERE conversation {CONVERSATIONS} ORDER BY conversation, label"),
        ),
        (
            "assignments",
            format!("SELECT * FROM assignments WHERE conversation {CONVERSATIONS} ORDER BY conversation"),
        ),
        (
            "media_given",
            "SELECT g.mime_type, g.digest AS sha256, g.bytes,
             'media/' || substr(g.digest, 1, 2) || '/' || g.digest AS file
             FROM media_given_for f JOIN media_given g ON g.business = f.business AND g.digest = f.digest
             WHERE f.contact = ?1 ORDER BY g.digest"
                .to_owned(),
        ),
        (
            "openings",
            "SELECT * FROM openings WHERE contact = ?1".to_owned(),
        ),
        (
            "deliveries",
            "SELECT * FROM deliveries WHERE seq IN (SELECT seq FROM events WHERE contact = ?1)"
                .to_owned(),
        ),
        (
            "journal",
            "SELECT seq, instance, attempt, status, headers, CAST(body AS TEXT) AS body, error FROM journal
             WHERE seq IN (SELECT seq FROM events WHERE contact = ?1) ORDER BY id"
                .to_owned(),
        ),
        // What a run has read beside its event and its calls stands elsewhere in here, or is others'.
        (
            "runs",
            "SELECT seq, instance, attempt, now_ms, outcome, effects, calls, CAST(call_bytes AS TEXT) AS bodies FROM runs
             WHERE seq IN (SELECT seq FROM events WHERE contact = ?1) ORDER BY id"
                .to_owned(),
        ),
        (
            "hooks",
            "SELECT seq, instance, received_ms, status, headers, CAST(body AS TEXT) AS body FROM hooks
             WHERE seq IN (SELECT seq FROM events WHERE contact = ?1) ORDER BY id"
                .to_owned(),
        ),
        (
            "dead_letters",
            format!(
                "SELECT * FROM dead_letters WHERE seq IN (SELECT seq FROM events WHERE contact = ?1)
                 OR outbox IN (SELECT id FROM outbox WHERE conversation {CONVERSATIONS})"
            ),
        ),
    ];
    let mut export = Map::new();
    for (name, sql) in of_contact {
        let mut found: Vec<Value> = Vec::new();
        for contact in &subject.contacts {
            found.extend(table(connection, &sql, params![contact])?);
        }
        export.insert(name.into(), found.into());
    }
    for (name, kept, named) in [
        ("kv", &KV, &mentions.kv),
        ("timers", &TIMERS, &mentions.timers),
    ] {
        let found = entries(connection, subject, kept, named)?;
        export.insert(name.into(), found.into());
    }
    export.insert("early".into(), early(connection, subject)?.into());
    Ok(export)
}

/// What plugins keep under names: how to find what is the contact's, and by its name what only names it.
struct Kept {
    of_contact: &'static str,
    /// ?3: the subject's contacts.
    of_another: &'static str,
    content: &'static str,
}

const KV: Kept = Kept {
    of_contact: "SELECT instance, key, value, expires_ms FROM kv WHERE contact = ?1",
    of_another: "SELECT instance, key, value, expires_ms FROM kv WHERE instance = ?1 AND key = ?2
        AND coalesce(contact, 0) NOT IN (SELECT value FROM json_each(?3))",
    content: "value",
};
const TIMERS: Kept = Kept {
    of_contact: "SELECT instance, name, at_ms, payload, conversation FROM timers
        WHERE contact = ?1 OR conversation IN (SELECT id FROM conversations WHERE contact = ?1) ORDER BY instance, name",
    of_another: "SELECT instance, name, at_ms, payload, conversation FROM timers WHERE instance = ?1 AND name = ?2
        AND coalesce(contact, 0) NOT IN (SELECT value FROM json_each(?3))
        AND coalesce(conversation, 0) NOT IN
        (SELECT id FROM conversations WHERE contact IN (SELECT value FROM json_each(?3)))",
    content: "payload",
};

fn entries(
    connection: &Connection,
    subject: &Subject,
    kept: &Kept,
    named: &[(String, String)],
) -> Result<Vec<Value>, StoreError> {
    let mut found = Vec::new();
    for contact in &subject.contacts {
        found.extend(table(connection, kept.of_contact, params![contact])?);
    }
    let mine = json!(subject.contacts).to_string();
    for (instance, name) in named {
        for mut entry in table(connection, kept.of_another, params![instance, name, mine])? {
            if !subject.traces.are_in(name.as_bytes())
                && let Some(entry) = entry.as_object_mut()
            {
                entry.insert(kept.content.into(), Value::Null);
                entry.insert("withheld".into(), OTHERS.into());
            }
            found.push(entry);
        }
    }
    Ok(found)
}

fn early(connection: &Connection, subject: &Subject) -> Result<Vec<Value>, StoreError> {
    let mut found = Vec::new();
    for key in &subject.early {
        found.extend(table(
            connection,
            "SELECT * FROM early WHERE key = ?1",
            params![&key[..]],
        )?);
    }
    Ok(found)
}

fn table(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<Value>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut rows = statement.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(object(row, &names)?);
    }
    Ok(found)
}

fn object(row: &Row<'_>, names: &[String]) -> Result<Value, StoreError> {
    let mut object = Map::new();
    for (column, name) in names.iter().enumerate() {
        let value = match row.get_ref(column)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => number.into(),
            ValueRef::Real(number) => number.into(),
            ValueRef::Text(text)
                if matches!(name.as_str(), "body" | "context" | "media" | "message") =>
            {
                content(text)
            }
            ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
            ValueRef::Blob(bytes) if name == "id" => hex::encode(bytes).into(),
            ValueRef::Blob(bytes) => STANDARD.encode(bytes).into(),
        };
        object.insert(name.clone(), value);
    }
    Ok(object.into())
}

/// JSON as it is, anything else as base64.
fn content(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| json!({ "base64": STANDARD.encode(bytes) }))
}

/// Nothing of a receipt that only another business got.
fn receipt_json(receipt: &Receipt, subject: &Subject) -> Option<Value> {
    let share = Share::of(receipt.id, &receipt.looked_at(), subject);
    let mut json = json!({ "id": receipt.id, "received_ms": receipt.received_ms });
    let (name, value) = match webhook::decode(&receipt.looked_at(), Part::All) {
        _ if share == Share::Nothing => return None,
        _ if share != Share::Whole => ("withheld", OTHERS.into()),
        Ok(elements)
            if elements
                .iter()
                .any(|element| is_of_another(element, subject)) =>
        {
            ("withheld", OTHERS.into())
        }
        _ => ("body", content(&receipt.body)),
    };
    if let Some(json) = json.as_object_mut() {
        json.insert(name.into(), value);
    }
    Some(json)
}

fn is_of_another(element: &webhook::Element, subject: &Subject) -> bool {
    let Some(identity) = &element.contact else {
        return false;
    };
    let mine = [&identity.wa_id, &identity.user_id]
        .into_iter()
        .flatten()
        .any(|id| subject.is_known_as(id));
    !identity.is_nobody() && !mine
}
