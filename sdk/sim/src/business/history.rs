//! The past of a business, phase by phase, thread by thread, oldest message first.

use serde_json::{Map, json};

use super::dice::{roll, strikes};
use super::{Business, File, Language, Part, Webhook, people, phrases};
use crate::clock::DAY_MS;
use crate::wamid::{self, Author};
use crate::webhook::old::{self, Chunks, Old, Packing};

/// Media older than this never come.
const MEDIA_MS: u64 = 14 * DAY_MS;
/// Days of a month, so that six of them are Meta's 180.
const MONTH_DAYS: u64 = 30;
const PHASES: [u8; 3] = [0, 1, 2];

const STANZA: u64 = 10;
const MOMENT: u64 = 11;
const TEXT: u64 = 12;
const MEDIA: u64 = 13;
const WEIGHT: u64 = 14;

/// One thread's place in the count of all messages.
#[derive(Clone, Copy)]
struct Thread {
    person: u32,
    /// Place of its first message among all.
    first: u64,
    messages: u64,
}

/// The threads; after one message for each, the rest falls to them by weight, so that a few people wrote most.
fn threads(business: &Business) -> impl Iterator<Item = Thread> + '_ {
    let options = &business.options;
    let weight = |person: u32| {
        let rolled = roll(options.seed, WEIGHT, person.into());
        // The eighth part of all has ten times the weight of the others.
        (1 + rolled % 16)
            * if (rolled >> 32).is_multiple_of(8) {
                10
            } else {
                1
            }
    };
    let all: u64 = (0..options.threads).map(weight).sum();
    let rest = u64::from(options.messages - options.threads);
    let (mut weight_before, mut first) = (0, 0);
    (0..options.threads).map(move |person| {
        let before = rest * weight_before / all.max(1);
        weight_before += weight(person);
        let messages = 1 + rest * weight_before / all.max(1) - before;
        let thread = Thread {
            person,
            first,
            messages,
        };
        first += messages;
        thread
    })
}

/// Age of a message: the later in its thread the younger, and the closer to its neighbours.
fn age_ms(business: &Business, thread: Thread, n: u64) -> u64 {
    /// Parts of the way from one message to the next.
    const STEPS: u128 = 1000;
    let jitter = u128::from(roll(business.options.seed, MOMENT, thread.first + n)) % STEPS;
    let span = u128::from(u64::from(business.options.months) * MONTH_DAYS * DAY_MS);
    let way = u128::from(thread.messages - n) * STEPS - jitter;
    let whole = u128::from(thread.messages) * STEPS;
    u64::try_from(span * way * way / (whole * whole)).unwrap_or(0)
}

fn phase(age_ms: u64) -> u8 {
    match age_ms / DAY_MS {
        0 => 0,
        1..90 => 1,
        _ => 2,
    }
}

fn message(
    business: &Business,
    thread: Thread,
    (phone, language): (&str, Language),
    n: u64,
    age_ms: u64,
) -> Old {
    let seed = business.options.seed;
    let place = thread.first + n;
    let rolled = roll(seed, TEXT, place);
    // Customers begin, and write a little more than they are answered.
    let from_me = n > 0 && rolled % 100 < 45;
    let author = if from_me {
        Author::Business
    } else {
        Author::Customer
    };
    let peer = if from_me {
        &business.number.number.digits
    } else {
        phone
    };
    Old {
        customer: thread.person,
        from_me,
        id: wamid::encode(peer, author, &stanza(seed, place)),
        at_ms: business.now_ms.saturating_sub(age_ms),
        phase: phase(age_ms),
        media: strikes(roll(seed, MEDIA, place), business.options.media_percent),
        text: phrases::line(language, author, rolled >> 8),
    }
}

/// Eighteen hex digits, different for every place.
pub(super) fn stanza(seed: u64, place: u64) -> String {
    format!("3A{:016X}", roll(seed, STANZA, place))
}

/// Old messages of the phases whose age is below `age_ms_max`.
fn messages(business: &Business, age_ms_max: u64) -> impl Iterator<Item = Old> + '_ {
    PHASES.into_iter().flat_map(move |phase| {
        threads(business).flat_map(move |thread| {
            let phone = people::person(business, thread.person).phone;
            let language = people::language(business, thread.person);
            (0..thread.messages).filter_map(move |n| {
                let age_ms = age_ms(business, thread, n);
                let fits = self::phase(age_ms) == phase && age_ms < age_ms_max;
                fits.then(|| message(business, thread, (&phone, language), n, age_ms))
            })
        })
    })
}

pub(super) fn chunks(business: &Business) -> impl Iterator<Item = Webhook> + '_ {
    let packing = Packing {
        user_ids: business.user_ids,
        lower_case: false,
        messages_max: business.options.chunk_messages as usize,
        total: business.options.messages as usize,
    };
    let customer = |index| people::person(business, index);
    let old = messages(business, u64::MAX);
    Chunks::new(&business.number, packing, old, customer).map(|chunk| {
        let part = Part::History(chunk.phase);
        let value = Map::from_iter([("history".to_owned(), json!([chunk.value]))]);
        Webhook {
            messages: chunk.messages,
            media: chunk.media,
            ..business.webhook(part, "history", chunk.customers, value, business.now_ms)
        }
    })
}

pub(super) fn follow_ups(business: &Business) -> impl Iterator<Item = Webhook> + '_ {
    messages(business, MEDIA_MS)
        .filter(|old| old.media)
        .map(|old| {
            let customer = people::person(business, old.customer);
            let file = File::picture(&old.id);
            let content = ("image", file.object());
            let value = old::again(
                &business.number,
                &customer,
                &old,
                content,
                business.user_ids,
            );
            let people = vec![old.customer];
            Webhook {
                messages: 1,
                media: 1,
                file: Some(file),
                ..business.webhook(Part::FollowUp, "history", people, value, business.now_ms)
            }
        })
}
