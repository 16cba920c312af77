//! The transaction in which everything of a contact goes.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Params, params};

use super::super::StoreError;
use super::super::media::let_go_of;
use super::files::{let_go, of_conversation};
use super::told::Ids;
use super::{Erased, Mentions, Subject};

pub(super) enum Removed {
    All(Box<Erased>),
    /// Nothing was removed: the contact has events of receipts that have come meanwhile.
    Late,
}

/// Removes everything of the subject. `receipts` are those that name it, up to `taken`.
pub(super) fn remove(
    connection: &Connection,
    subject: &Subject,
    mut mentions: Mentions,
    receipts: &[i64],
    taken: i64,
) -> Result<Removed, StoreError> {
    for contact in &subject.contacts {
        let late = connection
            .prepare_cached("SELECT 1 FROM events WHERE contact = ?1 AND receipt > ?2 LIMIT 1")?
            .query_row([*contact, taken], |_| Ok(()))
            .optional()?;
        if late.is_some() {
            return Ok(Removed::Late);
        }
    }
    for found in [
        &mut mentions.events,
        &mut mentions.messages,
        &mut mentions.outbox,
        &mut mentions.dead_letters,
        &mut mentions.unreadable,
        &mut mentions.journal,
        &mut mentions.runs,
        &mut mentions.hooks,
        &mut mentions.notes,
        &mut mentions.labels,
        &mut mentions.assignments,
    ] {
        found.rest(connection, subject)?;
    }
    let ids = Ids::read(connection, subject)?;
    let mut erased = Erased::default();
    let mut events = mentions.events.rows.iter().copied().collect();
    let mut files = BTreeSet::new();
    for contact in &subject.contacts {
        files.append(&mut remove_contact(
            connection,
            *contact,
            &mut events,
            &mut erased,
        )?);
    }
    remove_events(connection, &events, &mut erased)?;
    remove_mentions(connection, subject, &mentions, &mut erased)?;
    let_go(connection, &subject.business, &files)?;
    for receipt in receipts.iter().chain(&mentions.unreadable.rows) {
        erased.unreadable += run(
            connection,
            "DELETE FROM unreadable WHERE receipt = ?1",
            [receipt],
        )?;
    }
    erased.event = ids.tell(connection, &subject.business, crate::now_ms())?;
    Ok(Removed::All(Box::new(erased)))
}

/// The answer is the digests of the files that were its.
fn remove_contact(
    connection: &Connection,
    contact: i64,
    events: &mut BTreeSet<i64>,
    erased: &mut Erased,
) -> Result<BTreeSet<String>, StoreError> {
    let conversations: Vec<i64> = connection
        .prepare_cached("SELECT id FROM conversations WHERE contact = ?1")?
        .query_map([contact], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut files: BTreeSet<String> = let_go_of(connection, contact)?.into_iter().collect();
    for conversation in conversations {
        files.append(&mut of_conversation(connection, conversation)?);
        erased.dead_letters += run(
            connection,
            "DELETE FROM dead_letters WHERE outbox IN (SELECT id FROM outbox WHERE conversation = ?1)",
            [conversation],
        )?;
        erased.outbox += run(
            connection,
            "DELETE FROM outbox WHERE conversation = ?1",
            [conversation],
        )?;
        erased.messages += run(
            connection,
            "DELETE FROM messages WHERE conversation = ?1",
            [conversation],
        )?;
        run(
            connection,
            "DELETE FROM handovers WHERE conversation = ?1",
            [conversation],
        )?;
        erased.timers += run(
            connection,
            "DELETE FROM timers WHERE conversation = ?1",
            [conversation],
        )?;
        erased.conversations += run(
            connection,
            "DELETE FROM conversations WHERE id = ?1",
            [conversation],
        )?;
        for lane in [format!("c{conversation}"), format!("h{conversation}")] {
            run(connection, "DELETE FROM lanes WHERE lane = ?1", [lane])?;
        }
    }
    let mut statement = connection.prepare_cached("SELECT seq FROM events WHERE contact = ?1")?;
    for seq in statement.query_map([contact], |row| row.get(0))? {
        events.insert(seq?);
    }
    for sql in [
        "DELETE FROM alarms WHERE contact = ?1",
        "DELETE FROM openings WHERE contact = ?1",
        "DELETE FROM runs WHERE contact = ?1",
    ] {
        run(connection, sql, [contact])?;
    }
    erased.kv += run(connection, "DELETE FROM kv WHERE contact = ?1", [contact])?;
    erased.timers += run(
        connection,
        "DELETE FROM timers WHERE contact = ?1",
        [contact],
    )?;
    erased.contacts += run(connection, "DELETE FROM contacts WHERE id = ?1", [contact])?;
    Ok(files)
}

fn remove_events(
    connection: &Connection,
    events: &BTreeSet<i64>,
    erased: &mut Erased,
) -> Result<(), StoreError> {
    let deliveries: Vec<(String, i64)> = connection
        .prepare_cached("SELECT instance, seq FROM deliveries")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (instance, seq) in deliveries.iter().filter(|(_, seq)| events.contains(seq)) {
        let sql = "DELETE FROM deliveries WHERE instance = ?1 AND seq = ?2";
        erased.deliveries += run(connection, sql, params![instance, seq])?;
    }
    let letters: Vec<(i64, i64)> = connection
        .prepare_cached("SELECT id, seq FROM dead_letters")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (id, _) in letters.iter().filter(|(_, seq)| events.contains(seq)) {
        erased.dead_letters += run(connection, "DELETE FROM dead_letters WHERE id = ?1", [id])?;
    }
    let runs: Vec<(i64, i64)> = connection
        .prepare_cached("SELECT id, seq FROM runs")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (id, _) in runs.iter().filter(|(_, seq)| events.contains(seq)) {
        run(connection, "DELETE FROM runs WHERE id = ?1", [id])?;
    }
    for seq in events {
        // What was to be said because of it tells of it, to whomever.
        erased.outbox += run(connection, "DELETE FROM outbox WHERE seq = ?1", [seq])?;
        erased.events += run(connection, "DELETE FROM events WHERE seq = ?1", [seq])?;
    }
    Ok(())
}

fn remove_mentions(
    connection: &Connection,
    subject: &Subject,
    mentions: &Mentions,
    erased: &mut Erased,
) -> Result<(), StoreError> {
    for id in &mentions.messages.rows {
        blank_message(connection, subject, *id)?;
    }
    for id in &mentions.outbox.rows {
        erased.dead_letters += run(
            connection,
            "DELETE FROM dead_letters WHERE outbox = ?1",
            [id],
        )?;
        erased.outbox += run(connection, "DELETE FROM outbox WHERE id = ?1", [id])?;
    }
    for id in &mentions.dead_letters.rows {
        erased.dead_letters += run(connection, "DELETE FROM dead_letters WHERE id = ?1", [id])?;
    }
    for id in &mentions.journal.rows {
        run(connection, "DELETE FROM journal WHERE id = ?1", [id])?;
    }
    for id in &mentions.runs.rows {
        run(connection, "DELETE FROM runs WHERE id = ?1", [id])?;
    }
    for id in &mentions.hooks.rows {
        run(
            connection,
            "UPDATE hooks SET status = 410, headers = NULL, body = NULL WHERE id = ?1",
            [id],
        )?;
    }
    for (found, sql) in [
        (&mentions.notes, "DELETE FROM notes WHERE id = ?1"),
        (&mentions.labels, "DELETE FROM labels WHERE id = ?1"),
        (
            &mentions.assignments,
            "DELETE FROM assignments WHERE conversation = ?1",
        ),
    ] {
        for id in &found.rows {
            run(connection, sql, [id])?;
        }
    }
    for (instance, key) in &mentions.kv {
        erased.kv += run(
            connection,
            "DELETE FROM kv WHERE instance = ?1 AND key = ?2",
            [instance, key],
        )?;
    }
    for (instance, name) in &mentions.timers {
        erased.timers += run(
            connection,
            "DELETE FROM timers WHERE instance = ?1 AND name = ?2",
            [instance, name],
        )?;
    }
    for (instance, key) in &mentions.cases {
        run(
            connection,
            "DELETE FROM cases WHERE instance = ?1 AND key = ?2",
            [instance, key],
        )?;
    }
    for key in &mentions.keys {
        run(
            connection,
            "UPDATE dedupe SET message = NULL WHERE key = ?1",
            [key],
        )?;
    }
    for key in &subject.early {
        erased.early += run(connection, "DELETE FROM early WHERE key = ?1", [&key[..]])?;
    }
    Ok(())
}

/// A message of somebody else loses what names the contact, and stays.
fn blank_message(connection: &Connection, subject: &Subject, id: i64) -> Result<(), StoreError> {
    type Columns = [Option<String>; 6];
    let columns: Option<Columns> = connection
        .prepare_cached(
            "SELECT wamid, text, reply_to, media, earlier, errors FROM messages WHERE id = ?1",
        )?
        .query_row([id], |row| {
            Ok([
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
                row.get(5)?,
            ])
        })
        .optional()?;
    let Some(columns) = columns else {
        return Ok(());
    };
    let [wamid, text, reply_to, media, earlier, errors] =
        columns.map(|column| column.filter(|column| !subject.traces.are_in(column.as_bytes())));
    run(
        connection,
        "UPDATE messages SET wamid = ?2, text = ?3, reply_to = ?4, media = ?5, earlier = ?6, errors = ?7 WHERE id = ?1",
        params![id, wamid, text, reply_to, media, earlier, errors],
    )?;
    Ok(())
}

fn run(connection: &Connection, sql: &str, values: impl Params) -> Result<usize, StoreError> {
    Ok(connection.prepare_cached(sql)?.execute(values)?)
}
