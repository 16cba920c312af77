//! Which event runs next: the bookkeeping of one instance's lanes, without I/O. In a lane one event at a time,
//! strictly in order of `seq`; across lanes in parallel; a lane that waits for a retry, or for a destination that is
//! down, holds up only itself, and history yields to what is live.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use crate::event::{Event, Lane};
use crate::store::lanes::Delivery;

/// Events that wait with their bodies in memory; beyond, scanning pauses.
const LOADED_MAX: usize = 2048;
/// A longer body waits on disk.
const BODY_LOADED_MAX: usize = 16 << 10;
/// Of them in one lane: a busy one leaves room for the others.
const LANE_LOADED_MAX: usize = 16;
/// Events that wait at all, most of them as a bare `seq` in a lane that is held up.
const OPEN_MAX: usize = 1_000_000;

/// An event that waits in a lane.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) seq: i64,
    /// Attempts made so far.
    pub(super) attempt: u32,
    /// Absent in history, with a long body, and while its lane is held up: read again when it is due.
    pub(super) event: Option<Arc<Event>>,
    redriven: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    Running,
    /// For a time or for a destination.
    Waiting,
}

/// Lanes that wait for one destination.
#[derive(Debug, Default)]
struct Held {
    /// In the order in which they came to it.
    lanes: VecDeque<Lane>,
    /// The one among them that has been let go to try it.
    trying: Option<Lane>,
}

#[derive(Debug)]
struct Queue {
    items: VecDeque<Item>,
    state: State,
}

/// All lanes of one instance.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    queues: HashMap<Lane, Queue>,
    ready: VecDeque<Lane>,
    ready_history: VecDeque<Lane>,
    history_running: usize,
    waiting: BTreeSet<(i64, Lane)>,
    /// By the destination.
    held: BTreeMap<String, Held>,
    /// Seen and not done.
    open: BTreeSet<i64>,
    loaded: usize,
    scanned: i64,
    /// From an earlier process: lanes that were further than the watermark, by their names.
    ahead: HashMap<String, i64>,
    /// From an earlier process: events that have to be tried again.
    retries: BTreeMap<i64, Delivery>,
}

impl Lanes {
    /// Goes on after `watermark`; `ahead` and `retries` are what the store knows beyond it.
    pub(super) fn new(
        watermark: i64,
        ahead: HashMap<String, i64>,
        retries: BTreeMap<i64, Delivery>,
    ) -> Lanes {
        Lanes {
            scanned: watermark,
            ahead,
            retries,
            ..Lanes::default()
        }
    }

    /// The last event that was offered or passed by.
    pub(super) fn scanned(&self) -> i64 {
        self.scanned
    }

    /// How many more events may be offered now.
    pub(super) fn room(&self) -> usize {
        if self.open.len() >= OPEN_MAX {
            0
        } else {
            LOADED_MAX.saturating_sub(self.loaded)
        }
    }

    /// The next event in order of `seq`; `wanted` says whether the instance is to see it.
    pub(super) fn offer(&mut self, event: Arc<Event>, wanted: bool) {
        self.scanned = event.seq;
        let lane = event.lane();
        if !wanted || self.done_before(&lane, event.seq) {
            return;
        }
        self.open.insert(event.seq);
        let retry = self.retries.remove(&event.seq);
        let item = Item {
            seq: event.seq,
            attempt: retry.as_ref().map_or(0, |retry| retry.attempt),
            event: Some(event),
            redriven: false,
        };
        self.push(&lane, item, retry);
    }

    fn done_before(&mut self, lane: &Lane, seq: i64) -> bool {
        if self.ahead.is_empty() {
            return false;
        }
        let name = lane.to_string();
        match self.ahead.get(&name) {
            Some(&done) if seq <= done => true,
            Some(_) => {
                self.ahead.remove(&name);
                false
            }
            None => false,
        }
    }

    /// An event from the dead letters: it runs next in its lane, whatever lane and watermark have passed.
    pub(super) fn redrive(&mut self, event: Arc<Event>) {
        let lane = event.lane();
        let event_seq = event.seq;
        let item = Item {
            seq: event.seq,
            attempt: 0,
            event: Some(event),
            redriven: true,
        };
        match self.queues.get_mut(&lane) {
            // Asked for twice, or found at the start and told once more: it runs once.
            Some(queue) if queue.items.iter().any(|item| item.seq == event_seq) => {}
            Some(queue) => {
                self.loaded += 1;
                let behind_running =
                    usize::from(queue.state == State::Running).min(queue.items.len());
                queue.items.insert(behind_running, item);
            }
            None => self.push(&lane, item, None),
        }
    }

    fn push(&mut self, lane: &Lane, mut item: Item, retry: Option<Delivery>) {
        // Six months of messages must not keep the scan from what is live.
        let is_long = |event: &Arc<Event>| event.body.len() > BODY_LOADED_MAX;
        if is_history(lane) || item.event.as_ref().is_some_and(is_long) {
            item.event = None;
        }
        if let Some(queue) = self.queues.get_mut(lane) {
            if queue.state == State::Waiting || queue.items.len() >= LANE_LOADED_MAX {
                item.event = None;
            }
            self.loaded += usize::from(item.event.is_some());
            queue.items.push_back(item);
            return;
        }
        let state = match retry {
            Some(retry) => {
                item.event = None;
                match retry.destination {
                    Some(destination) => self.wait_for(destination, lane),
                    None => self.wait_until(retry.next_ms, lane),
                }
                State::Waiting
            }
            None => {
                self.make_ready(lane.clone());
                State::Ready
            }
        };
        self.loaded += usize::from(item.event.is_some());
        self.queues.insert(
            lane.clone(),
            Queue {
                items: VecDeque::from([item]),
                state,
            },
        );
    }

    fn make_ready(&mut self, lane: Lane) {
        if is_history(&lane) {
            self.ready_history.push_back(lane);
        } else {
            self.ready.push_back(lane);
        }
    }

    fn wait_until(&mut self, due_ms: i64, lane: &Lane) {
        self.waiting.insert((due_ms, lane.clone()));
    }

    fn wait_for(&mut self, destination: String, lane: &Lane) {
        let held = self.held.entry(destination).or_default();
        held.lanes.push_back(lane.clone());
    }

    /// The next event that may run, with its lane, which is then taken until `done`, `retry` or `hold`. Of `parallel`
    /// runs, history gets half.
    pub(super) fn next(&mut self, parallel: usize) -> Option<(Lane, Item)> {
        let lane = match self.ready.pop_front() {
            Some(lane) => lane,
            None if self.history_running < parallel.div_ceil(2) => {
                let lane = self.ready_history.pop_front()?;
                self.history_running += 1;
                lane
            }
            None => return None,
        };
        // What is ready has a queue, and a queue has a first item.
        let queue = self.queues.get_mut(&lane)?;
        queue.state = State::Running;
        let item = queue.items.front()?.clone();
        Some((lane, item))
    }

    /// A run has ended.
    fn ended(&mut self, lane: &Lane) {
        if is_history(lane) {
            self.history_running = self.history_running.saturating_sub(1);
        }
        self.held.retain(|_, held| {
            held.trying.take_if(|trying| trying == lane);
            held.trying.is_some() || !held.lanes.is_empty()
        });
    }

    /// The lane's event is done, or has become a dead letter.
    pub(super) fn done(&mut self, lane: &Lane) {
        self.ended(lane);
        let Some(queue) = self.queues.get_mut(lane) else {
            return;
        };
        if let Some(item) = queue.items.pop_front() {
            self.loaded = self
                .loaded
                .saturating_sub(usize::from(item.event.is_some()));
            if !item.redriven {
                self.open.remove(&item.seq);
            }
        }
        if queue.items.is_empty() {
            self.queues.remove(lane);
        } else {
            queue.state = State::Ready;
            self.make_ready(lane.clone());
        }
    }

    /// The lane's event has to be tried again at `due_ms`; nothing behind it goes before it.
    pub(super) fn retry(&mut self, lane: &Lane, attempt: u32, due_ms: i64) {
        self.hold_up(lane, attempt);
        self.wait_until(due_ms, lane);
    }

    /// The lane's event has to be tried again once the destination answers; nothing behind it goes before it.
    pub(super) fn hold(&mut self, lane: &Lane, attempt: u32, destination: String) {
        self.hold_up(lane, attempt);
        self.wait_for(destination, lane);
    }

    /// What lanes wait for.
    pub(super) fn held(&self) -> impl Iterator<Item = &String> {
        self.held.keys()
    }

    /// Lets the lane go that has waited longest for a destination; the others wait for its end.
    pub(super) fn try_one(&mut self, destination: &str) {
        let Some(held) = self.held.get_mut(destination) else {
            return;
        };
        if held.trying.is_none()
            && let Some(lane) = held.lanes.pop_front()
        {
            held.trying = Some(lane.clone());
            self.let_go(lane);
        }
    }

    /// Lets all lanes go that wait for a destination.
    pub(super) fn release(&mut self, destination: &str) {
        let held = self.held.remove(destination).unwrap_or_default();
        held.lanes.into_iter().for_each(|lane| self.let_go(lane));
    }

    fn let_go(&mut self, lane: Lane) {
        if let Some(queue) = self.queues.get_mut(&lane) {
            queue.state = State::Ready;
            self.make_ready(lane);
        }
    }

    fn hold_up(&mut self, lane: &Lane, attempt: u32) {
        self.ended(lane);
        let Some(queue) = self.queues.get_mut(lane) else {
            return;
        };
        queue.state = State::Waiting;
        if let Some(item) = queue.items.front_mut() {
            item.attempt = attempt;
        }
        for item in &mut queue.items {
            self.loaded = self
                .loaded
                .saturating_sub(usize::from(item.event.take().is_some()));
        }
    }

    /// Makes the lanes ready whose time has come.
    pub(super) fn wake(&mut self, now_ms: i64) {
        while let Some((due_ms, lane)) = self.waiting.first().cloned()
            && due_ms <= now_ms
        {
            self.waiting.pop_first();
            self.let_go(lane);
        }
    }

    /// When the next lane is due, ms since 1970.
    pub(super) fn next_due(&self) -> Option<i64> {
        self.waiting.first().map(|(due_ms, _)| *due_ms)
    }

    /// Every event up to here is done.
    pub(super) fn watermark(&self) -> i64 {
        self.open.first().map_or(self.scanned, |seq| seq - 1)
    }

    /// Events that are seen and not done.
    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }
}

fn is_history(lane: &Lane) -> bool {
    matches!(lane, Lane::History(_))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Runs at once, more than a case needs.
    const MANY: usize = 1000;

    fn event(seq: i64, conversation: i64) -> Arc<Event> {
        Arc::new(live(seq, conversation))
    }

    fn history(seq: i64, conversation: i64) -> Arc<Event> {
        Arc::new(Event {
            history: true,
            ..live(seq, conversation)
        })
    }

    fn live(seq: i64, conversation: i64) -> Event {
        Event {
            seq,
            id: seq.to_string(),
            kind: "message.text".into(),
            business: String::new(),
            instance: None,
            number: Some("1".into()),
            waba: None,
            contact: None,
            conversation: Some(conversation),
            at_ms: None,
            received_ms: 0,
            receipt: seq,
            history: false,
            body: "{}".into(),
            context: None,
        }
    }

    proptest! {
        /// Whatever ends in whatever order: each lane sees its events once, in order, one at a time, and the
        /// watermark never passes an event that is not done.
        #[test]
        fn lanes_keep_their_order(
            conversations in prop::collection::vec(0i64..4, 1..60),
            choices in prop::collection::vec((any::<prop::sample::Index>(), 0u8..4), 0..400),
        ) {
            let mut lanes = Lanes::new(0, HashMap::new(), BTreeMap::new());
            for (at, &conversation) in conversations.iter().enumerate() {
                let seq = at as i64 + 1;
                let event = if conversation % 2 == 0 { event(seq, conversation) } else { history(seq, conversation) };
                lanes.offer(event, true);
            }
            let mut running: Vec<(Lane, Item)> = Vec::new();
            let mut finished: HashMap<Lane, Vec<i64>> = HashMap::new();
            let mut now_ms = 1;
            let endless = std::iter::repeat_n((None, 0u8), 4 * conversations.len());
            let steps = choices.into_iter().map(|(index, what)| (Some(index), what)).chain(endless);
            for (index, what) in steps {
                now_ms += 10;
                lanes.wake(now_ms);
                while let Some((lane, item)) = lanes.next(MANY) {
                    prop_assert!(running.iter().all(|(other, _)| *other != lane), "two runs in one lane");
                    running.push((lane, item));
                }
                if running.is_empty() {
                    continue;
                }
                let at = index.map_or(0, |index| index.index(running.len()));
                let (lane, item) = running.remove(at);
                if what == 3 {
                    lanes.retry(&lane, item.attempt + 1, now_ms + 15);
                } else {
                    lanes.done(&lane);
                    finished.entry(lane).or_default().push(item.seq);
                }
                let done: BTreeSet<i64> = finished.values().flatten().copied().collect();
                prop_assert!((1..=lanes.watermark()).all(|seq| done.contains(&seq)));
            }
            prop_assert!(finished.values().all(|seqs| seqs.is_sorted_by(|a, b| a < b)));
        }
    }

    #[test]
    fn a_lane_that_was_ahead_goes_on_where_it_was() {
        let ahead = HashMap::from([("c7".to_owned(), 5)]);
        let mut lanes = Lanes::new(2, ahead, BTreeMap::new());
        for seq in 3..=6 {
            lanes.offer(event(seq, 7), true);
        }
        assert_eq!(lanes.next(MANY).unwrap().1.seq, 6);
        assert!(lanes.next(MANY).is_none());
    }

    #[test]
    fn a_held_up_lane_keeps_no_bodies_and_leaves_room() {
        let mut lanes = Lanes::new(0, HashMap::new(), BTreeMap::new());
        lanes.offer(event(1, 7), true);
        let (lane, _) = lanes.next(MANY).unwrap();
        lanes.retry(&lane, 1, 1000);
        for seq in 2..5000 {
            lanes.offer(event(seq, 7), true);
        }
        assert_eq!(lanes.room(), LOADED_MAX);
        lanes.offer(event(5000, 8), true);
        assert_eq!(lanes.next(MANY).unwrap().1.seq, 5000);
    }

    #[test]
    fn lanes_that_wait_for_a_destination_go_on_in_the_order_in_which_they_came_to_it() {
        let mut lanes = Lanes::new(0, HashMap::new(), BTreeMap::new());
        for seq in 1..=6 {
            lanes.offer(event(seq, seq % 3), true);
        }
        let first: Vec<_> = std::iter::from_fn(|| lanes.next(MANY)).collect();
        for (lane, item) in &first {
            lanes.hold(lane, item.attempt, "crm".into());
        }
        assert!(lanes.next(MANY).is_none() && lanes.next_due().is_none());
        assert_eq!(lanes.held().collect::<Vec<_>>(), ["crm"]);
        let go = |lanes: &mut Lanes| {
            let (lane, item) = lanes.next(MANY)?;
            Some((lane, item.seq))
        };
        // One tries it, in vain, and then another one.
        for seq in [1, 2] {
            lanes.try_one("crm");
            lanes.try_one("crm");
            let (lane, tries) = go(&mut lanes).unwrap();
            assert_eq!((tries, go(&mut lanes)), (seq, None));
            lanes.hold(&lane, 0, "crm".into());
        }
        lanes.try_one("crm");
        let (trying, seq) = go(&mut lanes).unwrap();
        assert_eq!(seq, 3);
        lanes.release("crm");
        lanes.done(&trying);
        let rest: Vec<_> = std::iter::from_fn(|| go(&mut lanes)).collect();
        let seqs = rest.iter().map(|(_, seq)| *seq);
        assert_eq!(seqs.collect::<Vec<_>>(), [1, 2, 6]);
        for (lane, _) in rest {
            lanes.done(&lane);
        }
        let rest: Vec<_> = std::iter::from_fn(|| go(&mut lanes)).collect();
        let seqs = rest.iter().map(|(_, seq)| *seq);
        assert_eq!(seqs.collect::<Vec<_>>(), [4, 5]);
        assert_eq!(lanes.held().count(), 0);
    }

    #[test]
    fn history_leaves_room_and_places_to_what_is_live() {
        let mut lanes = Lanes::new(0, HashMap::new(), BTreeMap::new());
        for seq in 1..=5000 {
            lanes.offer(history(seq, seq), true);
        }
        assert_eq!(lanes.room(), LOADED_MAX);
        let first = [lanes.next(4).unwrap().0, lanes.next(4).unwrap().0];
        assert!(lanes.next(4).is_none(), "history has more than half");
        lanes.offer(event(5001, 1), true);
        assert_eq!(lanes.next(4).unwrap().1.seq, 5001);
        lanes.done(&first[0]);
        lanes.retry(&first[1], 1, 1000);
        lanes.offer(event(5002, 2), true);
        let next: Vec<i64> = std::iter::from_fn(|| lanes.next(4))
            .map(|(_, item)| item.seq)
            .collect();
        assert_eq!(next, [5002, 3, 4]);
    }
}
