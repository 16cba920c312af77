//! What has been taken from the rates of a number and of a customer. A person who is known by two contacts has
//! one bucket: that of the contact who stands for them.

use duet_rules::sending::{Bucket, Pace, Taken};
use rusqlite::{Connection, params};

use super::StoreError;

/// The conversation's row, and the row that keeps its customer's bucket.
const PAIR: &str = "conversations c JOIN contacts k ON k.id = c.contact
     JOIN conversations p ON p.number = c.number AND p.contact = coalesce(k.same_as, k.id)";

/// What a send into this conversation finds taken.
pub(super) fn taken(connection: &Connection, conversation: i64) -> Result<Taken, StoreError> {
    Ok(connection
        .prepare_cached(&format!(
            "SELECT p.pair_full_us, n.rate_full_us, n.replies_until_us, n.campaigns_until_us
             FROM {PAIR} JOIN numbers n ON n.id = c.number WHERE c.id = ?1"
        ))?
        .query_row([conversation], |row| {
            Ok(Taken {
                pair_us: row.get(0)?,
                number_us: row.get(1)?,
                replies_us: row.get(2)?,
                campaigns_us: row.get(3)?,
            })
        })?)
}

/// Keeps what a send has taken, or the time that it was given.
pub(super) fn keep(
    connection: &Connection,
    conversation: i64,
    before: &Taken,
    after: &Taken,
) -> Result<(), StoreError> {
    if after.pair_us != before.pair_us {
        connection
            .prepare_cached(&format!(
                "UPDATE conversations SET pair_full_us = ?2
                 WHERE id = (SELECT p.id FROM {PAIR} WHERE c.id = ?1)"
            ))?
            .execute(params![conversation, after.pair_us])?;
    }
    if after != before {
        connection
            .prepare_cached(
                "UPDATE numbers SET rate_full_us = ?2, replies_until_us = ?3, campaigns_until_us = ?4
                 WHERE id = (SELECT number FROM conversations WHERE id = ?1)",
            )?
            .execute(params![
                conversation,
                after.number_us,
                after.replies_us,
                after.campaigns_us
            ])?;
    }
    Ok(())
}

/// A message that Duet did not send, and when: `at_ms` by Meta, `received_ms` by us.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passed {
    pub(super) conversation: i64,
    pub(super) at_ms: i64,
    pub(super) received_ms: i64,
}

/// It came in: it costs the number's rate.
pub(super) fn came_in(
    connection: &Connection,
    pace: &Pace,
    passed: Passed,
) -> Result<(), StoreError> {
    let before = taken(connection, passed.conversation)?;
    let after = Taken {
        number_us: passed.spend(pace.number, before.number_us).0,
        ..before
    };
    keep(connection, passed.conversation, &before, &after)
}

/// A person sent it from the app: it costs both rates. True when the number's was used up already.
pub(super) fn app_sent(
    connection: &Connection,
    pace: &Pace,
    passed: Passed,
) -> Result<bool, StoreError> {
    let before = taken(connection, passed.conversation)?;
    let (number_us, empty) = passed.spend(pace.number, before.number_us);
    let after = Taken {
        pair_us: passed.spend(pace.pair, before.pair_us).0,
        number_us,
        ..before
    };
    keep(connection, passed.conversation, &before, &after)?;
    Ok(empty)
}

impl Passed {
    fn spend(self, bucket: Bucket, full_us: i64) -> (i64, bool) {
        // Meta's times are whole seconds: this is the latest that the message can have been.
        let at_ms = self.at_ms.saturating_add(999).min(self.received_ms);
        bucket.spend(full_us, at_ms, self.received_ms)
    }
}

#[cfg(test)]
mod tests {
    use duet_rules::sending::Limits;

    use super::*;
    use crate::store::Store;
    use crate::store::outbox::Gate;
    use crate::store::outbox::fixture::{NOW, text};

    #[tokio::test]
    async fn one_person_has_one_bucket_however_they_are_known() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let one = store.plant_conversation(1).await.unwrap();
        let other = store.plant_conversation(2).await.unwrap();
        let limits = Limits {
            pace: Pace::new(1, 60, 1000, 0),
            ..Limits::default()
        };
        store
            .change("UPDATE contacts SET same_as = 1 WHERE id = 2")
            .await
            .unwrap();
        let first = store.plant(other, text("1")).await.unwrap();
        let second = store.plant(one, text("2")).await.unwrap();
        let gate = store.begin_send(first, limits, NOW, || 0).await.unwrap();
        assert!(matches!(gate, Gate::Go(_)), "{gate:?}");
        drop(store);
        let store = Store::open(folder.path()).unwrap();
        let gate = store.begin_send(second, limits, NOW, || 0).await.unwrap();
        let held = Gate::Held {
            until_ms: NOW + 60_500,
            cause: "pair-rate".into(),
            raised: None,
        };
        assert_eq!(gate, held, "also after a restart");
    }
}
