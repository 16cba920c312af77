//! Nothing passes the gate faster than Meta takes it: buckets of our own, filled by what the gateway had been told of
//! and by what it let go itself.

use super::policy::addressee;
use super::wire::{Told, Wire};
use crate::log::{Call, Log};

/// So many at once, then one after each pause, in µs.
struct Bucket {
    burst: i64,
    every_us: i64,
}

/// Of a coexistence number, what comes in and what the app sends included (130429).
const NUMBER: Bucket = Bucket {
    burst: 20,
    every_us: 50_000,
};
/// To one customer (131056).
const PAIR: Bucket = Bucket {
    burst: 45,
    every_us: 6_000_000,
};
/// Of the number's messages campaigns leave so many for answers.
const RESERVE: i64 = 5;

pub(super) fn judge(log: &Log, wire: &Wire) -> Vec<String> {
    let crowded = log.calls.iter().filter_map(|call| {
        let told = |array| {
            wire.of_array(array)
                .filter(|told| told.acked_ms < call.gate_ms && told.number == call.number)
        };
        let echoes: Vec<&Told> = told("message_echoes").filter(is_said).collect();
        let came_in = told("messages").filter(is_said);
        let sent = before(log, call);
        let all = sent.iter().map(|other| other.gate_ms);
        let all = all.chain(echoes.iter().map(|echo| echo.at_ms()));
        let number = all.chain(came_in.map(Told::at_ms)).collect();
        let kept = if is_campaign(call) { RESERVE } else { 0 };
        let to = addressee(call);
        let same = sent.iter().filter(|other| addressee(other) == to);
        let named = |echo: &&&Told| echo.ids().iter().any(|id| Some(id.as_str()) == to);
        let pair = same.map(|other| other.gate_ms);
        let pair = pair.chain(echoes.iter().filter(named).map(|echo| echo.at_ms()));
        let limit = match () {
            () if !NUMBER.has_room(number, kept, call.gate_ms) => "the number's",
            () if !PAIR.has_room(pair.collect(), 0, call.gate_ms) => "the customer's",
            () => return None,
        };
        Some(format!(
            "row {} passed the gate at {} beyond {limit} rate",
            call.row, call.gate_ms
        ))
    });
    crowded.collect()
}

/// What the gate had let go through the same number before. Nobody knows who was first within a millisecond: it is fair
/// to campaigns that they were.
fn before<'a>(log: &'a Log, call: &Call) -> Vec<&'a Call> {
    let place = |call: &Call| (call.gate_ms, !is_campaign(call), call.row);
    let others = log.calls.iter();
    others
        .filter(|other| other.number == call.number && place(other) < place(call))
        .collect()
}

/// Somebody's words to somebody who is named.
fn is_said(told: &&Told) -> bool {
    !["edit", "revoke", "system"].contains(&told.text("type")) && !told.ids().is_empty()
}

/// A template that no person sends.
fn is_campaign(call: &Call) -> bool {
    call.body["type"] == "template" && !super::sends::token(&call.body).starts_with("\"agent")
}

impl Bucket {
    /// Whether one more fits at `now_ms` beside `kept` others, after those `at_ms`.
    fn has_room(&self, mut at_ms: Vec<i64>, kept: i64, now_ms: i64) -> bool {
        at_ms.sort_unstable();
        let mut full_us = 0;
        for at_ms in at_ms {
            let at_us = at_ms * 1000;
            // No bucket is more than empty.
            full_us = (full_us.max(at_us) + self.every_us).min(at_us + self.burst * self.every_us);
        }
        full_us - (self.burst - kept - 1) * self.every_us <= now_ms * 1000
    }
}
