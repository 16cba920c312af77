//! Which events an instance is to see.

use duet_rules::plugins_toml::{Instance, Pattern};

use crate::event::Event;

/// A live event that is older than this reaches no automation: a replayed body cannot wake a bot.
const STALE_MS: i64 = 8 * 24 * 60 * 60 * 1000;

/// What an instance wants, by its manifest and `plugins.toml`.
#[derive(Debug, Clone)]
pub(super) struct Subscription {
    business: String,
    patterns: Vec<Pattern>,
    numbers: Option<Vec<String>>,
    /// It may send: it is an automation, and not a mirror.
    speaks: bool,
}

impl Subscription {
    /// `wanted` is the manifest's list, which `plugins.toml` may narrow.
    pub(super) fn new(instance: &Instance, wanted: &[Pattern]) -> Subscription {
        Subscription {
            business: instance.business.clone(),
            patterns: instance.events.clone().unwrap_or_else(|| wanted.to_vec()),
            numbers: instance.numbers.clone(),
            speaks: instance.grants.messages.is_some(),
        }
    }

    pub(super) fn wants(&self, event: &Event) -> bool {
        let kind = self
            .patterns
            .iter()
            .any(|pattern| self.covers(pattern, event));
        let number = match (&self.numbers, &event.number) {
            (Some(numbers), Some(number)) => numbers.contains(number),
            (Some(_), None) => false,
            (None, _) => true,
        };
        event.business == self.business && kind && number && !(self.speaks && stale(event))
    }

    /// Imported history reaches only an instance that asks for it by name.
    fn covers(&self, pattern: &Pattern, event: &Event) -> bool {
        pattern.matches(&event.kind) && (!event.history || pattern.as_str() != "*")
    }
}

/// History is old by its nature, and nobody can answer it.
fn stale(event: &Event) -> bool {
    !event.history
        && event
            .at_ms
            .is_some_and(|at_ms| event.received_ms.saturating_sub(at_ms) > STALE_MS)
}
