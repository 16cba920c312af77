//! Schedules of plugins.toml: their ticks become events of their instance, each at most once. However many were missed,
//! one comes, and none while the last one is not done with.

use std::sync::Arc;

use duet_rules::schedule::Schedule;
use rusqlite::{Connection, OptionalExtension, params};

use super::own::{Own, make};
use super::{Store, StoreError};
use crate::event::Event;

/// The newest tick of a schedule.
#[derive(Debug, Clone)]
pub struct Tick {
    pub name: String,
    /// Ms since 1970.
    pub at_ms: i64,
}

impl Store {
    /// Makes events of the ticks that are new. `ticks` are those of all schedules of the instance: what has no tick here
    /// is forgotten, and one that was not known begins after its tick.
    pub async fn tick(
        &self,
        instance: String,
        ticks: Vec<Tick>,
        now_ms: i64,
    ) -> Result<Vec<Arc<Event>>, StoreError> {
        self.write(move |connection| {
            keep(connection, &instance, &ticks)?;
            let mut events = Vec::new();
            for tick in &ticks {
                events.extend(take(connection, &instance, tick, now_ms)?.map(Arc::new));
            }
            Ok(events)
        })
        .await
    }
}

fn keep(connection: &Connection, instance: &str, ticks: &[Tick]) -> Result<(), StoreError> {
    let names: Vec<&str> = ticks.iter().map(|tick| tick.name.as_str()).collect();
    connection
        .prepare_cached(
            "DELETE FROM schedules WHERE instance = ?1 AND name NOT IN (SELECT value FROM json_each(?2))",
        )?
        .execute(params![instance, serde_json::json!(names).to_string()])?;
    Ok(())
}

fn take(
    connection: &Connection,
    instance: &str,
    tick: &Tick,
    now_ms: i64,
) -> Result<Option<Event>, StoreError> {
    let known: Option<(i64, i64)> = connection
        .prepare_cached("SELECT last_ms, seq FROM schedules WHERE instance = ?1 AND name = ?2")?
        .query_row([instance, tick.name.as_str()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let event = match known {
        Some((last_ms, _)) if last_ms == tick.at_ms => return Ok(None),
        // Not from before the clock was set back.
        Some((last_ms, seq))
            if (last_ms..=now_ms).contains(&tick.at_ms) && !waits(connection, instance, seq)? =>
        {
            Some(become_event(connection, instance, tick, now_ms)?)
        }
        Some(_) | None => None,
    };
    connection
        .prepare_cached(
            "INSERT INTO schedules (instance, name, last_ms, seq) VALUES (?1, ?2, ?3, coalesce(?4, 0))
             ON CONFLICT (instance, name) DO UPDATE SET last_ms = excluded.last_ms, seq = coalesce(?4, seq)",
        )?
        .execute(params![
            instance,
            tick.name,
            tick.at_ms,
            event.as_ref().map(|event| event.seq)
        ])?;
    Ok(event)
}

/// Whether the instance has not done with this event yet.
fn waits(connection: &Connection, instance: &str, seq: i64) -> Result<bool, StoreError> {
    // The lane as `event::Lane` names it.
    let waits = connection
        .prepare_cached(
            "SELECT 1 FROM events e JOIN instances i ON i.name = ?1 WHERE e.seq = ?2 AND e.seq > i.watermark
             AND NOT EXISTS (SELECT 1 FROM lanes WHERE instance = ?1 AND lane = 'i' AND seq >= ?2)",
        )?
        .query_row(params![instance, seq], |_| Ok(()))
        .optional()?;
    Ok(waits.is_some())
}

fn become_event(
    connection: &Connection,
    instance: &str,
    tick: &Tick,
    now_ms: i64,
) -> Result<Event, StoreError> {
    let business: Option<String> = connection
        .prepare_cached("SELECT business FROM instances WHERE name = ?1")?
        .query_row([instance], |row| row.get(0))
        .optional()?;
    let own = Own {
        kind: Schedule::kind(&tick.name),
        about: instance,
        business: business.unwrap_or_default(),
        instance: Some(instance.to_owned()),
        number: None,
        contact: None,
        conversation: None,
        at_ms: tick.at_ms,
        now_ms,
        body: Schedule::body(&tick.name, tick.at_ms),
    };
    make(connection, own)
}
