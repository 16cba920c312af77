//! Whether the chats of a number came over: a pure function of the chunks that arrived, what became of them, and
//! when one looks.
//!
//! Meta sends the last six months in three phases, each in numbered chunks that may arrive in any order; an empty
//! phase sends nothing, so only a progress of 100 says that it is over. A history can be asked for once. Media
//! come later and only for the last 14 days before the number was connected.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// A transfer that was silent for so long does not go on by itself.
const SILENT_MAX_MS: i64 = 24 * 3_600_000;
/// Age of media, when the history came, beyond which Meta sends none.
pub const MEDIA_AGE_MAX_MS: i64 = 14 * 24 * 3_600_000;
/// Missing chunks that are listed, of each phase.
const MISSING_MAX: usize = 100;
/// A phase that Meta did not name.
pub const PHASE_UNKNOWN: i64 = -1;

/// One chunk, as Meta told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// 0 = the last day, 1 = up to 90 days, 2 = up to 180 days.
    pub phase: i64,
    pub order: i64,
    /// Percent of the whole transfer.
    pub progress: Option<i64>,
    pub messages: i64,
    pub received_ms: i64,
}

/// What is kept of a phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    pub messages: i64,
    pub conversations: i64,
    /// Messages with media, and how many of these came.
    pub media: i64,
    pub media_came: i64,
    /// Media that Meta never sends, since they were too old.
    pub media_too_old: i64,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    None,
    /// The business did not share it.
    Declined,
    Syncing,
    /// Nothing has come for a day, and it is not over.
    Stalled,
    /// Meta says that it is over, and no chunk is missing.
    Complete,
    /// Meta said that it is over a day ago, and chunks are missing.
    Incomplete,
}

/// One phase of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase {
    pub phase: i64,
    pub chunks: usize,
    /// Numbers of chunks that did not come though later ones did; at most 100.
    pub chunks_missing: Vec<i64>,
    /// Messages in its chunks. Fewer are kept when Meta repeats some or a contact was erased.
    pub messages_told: i64,
    pub kept: Kept,
}

/// The answer to "did all my chats come over?"
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub state: State,
    /// Percent.
    pub progress: Option<i64>,
    /// When the last chunk came, ms since 1970.
    pub last_ms: Option<i64>,
    pub phases: Vec<Phase>,
}

/// What Meta said, without what became of it.
#[must_use]
pub fn report(declined: bool, chunks: &[Chunk], kept: &BTreeMap<i64, Kept>, now_ms: i64) -> Report {
    let mut by_phase: BTreeMap<i64, (BTreeSet<i64>, i64)> = kept
        .keys()
        .map(|phase| (*phase, Default::default()))
        .collect();
    for chunk in chunks {
        let (orders, messages) = by_phase.entry(chunk.phase).or_default();
        orders.insert(chunk.order);
        *messages = messages.saturating_add(chunk.messages);
    }
    let phases: Vec<Phase> = by_phase
        .into_iter()
        .map(|(phase, (orders, messages_told))| Phase {
            phase,
            chunks: orders.len(),
            chunks_missing: gaps(&orders),
            messages_told,
            kept: kept.get(&phase).copied().unwrap_or_default(),
        })
        .collect();
    let progress = chunks.iter().filter_map(|chunk| chunk.progress).max();
    let last_ms = chunks.iter().map(|chunk| chunk.received_ms).max();
    let is_silent = last_ms.is_some_and(|last| now_ms.saturating_sub(last) >= SILENT_MAX_MS);
    let is_whole = phases.iter().all(|phase| phase.chunks_missing.is_empty());
    let is_over = progress.is_some_and(|percent| percent >= 100);
    let state = match (is_over, is_whole, is_silent) {
        _ if chunks.is_empty() && declined => State::Declined,
        _ if chunks.is_empty() => State::None,
        (true, true, _) => State::Complete,
        (true, false, true) => State::Incomplete,
        (false, _, true) => State::Stalled,
        (_, _, false) => State::Syncing,
    };
    Report {
        state,
        progress: progress.map(|percent| percent.clamp(0, 100)),
        last_ms,
        phases,
    }
}

/// Chunks are counted from 1, by some senders from 0.
fn gaps(orders: &BTreeSet<i64>) -> Vec<i64> {
    let mut gaps = Vec::new();
    let mut expected = 1;
    for &order in orders.iter().filter(|order| **order > 0) {
        // A made-up number must not cost more than what is shown.
        let fitting = (expected..order).take(MISSING_MAX.saturating_sub(gaps.len()));
        gaps.extend(fitting);
        expected = order.saturating_add(1);
    }
    gaps
}

impl State {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::None => "none",
            State::Declined => "declined",
            State::Syncing => "syncing",
            State::Stalled => "stalled",
            State::Complete => "complete",
            State::Incomplete => "incomplete",
        }
    }
}

impl Report {
    /// The whole of it in a sentence or two, with what can still be done.
    #[must_use]
    pub fn summary(&self) -> String {
        let percent = self.progress.unwrap_or(0);
        let missing: usize = self
            .phases
            .iter()
            .map(|phase| phase.chunks_missing.len())
            .sum();
        let mut text = match self.state {
            State::None => return "No history has come.".into(),
            State::Declined => {
                return "The business chose in the app not to share its history; to share it, disconnect the number in the app and connect it anew.".into();
            }
            State::Syncing => format!("The history is coming: {percent} %."),
            State::Stalled => format!(
                "The history stopped at {percent} %: nothing has come for a day. Meta sends it once; to get the rest, disconnect the number in the app and connect it anew."
            ),
            State::Complete => "The history is complete.".to_owned(),
            State::Incomplete => format!(
                "The history ended with {missing} chunks missing. Meta sends it once; to get them, disconnect the number in the app and connect it anew."
            ),
        };
        let sum = |of: fn(&Kept) -> i64| -> i64 {
            self.phases
                .iter()
                .fold(0, |sum: i64, phase| sum.saturating_add(of(&phase.kept)))
        };
        let _ = write!(text, " {} messages are kept.", sum(|kept| kept.messages));
        let (media, came) = (sum(|kept| kept.media), sum(|kept| kept.media_came));
        let too_old = sum(|kept| kept.media_too_old);
        if media > came {
            let awaited = media.saturating_sub(came).saturating_sub(too_old).max(0);
            let _ = write!(
                text,
                " Of {media} with media {came} have come; {too_old} were older than 14 days, which Meta never sends, and {awaited} are awaited."
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    fn chunk(phase: i64, order: i64, progress: i64) -> Chunk {
        Chunk {
            phase,
            order,
            progress: Some(progress),
            messages: 10,
            received_ms: NOW,
        }
    }

    fn told(chunks: &[Chunk], hours_later: i64) -> Report {
        report(
            false,
            chunks,
            &BTreeMap::new(),
            NOW + hours_later * 3_600_000,
        )
    }

    #[test]
    fn only_a_hundred_percent_without_a_gap_is_complete() {
        let whole = [chunk(0, 1, 10), chunk(1, 2, 100), chunk(1, 1, 60)];
        assert_eq!(told(&whole, 0).state, State::Complete);
        assert_eq!(told(&whole[..1], 0).state, State::Syncing);
        assert_eq!(told(&whole[..1], 24).state, State::Stalled);
        // Progress came first: the rest may still be on its way.
        assert_eq!(told(&whole[..2], 0).state, State::Syncing);
        let late = told(&whole[..2], 24);
        assert_eq!(late.state, State::Incomplete);
        let missing = late.phases.last().map(|phase| phase.chunks_missing.clone());
        assert_eq!(missing, Some(vec![1]));
        assert!(late.summary().contains("1 chunks missing"));
    }

    #[test]
    fn a_refused_history_and_none_at_all_say_so() {
        let declined = report(true, &[], &BTreeMap::new(), NOW);
        assert_eq!(declined.state, State::Declined);
        assert_eq!(told(&[], 0).state, State::None);
        // What came nevertheless counts.
        let came = report(true, &[chunk(0, 1, 100)], &BTreeMap::new(), NOW);
        assert_eq!(came.state, State::Complete);
    }

    #[test]
    fn the_summary_tells_which_media_will_never_come() {
        let kept = Kept {
            messages: 40,
            conversations: 3,
            media: 12,
            media_came: 5,
            media_too_old: 4,
        };
        let report = report(false, &[chunk(0, 1, 100)], &[(0, kept)].into(), NOW);
        assert_eq!(
            report.summary(),
            "The history is complete. 40 messages are kept. Of 12 with media 5 have come; 4 were older than 14 days, which Meta never sends, and 3 are awaited."
        );
    }

    proptest! {
        #[test]
        fn the_order_of_arrival_does_not_matter(
            mut chunks in prop::collection::vec((0_i64..3, 0_i64..9, 0_i64..=100), 0..20),
            seed in any::<prop::sample::Index>(),
        ) {
            let make = |all: &[(i64, i64, i64)]| -> Vec<Chunk> {
                all.iter().map(|(phase, order, progress)| chunk(*phase, *order, *progress)).collect()
            };
            let before = told(&make(&chunks), 1);
            if !chunks.is_empty() {
                let by = seed.index(chunks.len());
                chunks.rotate_left(by);
            }
            prop_assert_eq!(before, told(&make(&chunks), 1));
        }

        #[test]
        fn no_number_of_metas_is_too_large(order in any::<i64>(), progress in any::<i64>(), messages in any::<i64>()) {
            let odd = Chunk { phase: order, order, progress: Some(progress), messages, received_ms: order };
            let report = report(false, &[odd, chunk(1, 3, 5)], &BTreeMap::new(), progress);
            prop_assert!(report.phases.iter().all(|phase| phase.chunks_missing.len() <= MISSING_MAX));
            prop_assert!(!report.summary().is_empty());
        }
    }
}
