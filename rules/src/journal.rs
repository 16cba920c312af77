//! Which calls of a run are made, and which were answered before: a run that is repeated after a crash, a lost lease or
//! a conflict gets every answer again; a new attempt gets those of calls that have changed something.
//!
//! A request is known again by its hash, and among equal ones by how many were asked for before. A repeated run that asks
//! for something else than before goes on live, and whatever it has not asked for is forgotten.

use std::collections::{HashMap, HashSet};

use ring::digest::{Context, SHA256};

/// SHA-256 of a request before secrets.
pub type Hash = [u8; 32];

/// A call that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<A> {
    pub id: i64,
    /// In which attempt.
    pub attempt: u32,
    pub request: Hash,
    /// How many equal ones the attempt had asked for before.
    pub occurrence: u32,
    /// Whether the component and the settings are those of this run, so that it may ask for the same.
    pub same: bool,
    /// Whether it only asks.
    pub safe: bool,
    /// Whether the answer says that something was changed: 2xx.
    pub success: bool,
    /// None while it was on its way.
    pub answer: Option<A>,
}

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next<A> {
    /// It was answered before.
    Replay(A),
    /// It is made, as the n-th of its kind.
    Make { occurrence: u32 },
}

/// The calls of one event so far, while a run of it goes on.
#[derive(Debug)]
pub struct Replay<A> {
    /// What this attempt began before, in an earlier run.
    own: HashMap<(Hash, u32), (i64, Option<A>)>,
    /// What earlier attempts have changed, in order.
    changed: HashMap<Hash, Vec<A>>,
    /// Of these the run has still to ask for so many.
    changed_left: usize,
    /// Everything that would change something and that earlier attempts asked for.
    known: HashSet<Hash>,
    asked: HashMap<Hash, u32>,
    forgotten: Vec<i64>,
    diverged: bool,
}

impl<A: Clone> Replay<A> {
    /// For a run of `attempt`; `entries` in the order in which they were begun.
    #[must_use]
    pub fn new(attempt: u32, entries: Vec<Entry<A>>) -> Replay<A> {
        let mut replay = Replay {
            own: HashMap::new(),
            changed: HashMap::new(),
            changed_left: 0,
            known: HashSet::new(),
            asked: HashMap::new(),
            forgotten: Vec::new(),
            diverged: false,
        };
        for entry in entries {
            if !entry.same {
                replay.diverged = true;
                let own = (entry.attempt == attempt).then_some(entry.id);
                replay.forgotten.extend(own);
            } else if entry.attempt == attempt {
                let key = (entry.request, entry.occurrence);
                replay.own.insert(key, (entry.id, entry.answer));
            } else if !entry.safe {
                replay.known.insert(entry.request);
                if let Some(answer) = entry.answer.filter(|_| entry.success) {
                    replay
                        .changed
                        .entry(entry.request)
                        .or_default()
                        .push(answer);
                    replay.changed_left += 1;
                }
            }
        }
        replay
    }

    pub fn next(&mut self, request: Hash, safe: bool) -> Next<A> {
        let asked = self.asked.entry(request).or_default();
        let occurrence = *asked;
        *asked = asked.saturating_add(1);
        let nth = usize::try_from(occurrence).unwrap_or(usize::MAX);
        if let Some(answer) = self
            .changed
            .get(&request)
            .and_then(|answers| answers.get(nth))
        {
            self.changed_left = self.changed_left.saturating_sub(1);
            return Next::Replay(answer.clone());
        }
        match self.own.remove(&(request, occurrence)) {
            Some((_, Some(answer))) => return Next::Replay(answer),
            Some((_, None)) => {}
            None => {
                let another = !safe && self.changed_left > 0 && !self.known.contains(&request);
                if another || !self.own.is_empty() {
                    self.diverge();
                }
            }
        }
        Next::Make { occurrence }
    }

    /// Whether it has asked for something else than before. Told once.
    pub fn take_diverged(&mut self) -> bool {
        std::mem::take(&mut self.diverged)
    }

    /// Entries of this attempt that no run of it will ask for.
    pub fn take_forgotten(&mut self) -> Vec<i64> {
        std::mem::take(&mut self.forgotten)
    }

    fn diverge(&mut self) {
        self.diverged |= !self.own.is_empty() || self.changed_left > 0;
        self.forgotten
            .extend(self.own.drain().map(|(_, (id, _))| id));
        self.changed.clear();
        self.changed_left = 0;
    }
}

/// By which an outside system knows a call again: the same for each run and each attempt of an event. `own` is the
/// author's, which stands for the request and for how many there are.
#[must_use]
pub fn idempotency_key(
    event: &str,
    instance: &str,
    request: &Hash,
    occurrence: u32,
    own: Option<&str>,
) -> String {
    const BYTES: usize = 16;
    let mut context = Context::new(&SHA256);
    let mut add = |part: &[u8]| {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        context.update(&length.to_be_bytes());
        context.update(part);
    };
    add(event.as_bytes());
    add(instance.as_bytes());
    match own {
        Some(own) => {
            add(b"own");
            add(own.as_bytes());
        }
        None => {
            add(b"request");
            add(request);
            add(&occurrence.to_be_bytes());
        }
    }
    let digest = context.finish();
    hex::encode(digest.as_ref().get(..BYTES).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADE: &str = "made";

    /// `1a0?` is the first `a` of attempt 1 on its way, `1a0!` was answered 2xx, `1a0-` otherwise. Small letters change
    /// something.
    fn entries(words: &str) -> Vec<Entry<String>> {
        let entry = |(id, word): (usize, &str)| {
            let [attempt, request, occurrence, state] = word.as_bytes() else {
                panic!("{word}")
            };
            Entry {
                id: i64::try_from(id).unwrap(),
                attempt: u32::from(attempt - b'0'),
                request: [*request; 32],
                occurrence: u32::from(occurrence - b'0'),
                same: true,
                safe: request.is_ascii_uppercase(),
                success: *state == b'!',
                answer: (*state != b'?').then(|| word.to_owned()),
            }
        };
        words.split_whitespace().enumerate().map(entry).collect()
    }

    /// What a run of an attempt gets that asks for these.
    fn run(attempt: u32, past: &str, asks: &str) -> (Vec<String>, bool, Vec<i64>) {
        let mut replay = Replay::new(attempt, entries(past));
        let answers = asks.bytes().map(|request| {
            match replay.next([request; 32], request.is_ascii_uppercase()) {
                Next::Replay(answer) => answer,
                Next::Make { occurrence } => format!("{MADE}{occurrence}"),
            }
        });
        let answers = answers.collect();
        let mut forgotten = replay.take_forgotten();
        forgotten.sort_unstable();
        (answers, replay.take_diverged(), forgotten)
    }

    #[test]
    fn what_was_answered_is_not_asked_again() {
        // (attempt, what was before, what is asked for, what it gets, whether that is another thing, what is forgotten)
        type Case<'a> = (u32, &'a str, &'a str, &'a str, bool, &'a [i64]);
        let cases: [Case<'_>; 14] = [
            (1, "", "aAa", "made0 made0 made1", false, &[]),
            // A repeated run.
            (1, "1a0! 1A0- 1b0?", "aAb", "1a0! 1A0- made0", false, &[]),
            (1, "1a0! 1A0-", "aAbA", "1a0! 1A0- made0 made1", false, &[]),
            (1, "1a0! 1a1?", "aaa", "1a0! made1 made2", false, &[]),
            // All at once, of which some were answered.
            (1, "1a0? 1b0! 1c0?", "abc", "made0 1b0! made0", false, &[]),
            // It asks for something else: from there on everything is made.
            (
                1,
                "1a0! 1b0! 1c0!",
                "axbc",
                "1a0! made0 made0 made0",
                true,
                &[1, 2],
            ),
            (1, "1a0! 1b0!", "aab", "1a0! made1 made0", true, &[1]),
            // A new attempt: only what has changed something is not asked again.
            (
                2,
                "1a0! 1A0! 1b0- 1c0?",
                "aAbc",
                "1a0! made0 made0 made0",
                false,
                &[],
            ),
            (2, "1b0- 1b1!", "bb", "1b1! made1", false, &[]),
            (2, "1a0! 1b0- 1c0!", "abc", "1a0! made0 1c0!", false, &[]),
            // What it only asks for may differ, what it changes may not.
            (2, "1a0! 1c0!", "aXYc", "1a0! made0 made0 1c0!", false, &[]),
            (2, "1a0! 1c0!", "axc", "1a0! made0 made0", true, &[]),
            // A repeated run of a new attempt.
            (
                2,
                "1a0! 1b0- 2b0! 2c0?",
                "abc",
                "1a0! 2b0! made0",
                false,
                &[],
            ),
            (
                3,
                "1a0! 2b0! 2a1!",
                "abac",
                "1a0! 2b0! 2a1! made0",
                false,
                &[],
            ),
        ];
        for (attempt, past, asks, gets, diverged, forgotten) in cases {
            let told = run(attempt, past, asks);
            let gets: Vec<_> = gets.split_whitespace().map(str::to_owned).collect();
            assert_eq!(
                told,
                (gets, diverged, forgotten.to_vec()),
                "{past} then {asks}"
            );
        }
    }

    #[test]
    fn another_component_gets_nothing_of_it() {
        let mut past = entries("1a0! 2a0! 2b0?");
        for entry in &mut past {
            entry.same = false;
        }
        let mut replay = Replay::new(2, past);
        assert!(replay.take_diverged());
        assert_eq!(replay.take_forgotten(), [1, 2]);
        for request in *b"ab" {
            let next = replay.next([request; 32], false);
            assert_eq!(next, Next::Make { occurrence: 0 });
        }
        assert!(!replay.take_diverged());
    }

    #[test]
    fn another_components_attempt_is_not_this_ones() {
        let mut past = entries("1a0! 1b0! 2a0! 2b0?");
        for entry in past.iter_mut().take(2) {
            entry.same = false;
        }
        let mut replay = Replay::new(2, past);
        assert!(replay.take_diverged());
        assert!(replay.take_forgotten().is_empty());
        assert_eq!(replay.next([b'a'; 32], false), Next::Replay("2a0!".into()));
        assert_eq!(replay.next([b'b'; 32], false), Next::Make { occurrence: 0 });
        assert!(!replay.take_diverged());
    }

    #[test]
    fn a_key_is_that_of_its_call() {
        let key = |event, instance, request: u8, occurrence, own| {
            idempotency_key(event, instance, &[request; 32], occurrence, own)
        };
        let keys = [
            key("e", "crm", 1, 0, None),
            key("f", "crm", 1, 0, None),
            key("e", "cr", 1, 0, None),
            key("e", "crm", 2, 0, None),
            key("e", "crm", 1, 1, None),
            key("e", "crm", 1, 0, Some("")),
            key("e", "crm", 1, 0, Some("own")),
        ];
        let different: HashSet<_> = keys.iter().collect();
        assert_eq!(different.len(), keys.len());
        assert_eq!(
            key("e", "crm", 1, 0, Some("own")),
            key("e", "crm", 2, 1, Some("own"))
        );
        assert!(keys.iter().all(|key| key.len() == 32));
    }
}
