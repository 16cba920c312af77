//! Who gets no marketing messages. What is learned is written to every contact of the person, and to each of
//! their conversations with the number, so that it holds however they are reached.

use duet_rules::sending::{Learned, learned};
use rusqlite::{Connection, params};

use super::StoreError;

/// All contacts of the person that the contact `?1` is.
pub(super) const PERSON: &str = "(SELECT k.id FROM contacts k JOIN contacts me ON me.id = ?1
     WHERE coalesce(k.same_as, k.id) = coalesce(me.same_as, me.id))";

/// The person's word, or Meta's about them: `at_ms` by Meta. An older one changes nothing, and of two within the same
/// second, Meta's finest time, the stop counts in whatever order they come.
pub(super) fn stopped(
    connection: &Connection,
    contact: i64,
    stopped: bool,
    at_ms: i64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(&format!(
            "UPDATE contacts SET marketing_stopped = ?2, marketing_stopped_ms = ?3
             WHERE id IN {PERSON} AND (marketing_stopped_ms < ?3
                 OR (marketing_stopped_ms = ?3 AND (?2 OR NOT marketing_stopped)))"
        ))?
        .execute(params![contact, stopped, at_ms])?;
    Ok(())
}

/// Whether the customer of this conversation has stopped marketing messages.
pub(super) fn has_stopped(connection: &Connection, conversation: i64) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT k.marketing_stopped FROM conversations c JOIN contacts k ON k.id = c.contact WHERE c.id = ?1",
        )?
        .query_row([conversation], |row| row.get(0))?)
}

/// What an error code of Meta's about a message into this conversation tells.
pub(super) fn learn(
    connection: &Connection,
    conversation: i64,
    code: i64,
    at_ms: i64,
) -> Result<(), StoreError> {
    match learned(code, at_ms) {
        Some(Learned::Stopped { at_ms }) => {
            let contact = connection
                .prepare_cached("SELECT contact FROM conversations WHERE id = ?1")?
                .query_row([conversation], |row| row.get(0));
            match contact {
                Ok(contact) => stopped(connection, contact, true, at_ms)?,
                // It was erased meanwhile.
                Err(rusqlite::Error::QueryReturnedNoRows) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Some(Learned::Capped { until_ms }) => {
            connection
                .prepare_cached(
                    "UPDATE conversations SET marketing_capped_ms = max(marketing_capped_ms, ?2)
                     WHERE id IN (SELECT c.id FROM conversations c JOIN contacts k ON k.id = c.contact
                         JOIN conversations mine ON mine.id = ?1 AND mine.number = c.number
                         JOIN contacts me ON me.id = mine.contact
                         WHERE coalesce(k.same_as, k.id) = coalesce(me.same_as, me.id))",
                )?
                .execute(params![conversation, until_ms])?;
        }
        None => {}
    }
    Ok(())
}

/// Two contacts turned out to be one person, `one`: the later word counts for both.
pub(super) fn join(connection: &Connection, one: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached(&format!(
            "UPDATE contacts SET (marketing_stopped, marketing_stopped_ms) =
                 (SELECT k.marketing_stopped, k.marketing_stopped_ms FROM contacts k WHERE k.id IN {PERSON}
                  ORDER BY k.marketing_stopped_ms DESC, k.marketing_stopped DESC LIMIT 1)
             WHERE id IN {PERSON}"
        ))?
        .execute([one])?;
    Ok(())
}
