//! No send reaches Meta that Meta's rules forbid, as far as the gateway had been told of what they depend on.

use super::wire::{Told, Wire};
use crate::log::{Call, Log};
use crate::story::Story;

const DAY_MS: i64 = 24 * 3_600_000;
/// Words that crossed a throughput limit may still be on their way.
const CROSSING_MS: i64 = 3000;
/// A request that is longer on its way counts later with Meta than here.
const SLOW_MS: i64 = 90;
const SLOW_FOR_MS: i64 = 300_000;
/// Not to be tried again: by Meta's page of error codes, or since it would not help.
const NEVER: [i64; 4] = [131_008, 131_026, 131_049, 131_051];
/// An answer is on disk within so long, unless the gateway was killed meanwhile.
const RECORDED_MS: i64 = 2500;
const ATTEMPTS_MAX: usize = 8;
/// A refused token is tried again so long after it was tried at the earliest.
const RETRY_MS: i64 = 29_000;

pub(super) fn judge(story: &Story, log: &Log, wire: &Wire) -> Vec<String> {
    let judged = log.calls.iter().filter_map(|call| {
        let cause = window(story, log, wire, call)
            .or_else(|| stopped(story, log, wire, call))
            .or_else(|| capped(log, call))
            .or_else(|| declined(story, log, wire, call))
            .or_else(|| token(log, call))
            .or_else(|| turn(log, call))
            .or_else(|| hopeless(log, call))
            .or_else(|| endless(log, call))
            .or_else(|| standing(log, call))
            .or_else(|| rate(story, log, wire, call))?;
        Some(format!(
            "row {} reached Meta at {}: {cause}",
            call.row, call.at_ms
        ))
    });
    judged.collect()
}

/// The customer that a call goes to.
pub(super) fn customer(story: &Story, wire: &Wire, call: &Call) -> Option<usize> {
    let to = ["to", "recipient"]
        .into_iter()
        .find_map(|key| call.body.get(key)?.as_str());
    let to = [to?.to_owned()];
    let mut phones = story.world.customers.iter();
    phones.position(|phone| wire.same(&to, std::slice::from_ref(phone), i64::MAX))
}

/// The customer that a call goes to, even if nothing but their own words tells who has that id.
fn really(story: &Story, log: &Log, wire: &Wire, call: &Call) -> Option<usize> {
    customer(story, wire, call).or_else(|| {
        let to = addressee(call)?;
        let theirs = |told: &&Told| told.ids().iter().any(|id| id == to);
        let told = wire.of_array("messages").find(theirs)?;
        log.said.get(told.id()).map(|said| said.customer)
    })
}

/// Free words more than a day after the customer's last.
fn window(story: &Story, log: &Log, wire: &Wire, call: &Call) -> Option<String> {
    if call.body["type"] == "template" {
        return None;
    }
    let customer = customer(story, wire, call)?;
    let theirs = log
        .said
        .values()
        .filter(|said| !said.by_phone && said.number == call.number && said.customer == customer);
    let last_ms = theirs
        .map(|said| said.at_ms)
        .filter(|at_ms| *at_ms <= call.gate_ms)
        .max();
    let open = last_ms.is_some_and(|last_ms| call.gate_ms < last_ms + DAY_MS);
    (!open).then(|| format!("the window is closed, the last word came at {last_ms:?}"))
}

/// Marketing after the customer's stop.
fn stopped(story: &Story, log: &Log, wire: &Wire, call: &Call) -> Option<String> {
    if call.body.pointer("/template/name")? != "spring_tea" {
        return None;
    }
    let customer = customer(story, wire, call)?;
    // A contact's choice holds for the whole gateway.
    let theirs = log.words.iter().filter(|word| word.customer == customer);
    let last = theirs
        .filter(|word| word.at_ms <= call.at_ms)
        .max_by_key(|word| word.at_ms / 1000)?;
    let told = wire.told.values().find(|told| {
        told.number == last.number
            && ((told.array == "messages" && told.id() == last.mark)
                || (told.array == "user_preferences"
                    && told.body["timestamp"] == last.at_ms / 1000
                    && last.mark.starts_with("preference")))
    })?;
    let phone = [story.world.customers[customer].clone()];
    let ids = if told.array == "messages" {
        told.ids()
    } else {
        phone.to_vec()
    };
    let to = ["to", "recipient"]
        .into_iter()
        .find_map(|key| call.body.get(key)?.as_str())?;
    let known = wire.same(&ids, &[to.to_owned()], call.gate_ms);
    (last.stop && known && told.acked_ms < call.gate_ms).then(|| {
        format!(
            "the customer has stopped marketing, told at {}",
            told.acked_ms
        )
    })
}

/// Marketing within a day of Meta's word that the customer has had enough of it from this number.
fn capped(log: &Log, call: &Call) -> Option<String> {
    if call.body.pointer("/template/name")? != "spring_tea" {
        return None;
    }
    let told = log.calls.iter().find(|other| {
        let lasts = other.answered_ms + RECORDED_MS..other.answered_ms + DAY_MS - RECORDED_MS;
        other.code == Some(131_049)
            && other.number == call.number
            && addressee(other) == addressee(call)
            && lasts.contains(&call.gate_ms)
    })?;
    Some(format!("answer 131049 came at {}", told.answered_ms))
}

/// Marketing after Meta's word that the customer wants none, unless they asked for it since.
fn declined(story: &Story, log: &Log, wire: &Wire, call: &Call) -> Option<String> {
    if call.body.pointer("/template/name")? != "spring_tea" {
        return None;
    }
    let mut told = log.calls.iter().filter(|other| {
        other.code == Some(131_050)
            && other.answered_ms + RECORDED_MS < call.gate_ms
            && addressee(other) == addressee(call)
    });
    let customer = customer(story, wire, call)?;
    let asked = |since_ms: i64| {
        let theirs = log.words.iter().filter(|word| word.customer == customer);
        theirs.filter(|word| !word.stop).any(|word| {
            word.at_ms >= since_ms - since_ms % 1000 - RECORDED_MS && word.at_ms <= call.gate_ms
        })
    };
    let told = told.find(|other| !asked(other.answered_ms))?;
    Some(format!("answer 131050 came at {}", told.answered_ms))
}

/// Tried more often than anything is.
fn endless(log: &Log, call: &Call) -> Option<String> {
    let refused = log.calls.iter().filter(|other| {
        other.row == call.row
            && other.answered_ms < call.gate_ms
            && other.code.is_some_and(|code| ![10, 190].contains(&code))
    });
    let times = refused.count();
    (times >= ATTEMPTS_MAX).then(|| format!("{times} attempts came before"))
}

/// The same send again after a code that it will always get.
fn hopeless(log: &Log, call: &Call) -> Option<String> {
    let mut earlier = log
        .calls
        .iter()
        .filter(|other| other.row == call.row && other.answered_ms < call.gate_ms);
    let refused = earlier.find(|other| other.code.is_some_and(|code| NEVER.contains(&code)))?;
    Some(format!("answer {:?} came before", refused.code))
}

/// A send that leaves before a token which Meta has just refused is to be tried again, and nothing succeeded since.
fn token(log: &Log, call: &Call) -> Option<String> {
    let refused = log.calls.iter().find(|other| {
        let lasts = other.answered_ms + RECORDED_MS..other.gate_ms + RETRY_MS;
        refuses(other, call) && lasts.contains(&call.gate_ms)
    })?;
    (!freed(log, refused, call))
        .then(|| format!("the token was refused at {}", refused.answered_ms))
}

/// A refused token that two try at once.
fn turn(log: &Log, call: &Call) -> Option<String> {
    let refused = || log.calls.iter().filter(|other| refuses(other, call));
    let trying = refused().rfind(|other| {
        let lasts = other.gate_ms..other.gate_ms + RETRY_MS;
        other.row != call.row && lasts.contains(&call.gate_ms) && other.at_ms <= call.at_ms
    })?;
    let before = refused().rfind(|other| other.answered_ms + RECORDED_MS < trying.gate_ms)?;
    (!freed(log, before, call)).then(|| format!("row {} had its turn", trying.row))
}

/// Whether an answer is about the token of this call, too: one that is void, or one without a permission for the number.
fn refuses(other: &Call, call: &Call) -> bool {
    match other.code {
        Some(190) => true,
        Some(10) => other.number == call.number,
        _ => false,
    }
}

/// Something was taken since, or while it was on its way.
fn freed(log: &Log, refused: &Call, call: &Call) -> bool {
    let since = refused.at_ms - RETRY_MS..=call.gate_ms;
    let taken = log
        .calls
        .iter()
        .filter(|other| other.code.is_none() || other.lost)
        .map(|other| other.answered_ms);
    taken
        .chain(log.marked_ms.iter().copied())
        .chain(log.listed_ms.iter().copied())
        .any(|at_ms| since.contains(&at_ms))
}

pub(super) fn addressee(call: &Call) -> Option<&str> {
    let keys = ["to", "recipient"].into_iter();
    keys.filter_map(|key| call.body.get(key)?.as_str()).next()
}

/// A number that Meta has taken off.
fn standing(log: &Log, call: &Call) -> Option<String> {
    let code = call
        .code
        .filter(|code| call.by_rule && [10, 133_010].contains(code))?;
    let mut here = log
        .standings
        .iter()
        .filter(|word| word.number == call.number);
    let last = here.rfind(|word| word.at_ms <= call.gate_ms)?;
    let off = ["ACCOUNT_OFFBOARDED", "PARTNER_REMOVED"].contains(&last.event.as_str());
    (off && last.told_ms(log) < call.gate_ms)
        .then(|| format!("{} was told, answer {code}", last.event))
}

/// Faster than Meta takes messages, though none before it was long on its way and none of the app's or of customers'
/// was unheard, and nobody could know that two whom it wrote to are one.
fn rate(story: &Story, log: &Log, wire: &Wire, call: &Call) -> Option<String> {
    let code = call
        .code
        .filter(|code| call.by_rule && [131_056, 130_429].contains(code))?;
    let lately = call.at_ms - CROSSING_MS..=call.at_ms;
    let unheard = log.said.iter().any(|(id, said)| {
        let told = wire.told.values().find(|told| told.id() == id);
        said.number == call.number
            && lately.contains(&said.at_ms)
            && told.is_none_or(|told| told.acked_ms > call.gate_ms - CROSSING_MS)
    });
    let slow = log.calls.iter().any(|other| {
        other.number == call.number
            && other.answered_ms - other.gate_ms > SLOW_MS
            && other.answered_ms <= call.answered_ms
            && other.answered_ms > call.answered_ms - SLOW_FOR_MS
    });
    let to = |call: &Call| addressee(call).map(str::to_owned);
    let theirs = really(story, log, wire, call);
    let divided = log.calls.iter().any(|other| {
        let others = really(story, log, wire, other);
        other.number == call.number
            && other.at_ms <= call.at_ms
            && (theirs.is_none() || others.is_none() || theirs == others)
            && !wire.same(to(other).as_slice(), to(call).as_slice(), call.gate_ms)
    });
    let excused = slow || (unheard && code == 130_429) || (divided && code == 131_056);
    (!excused).then(|| format!("answer {code}"))
}
