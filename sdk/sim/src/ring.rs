//! A record that forgets its oldest entries: bounded in entries and bytes, read by sequence, awaited by count.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::watch;

use crate::state::lock;

pub(crate) struct Ring<T> {
    kept: Mutex<Kept<T>>,
    total: watch::Sender<u64>,
    entries_max: usize,
    bytes_max: usize,
}

struct Kept<T> {
    entries: VecDeque<(u64, usize, T)>,
    bytes: usize,
    last: u64,
}

impl<T: Clone> Ring<T> {
    pub(crate) fn new(entries_max: usize, bytes_max: usize) -> Self {
        let kept = Kept {
            entries: VecDeque::new(),
            bytes: 0,
            last: 0,
        };
        Self {
            kept: Mutex::new(kept),
            total: watch::Sender::new(0),
            entries_max,
            bytes_max,
        }
    }

    /// Appends what `make` builds from its sequence number, which begins at 1. `bytes` is its weight.
    pub(crate) fn push(&self, bytes: usize, make: impl FnOnce(u64) -> T) {
        let mut kept = lock(&self.kept);
        kept.last += 1;
        let seq = kept.last;
        kept.entries.push_back((seq, bytes, make(seq)));
        kept.bytes += bytes;
        while kept.entries.len() > self.entries_max
            || (kept.bytes > self.bytes_max && kept.entries.len() > 1)
        {
            let Some((_, freed, _)) = kept.entries.pop_front() else {
                break;
            };
            kept.bytes -= freed;
        }
        self.total.send_replace(seq);
    }

    /// Up to `limit` entries after `after`, oldest first, and the sequence to go on from.
    pub(crate) fn after(&self, after: u64, limit: usize) -> (Vec<T>, u64) {
        let kept = lock(&self.kept);
        // Whoever reads on from before a reset begins anew.
        let after = if after > kept.last { 0 } else { after };
        let first = kept.entries.front().map_or(0, |(seq, ..)| *seq);
        let skipped = usize::try_from((after + 1).saturating_sub(first)).unwrap_or(usize::MAX);
        let page: Vec<_> = kept.entries.iter().skip(skipped).take(limit).collect();
        let next = page.last().map_or(after, |(seq, ..)| *seq);
        (
            page.into_iter().map(|(.., entry)| entry.clone()).collect(),
            next,
        )
    }

    pub(crate) fn find(&self, wanted: impl Fn(&T) -> bool) -> Option<T> {
        lock(&self.kept)
            .entries
            .iter()
            .rev()
            .find(|(.., entry)| wanted(entry))
            .map(|(.., entry)| entry.clone())
    }

    pub(crate) fn total(&self) -> u64 {
        *self.total.borrow()
    }

    /// Waits until `count` entries were ever pushed; false when the time ran out.
    pub(crate) async fn wait(&self, count: u64, timeout: Duration) -> bool {
        let mut total = self.total.subscribe();
        let reached = total.wait_for(|total| *total >= count);
        matches!(tokio::time::timeout(timeout, reached).await, Ok(Ok(_)))
    }

    pub(crate) fn clear(&self) {
        let mut kept = lock(&self.kept);
        *kept = Kept {
            entries: VecDeque::new(),
            bytes: 0,
            last: 0,
        };
        self.total.send_replace(0);
    }
}
