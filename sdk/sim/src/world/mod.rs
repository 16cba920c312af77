//! Meta's side of the world: numbers, customers, templates, subscriptions, files.
//!
//! One lock guards it all; everything inside is small, synchronous and bounded.

mod customer;
mod ledger;
mod media;
mod number;
mod rate;

pub(crate) use customer::{Customer, Customers, digits, user_id};
pub(crate) use ledger::{Entry as LedgerEntry, Event as LedgerEvent, Ledger, Mark, WebhookState};
pub(crate) use media::{MediaShelf, sha256};
pub(crate) use number::{NumberState, Standing};
pub(crate) use rate::Rates;

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::business::Report;
use crate::config::{Config, Template};

pub(crate) struct World {
    pub(crate) numbers: BTreeMap<String, NumberState>,
    pub(crate) customers: Customers,
    pub(crate) templates: Vec<Template>,
    pub(crate) subscriptions: HashMap<String, Subscription>,
    pub(crate) media: MediaShelf,
    pub(crate) rates: Rates,
    pub(crate) ledger: Ledger,
    pub(crate) codes: VecDeque<Code>,
    /// What each number was sent of generated businesses.
    pub(crate) reports: BTreeMap<String, Report>,
}

/// What Embedded Signup gave, to be exchanged for a token.
pub(crate) struct Code {
    pub(crate) code: String,
    pub(crate) dies_ms: u64,
    pub(crate) used: bool,
}

/// Codes kept at most.
pub(crate) const CODES_MAX: usize = 100;

/// The app's subscription to a WABA.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subscription {
    pub(crate) override_uri: Option<String>,
}

/// Templates of all WABAs at most.
pub(crate) const TEMPLATES_MAX: usize = 1000;

impl World {
    pub(crate) fn new(config: &Config, now_ms: u64) -> Self {
        let numbers: BTreeMap<_, _> = config
            .numbers
            .iter()
            .map(|number| (number.id.clone(), NumberState::new(number.clone(), now_ms)))
            .collect();
        let subscriptions = config
            .numbers
            .iter()
            .map(|number| (number.waba.clone(), Subscription::default()))
            .collect();
        Self {
            numbers,
            customers: Customers::new(config),
            templates: config.templates.clone(),
            subscriptions,
            media: MediaShelf::new(config.limits.media_bytes_max),
            rates: Rates::default(),
            ledger: Ledger::new(config.limits.kept_max),
            codes: VecDeque::new(),
            reports: BTreeMap::new(),
        }
    }

    pub(crate) fn has_waba(&self, waba: &str) -> bool {
        self.numbers
            .values()
            .any(|number| number.number.waba == waba)
    }
}
