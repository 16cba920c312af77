//! Bodies that wait for a commit, and which of them share the next one. A chunk of history has half a megabyte: each
//! such body is a commit of its own, and what customers write meanwhile comes before the next, so that a live
//! webhook waits for one of them at most.

use std::collections::VecDeque;

use bytes::Bytes;
use duet_rules::webhook::Mentions;
use tokio::sync::oneshot;

use super::Partner;

/// A longer body is committed alone.
const SHORT_BYTES_MAX: usize = 64 << 10;
/// One commit takes at most so many bodies and bytes.
const BATCH_MAX: usize = 256;
const BATCH_BYTES_MAX: usize = 8 << 20;

/// A body on its way to the disk.
pub(super) struct Append {
    pub(super) body: Bytes,
    pub(super) received_ms: i64,
    pub(super) mentions: Mentions,
    pub(super) partner: Option<Partner>,
    pub(super) done: oneshot::Sender<Result<i64, String>>,
}

#[derive(Default)]
pub(super) struct Waiting {
    short: Vec<Append>,
    short_bytes: usize,
    long: VecDeque<Append>,
}

impl Waiting {
    pub(super) fn add(&mut self, append: Append) {
        if append.body.len() > SHORT_BYTES_MAX {
            self.long.push_back(append);
        } else {
            self.short_bytes += append.body.len();
            self.short.push(append);
        }
    }

    /// Whether more may be taken from the queue before the next commit.
    pub(super) fn has_room(&self) -> bool {
        self.short.len() < BATCH_MAX
            && self.short_bytes < BATCH_BYTES_MAX
            && self.long.len() < BATCH_MAX
    }

    /// The next commit: all short ones, else the oldest long one. Long ones are never starved, since the callers of
    /// short ones wait for their answers.
    pub(super) fn next(&mut self) -> Option<Vec<Append>> {
        self.short_bytes = 0;
        if self.short.is_empty() {
            return self.long.pop_front().map(|append| vec![append]);
        }
        Some(std::mem::take(&mut self.short))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(bytes: usize) -> Append {
        Append {
            body: vec![b'x'; bytes].into(),
            received_ms: 0,
            mentions: Mentions::default(),
            partner: None,
            done: oneshot::channel().0,
        }
    }

    fn next(waiting: &mut Waiting) -> Vec<usize> {
        let batch = waiting.next().unwrap_or_default();
        batch.iter().map(|append| append.body.len()).collect()
    }

    #[test]
    fn a_live_webhook_waits_for_one_chunk_of_history_at_most() {
        let mut waiting = Waiting::default();
        for bytes in [500_000, 10, 600_000, 20] {
            waiting.add(append(bytes));
        }
        assert_eq!(next(&mut waiting), [10, 20]);
        assert_eq!(next(&mut waiting), [500_000]);
        waiting.add(append(30));
        assert_eq!(next(&mut waiting), [30]);
        assert_eq!(next(&mut waiting), [600_000]);
        assert_eq!(next(&mut waiting), [0_usize; 0]);
    }

    #[test]
    fn what_is_taken_from_the_queue_is_bounded() {
        for (bytes, most) in [
            (0, BATCH_MAX),
            (SHORT_BYTES_MAX, BATCH_BYTES_MAX / SHORT_BYTES_MAX),
            (SHORT_BYTES_MAX + 1, BATCH_MAX),
        ] {
            let mut waiting = Waiting::default();
            let mut count = 0;
            while waiting.has_room() {
                waiting.add(append(bytes));
                count += 1;
            }
            assert_eq!(count, most, "{bytes}");
            assert!(waiting.next().is_some());
            assert!(waiting.has_room() || bytes > SHORT_BYTES_MAX);
        }
    }
}
