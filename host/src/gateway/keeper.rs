//! What has to be done from time to time: an erasure that a crash has cut off is completed at the start, and
//! what is older than the settings allow goes, every hour, in small slices.

use std::time::Duration;

use crate::config::Settings;
use crate::store::Store;
use crate::store::receipts::ReceiptLog;
use crate::store::retention::Retention;

const EVERY: Duration = Duration::from_secs(3600);
const DAY_MS: u64 = 24 * 3_600_000;

impl From<&Settings> for Retention {
    fn from(settings: &Settings) -> Retention {
        let days_ms = |days: u64| i64::try_from(days.saturating_mul(DAY_MS)).unwrap_or(i64::MAX);
        Retention {
            receipts_older_than_ms: days_ms(settings.receipts_days),
            events_older_than_ms: (settings.events_days > 0).then(|| days_ms(settings.events_days)),
        }
    }
}

/// Ends only by being dropped.
pub(super) async fn keep(store: Store, receipts: ReceiptLog, retention: Retention) {
    match store.finish_erasures(&receipts).await {
        Ok(None) => {}
        Ok(Some(lingering)) => tracing::warn!(lingering, "an erasure is not complete yet"),
        Err(error) => tracing::warn!(%error, "an erasure is not complete yet"),
    }
    let mut hours = tokio::time::interval(EVERY);
    loop {
        hours.tick().await;
        match store.prune(&receipts, retention, crate::now_ms()).await {
            Ok(pruned) => tracing::debug!(?pruned, "what was too old is gone"),
            Err(error) => tracing::warn!(%error, "what is too old could not be removed"),
        }
    }
}
