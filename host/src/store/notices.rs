//! What leaves of alarms: written down with the alarm's next step before anything leaves, so that a crash repeats at most
//! the last attempt, under the same id.

use duet_rules::alarm::{About, Channel, Notice, Said, Urgency, step};
use duet_rules::plugins_toml::API;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};

use super::events::newest;
use super::intake::conversation_with;
use super::wall::Wall;
use super::{Store, StoreError, numbers};

/// Alarms that take their next step in one transaction.
const ALARMS_MAX: i64 = 100;
/// So many notices of an alarm are kept.
const NOTICES_MAX: i64 = 20;

/// A notice that is to leave.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaving {
    pub id: i64,
    /// Attempts that were begun.
    pub attempt: u32,
    pub body: String,
    pub created_ms: i64,
}

/// The template in which the owner is told, and whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnersTemplate {
    /// Meta's phone_number_id of the number that sends it.
    pub number: String,
    /// The owner's phone in digits.
    pub to: String,
    pub name: String,
    pub language: String,
}

/// An alarm whose next step is due.
struct Due {
    id: i64,
    name: String,
    number: Option<String>,
    plugin: Option<String>,
    at_ms: i64,
    times: i64,
    detail: String,
    settled: bool,
    step: u32,
    /// It is about one customer.
    of_customer: bool,
}

impl Store {
    /// Writes down what is to be said now: of alarms whose next step is due, and of those that have settled. The answer
    /// counts the alarms.
    pub async fn write_notices(
        &self,
        channels: Vec<Channel>,
        repeat_ms: i64,
        now_ms: i64,
    ) -> Result<usize, StoreError> {
        self.write(move |connection| {
            let due = due(connection, now_ms)?;
            for alarm in &due {
                if alarm.settled {
                    settle(connection, alarm, now_ms)?;
                } else {
                    take_step(connection, alarm, &channels, repeat_ms, now_ms)?;
                }
            }
            Ok(due.len())
        })
        .await
    }

    /// At most `limit` notices that may leave through a channel now, oldest first.
    pub async fn leaving_notices(
        &self,
        channel: Channel,
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<Leaving>, StoreError> {
        self.read(move |connection| {
            let mut query = connection.prepare_cached(
                "SELECT id, attempt, body, created_ms FROM notices
                 WHERE state = 'pending' AND channel = ?1 AND next_ms <= ?2 ORDER BY id LIMIT ?3",
            )?;
            let rows = query.query_map(params![channel.as_str(), now_ms, limit], |row| {
                Ok(Leaving {
                    id: row.get(0)?,
                    attempt: row.get(1)?,
                    body: row.get(2)?,
                    created_ms: row.get(3)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// An attempt begins; unless it succeeds, the next one is due at `next_ms`. False when nothing is to be said any
    /// more.
    pub async fn begin_notice(&self, id: i64, next_ms: i64) -> Result<bool, StoreError> {
        self.write(move |connection| {
            let begun = connection
                .prepare_cached(
                    "UPDATE notices SET attempt = attempt + 1, next_ms = ?2 WHERE id = ?1 AND state = 'pending'",
                )?
                .execute([id, next_ms])?;
            Ok(begun > 0)
        })
        .await
    }

    /// It has left.
    pub async fn notice_left(&self, id: i64) -> Result<(), StoreError> {
        self.write(move |connection| left(connection, id)).await
    }

    /// It has not left, and will not when `given_up`.
    pub async fn notice_failed(
        &self,
        id: i64,
        cause: String,
        given_up: bool,
    ) -> Result<(), StoreError> {
        self.write(move |connection| {
            connection
                .prepare_cached(
                    "UPDATE notices SET cause = ?2, state = CASE WHEN ?3 THEN 'dead' ELSE state END
                     WHERE id = ?1 AND state = 'pending'",
                )?
                .execute(params![id, cause, given_up])?;
            Ok(())
        })
        .await
    }

    /// Puts a notice into the outbox as a template to the owner; that is all of its leaving. The answer is the row, or
    /// none when the number is not known.
    pub async fn notice_as_template(
        &self,
        id: i64,
        template: OwnersTemplate,
        line: String,
        now_ms: i64,
    ) -> Result<Option<i64>, StoreError> {
        self.write(move |connection| {
            if !numbers::is_known(connection, &Wall::none(), &template.number)? {
                return Ok(None);
            }
            let conversation = conversation_with(connection, &template.number, &template.to)?;
            // A word of the gateway's own: no takeover silences it.
            let row = connection
                .prepare_cached(
                    "INSERT INTO outbox (instance, digest, seq, conversation, speaker, message, state, next_ms, created_ms)
                     VALUES (?1, '', ?2, ?3, 'person', ?4, 'pending', ?5, ?5)",
                )?
                .insert(params![
                    API,
                    newest(connection)?,
                    conversation,
                    message(&template, &line).to_string(),
                    now_ms
                ])?;
            left(connection, id)?;
            Ok(Some(row))
        })
        .await
    }
}

fn left(connection: &Connection, id: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE notices SET state = 'sent', cause = NULL WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

/// A template whose body has one parameter.
fn message(template: &OwnersTemplate, line: &str) -> Value {
    let parameters = json!([{"type": "text", "text": line}]);
    json!({"type": "template", "template": {
        "name": template.name,
        "language": {"code": template.language},
        "components": [{"type": "body", "parameters": parameters}],
    }})
}

fn due(connection: &Connection, now_ms: i64) -> Result<Vec<Due>, StoreError> {
    let mut query = connection.prepare_cached(
        "SELECT id, name, number, at_ms, times, detail, settled, step, contact IS NOT NULL, plugin FROM alarms WHERE next_ms <= ?1
         ORDER BY next_ms LIMIT ?2",
    )?;
    let rows = query.query_map([now_ms, ALARMS_MAX], |row| {
        Ok(Due {
            id: row.get(0)?,
            name: row.get(1)?,
            number: row.get(2)?,
            at_ms: row.get(3)?,
            times: row.get(4)?,
            detail: row.get(5)?,
            settled: row.get(6)?,
            step: row.get(7)?,
            of_customer: row.get(8)?,
            plugin: row.get(9)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn take_step(
    connection: &Connection,
    alarm: &Due,
    channels: &[Channel],
    repeat_ms: i64,
    now_ms: i64,
) -> Result<(), StoreError> {
    let next = step(alarm.step, channels, repeat_ms, alarm.of_customer);
    let said = if alarm.step == 0 {
        Said::Raised
    } else {
        Said::Repeated
    };
    for channel in next.channels {
        let channel = channel.as_str();
        let tried = overtake(connection, alarm.id, channel)?;
        say(
            connection,
            alarm,
            channel,
            (said, next.urgency),
            tried,
            now_ms,
        )?;
    }
    connection
        .prepare_cached("UPDATE alarms SET step = step + 1, next_ms = ?2 WHERE id = ?1")?
        .execute(params![
            alarm.id,
            next.again_ms
                .map(|again_ms| now_ms.saturating_add(again_ms))
        ])?;
    connection
        .prepare_cached(
            "DELETE FROM notices WHERE alarm = ?1 AND state <> 'pending' AND id <=
             (SELECT id FROM notices WHERE alarm = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute([alarm.id, NOTICES_MAX])?;
    Ok(())
}

/// Attempts that were begun, and when the next one is due.
type Tried = Option<(u32, i64)>;

/// What was tried there in vain says nothing new; a receiver that is down is not asked more often for what comes instead.
fn overtake(connection: &Connection, alarm: i64, channel: &str) -> Result<Tried, StoreError> {
    Ok(connection
        .prepare_cached(
            "DELETE FROM notices WHERE alarm = ?1 AND channel = ?2 AND state = 'pending' AND attempt > 0
             RETURNING attempt, next_ms",
        )?
        .query_row(params![alarm, channel], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

/// Whoever may have heard of it is told that it is well again, and nobody else.
fn settle(connection: &Connection, alarm: &Due, now_ms: i64) -> Result<(), StoreError> {
    let told: Vec<String> = connection
        .prepare_cached("SELECT DISTINCT channel FROM notices WHERE alarm = ?1 AND (attempt > 0 OR state = 'sent')")?
        .query_map([alarm.id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    forget_waiting(connection, alarm.id)?;
    for channel in told {
        let said = (Said::Settled, Urgency::Notice);
        say(connection, alarm, &channel, said, None, now_ms)?;
    }
    connection
        .prepare_cached("UPDATE alarms SET next_ms = NULL WHERE id = ?1")?
        .execute([alarm.id])?;
    Ok(())
}

/// What was to be said of an alarm need not be said any more.
pub(super) fn forget_waiting(connection: &Connection, alarm: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM notices WHERE alarm = ?1 AND state = 'pending'")?
        .execute([alarm])?;
    Ok(())
}

fn say(
    connection: &Connection,
    alarm: &Due,
    channel: &str,
    (said, urgency): (Said, Urgency),
    tried: Tried,
    now_ms: i64,
) -> Result<(), StoreError> {
    let notice = Notice {
        said,
        timestamp: written(now_ms),
        data: About {
            alarm: alarm.id,
            name: alarm.name.clone(),
            number: alarm.number.clone(),
            plugin: alarm.plugin.clone(),
            urgency: urgency.as_str().to_owned(),
            detail: alarm.detail.clone(),
            since: written(alarm.at_ms),
            times: alarm.times,
        },
    };
    let (attempt, next_ms) = tried.unwrap_or((0, now_ms));
    connection
        .prepare_cached(
            "INSERT INTO notices (alarm, channel, body, created_ms, attempt, next_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            alarm.id,
            channel,
            json!(notice).to_string(),
            now_ms,
            attempt,
            next_ms
        ])?;
    Ok(())
}

/// RFC 3339.
fn written(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms)
        .unwrap_or(Timestamp::MAX)
        .to_string()
}
