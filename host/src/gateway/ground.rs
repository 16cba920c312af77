//! What all parts stand on: the two files, the secrets of businesses, and what tells of news.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use duet_rules::sending::Pace;
use tokio::sync::Notify;

use crate::config::{Secrets, Settings, vault};
use crate::graph::{self, Connections};
use crate::hooks::Hooks;
use crate::intake::CaughtUp;
use crate::intake::feed::Feed;
use crate::keyring::Keyring;
use crate::newest::Newest;
use crate::outbox;
use crate::store::Store;
use crate::store::intake::Part;
use crate::store::receipts::ReceiptLog;
use crate::telemetry::Metrics;

/// Bytes of bodies that may wait for the disk.
const WAITING_BYTES_MAX: usize = 256 << 20;
/// Meta answers a send well within this time, or not at all.
const GRAPH_CONNECT_MAX: Duration = Duration::from_secs(10);
const GRAPH_ANSWER_MAX: Duration = Duration::from_secs(30);

pub(super) struct Ground {
    pub(super) store: Store,
    pub(super) receipts: ReceiptLog,
    pub(super) metrics: Arc<Metrics>,
    pub(super) connections: Connections,
    pub(super) keyring: Arc<Keyring>,
    pub(super) feed: Arc<Feed>,
    pub(super) hooks: Arc<Hooks>,
    /// How far live intake has come.
    pub(super) live: Newest,
    pub(super) caught_up: Arc<CaughtUp>,
    /// Rung when there are files to fetch, or room for them.
    pub(super) bell: Arc<Notify>,
    pub(super) pace: Pace,
    /// How long a person keeps a conversation when nothing else is said, ms.
    pub(super) person_ms: i64,
}

impl Ground {
    pub(super) async fn open(settings: &Settings, secrets: &Secrets) -> anyhow::Result<Ground> {
        let (store, receipts) = files(settings).await?;
        let connections = connections()?;
        let keyring = keyring(settings, secrets, &connections, &store).await?;
        let live = Newest::default();
        let feed = Arc::new(Feed::new(store.clone()));
        Ok(Ground {
            hooks: Arc::new(Hooks::new(store.clone(), feed.clone())),
            feed,
            caught_up: Arc::new(CaughtUp::new(receipts.clone(), live.clone())),
            store,
            receipts,
            metrics: Arc::default(),
            connections,
            keyring: Arc::new(keyring),
            live,
            bell: Arc::default(),
            pace: Pace::new(
                settings.pair_burst,
                settings.pair_seconds,
                settings.number_per_second,
                settings.reply_reserve_percent,
            ),
            person_ms: hours_ms(settings.person_hours),
        })
    }
}

/// Opens both files; the receipt log goes on after what was taken in.
async fn files(settings: &Settings) -> anyhow::Result<(Store, ReceiptLog)> {
    let store = Store::open(&settings.data)?;
    let queue = usize::try_from(settings.receipt_queue_max)?;
    let receipts = ReceiptLog::open(&settings.data, queue, WAITING_BYTES_MAX)?;
    receipts.check_taken(store.intake_place(Part::Live).await?.receipt)?;
    for part in Part::ALL {
        let passed = store.intake_place(part).await?.receipt;
        if receipts.continue_after(passed).await? {
            store.forget_elements().await?;
        }
    }
    Ok((store, receipts))
}

fn connections() -> Result<Connections, graph::OpenError> {
    Connections::new(graph::Settings {
        connect_timeout: GRAPH_CONNECT_MAX,
        timeout: GRAPH_ANSWER_MAX,
    })
}

/// The secrets of businesses, opened.
async fn keyring(
    settings: &Settings,
    secrets: &Secrets,
    connections: &Connections,
    store: &Store,
) -> anyhow::Result<Keyring> {
    let data = settings.data.display();
    let (vault, made) = vault(&secrets.master_keys, &settings.data).with_context(|| {
        format!("cannot use {data}/master-key; set DUET_MASTER_KEY, or mend that file")
    })?;
    if let Some(path) = made {
        tracing::info!(path = %path.display(), "DUET_MASTER_KEY is not set; the key that seals tokens is in this file, and a backup of the data folder holds both");
    }
    let own = secrets.access_token.as_ref();
    let base = settings.graph_url.clone();
    Keyring::open(store.clone(), vault, connections.clone(), base, own)
        .await
        .context("DUET_ACCESS_TOKEN and DUET_GRAPH_URL cannot be used")
}

fn hours_ms(hours: u64) -> i64 {
    i64::try_from(hours.saturating_mul(3_600_000)).unwrap_or(i64::MAX)
}

impl outbox::Barrier for CaughtUp {
    async fn wait_for_intake(&self) {
        self.wait().await;
    }

    fn newest_forbidding(&self) -> i64 {
        CaughtUp::newest_forbidding(self)
    }
}
