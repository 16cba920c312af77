//! Which events an instance is to see.

use duet_rules::plugins_toml::{Instance, Pattern};
use duet_rules::{annotations, cases};

use crate::event::Event;
use crate::store::erase::ERASED;

/// A live event that is older than this reaches no automation: a replayed body cannot wake a bot.
const STALE_MS: i64 = 8 * 24 * 60 * 60 * 1000;

/// What an instance wants, by its manifest and `plugins.toml`.
#[derive(Debug, Clone)]
pub(super) struct Subscription {
    instance: String,
    business: String,
    patterns: Vec<Pattern>,
    numbers: Option<Vec<String>>,
    /// It may send: it is an automation, and not a mirror.
    speaks: bool,
    /// It may know of contacts.
    remembers: bool,
}

impl Subscription {
    /// `wanted` is the manifest's list, which `plugins.toml` may narrow.
    pub(super) fn new(instance: &Instance, wanted: &[Pattern]) -> Subscription {
        Subscription {
            instance: instance.name.clone(),
            business: instance.business.clone(),
            patterns: instance.events.clone().unwrap_or_else(|| wanted.to_vec()),
            numbers: instance.numbers.clone(),
            speaks: instance.grants.messages.is_some(),
            remembers: instance.grants.contacts.is_some() || instance.grants.store.is_some(),
        }
    }

    pub(super) fn wants(&self, event: &Event) -> bool {
        // What was made for one instance was asked for, be it late.
        if let Some(instance) = &event.instance {
            return *instance == self.instance;
        }
        let kind = self
            .patterns
            .iter()
            .any(|pattern| self.covers(pattern, event));
        let number = match (&self.numbers, &event.number) {
            // The contact may have been known by any number.
            _ if event.kind == ERASED => self.remembers,
            (Some(numbers), Some(number)) => numbers.contains(number),
            (Some(_), None) => false,
            (None, _) => true,
        };
        event.business == self.business
            && kind
            && number
            && !(self.speaks && stale(event))
            && !self.has_made(event)
    }

    /// It knows what it has done itself.
    fn has_made(&self, event: &Event) -> bool {
        cases::is_own(&event.kind, &event.body, &self.instance)
            || annotations::is_own(&event.kind, &event.body, &self.instance)
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

#[cfg(test)]
mod tests {
    use duet_rules::plugins_toml::parse;

    use super::*;

    fn subscription(lines: &str) -> Subscription {
        let text = format!("[plugins.crm]\ncomponent = 'c'\n{lines}\n");
        let mut plugins = parse("plugins.toml", text).into_result().unwrap().plugins;
        Subscription::new(&plugins.remove(0), &["message.*".parse().unwrap()])
    }

    fn event(kind: &str, instance: Option<&str>) -> Event {
        Event {
            seq: 1,
            id: String::new(),
            kind: kind.into(),
            business: String::new(),
            instance: instance.map(str::to_owned),
            number: None,
            waba: None,
            contact: None,
            conversation: None,
            at_ms: Some(1),
            received_ms: 1 + 9 * 24 * 3_600_000,
            receipt: 0,
            history: false,
            body: "{}".into(),
            context: None,
        }
    }

    #[test]
    fn what_is_one_instances_comes_to_it_alone_unasked_and_late() {
        let crm = subscription("numbers = ['1']\n[plugins.crm.messages]");
        assert!(crm.wants(&event("timer.fired", Some("crm"))));
        assert!(!crm.wants(&event("timer.fired", Some("shop"))));
        let all = subscription("events = ['*']");
        assert!(!all.wants(&event("timer.fired", Some("shop"))));
        assert!(all.wants(&event("message.text", None)));
        assert!(!crm.wants(&event("message.text", None)));
    }

    #[test]
    fn an_instance_is_not_told_of_its_own_cases_and_annotations() {
        let told = |by: &str| Event {
            at_ms: None,
            body: format!("{{\"instance\": \"{by}\"}}"),
            ..event("case.closed", None)
        };
        let crm = subscription("events = ['case.*']");
        assert!(crm.wants(&told("desk")));
        assert!(!crm.wants(&told("crm")));
        assert!(!subscription("").wants(&told("desk")));
        let noted = |by: &str| Event {
            at_ms: None,
            body: format!("{{\"by\": \"{by}\"}}"),
            ..event("conversation.noted", None)
        };
        let crm = subscription("events = ['conversation.noted']");
        assert!(crm.wants(&noted("api")));
        assert!(!crm.wants(&noted("crm")));
    }

    #[test]
    fn who_may_know_of_contacts_and_asks_is_told_that_one_is_erased() {
        let cases = [
            ("events = ['contact.*']\n[plugins.crm.store]", true),
            ("events = ['contact.erased']\n[plugins.crm.contacts]", true),
            ("events = ['*']\nnumbers = ['1']\n[plugins.crm.store]", true),
            ("events = ['message.*']\n[plugins.crm.store]", false),
            ("events = ['contact.*']\n[plugins.crm.messages]", false),
            (
                "business = 'shop'\nevents = ['*']\n[plugins.crm.store]",
                false,
            ),
        ];
        for (lines, told) in cases {
            let erased = Event {
                at_ms: None,
                ..event(ERASED, None)
            };
            assert_eq!(subscription(lines).wants(&erased), told, "{lines}");
        }
    }
}
