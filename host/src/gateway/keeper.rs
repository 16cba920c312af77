//! What has to be done from time to time: every minute the receipt log learns how far intake has come, and an app that
//! is silent or a sync that brought nothing raises its alarm; at the start and every hour an erasure that was cut off or
//! has left something is completed, and what is older than the settings allow goes, in small slices.

use std::sync::Arc;
use std::time::Duration;

use crate::config::Settings;
use crate::store::Store;
use crate::store::intake::Part;
use crate::store::receipts::ReceiptLog;
use crate::store::retention::Retention;
use crate::telemetry::{Metrics, tell_alarms};

const EVERY: Duration = Duration::from_secs(60);
/// Pruning looks at much and changes little.
const PRUNE_EVERY: u32 = 60;
/// Between two slices of older messages that go into the index of words: others want the writer, too.
const INDEX_PAUSE: Duration = Duration::from_millis(20);
const DAY_MS: u64 = 24 * 3_600_000;

impl From<&Settings> for Retention {
    fn from(settings: &Settings) -> Retention {
        let days_ms = |days: u64| i64::try_from(days.saturating_mul(DAY_MS)).unwrap_or(i64::MAX);
        Retention {
            receipts_older_than_ms: days_ms(settings.receipts_days),
            events_older_than_ms: (settings.events_days > 0).then(|| days_ms(settings.events_days)),
            media_older_than_ms: (settings.media_days > 0).then(|| days_ms(settings.media_days)),
        }
    }
}

/// Ends only by being dropped.
pub(super) async fn keep(
    store: Store,
    receipts: ReceiptLog,
    retention: Retention,
    metrics: Arc<Metrics>,
) {
    let mut minutes = tokio::time::interval(EVERY);
    for minute in (0..PRUNE_EVERY).cycle() {
        minutes.tick().await;
        note_taken(&store, &receipts).await;
        for watched in [
            store.watch_pulses(crate::now_ms()).await,
            store.watch_syncs(crate::now_ms()).await,
        ] {
            match watched {
                Ok(raised) => tell_alarms(&metrics, &raised),
                Err(error) => {
                    tracing::warn!(%error, "whether the numbers are well could not be looked up")
                }
            }
        }
        if minute == 0 {
            clear_away(&store, &receipts, retention).await;
        }
    }
}

/// The hourly round.
async fn clear_away(store: &Store, receipts: &ReceiptLog, retention: Retention) {
    match store.finish_erasures(receipts).await {
        Ok(None) => {}
        Ok(Some(lingering)) => tracing::warn!(lingering, "an erasure is not complete yet"),
        Err(error) => tracing::warn!(%error, "an erasure is not complete yet"),
    }
    match store.prune(receipts, retention, crate::now_ms()).await {
        Ok(pruned) => tracing::debug!(?pruned, "what was too old is gone"),
        Err(error) => tracing::warn!(%error, "what is too old could not be removed"),
    }
}

/// Takes older messages into the index of words, after an upgrade. Ends when all are in it, or by being dropped.
pub(super) async fn index(store: Store) {
    loop {
        match store.index_messages().await {
            Ok(true) => tokio::time::sleep(INDEX_PAUSE).await,
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(%error, "older messages could not be taken into the index of words");
                tokio::time::sleep(EVERY).await;
            }
        }
    }
}

/// For the end: each file then holds all of its own, and a copy of one is whole.
pub(super) async fn put_away(store: &Store, receipts: &ReceiptLog) {
    note_taken(store, receipts).await;
    for folded in [store.fold().await, receipts.fold().await] {
        if let Err(error) = folded {
            tracing::warn!(%error, "a write-ahead log stays beside its file");
        }
    }
}

async fn note_taken(store: &Store, receipts: &ReceiptLog) {
    let noted = async {
        let place = store.intake_place(Part::Live).await?;
        receipts.note_taken(place.receipt).await
    };
    if let Err(error) = noted.await {
        tracing::warn!(%error, "the receipt log does not know how far intake has come");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_erasure_that_has_left_something_is_completed_in_the_next_round() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let receipts = ReceiptLog::open(folder.path(), 8, 1 << 20).unwrap();
        let retention = Retention {
            receipts_older_than_ms: i64::MAX,
            events_older_than_ms: None,
            media_older_than_ms: None,
        };
        let mark = folder.path().join("erasure.due");
        for _ in 0..2 {
            std::fs::write(&mark, "").unwrap();
            clear_away(&store, &receipts, retention).await;
            assert!(!mark.exists());
        }
    }
}
