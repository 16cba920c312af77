//! A generated business is delivered: its people become known, its webhooks go out at a chosen rate, and the
//! answer says what was sent.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::{PlayError, number};
use crate::business::{Business, Options, Report, Webhook};
use crate::clock::DAY_MS;
use crate::state::{State, lock};

/// Which parts of a generated business are delivered, and how fast.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BusinessPlay {
    /// Phone number id of the business; the first number if absent.
    pub number: Option<String>,
    /// The business itself.
    pub business: Options,
    /// The address book is delivered.
    pub contacts: bool,
    /// The old messages are delivered.
    pub history: bool,
    /// The media of the last 14 days follow.
    pub follow_ups: bool,
    /// So many live webhooks are delivered after that.
    pub live: u32,
    /// Webhooks a second at most; without one as fast as they are taken.
    pub webhooks_per_second: Option<u32>,
}

impl Default for BusinessPlay {
    fn default() -> Self {
        Self {
            number: None,
            business: Options::default(),
            contacts: true,
            history: true,
            follow_ups: true,
            live: 0,
            webhooks_per_second: None,
        }
    }
}

/// Bodies of up to 3 MB on their way at most, so that memory stays small.
const CHUNKS_PENDING_MAX: usize = 2;
/// Other bodies on their way at most.
const PENDING_MAX: usize = 64;
/// A media id that came by webhook lives 7 days.
const FILE_MS: u64 = 7 * DAY_MS;

/// Businesses that wait for delivery at most.
const ERRANDS_MAX: usize = 64;

/// Takes businesses that nobody waits for, each with the outlet's generation at the time.
pub(crate) type Errands = mpsc::Sender<(u64, BusinessPlay)>;

pub(crate) fn errands() -> (Errands, mpsc::Receiver<(u64, BusinessPlay)>) {
    mpsc::channel(ERRANDS_MAX)
}

/// Delivers one after the other until the sim stops.
pub(crate) async fn run(state: Arc<State>, mut asked: mpsc::Receiver<(u64, BusinessPlay)>) {
    while let Some((generation, play)) = asked.recv().await {
        if state.outlet.is_current(generation)
            && let Err(error) = deliver(&state, play).await
        {
            state.say("meta", "", error.to_string());
        }
    }
}

/// Delivers the address book or the past of a business in the background, as after a sync was asked for.
pub(crate) fn sync(
    state: &State,
    number: &str,
    options: &Options,
    history: bool,
) -> Result<(), PlayError> {
    let play = BusinessPlay {
        number: Some(number.to_owned()),
        business: options.clone(),
        contacts: !history,
        history,
        follow_ups: history,
        ..BusinessPlay::default()
    };
    state
        .errands
        .try_send((state.outlet.generation(), play))
        .map_err(|_| PlayError("too many syncs at once".into()))
}

/// Ends when the last webhook is on its way, or the sim is reset. Nothing more is sent when the caller stops
/// waiting.
pub(crate) async fn deliver(state: &State, play: BusinessPlay) -> Result<Report, PlayError> {
    let number = number(&lock(&state.world), play.number.as_deref())?.number;
    let (now_ms, generation) = (state.clock.now_ms(), state.outlet.generation());
    let business = Business::new(play.business, number.clone(), state.config.user_ids, now_ms)
        .map_err(PlayError)?;
    for customer in business.people().take(state.config.limits.customers_max) {
        let mut world = lock(&state.world);
        let known = world
            .customers
            .meet(&number.id, &number.waba, &customer.phone);
        known.name = customer.name;
        known.username = customer.username;
        known.phone_hidden = customer.phone_hidden;
    }
    state.say("meta", &number.id, "a generated business is delivered");
    let when = |wanted: bool| if wanted { usize::MAX } else { 0 };
    let plan = business
        .contacts()
        .take(when(play.contacts))
        .chain(business.history().take(when(play.history)))
        .chain(business.follow_ups().take(when(play.follow_ups)))
        .chain(business.live().take(play.live as usize));
    let mut pace = play.webhooks_per_second.map(|rate| {
        let mut pace = tokio::time::interval(Duration::from_secs(1) / rate.max(1));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pace
    });
    let mut report = Report::default();
    for webhook in plan {
        if let Some(pace) = &mut pace {
            pace.tick().await;
        }
        let large = webhook.is_chunk();
        let pending_max = if large {
            CHUNKS_PENDING_MAX
        } else {
            PENDING_MAX
        };
        state.outlet.wait_pending(pending_max - 1).await;
        if !state.outlet.is_current(generation) {
            return Err(PlayError("the sim was reset".into()));
        }
        report.add(&webhook);
        lock(&state.world)
            .reports
            .entry(number.id.clone())
            .or_default()
            .add(&webhook);
        post(state, webhook);
    }
    Ok(report)
}

fn post(state: &State, webhook: Webhook) {
    let (change, file) = webhook.into_parts();
    if let Some(file) = file {
        let dies_ms = state.clock.now_ms().saturating_add(FILE_MS);
        lock(&state.world)
            .media
            .keep(&file.id, file.mime_type, file.bytes, dies_ms);
    }
    state.post(change, 0);
}
