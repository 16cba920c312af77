use rusqlite::params;

use super::Page;
use crate::store::{Store, StoreError};

/// An alarm, open or acknowledged.
#[derive(Debug, Clone)]
pub struct AlarmRow {
    pub id: i64,
    pub name: String,
    pub number: Option<String>,
    pub contact: Option<i64>,
    /// The event that raised it last.
    pub seq: i64,
    pub at_ms: i64,
    pub last_ms: i64,
    pub times: i64,
    pub detail: String,
    pub acknowledged_ms: Option<i64>,
}

impl Store {
    /// Alarms in the order in which they were first raised; with `open` only those that are so or not.
    pub async fn alarms(
        &self,
        page: Page,
        open: Option<bool>,
    ) -> Result<Vec<AlarmRow>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, name, number, contact, seq, at_ms, last_ms, times, detail, acknowledged_ms FROM alarms
                 WHERE id > ?1 AND (?2 IS NULL OR (acknowledged_ms IS NULL) = ?2) ORDER BY id LIMIT ?3",
            )?;
            let rows = statement.query_map(params![page.after, open, page.limit], |row| {
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
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}
