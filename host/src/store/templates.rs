//! What is known of the templates of each account: read as a whole, and kept up by Meta's webhooks between two
//! readings. The newer word counts.

use duet_rules::sending::{Cause, Learnt, Template, template_named};
use duet_rules::webhook::TemplateChange;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;

use super::{Store, StoreError, alarms, numbers};

impl Store {
    /// At most `limit` accounts whose list was not read since `before_ms`, or about which something was heard since.
    pub async fn wabas_to_read(
        &self,
        before_ms: i64,
        limit: u32,
    ) -> Result<Vec<String>, StoreError> {
        self.read(move |connection| {
            let mut query = connection.prepare_cached(
                "SELECT DISTINCT n.waba FROM numbers n LEFT JOIN template_reads r ON r.waba = n.waba
                 WHERE n.waba IS NOT NULL AND n.state <> 'disconnected'
                 AND (coalesce(r.read_ms, 0) < ?1 OR r.wanted_ms > r.read_ms) ORDER BY n.waba LIMIT ?2",
            )?;
            let rows = query.query_map(params![before_ms, limit], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Takes the whole list of an account, read from `begun_ms` on. What it does not name is gone, unless a
    /// webhook has spoken of it since.
    pub async fn templates_read(
        &self,
        waba: String,
        listed: Vec<TemplateChange>,
        begun_ms: i64,
    ) -> Result<(), StoreError> {
        self.write(move |connection| {
            // Whole seconds, as Meta's webhooks have them: a word of the same second may be newer than the list.
            let read_ms = begun_ms - begun_ms.rem_euclid(1000);
            for template in &listed {
                learn(connection, &waba, template, read_ms)?;
            }
            let names = listed
                .iter()
                .map(|one| format!("{}\n{}", one.name, one.language));
            let names = serde_json::to_string(&names.collect::<Vec<_>>()).unwrap_or_default();
            connection
                .prepare_cached(
                    "DELETE FROM templates WHERE waba = ?1 AND learned_ms < ?2
                     AND name || char(10) || language NOT IN (SELECT value FROM json_each(?3))",
                )?
                .execute(params![waba, read_ms, names])?;
            connection
                .prepare_cached(
                    "INSERT INTO template_reads (waba, read_ms) VALUES (?1, ?2)
                     ON CONFLICT (waba) DO UPDATE SET read_ms = excluded.read_ms",
                )?
                .execute(params![waba, begun_ms])?;
            for number in numbers::meant(connection, Some(&waba), None, None)? {
                alarms::settle(connection, &[alarms::TEMPLATES_REFUSED], &number, begun_ms)?;
            }
            Ok(())
        })
        .await
    }

    /// What the gate has to know of the template that a message sends through a number; `None` when it sends none.
    /// One that is not known has the list read again: it may be new.
    pub async fn template(
        &self,
        number: &str,
        message: &Value,
        now_ms: i64,
    ) -> Result<Option<Template>, StoreError> {
        let found = self.peek(|connection| template(connection, number, message))?;
        let refusal = found.and_then(|template| template.refusal);
        if refusal.is_some_and(|(_, cause)| cause == Cause::TemplateUnknown)
            && !self.peek(|connection| is_wanted(connection, number))?
        {
            let number = number.to_owned();
            self.write(move |connection| want(connection, &number, now_ms))
                .await?;
        }
        Ok(found)
    }
}

pub(super) fn template(
    connection: &Connection,
    number: &str,
    message: &Value,
) -> Result<Option<Template>, StoreError> {
    if duet_rules::sending::kind(message) != duet_rules::sending::Kind::Template {
        return Ok(None);
    }
    let (name, language) = template_named(message).unwrap_or_default();
    type Found = (i64, Option<i64>, Option<String>, Option<String>);
    let found: Option<Found> = connection
        .prepare_cached(
            "SELECT coalesce(r.read_ms, 0), t.id, t.status, t.category FROM numbers n
             LEFT JOIN template_reads r ON r.waba = n.waba
             LEFT JOIN templates t ON t.waba = n.waba AND t.name = ?2 AND t.language = ?3 WHERE n.id = ?1",
        )?
        .query_row(params![number, name, language], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()?;
    let (read_ms, id, status, category) = found.unwrap_or_default();
    Ok(Some(Template::of(Learnt {
        complete: read_ms > 0,
        listed: id.is_some(),
        status: status.as_deref(),
        category: category.as_deref(),
    })))
}

/// Whether the list of a number's account is to be read again already.
fn is_wanted(connection: &Connection, number: &str) -> Result<bool, StoreError> {
    let wanted = connection
        .prepare_cached(
            "SELECT r.wanted_ms > r.read_ms FROM numbers n JOIN template_reads r ON r.waba = n.waba WHERE n.id = ?1",
        )?
        .query_row([number], |row| row.get(0))
        .optional()?;
    Ok(wanted.unwrap_or(true))
}

/// A send met a template that is not known: it may be new.
pub(super) fn want(connection: &Connection, number: &str, now_ms: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE template_reads SET wanted_ms = ?2
             WHERE waba = (SELECT waba FROM numbers WHERE id = ?1) AND wanted_ms <= read_ms",
        )?
        .execute(params![number, now_ms])?;
    Ok(())
}

/// A webhook's word about a template: it counts at once, and the list is read again.
pub(super) fn heard(
    connection: &Connection,
    waba: &str,
    change: &TemplateChange,
    at_ms: i64,
    received_ms: i64,
) -> Result<(), StoreError> {
    learn(connection, waba, change, at_ms)?;
    connection
        .prepare_cached(
            "INSERT INTO template_reads (waba, wanted_ms) VALUES (?1, ?2)
             ON CONFLICT (waba) DO UPDATE SET wanted_ms = max(wanted_ms, excluded.wanted_ms)",
        )?
        .execute(params![waba, received_ms])?;
    Ok(())
}

fn learn(
    connection: &Connection,
    waba: &str,
    change: &TemplateChange,
    at_ms: i64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO templates (waba, name, language, status, category, quality, learned_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (waba, name, language) DO UPDATE SET status = coalesce(excluded.status, status),
             category = coalesce(excluded.category, category), quality = coalesce(excluded.quality, quality),
             learned_ms = excluded.learned_ms WHERE learned_ms <= excluded.learned_ms",
        )?
        .execute(params![
            waba,
            change.name,
            change.language,
            change.status,
            change.category,
            change.quality,
            at_ms
        ])?;
    Ok(())
}
