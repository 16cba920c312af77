//! Campaigns keep to what Meta has decided about the number, its account and the template, as far as it was told.

use std::collections::HashSet;

use super::policy;
use super::wire::{self, Wire};
use crate::log::{Call, Log};
use crate::rulings::{Rule, Ruling};
use crate::story::Story;

const DAY_MS: i64 = 24 * 3_600_000;
/// The one marketing template of the stories.
const MARKETING: &str = "spring_tea";
const TEMPLATES: [&str; 2] = [MARKETING, "order_update"];
/// A list of templates that crossed a word may be older than it; it is read again within so long.
const LIST_MS: i64 = 400_000;
/// An answer of Meta's is on its way no longer than this.
const CROSSING_MS: i64 = 4000;

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
        let now = |rule| standing(story, log, &told, rule, call);
        let what = match () {
            () if name == MARKETING && now(Rule::Quality).is_some() => "low quality",
            () if name == MARKETING && now(Rule::Alert).is_some() => "an alert",
            () if name == MARKETING && now(Rule::Locked).is_some() => "a ban",
            () if name == MARKETING && restricted(&now, call) => "a restriction",
            () if paused(log, &told, &now, name, call) => "the template's pause",
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
fn standing(
    story: &Story,
    log: &Log,
    told: &[Told<'_>],
    rule: Rule,
    call: &Call,
) -> Option<(i64, i64)> {
    let account = story.world.account(&call.number);
    let of_rule = || told.iter().filter(|(ruling, _)| ruling.rule == rule);
    let binds = |ruling: &Ruling| ruling.binds(&call.number, &account);
    let known =
        of_rule().filter(|(ruling, (_, acked_ms))| binds(ruling) && *acked_ms < call.gate_ms);
    let (last, (_, told_ms)) = known.max_by_key(|(ruling, _)| ruling.time)?;
    // The sim's list of templates is one for all accounts, and may be read before anything is told.
    let listed = matches!(rule, Rule::Template(_));
    let lifted = of_rule().any(|(other, (begun_ms, _))| {
        let newer = other.time > last.time;
        let since_ms = if listed { other.time * 1000 } else { *begun_ms };
        let shared = rule == Rule::Limit
            && [&account, &other.account].map(|of| owned(log, of, call.gate_ms)) == [true; 2];
        newer && (listed || shared || binds(other)) && since_ms <= call.gate_ms
    });
    last.on.filter(|_| !lifted).map(|on| (on, *told_ms))
}

/// Whether Meta has told whose account it is. All are one portfolio's, which has one limit.
fn owned(log: &Log, account: &str, by_ms: i64) -> bool {
    let posts = log.posts.iter().filter(|post| post.begun_ms <= by_ms);
    posts
        .flat_map(|post| wire::values(&post.body))
        .any(|(_, value)| {
            let about = &value["waba_info"];
            about["waba_id"] == account && about["owner_business_id"].is_string()
        })
}

fn restricted(now: &impl Fn(Rule) -> Option<(i64, i64)>, call: &Call) -> bool {
    now(Rule::Restricted).is_some_and(|(until_ms, _)| until_ms - until_ms % 1000 > call.gate_ms)
}

fn paused(
    log: &Log,
    told: &[Told<'_>],
    now: &impl Fn(Rule) -> Option<(i64, i64)>,
    name: &str,
    call: &Call,
) -> bool {
    let Some(name) = TEMPLATES.into_iter().find(|known| *known == name) else {
        return false;
    };
    // A list that was read while a word was on its way.
    let listed = |time_ms: i64| {
        let mut near = log.listed_ms.iter().map(|at_ms| at_ms - time_ms);
        near.any(|apart_ms| apart_ms.abs() < CROSSING_MS)
    };
    let of_template = told
        .iter()
        .filter(|(word, _)| word.rule == Rule::Template(name));
    let crossed = of_template.map(|(word, _)| word.time * 1000).any(listed);
    let doubt_ms = if crossed { LIST_MS } else { 0 };
    now(Rule::Template(name)).is_some_and(|(_, told_ms)| told_ms + doubt_ms < call.gate_ms)
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
