//! A send that died leaves once more because an admin says so: through the same gate as any other.

use rusqlite::{OptionalExtension, params};

use super::super::ledger::{Reason, because};
use super::super::{Store, StoreError};

/// What became of the wish to send again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redriven {
    /// The row waits again.
    Waits(i64),
    /// The customer may have got it: nobody has said that it is to be sent even so.
    MayHaveArrived,
    /// There is no such dead letter of a send.
    Gone,
}

impl Store {
    /// Takes the dead letter of a send up again. One whose answer was lost only when `even_if_sent`.
    pub async fn redrive_send(
        &self,
        dead_letter: i64,
        even_if_sent: bool,
        now_ms: i64,
    ) -> Result<Redriven, StoreError> {
        self.write(move |connection| {
            let found: Option<(i64, bool)> = connection
                .prepare_cached(
                    "SELECT o.id, o.unknown_ms IS NOT NULL FROM dead_letters d JOIN outbox o ON o.id = d.outbox
                     WHERE d.id = ?1 AND o.state = 'dead'",
                )?
                .query_row([dead_letter], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let Some((row, may_have_arrived)) = found else {
                return Ok(Redriven::Gone);
            };
            if may_have_arrived && !even_if_sent {
                return Ok(Redriven::MayHaveArrived);
            }
            // It has left once: so a late status still finds it, and settles it before it leaves again.
            connection
                .prepare_cached(
                    "UPDATE outbox SET state = 'pending', attempt = min(attempt, 1), next_ms = ?2, unknown_ms = NULL,
                     code = NULL, cause = NULL WHERE id = ?1",
                )?
                .execute(params![row, now_ms])?;
            because(connection, Reason::Redriven, || {
                connection
                    .prepare_cached("DELETE FROM dead_letters WHERE id = ?1")?
                    .execute([dead_letter])?;
                Ok(())
            })?;
            Ok(Redriven::Waits(row))
        })
        .await
    }
}
