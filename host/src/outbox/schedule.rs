//! The first open row of each conversation, and when it is due. In memory only: all of it can be read
//! from the store again.

use std::collections::{BTreeSet, HashMap};

use crate::store::outbox::{Head, Open};

pub(super) struct Schedule {
    conversations: HashMap<i64, Slot>,
    /// (due, conversation) of all that wait.
    due: BTreeSet<(i64, i64)>,
    conversations_max: usize,
}

enum Slot {
    Waiting {
        head: Head,
        due_ms: i64,
    },
    /// A courier has it; whatever is told meanwhile is read when it comes back.
    Busy,
}

impl Schedule {
    pub(super) fn new(conversations_max: usize) -> Schedule {
        Schedule {
            conversations: HashMap::new(),
            due: BTreeSet::new(),
            conversations_max,
        }
    }

    /// Takes what the store says of a conversation. When there is no place for one more, the one that is due last
    /// goes without: the answer is which.
    #[must_use]
    pub(super) fn put(
        &mut self,
        conversation: i64,
        head: Option<Head>,
        due_ms: i64,
    ) -> Option<i64> {
        match self.conversations.get(&conversation) {
            Some(Slot::Busy) => return None,
            Some(Slot::Waiting { due_ms, .. }) => {
                self.due.remove(&(*due_ms, conversation));
                self.conversations.remove(&conversation);
            }
            None => {}
        }
        let head = head?;
        let mut left_out = None;
        if self.is_full() {
            match self.due.last().copied() {
                Some((last_ms, last)) if last_ms > due_ms => {
                    self.due.remove(&(last_ms, last));
                    self.conversations.remove(&last);
                    left_out = Some(last);
                }
                _ => return Some(conversation),
            }
        }
        self.conversations
            .insert(conversation, Slot::Waiting { head, due_ms });
        self.due.insert((due_ms, conversation));
        left_out
    }

    /// Gives out the next head that is due, and keeps its conversation busy.
    pub(super) fn start(&mut self, now_ms: i64) -> Option<Head> {
        let &(due_ms, conversation) = self.due.first()?;
        if due_ms > now_ms {
            return None;
        }
        self.due.remove(&(due_ms, conversation));
        match self.conversations.insert(conversation, Slot::Busy) {
            Some(Slot::Waiting { head, .. }) => Some(head),
            // `due` names only what waits.
            Some(Slot::Busy) | None => None,
        }
    }

    /// The courier is back; the conversation is to be read anew.
    pub(super) fn finish(&mut self, conversation: i64) {
        self.conversations.remove(&conversation);
    }

    pub(super) fn next_due_ms(&self) -> Option<i64> {
        self.due.first().map(|(due_ms, _)| *due_ms)
    }

    pub(super) fn is_full(&self) -> bool {
        self.conversations.len() >= self.conversations_max
    }
}

/// When a head is to be looked at. A row that is `sending` without a courier is looked at at once.
pub(super) fn due_ms(head: &Head, hold_ms: i64) -> i64 {
    match head.open {
        Open::Pending { next_ms } => next_ms,
        Open::Sending => 0,
        Open::Unknown { since_ms } => since_ms.saturating_add(hold_ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(id: i64, conversation: i64) -> Head {
        Head {
            id,
            conversation,
            open: Open::Pending { next_ms: 0 },
        }
    }

    #[test]
    fn one_row_of_a_conversation_at_a_time() {
        let mut schedule = Schedule::new(10);
        assert_eq!(schedule.put(7, Some(head(1, 7)), 100), None);
        assert_eq!(schedule.start(99), None);
        assert_eq!(schedule.start(100), Some(head(1, 7)));
        assert_eq!(schedule.put(7, Some(head(2, 7)), 0), None);
        assert_eq!(
            schedule.start(1000),
            None,
            "its courier is still on the way"
        );
        schedule.finish(7);
        assert_eq!(schedule.put(7, Some(head(2, 7)), 0), None);
        assert_eq!(schedule.start(1000), Some(head(2, 7)));
    }

    #[test]
    fn the_newest_word_about_a_conversation_counts() {
        let mut schedule = Schedule::new(10);
        assert_eq!(schedule.put(7, Some(head(1, 7)), 500), None);
        assert_eq!(schedule.put(8, Some(head(2, 8)), 300), None);
        assert_eq!(schedule.put(7, Some(head(1, 7)), 200), None);
        assert_eq!(schedule.next_due_ms(), Some(200));
        assert_eq!(schedule.put(7, None, 0), None);
        assert_eq!(schedule.next_due_ms(), Some(300));
    }

    #[test]
    fn no_more_conversations_than_allowed() {
        let mut schedule = Schedule::new(1);
        assert_eq!(schedule.put(7, Some(head(1, 7)), 0), None);
        assert_eq!(schedule.put(8, Some(head(2, 8)), 0), Some(8));
        assert_eq!(
            schedule.put(7, Some(head(3, 7)), 0),
            None,
            "a known one finds its place again"
        );
        assert_eq!(schedule.start(0), Some(head(3, 7)));
    }

    #[test]
    fn what_is_due_first_finds_a_place_before_what_waits_long() {
        let mut schedule = Schedule::new(2);
        assert_eq!(schedule.put(7, Some(head(1, 7)), 90_000), None);
        assert_eq!(schedule.put(8, Some(head(2, 8)), 100), None);
        assert_eq!(schedule.put(9, Some(head(3, 9)), 200), Some(7));
        assert_eq!(schedule.put(7, Some(head(1, 7)), 90_000), Some(7));
        assert_eq!(schedule.start(100), Some(head(2, 8)));
    }
}
