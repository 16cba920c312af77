use rusqlite::{Connection, params};

use super::Page;
use crate::store::alarms::BUSINESS;
use crate::store::wall::Wall;
use crate::store::{Store, StoreError};

/// An alarm, open or acknowledged.
#[derive(Debug, Clone)]
pub struct AlarmRow {
    pub id: i64,
    pub name: String,
    pub number: Option<String>,
    pub contact: Option<i64>,
    /// `None`: it is about the whole gateway.
    pub business: Option<String>,
    /// Which plugin it is about.
    pub plugin: Option<String>,
    /// The event that raised it last; 0 when none did.
    pub seq: i64,
    pub at_ms: i64,
    pub last_ms: i64,
    pub times: i64,
    pub detail: String,
    pub acknowledged_ms: Option<i64>,
    /// It was over by itself.
    pub settled: bool,
    /// What has left, or is to leave; the newest are kept.
    pub notices: Vec<NoticeRow>,
}

/// What is said of an alarm, by one way.
#[derive(Debug, Clone)]
pub struct NoticeRow {
    pub channel: String,
    /// `pending`, `sent` or `dead`.
    pub state: String,
    pub at_ms: i64,
    pub attempts: i64,
    /// Why it has not left.
    pub cause: Option<String>,
}

impl Store {
    /// Alarms in the order in which they were first raised; with `open` only those that are so or not, with `number`
    /// only those about it.
    pub async fn alarms(
        &self,
        wall: Wall,
        page: Page,
        open: Option<bool>,
        number: Option<String>,
    ) -> Result<Vec<AlarmRow>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT id, name, number, contact, seq, at_ms, last_ms, times, detail, acknowledged_ms, settled, {BUSINESS}, plugin FROM alarms
                 WHERE id > ?1 AND (?2 IS NULL OR (acknowledged_ms IS NULL) = ?2) AND (?4 IS NULL OR {BUSINESS} = ?4)
                 AND (?5 IS NULL OR number = ?5)
                 ORDER BY id LIMIT ?3",
            ))?;
            let rows = statement.query_map(params![page.after, open, page.limit, wall, number], |row| {
                Ok(AlarmRow {
                    id: row.get(0)?,
                    name: row.get(1)?,
                    number: row.get(2)?,
                    contact: row.get(3)?,
                    seq: row.get(4)?,
                    at_ms: row.get(5)?,
                    last_ms: row.get(6)?,
                    times: row.get(7)?,
                    detail: row.get(8)?,
                    acknowledged_ms: row.get(9)?,
                    settled: row.get(10)?,
                    business: row.get(11)?,
                    plugin: row.get(12)?,
                    notices: Vec::new(),
                })
            })?;
            let mut alarms: Vec<AlarmRow> = rows.collect::<Result<_, _>>()?;
            for alarm in &mut alarms {
                alarm.notices = notices(connection, alarm.id)?;
            }
            Ok(alarms)
        })
        .await
    }
}

fn notices(connection: &Connection, alarm: i64) -> Result<Vec<NoticeRow>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT channel, state, created_ms, attempt, cause FROM notices WHERE alarm = ?1 ORDER BY id",
    )?;
    let rows = statement.query_map([alarm], |row| {
        Ok(NoticeRow {
            channel: row.get(0)?,
            state: row.get(1)?,
            at_ms: row.get(2)?,
            attempts: row.get(3)?,
            cause: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
