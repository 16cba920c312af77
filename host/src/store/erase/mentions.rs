//! Other rows that name the contact: a phone that somebody passed on, a quoted message, a plugin's entry.
//! Found beside the writer in slices, since it means reading everything; the transaction only looks at what
//! has come since.

use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};

use super::super::receipts::ReceiptLog;
use super::super::traces::Traces;
use super::super::{Store, StoreError};
use super::Subject;

/// Rows of one slice.
const SLICE: i64 = 2000;
/// Bytes of receipts of one slice.
const RECEIPT_BYTES: usize = 4 << 20;

/// The rows of a table that name the contact, up to the last row seen.
#[derive(Debug, Clone)]
pub(in super::super) struct Found {
    sql: &'static str,
    pub(in super::super) rows: Vec<i64>,
    last: i64,
}

impl Found {
    /// `sql` gives the row's number, whether it is of the business ?3, and the columns to look into, after ?1, in
    /// order, at most ?2. Rows of others count, so that no slice is longer than it should be.
    fn new(sql: &'static str) -> Found {
        Found {
            sql,
            rows: Vec::new(),
            last: 0,
        }
    }

    /// Looks at one slice; false when there is no more.
    fn step(&mut self, connection: &Connection, subject: &Subject) -> Result<bool, StoreError> {
        let mut statement = connection.prepare_cached(self.sql)?;
        let mut rows = statement.query(params![self.last, SLICE, subject.business])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            self.last = row.get(0)?;
            count += 1;
            if row.get(1)? && names(row, 2, &subject.traces)? {
                self.rows.push(self.last);
            }
        }
        Ok(count == SLICE)
    }

    pub(in super::super) fn rest(
        &mut self,
        connection: &Connection,
        subject: &Subject,
    ) -> Result<(), StoreError> {
        while self.step(connection, subject)? {}
        Ok(())
    }

    async fn collect(mut self, store: &Store, subject: &Arc<Subject>) -> Result<Found, StoreError> {
        loop {
            let subject = subject.clone();
            let (found, more) = store
                .read(move |connection| {
                    let more = self.step(connection, &subject)?;
                    Ok((self, more))
                })
                .await?;
            self = found;
            if !more {
                return Ok(self);
            }
        }
    }
}

/// Everything that names the contact.
#[derive(Debug)]
pub(in super::super) struct Mentions {
    pub(in super::super) events: Found,
    pub(in super::super) messages: Found,
    pub(in super::super) outbox: Found,
    pub(in super::super) dead_letters: Found,
    pub(in super::super) unreadable: Found,
    /// What plugins were answered about other events.
    pub(in super::super) journal: Found,
    /// What plugins have read while they handled other events.
    pub(in super::super) runs: Found,
    /// What callers of hooks were answered about other events.
    pub(in super::super) hooks: Found,
    pub(in super::super) notes: Found,
    pub(in super::super) labels: Found,
    /// By their conversations.
    pub(in super::super) assignments: Found,
    /// Instance and key.
    pub(in super::super) kv: Vec<(String, String)>,
    /// Instance and name.
    pub(in super::super) timers: Vec<(String, String)>,
    /// Instance and key.
    pub(in super::super) cases: Vec<(String, String)>,
    /// Dedupe keys of the contact's messages.
    pub(in super::super) keys: Vec<Vec<u8>>,
}

impl Mentions {
    pub(in super::super) async fn collect(
        store: &Store,
        subject: &Arc<Subject>,
    ) -> Result<Mentions, StoreError> {
        let found = |sql| Found::new(sql).collect(store, subject);
        Ok(Mentions {
            events: found("SELECT seq, business = ?3, body, context FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2").await?,
            messages: found(
                "SELECT m.id, coalesce(k.business = ?3, 1), m.wamid, m.text, m.reply_to, m.media, m.earlier, m.errors
                 FROM messages m LEFT JOIN conversations c ON c.id = m.conversation LEFT JOIN contacts k ON k.id = c.contact
                 WHERE m.id > ?1 ORDER BY m.id LIMIT ?2",
            )
            .await?,
            outbox: found(
                "SELECT o.id, coalesce(k.business = ?3, 1), o.message, o.wamid, o.cause
                 FROM outbox o LEFT JOIN conversations c ON c.id = o.conversation LEFT JOIN contacts k ON k.id = c.contact
                 WHERE o.id > ?1 ORDER BY o.id LIMIT ?2",
            )
            .await?,
            dead_letters: found("SELECT id, business = ?3, cause FROM dead_letters WHERE id > ?1 ORDER BY id LIMIT ?2").await?,
            unreadable: found("SELECT receipt, ?3 IS NOT NULL, reason FROM unreadable WHERE receipt > ?1 ORDER BY receipt LIMIT ?2")
                .await?,
            journal: found(
                "SELECT j.id, coalesce((SELECT i.business FROM instances i WHERE i.name = j.instance), '') = ?3, j.headers, j.body
                 FROM journal j WHERE j.id > ?1 ORDER BY j.id LIMIT ?2",
            )
            .await?,
            runs: found(
                "SELECT r.id, coalesce((SELECT i.business FROM instances i WHERE i.name = r.instance), '') = ?3, r.outcome,
                 r.effects, r.reads, r.read_bytes, r.calls, r.call_bytes FROM runs r WHERE r.id > ?1 ORDER BY r.id LIMIT ?2",
            )
            .await?,
            hooks: found(
                "SELECT h.id, coalesce((SELECT i.business FROM instances i WHERE i.name = h.instance), '') = ?3, h.headers, h.body
                 FROM hooks h WHERE h.id > ?1 ORDER BY h.id LIMIT ?2",
            )
            .await?,
            notes: found(
                "SELECT n.id, coalesce(k.business = ?3, 1), n.key, n.text, n.agent
                 FROM notes n LEFT JOIN conversations c ON c.id = n.conversation LEFT JOIN contacts k ON k.id = c.contact
                 WHERE n.id > ?1 ORDER BY n.id LIMIT ?2",
            )
            .await?,
            labels: found(
                "SELECT l.id, coalesce(k.business = ?3, 1), l.label
                 FROM labels l LEFT JOIN conversations c ON c.id = l.conversation LEFT JOIN contacts k ON k.id = c.contact
                 WHERE l.id > ?1 ORDER BY l.id LIMIT ?2",
            )
            .await?,
            assignments: found(
                "SELECT a.conversation, coalesce(k.business = ?3, 1), a.agent
                 FROM assignments a LEFT JOIN conversations c ON c.id = a.conversation LEFT JOIN contacts k ON k.id = c.contact
                 WHERE a.conversation > ?1 ORDER BY a.conversation LIMIT ?2",
            )
            .await?,
            kv: entries(store, subject, KV).await?,
            timers: entries(store, subject, TIMERS).await?,
            cases: entries(store, subject, CASES).await?,
            keys: keys(store, subject).await?,
        })
    }
}

const KV: &str = "SELECT instance, key, value,
    coalesce((SELECT i.business FROM instances i WHERE i.name = kv.instance), '') = ?4
    FROM kv WHERE (instance, key) > (?1, ?2) ORDER BY instance, key LIMIT ?3";
const TIMERS: &str = "SELECT instance, name, payload,
    coalesce((SELECT i.business FROM instances i WHERE i.name = timers.instance), '') = ?4
    FROM timers WHERE (instance, name) > (?1, ?2) ORDER BY instance, name LIMIT ?3";
const CASES: &str = "SELECT instance, key, concat_ws(' ', title, url, status, assignee),
    coalesce((SELECT i.business FROM instances i WHERE i.name = cases.instance), '') = ?4
    FROM cases WHERE (instance, key) > (?1, ?2) ORDER BY instance, key LIMIT ?3";

/// What plugins keep under a name, where name or content names the contact.
async fn entries(
    store: &Store,
    subject: &Arc<Subject>,
    sql: &'static str,
) -> Result<Vec<(String, String)>, StoreError> {
    let mut found = Vec::new();
    let mut last = (String::new(), String::new());
    loop {
        let subject = subject.clone();
        let after = last.clone();
        let (named, seen) = store
            .read(move |connection| {
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows =
                    statement.query(params![after.0, after.1, SLICE, subject.business])?;
                let (mut named, mut seen) = (Vec::new(), None);
                while let Some(row) = rows.next()? {
                    let entry: (String, String) = (row.get(0)?, row.get(1)?);
                    if row.get(3)? && names(row, 1, &subject.traces)? {
                        named.push(entry.clone());
                    }
                    seen = Some(entry);
                }
                Ok((named, seen))
            })
            .await?;
        found.extend(named);
        match seen {
            Some(seen) => last = seen,
            None => return Ok(found),
        }
    }
}

async fn keys(store: &Store, subject: &Arc<Subject>) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut found = Vec::new();
    let mut last: Vec<u8> = Vec::new();
    loop {
        let subject = subject.clone();
        let after = last.clone();
        let (mine, seen) = store
            .read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT key, message FROM dedupe WHERE key > ?1 AND message IS NOT NULL ORDER BY key LIMIT ?2",
                )?;
                let mut rows = statement.query(params![after, SLICE])?;
                let (mut mine, mut seen) = (Vec::new(), None);
                while let Some(row) = rows.next()? {
                    let key: Vec<u8> = row.get(0)?;
                    if subject.messages.contains(&row.get(1)?) {
                        mine.push(key.clone());
                    }
                    seen = Some(key);
                }
                Ok((mine, seen))
            })
            .await?;
        found.extend(mine);
        match seen {
            Some(seen) => last = seen,
            None => return Ok(found),
        }
    }
}

impl ReceiptLog {
    /// The receipts up to `newest` that name the subject, or that its events came with. They may hold what is
    /// another business's: see [`super::Share`].
    pub(in super::super) async fn mentioning(
        &self,
        subject: &Arc<Subject>,
        newest: i64,
    ) -> Result<Vec<i64>, StoreError> {
        let mut found = Vec::new();
        let mut last = 0;
        loop {
            let subject = subject.clone();
            let (named, seen) = self
                .inspect(move |connection| {
                    let mut statement = connection.prepare_cached(
                        "SELECT id, body FROM receipts WHERE id > ?1 AND id <= ?2 ORDER BY id",
                    )?;
                    let mut rows = statement.query([last, newest])?;
                    let (mut named, mut seen, mut bytes) = (Vec::new(), None, 0);
                    while bytes < RECEIPT_BYTES
                        && let Some(row) = rows.next()?
                    {
                        let id = row.get(0)?;
                        let body = row.get_ref(1)?.as_blob().unwrap_or_default();
                        // So that a row without a body counts, too.
                        bytes += body.len() + 64;
                        if subject.receipts.contains(&id) || subject.traces.are_in(body) {
                            named.push(id);
                        }
                        seen = Some(id);
                    }
                    Ok((named, seen))
                })
                .await?;
            found.extend(named);
            match seen {
                Some(seen) => last = seen,
                None => return Ok(found),
            }
        }
    }
}

/// Whether a column from `first` on names the contact.
fn names(row: &Row<'_>, first: usize, traces: &Traces) -> Result<bool, StoreError> {
    for column in first..row.as_ref().column_count() {
        if let ValueRef::Text(bytes) | ValueRef::Blob(bytes) = row.get_ref(column)?
            && traces.are_in(bytes)
        {
            return Ok(true);
        }
    }
    Ok(false)
}
