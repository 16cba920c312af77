use duet_rules::coexistence::{Joining, Number, Stage, stage};
use duet_rules::history::Report;
use duet_rules::sending::Standing;
use rusqlite::{Connection, Row, params};

use super::history::history;
use crate::store::numbers::life;
use crate::store::standing;
use crate::store::syncs::{self, SyncRow};
use crate::store::wall::Wall;
use crate::store::{Store, StoreError};

/// A business number and how far its two lives are joined.
#[derive(Debug, Clone)]
pub struct NumberRow {
    /// Meta's `phone_number_id`.
    pub id: String,
    pub display: Option<String>,
    pub waba: Option<String>,
    /// `""` is the gateway's own.
    pub business: String,
    pub life: Number,
    /// How Meta looks at it and at its account.
    pub standing: Standing,
    pub stage: Stage,
    /// When it was connected, as far as it is known.
    pub onboarded_ms: Option<i64>,
    pub contacts: SyncRow,
    pub history_sync: SyncRow,
    pub history: Report,
}

const COLUMNS: &str =
    "id, display, waba, state, state_since_ms, app_seen_ms, reason, initiated_by, history_declined,
                       connecting, onboarded_ms, business";

impl Store {
    /// Numbers after the id `after`, in the order of their ids, as they are at `now_ms`.
    pub async fn numbers(
        &self,
        wall: Wall,
        after: String,
        limit: u32,
        now_ms: i64,
    ) -> Result<Vec<NumberRow>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM numbers WHERE id > ?1 AND (?3 IS NULL OR business = ?3) ORDER BY id LIMIT ?2"
            ))?;
            let mut rows = statement.query(params![after, limit, wall])?;
            let mut numbers = Vec::new();
            while let Some(row) = rows.next()? {
                numbers.extend(number(connection, row, now_ms)?);
            }
            Ok(numbers)
        })
        .await
    }

    /// One number as it is at `now_ms`; `None` when there is no such number.
    pub async fn number(
        &self,
        wall: Wall,
        id: String,
        now_ms: i64,
    ) -> Result<Option<NumberRow>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM numbers WHERE id = ?1 AND (?2 IS NULL OR business = ?2)"
            ))?;
            let mut rows = statement.query(params![id, wall])?;
            match rows.next()? {
                Some(row) => number(connection, row, now_ms),
                None => Ok(None),
            }
        })
        .await
    }
}

fn number(
    connection: &Connection,
    row: &Row<'_>,
    now_ms: i64,
) -> Result<Option<NumberRow>, StoreError> {
    let id: String = row.get(0)?;
    let history = history(connection, &id, row.get(8)?, now_ms)?;
    let Some([contacts, history_sync]) = syncs::both(connection, &id, now_ms)? else {
        return Ok(None);
    };
    let life = life(row, 3)?;
    let joining = Joining {
        connecting: row.get(9)?,
        contacts: contacts.state,
        history: history_sync.state,
        came: history.state,
    };
    Ok(Some(NumberRow {
        stage: stage(&life, &joining, now_ms),
        standing: standing::of_number(connection, &id)?,
        id,
        display: row.get(1)?,
        waba: row.get(2)?,
        business: row.get(11)?,
        life,
        onboarded_ms: row.get(10)?,
        contacts,
        history_sync,
        history,
    }))
}
