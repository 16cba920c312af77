//! Campaigns keep to what Meta has decided about the number, its account and the template, as far as it was told.

use std::collections::HashSet;

use super::policy;
use super::wire::Wire;
use crate::log::{Call, Log};
use crate::rulings::{Rule, Ruling};
use crate::story::Story;

const DAY_MS: i64 = 24 * 3_600_000;
/// The one marketing template of the stories.
const MARKETING: &str = "spring_tea";
const TEMPLATES: [&str; 2] = [MARKETING, "order_update"];
/// Of the same second as a word, a list of templates may be older; it is read again within so long.
const LIST_MS: i64 = 400_000;

/// A ruling, when it could be known at the earliest, and when it was for sure.
type Told<'a> = (&'a Ruling, (i64, i64));

pub(super) fn judge(story: &Story, log: &Log, wire: &Wire) -> Vec<String> {
    let told: Vec<Told<'_>> = log
        .rulings
        .iter()
        .map(|ruling| (ruling, ruling.told_ms(log)))
        .collect();
    let broken = log.calls.iter().filter_map(|call| {
        let name = call.body.pointer("/template/name")?.as_str()?;
        let now = |rule| standing(story, &told, rule, call);
        let what = match () {
            () if name == MARKETING && now(Rule::Quality).is_some() => "low quality",
            () if name == MARKETING && now(Rule::Alert).is_some() => "an alert",
            () if name == MARKETING && now(Rule::Locked).is_some() => "a ban",
            () if name == MARKETING && restricted(&now, call) => "a restriction",
            () if paused(&now, name, call) => "the template's pause",
            () if beyond_limit(story, log, wire, call, now(Rule::Limit)) => "the limit for a day",
            () => return None,
        };
        Some(format!(
            "row {} passed the gate at {} in spite of {what}",
            call.row, call.gate_ms
        ))
    });
    broken.collect()
}

/// What holds for a call: the last word that was told before, if it forbids and none that might have lifted it was
/// on its way. The answer is its measure, and when it was told.
fn standing(story: &Story, told: &[Told<'_>], rule: Rule, call: &Call) -> Option<(i64, i64)> {
    let account = story.world.account(&call.number);
    let about = || {
        let of_rule = told.iter().filter(|(ruling, _)| ruling.rule == rule);
        of_rule.filter(|(ruling, _)| ruling.binds(&call.number, &account))
    };
    let known = about().filter(|(_, (_, acked_ms))| *acked_ms < call.gate_ms);
    let (last, (_, acked_ms)) = known.max_by_key(|(ruling, _)| ruling.time)?;
    let lifted = about().any(|(other, (begun_ms, _))| {
        *begun_ms <= call.gate_ms && (other.time > last.time || *begun_ms > *acked_ms)
    });
    last.on.filter(|_| !lifted).map(|on| (on, *acked_ms))
}

fn restricted(now: &impl Fn(Rule) -> Option<(i64, i64)>, call: &Call) -> bool {
    now(Rule::Restricted).is_some_and(|(until_ms, _)| until_ms - until_ms % 1000 > call.gate_ms)
}

fn paused(now: &impl Fn(Rule) -> Option<(i64, i64)>, name: &str, call: &Call) -> bool {
    let name = TEMPLATES.into_iter().find(|known| *known == name);
    name.and_then(|name| now(Rule::Template(name)))
        .is_some_and(|(_, told_ms)| told_ms + LIST_MS < call.gate_ms)
}

/// As many other customers have been written to first within a day.
fn beyond_limit(
    story: &Story,
    log: &Log,
    wire: &Wire,
    call: &Call,
    limit: Option<(i64, i64)>,
) -> bool {
    let Some((max, _)) = limit else { return false };
    let account = |call: &Call| story.world.account(&call.number);
    let customer = |call: &Call| policy::customer(story, wire, call);
    if !begins(log, call, customer(call)) {
        return false;
    }
    let lately = call.gate_ms - DAY_MS + 1..call.gate_ms;
    let earlier = log.calls.iter().filter(|other| {
        lately.contains(&other.gate_ms)
            && account(other) == account(call)
            && other.body["type"] == "template"
            && begins(log, other, customer(other))
    });
    let opened: HashSet<Option<usize>> = earlier.map(customer).collect();
    !opened.contains(&customer(call)) && i64::try_from(opened.len()).unwrap_or(0) >= max
}

/// Nobody has heard of the customer for a day.
fn begins(log: &Log, call: &Call, customer: Option<usize>) -> bool {
    let wrote = |said: &crate::log::Said| {
        !said.by_phone
            && said.number == call.number
            && Some(said.customer) == customer
            && said.at_ms > call.gate_ms - DAY_MS - 1000
            && said.at_ms <= call.gate_ms
    };
    customer.is_some() && !log.said.values().any(wrote)
}
