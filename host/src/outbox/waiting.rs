//! The conversations that wait for a place at a partner's API, each API's in a row.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use crate::graph::Taken;

/// Conversations that wait for one API; more are looked at again after a while.
const WAITING_MAX: usize = 200_000;

#[derive(Default)]
pub(super) struct Waiting {
    /// Those for which somebody waits.
    apis: BTreeMap<Arc<str>, Row>,
    /// Whose turn it was.
    last: Arc<str>,
}

#[derive(Default)]
struct Row {
    /// Their courier found no place.
    conversations: BTreeSet<i64>,
    /// Whose turn it was.
    last: i64,
}

impl Waiting {
    /// A conversation goes on when there is a place again. False when too many wait already.
    pub(super) fn wait(&mut self, api: &Arc<str>, conversation: i64) -> bool {
        let row = self.apis.entry(api.clone()).or_default();
        if row.conversations.len() >= WAITING_MAX {
            return false;
        }
        row.conversations.insert(conversation);
        true
    }

    /// Whether a conversation waits for which there is a place.
    pub(super) fn is_ready(&self, taken: &Taken) -> bool {
        self.next(taken).is_some()
    }

    /// The conversations for which there is a place now; they wait no more. APIs take turns, and so do the conversations
    /// of each, so that nobody waits for ever behind others.
    pub(super) fn ready(&mut self, mut taken: Taken) -> Vec<i64> {
        let mut ready = Vec::new();
        while let Some(api) = self.next(&taken) {
            ready.extend(self.apis.get_mut(&api).and_then(Row::pop));
            taken.add(&api);
            self.last = api;
        }
        self.apis.retain(|_, row| !row.conversations.is_empty());
        ready
    }

    /// The API whose turn it is, of those for which somebody waits and there is a place.
    fn next(&self, taken: &Taken) -> Option<Arc<str>> {
        let last: &str = &self.last;
        let after = self.apis.range::<str, _>((Excluded(last), Unbounded));
        let turn = after.chain(self.apis.range::<str, _>((Unbounded, Excluded(last))));
        let mut turn = turn.chain(self.apis.get_key_value(last));
        turn.find(|(api, row)| !row.conversations.is_empty() && !taken.is_full(api))
            .map(|(api, _)| api.clone())
    }
}

impl Row {
    /// The conversation after the last one that had its turn.
    fn pop(&mut self) -> Option<i64> {
        let after = self.conversations.range((Excluded(self.last), Unbounded));
        let next = after.chain(self.conversations.first()).next().copied()?;
        self.conversations.remove(&next);
        self.last = next;
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Places;

    #[test]
    fn who_found_no_place_goes_on_when_one_is_free() {
        let mut taken = Places::new(8).taken();
        let api: Arc<str> = "a".into();
        let free = taken.clone();
        while !taken.is_full(&api) {
            taken.add(&api);
        }
        let mut waiting = Waiting::default();
        assert!(waiting.wait(&api, 7) && waiting.wait(&api, 8));
        assert!(!waiting.is_ready(&taken));
        assert_eq!(waiting.ready(taken), [0_i64; 0]);
        assert!(waiting.is_ready(&free));
        assert_eq!(waiting.ready(free.clone()), [7, 8]);
        assert!(!waiting.is_ready(&free));
    }

    #[test]
    fn a_conversation_with_a_high_number_has_its_turn_while_low_ones_come_again() {
        let free = Places::new(4).taken();
        let mut waiting = Waiting::default();
        let api: Arc<str> = "a".into();
        for conversation in 1..=5 {
            assert!(waiting.wait(&api, conversation));
        }
        let mut served: Vec<i64> = Vec::new();
        for _ in 0..10 {
            let ready = waiting.ready(free.clone());
            served.extend(&ready);
            // Each has more to send.
            assert!(ready.iter().all(|id| waiting.wait(&api, *id)));
        }
        assert_eq!(served, [1, 2, 3, 4, 5, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn apis_take_turns_at_what_all_partners_may_have() {
        let free = Places::new(4).taken();
        let mut waiting = Waiting::default();
        let names = ["a", "b", "c", "d"];
        let apis: Vec<Arc<str>> = names.map(Arc::from).to_vec();
        for (api, conversation) in apis.iter().zip(0..) {
            assert!(waiting.wait(api, conversation));
        }
        assert_eq!(
            waiting.ready(free.clone()),
            [0, 1, 2],
            "one place is Meta's"
        );
        for (api, conversation) in apis.iter().zip(0..) {
            assert!(waiting.wait(api, conversation));
        }
        assert_eq!(waiting.ready(free), [3, 0, 1]);
    }
}
