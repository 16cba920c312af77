//! What there is to be started, in the way of a message; nothing runs yet.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use duet_rules::sending::{Limits, OptWords, Patience};
use duet_rules::signature;

use super::ground::Ground;
use super::operations::GatewayOperations;
use super::reloader::Reloader;
use crate::admin::{Admin, RootToken, SignupLinks, SignupSettings};
use crate::alarms::Herald;
use crate::coexistence::Enquiry;
use crate::config::{Secrets, Settings};
use crate::connecting::Connecting;
use crate::dispatch::{Dispatch, Shared};
use crate::effect::Wake;
use crate::graph::{self, Connections};
use crate::intake::{CaughtUp, Intake};
use crate::media::{self, Deposits, Media};
use crate::outbox::{self, Outbox};
use crate::plugin::{Admission, Compiler, PluginEngine, PluginThreads, Shelf};
use crate::receive::Receive;
use crate::store::intake::Terms;
use crate::templates::Catalogue;

/// What `/readyz` says when webhooks cannot be kept.
const NOT_READY: &str = "the receipt log could not write last time; is the disk full?";
/// Runs of plugins at once, over all instances; each may hold its whole memory limit.
const RUNS_MAX: usize = 64;

pub(super) struct Parts {
    pub(super) receive: Arc<Receive>,
    pub(super) intake: Arc<Intake>,
    pub(super) dispatch: Arc<Dispatch>,
    pub(super) reloader: Arc<Reloader>,
    pub(super) outbox: Outbox<CaughtUp>,
    pub(super) media: Media,
    pub(super) herald: Option<Herald>,
    pub(super) enquiry: Enquiry,
    pub(super) catalogue: Catalogue,
    pub(super) connecting: Connecting,
    pub(super) admin: Admin,
}

impl Parts {
    /// `private`: where the admin listener is.
    pub(super) async fn make(
        ground: &Ground,
        settings: &Settings,
        secrets: &Secrets,
        root: RootToken,
        private: SocketAddr,
    ) -> anyhow::Result<Parts> {
        let outbox = outbox(ground, settings)?;
        let sends = outbox.feed();
        let files = settings.try_into()?;
        let deposits = Deposits::new(ground.store.clone(), files);
        let herald = herald(ground, settings, secrets, &sends).await?;
        ground.store.resume_syncs().await?;
        let connecting = Connecting {
            store: ground.store.clone(),
            clients: ground.keyring.clients(),
            app: app(settings, secrets, &ground.connections)?,
        };
        let dispatch = dispatch(ground, settings, &sends, deposits.clone()).await?;
        let reloader = Arc::new(Reloader::new(dispatch.clone(), settings.plugins.clone()));
        let operations = GatewayOperations {
            store: ground.store.clone(),
            receipts: ground.receipts.clone(),
            keyring: ground.keyring.clone(),
            feed: ground.feed.clone(),
            hooks: ground.hooks.clone(),
            sends: sends.clone(),
            media: ground.bell.clone(),
            connecting: connecting.clone(),
            dispatch: dispatch.clone(),
            reloader: reloader.clone(),
            person_ms: ground.person_ms,
            signups: Arc::default(),
            renewals: Arc::default(),
        };
        let page = signup_page(settings, private)?;
        Ok(Parts {
            receive: Arc::new(receive(ground, settings, secrets)?),
            intake: Arc::new(intake(ground, settings, &sends)),
            dispatch,
            reloader,
            outbox,
            media: media(ground, files, deposits.clone(), &sends),
            herald,
            enquiry: enquiry(ground, &sends),
            catalogue: catalogue(ground, &sends),
            connecting,
            admin: Admin {
                store: ground.store.clone(),
                receipts: ground.receipts.clone(),
                operations: Arc::new(operations),
                deposits,
                metrics: ground.metrics.clone(),
                root,
                person_hours: settings.person_hours,
                signup: page,
                links: SignupLinks::default(),
                ready: ready(ground),
            },
        })
    }
}

fn receive(ground: &Ground, settings: &Settings, secrets: &Secrets) -> anyhow::Result<Receive> {
    let app = secrets
        .app
        .iter()
        .map(|secret| signature::Secret::new(secret.expose()));
    let receive = Receive::new(
        app.collect(),
        secrets.verify_token.expose().to_owned(),
        usize::try_from(settings.body_bytes_max)?,
        ground.receipts.clone(),
        ground.metrics.clone(),
    );
    let partners = ground.keyring.clone();
    let receive = receive.with_hooks(ground.hooks.clone());
    Ok(receive.with_partners(Box::new(move |business| partners.webhook_secrets(business))))
}

fn intake(ground: &Ground, settings: &Settings, sends: &outbox::Feed) -> Intake {
    Intake {
        store: ground.store.clone(),
        log: ground.receipts.clone(),
        feed: ground.feed.clone(),
        caught_up: ground.caught_up.clone(),
        terms: Terms {
            person_ms: ground.person_ms,
            pace: ground.pace,
            opt_words: Arc::new(OptWords::new(
                &settings.opt_out_words,
                &settings.opt_in_words,
            )),
        },
        movable: wake(sends),
        live: ground.live.clone(),
        media: ground.bell.clone(),
        metrics: ground.metrics.clone(),
    }
}

async fn dispatch(
    ground: &Ground,
    settings: &Settings,
    sends: &outbox::Feed,
    deposits: Deposits,
) -> anyhow::Result<Arc<Dispatch>> {
    let shared = Shared {
        store: ground.store.clone(),
        feed: ground.feed.clone(),
        outbox: wake(sends),
        person_ms: ground.person_ms,
        begun_after: ground.store.newest_event().await?,
        hooks: ground.hooks.clone(),
        metrics: ground.metrics.clone(),
        deposits,
        large: tokio::sync::Mutex::default(),
    };
    Ok(Arc::new(Dispatch::new(
        shared,
        admission(settings)?.with_keeper(ground.keyring.clone()),
        Shelf::new(&settings.data),
    )))
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

fn outbox(ground: &Ground, settings: &Settings) -> anyhow::Result<Outbox<CaughtUp>> {
    Ok(Outbox::new(
        ground.store.clone(),
        ground.keyring.clients(),
        ground.caught_up.clone(),
        outbox::Settings {
            hold_ms: i64::try_from(settings.unknown_hold_seconds.saturating_mul(1000))?,
            limits: Limits {
                pace: ground.pace,
                patience: Patience::new(settings.held_hours),
            },
            ..outbox::Settings::default()
        },
        ground.metrics.clone(),
    ))
}

fn media(
    ground: &Ground,
    settings: media::Settings,
    deposits: Deposits,
    sends: &outbox::Feed,
) -> Media {
    Media {
        store: ground.store.clone(),
        clients: ground.keyring.clients(),
        settings,
        deposits,
        bell: ground.bell.clone(),
        feed: ground.feed.clone(),
        movable: Arc::new(wake(sends)),
        metrics: ground.metrics.clone(),
    }
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

async fn herald(
    ground: &Ground,
    settings: &Settings,
    secrets: &Secrets,
    sends: &outbox::Feed,
) -> anyhow::Result<Option<Herald>> {
    let (alarms, secrets) = (&settings.alarms, &secrets.alarms);
    Herald::new(ground.store.clone(), alarms, secrets, wake(sends)).await
}

fn enquiry(ground: &Ground, sends: &outbox::Feed) -> Enquiry {
    Enquiry {
        store: ground.store.clone(),
        clients: ground.keyring.clients(),
        movable: wake(sends),
    }
}

fn catalogue(ground: &Ground, sends: &outbox::Feed) -> Catalogue {
    Catalogue {
        store: ground.store.clone(),
        clients: ground.keyring.clients(),
        movable: wake(sends),
        metrics: ground.metrics.clone(),
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

fn ready(ground: &Ground) -> Box<dyn Fn() -> Result<(), String> + Send + Sync> {
    let receipts = ground.receipts.clone();
    Box::new(move || match receipts.healthy() {
        true => Ok(()),
        false => Err(NOT_READY.to_owned()),
    })
}

fn wake(sends: &outbox::Feed) -> Wake {
    let sends = sends.clone();
    Box::new(move |rows| {
        if !rows.is_empty() {
            sends.wake(rows.iter().copied());
        }
    })
}
