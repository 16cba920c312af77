//! The gateway as one process: all its parts at work on one folder, until it is killed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use duet::coexistence::Enquiry;
use duet::config::Secret as TokenText;
use duet::dispatch::{self, Shared};
use duet::effect::Wake;
use duet::graph::{self, Clients, Connections};
use duet::hooks::Hooks;
use duet::intake::feed::Feed;
use duet::intake::{CaughtUp, Intake};
use duet::media::{self, Deposits};
use duet::newest::Newest;
use duet::outbox::{self, Outbox};
use duet::plugin::Handler;
use duet::receive::Receive;
use duet::rounds;
use duet::store::intake::{Part, Terms};
use duet::store::lanes::From;
use duet::store::receipts::ReceiptLog;
use duet::store::{OpenError, Store};
use duet::telemetry::Metrics;
use duet::templates::Catalogue;
use duet_rules::business::OWN;
use duet_rules::plugins_toml::Pattern;
use duet_rules::provider::Provider;
use duet_rules::sending::{Limits, OptWords, Pace, Patience};
use duet_rules::signature::Secret;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::automation;
use crate::log::Shared as Log;
use crate::meta::Meta;

/// How long a person keeps a conversation.
pub(crate) const PERSON_MS: i64 = 12 * 3_600_000;
const OPENED_MAX: u32 = 200;

pub(crate) struct Process {
    pub(crate) store: Store,
    pub(crate) log: ReceiptLog,
    pub(crate) feed: Arc<Feed>,
    pub(crate) sends: outbox::Feed,
    tasks: JoinSet<()>,
    /// Dropped, the parts stop.
    _stop: watch::Sender<bool>,
}

impl Process {
    pub(crate) async fn start(
        folder: &Path,
        connections: &Connections,
        meta: &Meta,
        seed: u64,
        life: u32,
        patience: Patience,
        log: &Log,
    ) -> Process {
        let store = open(folder).await;
        let receipts = ReceiptLog::open(folder, 1000, 64 << 20).expect("a receipt log");
        let place = store.intake_place(Part::Live).await.expect("a place");
        receipts.check_taken(place.receipt).expect("a whole store");
        let metrics = Arc::new(Metrics::default());
        let feed = Arc::new(Feed::new(store.clone()));
        let live = Newest::default();
        let caught_up = Arc::new(CaughtUp::new(receipts.clone(), live.clone()));
        let clients = clients(&connections.to(meta.near()));
        let outbox = Outbox::new(
            store.clone(),
            clients.clone(),
            caught_up.clone(),
            outbox::Settings {
                limits: Limits {
                    patience,
                    ..Limits::default()
                },
                ..outbox::Settings::default()
            },
            metrics.clone(),
        );
        let sends = outbox.feed();
        let intake = Arc::new(Intake {
            store: store.clone(),
            log: receipts.clone(),
            feed: feed.clone(),
            caught_up,
            terms: Terms {
                person_ms: PERSON_MS,
                pace: Pace::default(),
                opt_words: Arc::new(OptWords::new(&["stop".into()], &["start".into()])),
            },
            movable: wake(&sends),
            live,
            media: Arc::new(Notify::new()),
            metrics: metrics.clone(),
        });
        let shared = Arc::new(Shared {
            store: store.clone(),
            feed: feed.clone(),
            outbox: wake(&sends),
            person_ms: PERSON_MS,
            begun_after: 0,
            hooks: Arc::new(Hooks::new(store.clone(), feed.clone())),
            metrics: metrics.clone(),
            // Nobody brings files along here.
            deposits: Deposits::new(
                store.clone(),
                media::Settings {
                    file_bytes_max: 0,
                    total_bytes_max: 0,
                    fetches_max: 1,
                },
            ),
            large: tokio::sync::Mutex::default(),
        });
        let (stop, stopping) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(outbox.run(stopping.clone()));
        let enquiry = Enquiry {
            store: store.clone(),
            clients: clients.clone(),
            movable: wake(&sends),
        };
        tasks.spawn(rounds::make(enquiry, stopping.clone()));
        let catalogue = Catalogue {
            store: store.clone(),
            clients,
            movable: wake(&sends),
            metrics: metrics.clone(),
        };
        tasks.spawn(rounds::make(catalogue, stopping.clone()));
        tasks.spawn(keep(store.clone(), receipts.clone()));
        for part in Part::ALL {
            tasks.spawn(intake.clone().run(part, stopping.clone()));
        }
        // What is imported reaches only who names it.
        let everything: Vec<Pattern> = ["*", "message.*"]
            .map(|kind| kind.parse().expect("a pattern"))
            .into();
        for automation in automation::all(seed, life, log) {
            let automation: Arc<dyn Handler> = Arc::new(automation);
            let (shared, wanted) = (shared.clone(), everything.clone());
            tasks.spawn(async move {
                dispatch::work(shared, automation, &wanted, From::After(0)).await;
            });
        }
        let secret = Secret::new("sim-app-secret");
        let receive = Receive::new(
            vec![secret],
            String::new(),
            4 << 20,
            receipts.clone(),
            metrics,
        );
        *meta.door.lock().expect("a door") = Some(Arc::new(receive));
        Process {
            store,
            log: receipts,
            feed,
            sends,
            tasks,
            _stop: stop,
        }
    }

    /// As a power cut does: what is not committed never was.
    pub(crate) async fn kill(mut self, meta: &Meta) {
        *meta.door.lock().expect("a door") = None;
        self.tasks.shutdown().await;
    }
}

/// What the gateway does every minute.
async fn keep(store: Store, receipts: ReceiptLog) {
    let mut minutes = tokio::time::interval(Duration::from_secs(60));
    loop {
        minutes.tick().await;
        let place = store.intake_place(Part::Live).await.expect("a place");
        let noted = receipts.note_taken(place.receipt).await;
        noted.expect("a receipt log that knows how far intake is");
        store
            .watch_pulses(duet::now_ms())
            .await
            .expect("a look at the numbers");
    }
}

/// What the last life leaves ends in its own time.
async fn open(folder: &Path) -> Store {
    for _ in 0..OPENED_MAX {
        match Store::open(folder) {
            Err(OpenError::InUse(_)) => tokio::time::sleep(Duration::from_millis(1)).await,
            opened => return opened.expect("a store"),
        }
    }
    panic!("the last life never ended");
}

fn wake(sends: &outbox::Feed) -> Wake {
    let sends = sends.clone();
    Box::new(move |rows| sends.wake(rows.iter().copied()))
}

/// The connections that are never made: once for all seeds, since making them costs more than a seed.
pub(crate) fn connections() -> Connections {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let second = Duration::from_secs(1);
    let settings = graph::Settings {
        connect_timeout: second,
        timeout: second,
    };
    Connections::new(settings).expect("connections")
}

/// The gateway's own client and no other.
fn clients(connections: &Connections) -> Clients {
    let token = graph::Token::new(&TokenText::new("sim-token"), "", 0);
    let client = connections.client(Provider::Meta, "http://sim/v23.0", &token);
    let clients = Clients::default();
    clients.put(OWN, client.expect("a client"));
    clients
}
