//! When the next webhook is due: at once, or at its place in a steady stream.

use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::Options;

/// One connection's order of work.
pub(super) enum Turn {
    /// As soon as the last answer is there.
    AtOnce,
    /// When the stream says so. What is due while an answer is awaited waits, and that time counts.
    Due(UnboundedReceiver<Instant>),
}

impl Turn {
    pub(super) async fn next(&mut self, end: Instant) -> Option<Instant> {
        match self {
            Turn::AtOnce => Some(Instant::now()).filter(|now| *now < end),
            Turn::Due(stream) => stream.recv().await,
        }
    }
}

/// A turn for each connection.
pub(super) fn turns(options: &Options, began: Instant) -> Vec<Turn> {
    let Some(rate) = options.rate else {
        return (0..options.connections).map(|_| Turn::AtOnce).collect();
    };
    let (senders, turns): (Vec<_>, Vec<_>) = (0..options.connections)
        .map(|_| {
            let (sender, receiver) = unbounded_channel();
            (sender, Turn::Due(receiver))
        })
        .unzip();
    let seconds = options.seconds;
    // The runtime's timer is too coarse, by a millisecond.
    std::thread::spawn(move || stream(&senders, rate, seconds, began));
    turns
}

/// Hands out the due moments, in turn among the connections.
fn stream(connections: &[UnboundedSender<Instant>], rate: f64, seconds: f64, began: Instant) {
    let gap = Duration::from_secs_f64(1.0 / rate);
    let end = began + Duration::from_secs_f64(seconds);
    let mut due = began;
    for connection in connections.iter().cycle() {
        if due >= end {
            return;
        }
        if let Some(early) = due.checked_duration_since(Instant::now()) {
            std::thread::sleep(early);
        }
        if connection.send(due).is_err() {
            return;
        }
        due += gap;
    }
}
