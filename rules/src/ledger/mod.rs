//! Whether it adds up: a pure function of what was counted on the way of a number's messages.
//!
//! What is counted when something happens (an element taken in, a run committed, a send put into the outbox) is held
//! against what is there now and what went for a known reason. The two sides are kept apart, so a row that goes
//! missing is missed here. Deliberately absent: guesses. A part that cannot be counted is not compared.
//!
//! - `meta`: what Meta's own record of a number says that Duet does not know

mod meta;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Write;

pub use meta::{Compared, Entry, NOT_OFFERED_CODES, compare, entry};

/// What was counted for one number, or for what belongs to none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    pub receipts: Receipts,
    pub arrived: Arrived,
    pub events: Events,
    pub plugins: Vec<Plugin>,
    pub sends: Sends,
}

/// Webhook bodies of the whole gateway: to which number one belongs is known when it is taken in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Receipts {
    /// Told to Meta as received.
    pub accepted: i64,
    pub kept: i64,
    /// Gone with their time.
    pub aged: i64,
    /// Not yet taken in.
    pub waiting: i64,
    pub unreadable: i64,
}

/// What came of the bodies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arrived {
    /// Bodies that held something of this number.
    pub receipts: i64,
    pub elements: i64,
    /// Elements that Meta had sent before, and late statuses of erased messages.
    pub repeated: i64,
    /// New events by what they are: `message`, `echo`, `status.delivered`, …
    pub kinds: BTreeMap<String, i64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Events {
    /// Elements that were new.
    pub new: i64,
    /// Made by the gateway itself, when an admin or an agent acts.
    pub own: i64,
    pub kept: i64,
    /// Gone with a contact.
    pub erased: i64,
    /// Gone with their time.
    pub aged: i64,
    /// Statuses, files, edits and revocations whose message has not come yet.
    pub early: i64,
}

impl Events {
    fn recorded(&self) -> i64 {
        self.new.saturating_add(self.own)
    }
}

/// What one plugin did with the number's events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plugin {
    pub name: String,
    /// Events from before it was added.
    pub before: i64,
    /// Events that its lanes have not passed.
    pub waiting: i64,
    pub done: i64,
    /// Attempts after which there was another one.
    pub retried: i64,
    pub dead: i64,
    /// Dead letters that were taken up again, and those of them that wait for their attempt.
    pub redriven: i64,
    pub redriven_waiting: i64,
    /// Dead letters that are there, and those that went with a contact.
    pub letters: i64,
    pub letters_erased: i64,
    /// Events that its place was moved by, without the gateway having done it.
    pub moved: i64,
}

impl Plugin {
    /// Events that have ended as done or as a dead letter.
    fn settled(&self) -> i64 {
        let taken_up = self.redriven.saturating_sub(self.redriven_waiting);
        self.done.saturating_add(self.dead).saturating_sub(taken_up)
    }

    /// Events that it passed without a run: it does not want their kind, or they were erased before.
    #[must_use]
    pub fn skipped(&self, events: &Events) -> i64 {
        let passed = events.recorded() - self.before - self.waiting;
        passed - self.settled()
    }
}

/// What was to be said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sends {
    /// Put into the outbox.
    pub made: i64,
    /// Gone with a contact.
    pub erased: i64,
    /// What is there, by state, and by the gate's cause or Meta's code where there is one.
    pub fates: BTreeMap<(String, String), i64>,
    /// Sends that died, their dead letters that are there, and those that went: Meta told otherwise, somebody took
    /// them up again, the contact was erased.
    pub buried: i64,
    pub letters: i64,
    pub letters_withdrawn: i64,
    pub letters_redriven: i64,
    pub letters_erased: i64,
}

impl Sends {
    fn kept(&self) -> i64 {
        self.fates.values().sum()
    }

    /// Sends in a state, whatever the cause.
    #[must_use]
    pub fn in_state(&self, state: &str) -> i64 {
        let fates = self.fates.iter().filter(|((found, _), _)| found == state);
        fates.map(|(_, count)| count).sum()
    }
}

/// Two sides of an account that should be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Such as `events` or `plugin crm, dead letters`.
    pub place: String,
    pub expected: i64,
    pub found: i64,
}

impl Difference {
    fn of(place: impl Into<String>, expected: i64, found: i64) -> Option<Difference> {
        (expected != found).then(|| Difference {
            place: place.into(),
            expected,
            found,
        })
    }

    fn words(&self) -> String {
        let (
            Self {
                place,
                expected,
                found,
            },
            gap,
        ) = (self, self.expected.abs_diff(self.found));
        let what = if found < expected {
            "missing"
        } else {
            "too many"
        };
        format!("{place}: {gap} {what} ({found} where {expected} were counted)")
    }
}

/// All sums of an account that do not come out.
#[must_use]
pub fn differences(counts: &Counts) -> Vec<Difference> {
    let Counts {
        receipts,
        arrived,
        events,
        plugins,
        sends,
    } = counts;
    let mut found = vec![
        Difference::of("receipts", receipts.accepted, receipts.kept + receipts.aged),
        Difference::of("elements", arrived.elements, events.new + arrived.repeated),
        Difference::of(
            "events",
            events.recorded(),
            events.kept + events.erased + events.aged,
        ),
        Difference::of("sends", sends.made, sends.kept() + sends.erased),
        Difference::of(
            "dead letters of sends",
            sends.buried,
            sends.letters + sends.letters_withdrawn + sends.letters_redriven + sends.letters_erased,
        ),
    ];
    for plugin in plugins {
        let place = |what: &str| format!("plugin {}, {what}", plugin.name);
        let letters = plugin.letters + plugin.redriven + plugin.letters_erased;
        // More ends than events: some of the events were never counted.
        let ends = plugin.skipped(events).min(0);
        found.extend([
            Difference::of(place("dead letters"), plugin.dead, letters),
            Difference::of(place("events passed over unseen"), 0, plugin.moved),
            Difference::of(place("events handled"), 0, ends),
        ]);
    }
    found.into_iter().flatten().collect()
}

/// The whole of it in a sentence or two. `rest` is what belongs to no number.
#[must_use]
pub fn summary(counts: &Counts, rest: &[Difference], meta: Option<&Compared>) -> String {
    let gaps: Vec<Difference> = [differences(counts), rest.to_vec()].concat();
    let lost = meta.map_or(0, Compared::lost);
    let mut text = if gaps.is_empty() && lost == 0 {
        let (events, sends) = (counts.events.recorded(), counts.sends.made);
        format!("Nothing is missing: {events} events and {sends} sends add up")
    } else {
        let gaps: Vec<String> = gaps.iter().map(Difference::words).collect();
        format!("It does not add up: {}", gaps.join("; "))
    };
    if gaps.is_empty() && lost > 0 {
        text = format!(
            "It does not add up: Meta knows of {lost} messages of this number that are not here"
        );
    } else if lost > 0 {
        let _ = write!(
            text,
            "; Meta knows of {lost} messages of this number that are not here"
        );
    }
    text.push('.');
    let open = [
        (counts.receipts.waiting, "webhooks are not taken in yet"),
        (counts.receipts.unreadable, "webhooks could not be read"),
        (counts.sends.in_state("pending"), "sends wait"),
        (
            counts.sends.in_state("unknown"),
            "sends have an unknown end",
        ),
        (counts.sends.in_state("dead"), "sends died"),
        (
            counts.plugins.iter().map(|plugin| plugin.letters).sum(),
            "events are dead letters",
        ),
        (
            meta.map_or(0, |meta| meta.undelivered()),
            "webhooks Meta could not deliver so far",
        ),
    ];
    let open: Vec<String> = open
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, words)| format!("{count} {words}"))
        .collect();
    if !open.is_empty() {
        let _ = write!(text, " To look at: {}.", open.join(", "));
    }
    text
}
