//! The whole gateway: opens the store, starts every part in the way of a message, and ends them in that order,
//! so that whatever was accepted is answered and whatever runs commits.

mod connect;
mod keeper;
mod operations;
mod partner;
mod reloader;
mod signup;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use duet_rules::sending::{Limits, OptWords, Pace, Patience};
use duet_rules::signature;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};

use crate::admin::{self, Admin, RootToken, SignupLinks, SignupSettings};
use crate::alarms::Herald;
use crate::coexistence::Enquiry;
use crate::config::{Secrets, Settings, vault};
use crate::connecting::Connecting;
use crate::dispatch::{Dispatch, Shared};
use crate::effect::Wake;
use crate::graph::{self, Connections};
use crate::intake::feed::Feed;
use crate::intake::{CaughtUp, Intake};
use crate::keyring::Keyring;
use crate::media::{self, Deposits, Media};
use crate::newest::Newest;
use crate::outbox::{self, Outbox};
use crate::plugin::{Admission, Compiler, PluginEngine, PluginThreads};
use crate::receive::{self, Receive};
use crate::rounds;
use crate::store::Store;
use crate::store::intake::{Part, Terms};
use crate::store::receipts::ReceiptLog;
use crate::telemetry::Metrics;
use crate::templates::Catalogue;
use operations::GatewayOperations;
use reloader::Reloader;

/// What `/readyz` says when webhooks cannot be kept.
const NOT_READY: &str = "the receipt log could not write last time; is the disk full?";
/// Bytes of bodies that may wait for the disk.
const WAITING_BYTES_MAX: usize = 256 << 20;
/// Runs of plugins at once, over all instances; each may hold its whole memory limit.
const RUNS_MAX: usize = 64;
/// Runs that have not committed by then, for a full disk or a slow plugin, are cut off like by a crash.
const STOP_MAX: Duration = Duration::from_secs(20);
/// Meta answers a send well within this time, or not at all.
const GRAPH_CONNECT_MAX: Duration = Duration::from_secs(10);
const GRAPH_ANSWER_MAX: Duration = Duration::from_secs(30);

/// Runs until `stop` completes.
pub async fn run(
    settings: &Settings,
    secrets: &Secrets,
    root: RootToken,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let public = listen(settings.listen, "DUET_LISTEN").await?;
    let private = listen(settings.admin_listen, "DUET_ADMIN_LISTEN").await?;
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
    let metrics = Arc::new(Metrics::default());
    let person_ms = hours_ms(settings.person_hours);
    let pace = Pace::new(
        settings.pair_burst,
        settings.pair_seconds,
        settings.number_per_second,
        settings.reply_reserve_percent,
    );
    let feed = Arc::new(Feed::new(store.clone()));
    let live = Newest::default();
    let caught_up = Arc::new(CaughtUp::new(receipts.clone(), live.clone()));

    let connections = connections()?;
    let keyring = Arc::new(keyring(settings, secrets, &connections, &store).await?);
    let clients = keyring.clients();
    let partners = keyring.clone();
    let outbox = Outbox::new(
        store.clone(),
        clients.clone(),
        caught_up.clone(),
        outbox::Settings {
            hold_ms: i64::try_from(settings.unknown_hold_seconds.saturating_mul(1000))?,
            limits: Limits {
                pace,
                patience: Patience::new(settings.held_hours),
            },
            ..outbox::Settings::default()
        },
        metrics.clone(),
    );
    let sends = outbox.feed();
    let bell = Arc::new(Notify::new());
    let intake = Arc::new(Intake {
        store: store.clone(),
        log: receipts.clone(),
        feed: feed.clone(),
        caught_up,
        terms: Terms {
            person_ms,
            pace,
            opt_words: Arc::new(OptWords::new(
                &settings.opt_out_words,
                &settings.opt_in_words,
            )),
        },
        movable: wake(&sends),
        live,
        media: bell.clone(),
        metrics: metrics.clone(),
    });
    let files: media::Settings = settings.try_into()?;
    let deposits = Deposits::new(store.clone(), files);
    let media = Media {
        store: store.clone(),
        clients: clients.clone(),
        settings: files,
        deposits: deposits.clone(),
        bell: bell.clone(),
        movable: Arc::new(wake(&sends)),
        metrics: metrics.clone(),
    };
    let herald = Herald::new(
        store.clone(),
        &settings.alarms,
        &secrets.alarms,
        wake(&sends),
    )
    .await?;
    store.resume_syncs().await?;
    let enquiry = Enquiry {
        store: store.clone(),
        clients: clients.clone(),
        movable: wake(&sends),
    };
    let catalogue = Catalogue {
        store: store.clone(),
        clients: clients.clone(),
        movable: wake(&sends),
        metrics: metrics.clone(),
    };
    let connecting = Connecting {
        store: store.clone(),
        clients: clients.clone(),
        app: app(settings, secrets, &connections)?,
    };
    let shared = Shared {
        store: store.clone(),
        feed: feed.clone(),
        outbox: wake(&sends),
        person_ms,
        begun_after: store.newest_event().await?,
        metrics: metrics.clone(),
    };
    let dispatch = Arc::new(Dispatch::new(shared, admission(settings)?));
    let reloader = Arc::new(Reloader::new(dispatch.clone(), settings.plugins.clone()));
    let operations = GatewayOperations {
        store: store.clone(),
        receipts: receipts.clone(),
        keyring,
        feed,
        sends,
        media: bell,
        connecting: connecting.clone(),
        dispatch: dispatch.clone(),
        reloader: reloader.clone(),
        person_ms,
    };
    let take = Receive::new(
        secrets
            .app
            .iter()
            .map(|secret| signature::Secret::new(secret.expose()))
            .collect(),
        secrets.verify_token.expose().to_owned(),
        usize::try_from(settings.body_bytes_max)?,
        receipts.clone(),
        metrics.clone(),
    );
    let take = take.with_partners(Box::new(move |business| partners.webhook_secrets(business)));
    let take = Arc::new(take);
    let healthy = receipts.clone();
    let admin = Admin {
        store: store.clone(),
        receipts: receipts.clone(),
        operations: Arc::new(operations),
        deposits,
        metrics: metrics.clone(),
        root,
        person_hours: settings.person_hours,
        signup: signup_page(settings, private.1)?,
        links: SignupLinks::default(),
        ready: Box::new(move || {
            if healthy.healthy() {
                Ok(())
            } else {
                Err(NOT_READY.to_owned())
            }
        }),
    };

    // Plugins may take minutes to compile; no webhook waits for that.
    let (stop_rest, stopping) = watch::channel(false);
    let (stop_public, public_stops) = watch::channel(false);
    let sender = tokio::spawn(outbox.run(stopping.clone()));
    let watcher = tokio::spawn(reloader.watch(stopping.clone()));
    let enquirer = tokio::spawn(rounds::make(enquiry, stopping.clone()));
    let cataloguer = tokio::spawn(rounds::make(catalogue, stopping.clone()));
    let connector = tokio::spawn(rounds::make(connecting, stopping.clone()));
    let fetcher = tokio::spawn(media.run(stopping.clone()));
    let herald = herald.map(|herald| tokio::spawn(herald.run()));
    let indexer = tokio::spawn(keeper::index(store.clone()));
    let keeper = tokio::spawn(keeper::keep(
        store.clone(),
        receipts.clone(),
        settings.into(),
        metrics,
    ));
    let intakes = Part::ALL.map(|part| tokio::spawn(intake.clone().run(part, stopping.clone())));
    let administered = tokio::spawn(admin::serve(
        private.0,
        admin::router(admin),
        until(stopping.clone()),
    ));
    let received = tokio::spawn(receive::serve(public.0, take, until(public_stops)));
    announce(&settings.data, public.1, private.1);

    stop.await;
    tracing::info!("stopping: what was accepted is answered, what runs commits");
    stop_public.send_replace(true);
    let _ = received.await;
    indexer.abort();
    keeper.abort();
    enquirer.abort();
    if let Some(herald) = herald {
        herald.abort();
    }
    cataloguer.abort();
    stop_rest.send_replace(true);
    let ended = async {
        let _ = watcher.await;
        for intake in intakes {
            let _ = intake.await;
        }
        dispatch.stop().await;
    };
    if tokio::time::timeout(STOP_MAX, ended).await.is_err() {
        tracing::warn!("some runs could not commit in time; they are repeated after the start");
    }
    let _ = tokio::join!(administered, sender, fetcher, connector);
    keeper::put_away(&store, &receipts).await;
    tracing::info!("stopped");
    Ok(())
}

async fn listen(address: SocketAddr, variable: &str) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        let remedy = match error.kind() {
            ErrorKind::AddrInUse => "; is another process there?",
            ErrorKind::AddrNotAvailable => "; name an address of this machine",
            _ => "",
        };
        anyhow::Error::new(error)
            .context(format!("cannot listen on {address} ({variable}){remedy}"))
    })?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

/// Says where the gateway listens: in the log, and in a file for those who asked for port 0. A full disk is no
/// reason to stop: Meta keeps what cannot be stored.
fn announce(data: &Path, public: SocketAddr, private: SocketAddr) {
    if !private.ip().is_loopback() {
        tracing::warn!(
            "the admin API is open to the network without TLS; put a proxy with TLS before it"
        );
    }
    tracing::info!(webhook = %format!("http://{public}/webhook"), admin = %format!("http://{private}/api/v1"), "duet listens");
    let addresses = serde_json::json!({
        "listen": public.to_string(), "admin": private.to_string(), "pid": std::process::id(),
    });
    let path: PathBuf = data.join("addresses.json");
    let new = data.join("addresses.json.new");
    let written =
        std::fs::write(&new, addresses.to_string()).and_then(|()| std::fs::rename(&new, &path));
    if let Err(error) = written {
        tracing::warn!(%error, path = %path.display(), "cannot write where the gateway listens");
        // The addresses of an earlier start would lead astray.
        let _ = std::fs::remove_file(&path);
    }
}

/// The Meta app, when its id is set.
fn app(
    settings: &Settings,
    secrets: &Secrets,
    connections: &Connections,
) -> anyhow::Result<Option<graph::App>> {
    let (id, secret) = (&settings.signup_app_id, secrets.app.first());
    let Some(secret) = secret.filter(|_| !id.is_empty()) else {
        return Ok(None);
    };
    let app = graph::App::new(connections, &settings.graph_url, id, secret.expose())?;
    Ok(Some(app))
}

/// What the page of the signup needs, when the app's id and its configuration are set.
fn signup_page(settings: &Settings, private: SocketAddr) -> anyhow::Result<Option<SignupSettings>> {
    let (app_id, config_id) = (&settings.signup_app_id, &settings.signup_config_id);
    if app_id.is_empty() || config_id.is_empty() {
        return Ok(None);
    }
    // Meta's script works without TLS on localhost alone, and knows that by its name.
    let here = match private.ip().is_loopback() {
        true => format!("http://localhost:{}", private.port()),
        false => format!("http://{private}"),
    };
    let set = Some(settings.signup_url.clone()).filter(|url| !url.is_empty());
    Ok(Some(SignupSettings {
        app_id: app_id.clone(),
        config_id: config_id.clone(),
        extras: serde_json::from_str(&settings.signup_extras)?,
        version: graph::version(&settings.graph_url).to_owned(),
        url: set.unwrap_or(here),
    }))
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

fn admission(settings: &Settings) -> anyhow::Result<Admission> {
    let cache = settings.data.join("cache");
    let engine = PluginEngine::new(&cache)?;
    let program =
        std::env::current_exe().context("cannot find the duet binary, which compiles plugins")?;
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let threads = PluginThreads::new(threads, RUNS_MAX)?;
    Ok(Admission::new(
        Compiler::new(engine, cache, program),
        threads,
    ))
}

fn wake(sends: &outbox::Feed) -> Wake {
    let sends = sends.clone();
    Box::new(move |rows| {
        if !rows.is_empty() {
            sends.wake(rows.iter().copied());
        }
    })
}

impl TryFrom<&Settings> for media::Settings {
    type Error = std::num::TryFromIntError;

    fn try_from(settings: &Settings) -> Result<media::Settings, Self::Error> {
        Ok(media::Settings {
            file_bytes_max: settings.media_file_bytes_max,
            total_bytes_max: settings.media_total_bytes_max,
            fetches_max: usize::try_from(settings.media_fetches_max)?,
        })
    }
}

fn hours_ms(hours: u64) -> i64 {
    i64::try_from(hours.saturating_mul(3_600_000)).unwrap_or(i64::MAX)
}

async fn until(mut stop: watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = stop.wait_for(|stop| *stop).await;
}

impl outbox::Barrier for CaughtUp {
    async fn wait_for_intake(&self) {
        self.wait().await;
    }

    fn newest_echo(&self) -> i64 {
        CaughtUp::newest_echo(self)
    }
}
