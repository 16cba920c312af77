//! Which conversations a canary has, and when it is withdrawn.
//!
//! Promises: a conversation stays with its version as long as the share does, also over a restart; a share that grows
//! keeps those that it had; another plugin's share is other conversations. What counts against a canary is an event that
//! it could not do and the live version could: what neither can do says nothing of it.

use std::collections::{BTreeSet, VecDeque};

use ring::digest::{Context, SHA256};

/// So many of a canary's last events are looked at.
pub const RECENT: usize = 100;
/// The different events among them after which it is withdrawn when the file says nothing.
pub const EVENTS_DEFAULT: u64 = 3;

const PERCENT_WHOLE: u128 = 100;

/// Whether a conversation is among so many of a hundred of an instance's.
///
/// Its place in the order is the first eight bytes of the SHA-256 of name, a zero byte and id (big-endian), as a share of
/// all that they can be.
#[must_use]
pub fn has(instance: &str, percent: u8, conversation: i64) -> bool {
    let mut context = Context::new(&SHA256);
    context.update(instance.as_bytes());
    context.update(&[0]);
    context.update(&conversation.to_be_bytes());
    let digest = context.finish();
    let first = digest.as_ref().first_chunk().copied().unwrap_or([0xff; 8]);
    let place = (u128::from(u64::from_be_bytes(first)) * PERCENT_WHOLE) >> u64::BITS;
    place < u128::from(percent)
}

/// How a canary has fared on its last events.
#[derive(Debug, Default)]
pub struct Trial {
    /// Events, and whether the live version had to do them.
    recent: VecDeque<(i64, bool)>,
}

impl Trial {
    /// The event `seq` is done: by the canary, or after it could not by the live version (`left`). True when the canary is
    /// to be withdrawn, after so many different `events` that it left.
    pub fn ended(&mut self, events: u64, seq: i64, left: bool) -> bool {
        self.recent.push_back((seq, left));
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        let left = self.recent.iter().filter(|(_, left)| *left);
        let different: BTreeSet<i64> = left.map(|(seq, _)| *seq).collect();
        u64::try_from(different.len()).is_ok_and(|different| different >= events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn among(instance: &str, percent: u8) -> BTreeSet<i64> {
        let conversations = 1..=10_000;
        conversations
            .filter(|id| has(instance, percent, *id))
            .collect()
    }

    #[test]
    fn a_share_has_so_many_and_keeps_them_when_it_grows() {
        assert!(among("faq", 0).is_empty());
        assert_eq!(among("faq", 100).len(), 10_000);
        assert!(has("faq", 100, i64::MAX) && has("faq", 100, i64::MIN));
        let mut before = BTreeSet::new();
        for percent in 1..=100 {
            let now = among("faq", percent);
            assert!(now.is_superset(&before), "{percent}");
            let wanted = usize::from(percent) * 100;
            assert!(
                now.len().abs_diff(wanted) <= 150,
                "{percent}: {}",
                now.len()
            );
            before = now;
        }
    }

    #[test]
    fn another_plugin_has_other_conversations() {
        let (faq, crm) = (among("faq", 10), among("crm", 10));
        let both = faq.intersection(&crm).count();
        assert!((50..200).contains(&both), "{both} of both");
    }

    /// What an update of Duet must not change: it would hand conversations over.
    #[test]
    fn the_order_stays() {
        let first: Vec<i64> = among("faq", 5).into_iter().take(8).collect();
        assert_eq!(first, FIRST);
    }

    const FIRST: [i64; 8] = [11, 63, 66, 72, 89, 94, 125, 141];

    #[test]
    fn it_is_withdrawn_for_what_only_the_live_version_could_do() {
        let mut trial = Trial::default();
        assert!(!trial.ended(3, 1, true));
        // The same event again is no other one.
        assert!(!trial.ended(3, 1, true));
        assert!(!trial.ended(3, 2, true));
        assert!(!trial.ended(3, 3, false));
        assert!(trial.ended(3, 4, true));

        let mut trial = Trial::default();
        assert!(trial.ended(1, 1, true));
    }

    #[test]
    fn what_is_long_past_is_forgotten() {
        let mut trial = Trial::default();
        for round in 0..50 {
            for seq in 0..60 {
                let left = seq == 0;
                assert!(!trial.ended(3, round * 100 + seq, left), "{round}");
            }
        }
    }
}
