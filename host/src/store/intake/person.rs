//! Who an element is about, to its business alone: another one knows the same person by a contact of its own. A
//! person may be known by phone at first and by user id later; once an element shows
//! that two contacts are one person, everything goes on with one of them, and who has the conversation is true
//! of both.

use duet_rules::identity::{Identity, other_spelling};
use duet_rules::webhook::Meaning;
use rusqlite::{Connection, OptionalExtension, params};

use super::super::wall::Wall;
use super::super::{Store, StoreError};

/// The contact with this phone or user id, made or completed. What the phone's address book says of a name is
/// kept apart from the name that the user gave.
pub(super) fn contact(
    connection: &Connection,
    business: &str,
    identity: &Identity,
    meaning: &Meaning,
) -> Result<i64, StoreError> {
    let profile = if matches!(meaning, Meaning::Contact(_)) {
        None
    } else {
        identity.name.as_deref()
    };
    let by_phone = find(
        connection,
        business,
        Known::Phone,
        identity.wa_id.as_deref(),
    )?;
    let by_user_id = find(
        connection,
        business,
        Known::UserId,
        identity.user_id.as_deref(),
    )?;
    if let (Some(one), Some(other)) = (by_phone, by_user_id) {
        join(connection, one, other)?;
    }
    // Both spellings of one phone may have come before anybody knew that they are one.
    if let (Some(one), Some(phone)) = (by_phone, identity.wa_id.as_deref())
        && let Some(spelling) = other_spelling(phone)
        && let Some(other) = look_up(connection, business, Known::Phone, &spelling)?
    {
        join(connection, one, other)?;
    }
    let Some(id) = by_phone.or(by_user_id) else {
        return Ok(connection
            .prepare_cached(
                "INSERT INTO contacts (wa_id, user_id, name, username, business) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .insert(params![
                identity.wa_id,
                identity.user_id,
                profile,
                identity.username,
                business
            ])?);
    };
    // A phone or user id that a contact of the same person has already stays there.
    connection
        .prepare_cached(
            "UPDATE OR IGNORE contacts SET wa_id = coalesce(wa_id, ?2), user_id = coalesce(user_id, ?3)
             WHERE id = ?1 AND ((wa_id IS NULL AND ?2 IS NOT NULL) OR (user_id IS NULL AND ?3 IS NOT NULL))",
        )?
        .execute(params![id, identity.wa_id, identity.user_id])?;
    connection
        .prepare_cached(
            "UPDATE contacts SET name = coalesce(?2, name), username = coalesce(?3, username)
             WHERE id = ?1 AND ((?2 IS NOT NULL AND name IS NOT ?2) OR (?3 IS NOT NULL AND username IS NOT ?3))",
        )?
        .execute(params![id, profile, identity.username])?;
    Ok(id)
}

/// Two contacts of whom one is known by phone and the other by user id turn out to be one person. Where each has the
/// same kind of id already, they are left as they are: one of the two would be wrong.
pub(super) fn match_up(connection: &Connection, one: i64, other: i64) -> Result<(), StoreError> {
    let stands = |id: i64| -> Result<i64, StoreError> {
        Ok(connection
            .prepare_cached("SELECT coalesce(same_as, id) FROM contacts WHERE id = ?1")?
            .query_row([id], |row| row.get(0))?)
    };
    let (one, other) = (stands(one)?, stands(other)?);
    let fit: bool = connection
        .prepare_cached(
            "WITH one AS (SELECT max(wa_id) AS wa_id, max(user_id) AS user_id FROM contacts WHERE id = ?1 OR same_as = ?1),
             other AS (SELECT max(wa_id) AS wa_id, max(user_id) AS user_id FROM contacts WHERE id = ?2 OR same_as = ?2)
             SELECT (one.wa_id IS NULL OR other.wa_id IS NULL) AND (one.user_id IS NULL OR other.user_id IS NULL)
             FROM one, other",
        )?
        .query_row([one, other], |row| row.get(0))?;
    if fit {
        join(connection, one, other)
    } else {
        Ok(())
    }
}

impl Store {
    /// Undoes that a contact was joined with another, for good. False when there is no such contact.
    pub async fn separate_contact(&self, wall: Wall, contact: i64) -> Result<bool, StoreError> {
        self.write(move |connection| {
            let separated = connection
                .prepare_cached(
                    "UPDATE contacts SET same_as = NULL, apart = 1 WHERE (id = ?1 OR same_as = ?1)
                     AND (?2 IS NULL OR business = ?2)",
                )?
                .execute(params![contact, wall])?;
            Ok(separated > 0)
        })
        .await
    }
}

/// A user has another id now; the contact stays the same.
pub(super) fn rename_user(
    connection: &Connection,
    business: &str,
    meaning: &Meaning,
) -> Result<(), StoreError> {
    let Meaning::UserId {
        previous: Some(previous),
        current: Some(current),
    } = meaning
    else {
        return Ok(());
    };
    let renamed = connection
        .prepare_cached(
            "UPDATE OR IGNORE contacts SET user_id = ?2 WHERE user_id = ?1 AND business = ?3",
        )?
        .execute(params![previous, current, business])?;
    if renamed == 0
        && let Some(one) = find(connection, business, Known::UserId, Some(previous))?
        && let Some(other) = find(connection, business, Known::UserId, Some(current))?
    {
        join(connection, one, other)?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Known {
    Phone,
    UserId,
}

/// The contact that stands for the person.
fn find(
    connection: &Connection,
    business: &str,
    known: Known,
    id: Option<&str>,
) -> Result<Option<i64>, StoreError> {
    let Some(id) = id else { return Ok(None) };
    let found = look_up(connection, business, known, id)?;
    match (found, known) {
        (None, Known::Phone) => match other_spelling(id) {
            Some(other) => look_up(connection, business, known, &other),
            None => Ok(None),
        },
        _ => Ok(found),
    }
}

fn look_up(
    connection: &Connection,
    business: &str,
    known: Known,
    id: &str,
) -> Result<Option<i64>, StoreError> {
    let sql = match known {
        Known::Phone => {
            "SELECT coalesce(same_as, id) FROM contacts WHERE wa_id = ?1 AND business = ?2"
        }
        Known::UserId => {
            "SELECT coalesce(same_as, id) FROM contacts WHERE user_id = ?1 AND business = ?2"
        }
    };
    Ok(connection
        .prepare_cached(sql)?
        .query_row([id, business], |row| row.get(0))
        .optional()?)
}

/// `other` is the same person as `one`: what is to come goes to `one`. What is there stays where it is, so that
/// it can be seen what was joined. Who was given a conversation last, and the longer window, count for both; a plugin that
/// handed one to a person has no leave to speak beside a person who had the other.
fn join(connection: &Connection, one: i64, other: i64) -> Result<(), StoreError> {
    let is_apart = |id: i64| {
        connection
            .prepare_cached("SELECT apart FROM contacts WHERE id = ?1")?
            .query_row([id], |row| row.get::<_, bool>(0))
    };
    if one == other || is_apart(one)? || is_apart(other)? {
        return Ok(());
    }
    connection
        .prepare_cached("UPDATE contacts SET same_as = ?1 WHERE id = ?2 OR same_as = ?2")?
        .execute([one, other])?;
    // A conversation with `one` may be needed to carry the state on.
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO conversations (number, contact)
             SELECT number, ?1 FROM conversations WHERE contact IN (SELECT id FROM contacts WHERE same_as = ?1)",
        )?
        .execute([one])?;
    connection
        .prepare_cached(
            "WITH person AS (
                 SELECT c.id, c.number, c.handling, c.handling_until_ms, c.handling_seq, c.handling_by, c.window_until_ms, c.pair_full_us,
                 c.marketing_capped_ms
                 FROM conversations c JOIN contacts k ON k.id = c.contact WHERE k.id = ?1 OR k.same_as = ?1),
             latest AS (
                 SELECT number, max(handling_seq) AS seq, max(window_until_ms) AS window,
                 max(pair_full_us) AS pair, max(marketing_capped_ms) AS capped,
                 count(DISTINCT CASE handling WHEN 'person' THEN coalesce(handling_by, '') END) AS takers
                 FROM person GROUP BY number)
             UPDATE conversations SET handling = p.handling, handling_until_ms = p.handling_until_ms,
             handling_seq = p.handling_seq, handling_by = CASE WHEN l.takers < 2 THEN p.handling_by END,
             window_until_ms = l.window,
             pair_full_us = l.pair, marketing_capped_ms = l.capped
             FROM latest l JOIN person p ON p.number = l.number AND p.handling_seq = l.seq
             WHERE conversations.number = l.number AND conversations.id IN (SELECT id FROM person)",
        )?
        .execute([one])?;
    super::super::handling::join(connection, one)?;
    super::super::marketing::join(connection, one)
}
