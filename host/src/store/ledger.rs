//! The ledger's own side: what is counted at the moment when it happens, in the transaction in which it happens.
//! What is there now is counted by triggers and indexes; `views/ledger` holds one against the other.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::StoreError;
use super::intake::Part;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The day of a time, as the ledger counts it: days of UTC since 1970.
pub(super) fn day(at_ms: i64) -> i64 {
    at_ms.div_euclid(DAY_MS)
}

/// Why rows go that were counted once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// With their contact.
    Erased,
    /// With their time.
    Aged,
    /// A dead letter that somebody takes up again.
    Redriven,
    /// The dead letter of a send of which Meta has told otherwise.
    Withdrawn,
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Reason::Erased => "erased",
            Reason::Aged => "aged",
            Reason::Redriven => "redriven",
            Reason::Withdrawn => "withdrawn",
        }
    }
}

/// Runs `work`; rows that it deletes go for this reason.
pub(super) fn because<T>(
    connection: &Connection,
    reason: Reason,
    work: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    set(connection, reason.as_str())?;
    let done = work()?;
    // Where `work` fails, the transaction takes the reason back, too.
    set(connection, "")?;
    Ok(done)
}

fn set(connection: &Connection, reason: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE ledger_reason SET reason = ?1")?
        .execute([reason])?;
    Ok(())
}

/// Counts one thing of the day `at_ms`.
pub(super) fn count(
    connection: &Connection,
    number: &str,
    at_ms: i64,
    instance: &str,
    item: &str,
) -> Result<(), StoreError> {
    add(connection, number, day(at_ms), instance, item, 1)
}

fn add(
    connection: &Connection,
    number: &str,
    day: i64,
    instance: &str,
    item: &str,
    count: i64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO ledger VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET count = count + excluded.count",
        )?
        .execute(params![number, day, instance, item, count])?;
    Ok(())
}

/// Counts what becomes of a plugin's event: `done`, `retried` or `dead`.
pub(super) fn ran(
    connection: &Connection,
    seq: i64,
    instance: &str,
    item: &str,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO ledger SELECT coalesce(number, ''), received_ms / 86400000, ?2, ?3, 1 FROM events WHERE seq = ?1
             ON CONFLICT DO UPDATE SET count = count + 1",
        )?
        .execute(params![seq, instance, item])?;
    Ok(())
}

/// Counts what becomes of a send: `sends` when it is made, `dead` when it died.
pub(super) fn said(connection: &Connection, row: i64, item: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO ledger SELECT coalesce(c.number, ''), o.created_ms / 86400000, '', ?2, 1
             FROM outbox o LEFT JOIN conversations c ON c.id = o.conversation WHERE o.id = ?1
             ON CONFLICT DO UPDATE SET count = count + 1",
        )?
        .execute(params![row, item])?;
    Ok(())
}

/// An instance begins after the event `start`: what was counted up to there is none of its own.
pub(super) fn begins(
    connection: &Connection,
    instance: &str,
    start: i64,
) -> Result<(), StoreError> {
    connection.execute(
        "INSERT INTO ledger SELECT number, day, ?1, 'before', sum(count) FROM ledger
         WHERE instance = '' AND item IN ('events.new', 'events.own') GROUP BY number, day
         ON CONFLICT DO UPDATE SET count = excluded.count",
        [instance],
    )?;
    connection.execute(
        "INSERT INTO ledger SELECT coalesce(number, ''), received_ms / 86400000, ?1, 'before', -count(*) FROM events
         WHERE seq > ?2 GROUP BY 1, 2 ON CONFLICT DO UPDATE SET count = count + excluded.count",
        params![instance, start],
    )?;
    Ok(())
}

/// What a slice of intake has come to, written at its end.
#[derive(Default)]
pub(super) struct Tally {
    counts: HashMap<(String, i64, String), i64>,
    /// By number, the receipts that held something of it, in order, with their days.
    receipts: HashMap<String, Vec<(i64, i64)>>,
}

/// What became of an element.
pub(super) enum Element<'a> {
    /// A new event of this kind.
    New(&'a str),
    Repeated,
}

impl Tally {
    pub(super) fn element(
        &mut self,
        number: Option<&str>,
        (receipt, received_ms): (i64, i64),
        element: &Element<'_>,
    ) {
        let (number, day) = (number.unwrap_or_default(), day(received_ms));
        let receipts = self.receipts.entry(number.to_owned()).or_default();
        if receipts.last().is_none_or(|(last, _)| *last < receipt) {
            receipts.push((receipt, day));
        }
        let mut add = |item: &str| {
            let key = (number.to_owned(), day, item.to_owned());
            *self.counts.entry(key).or_default() += 1;
        };
        add("elements");
        match element {
            Element::Repeated => add("repeated"),
            Element::New(kind) => {
                add("events.new");
                add(&format!("kind.{}", sort(kind)));
            }
        }
    }

    pub(super) fn write(&self, connection: &Connection, part: Part) -> Result<(), StoreError> {
        for ((number, day, item), count) in &self.counts {
            add(connection, number, *day, "", item, *count)?;
        }
        for (number, receipts) in &self.receipts {
            let known: Option<i64> = connection
                .prepare_cached(
                    "SELECT receipt FROM ledger_receipts WHERE part = ?1 AND number = ?2",
                )?
                .query_row(params![part.as_str(), number], |row| row.get(0))
                .optional()?;
            let mut last = known.unwrap_or(0);
            for (receipt, day) in receipts {
                if *receipt > last {
                    last = *receipt;
                    add(connection, number, *day, "", "receipts", 1)?;
                }
            }
            connection
                .prepare_cached("INSERT OR REPLACE INTO ledger_receipts VALUES (?1, ?2, ?3)")?
                .execute(params![part.as_str(), number, last])?;
        }
        Ok(())
    }
}

/// What the ledger calls a kind: its first word, and of statuses the whole, as far as Meta's words are known.
fn sort(kind: &str) -> &str {
    match kind {
        "status.sent" | "status.delivered" | "status.read" | "status.failed" | "status.played" => {
            kind
        }
        _ => kind.split('.').next().unwrap_or(kind),
    }
}
