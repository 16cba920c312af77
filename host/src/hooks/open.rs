use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use duet_rules::hooks::{Hook, Proof, Rate};
use duet_rules::plugins_toml::HookGrant;
use tokio::sync::Semaphore;

use crate::plugin::Plugin;
use crate::telemetry::Throttle;

/// One hook that may be called.
#[derive(Debug)]
pub struct Open {
    pub instance: String,
    pub hook: Hook,
    pub grant: HookGrant,
    /// Of a hook that is signed.
    pub proof: Option<Arc<Proof>>,
    rate: Mutex<Rate>,
    places: Arc<Semaphore>,
    unproven: Throttle,
}

impl Open {
    /// Nothing for a hook that has no grant, or no secret where it is signed: admission lets none such through.
    pub(super) fn new(plugin: &Plugin, hook: &Hook, places: Arc<Semaphore>) -> Option<Open> {
        let instance = plugin.instance();
        let grant = instance.grants.hooks.get(&hook.path)?.clone();
        let proof = plugin.proof(&hook.path).cloned();
        if hook.signature.is_some() && proof.is_none() {
            return None;
        }
        Some(Open {
            instance: instance.name.clone(),
            rate: Mutex::new(Rate::new(grant.per_minute, crate::now_ms())),
            hook: hook.clone(),
            grant,
            proof,
            places,
            unproven: Throttle::default(),
        })
    }

    /// Takes a call from what the grant lets through in a minute, or tells after how many seconds there is room.
    pub fn pass(&self) -> Result<(), u64> {
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        rate.take(crate::now_ms())
    }

    /// How many calls have not proven from whom they come since that was last told, when it is to be told.
    pub fn unproven(&self) -> Option<u64> {
        self.unproven.pass(Instant::now())
    }

    pub(super) fn places(&self) -> Arc<Semaphore> {
        self.places.clone()
    }
}
