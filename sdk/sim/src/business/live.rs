//! Live traffic in turns of one second: a customer writes, then perhaps the person on the phone answers, or
//! another program of the business does through the API, whose messages show only as statuses.

use serde_json::json;

use super::dice::{roll, strikes};
use super::history::stanza;
use super::{Business, File, Part, Webhook, people, phrases};
use crate::wamid::{self, Author};
use crate::webhook::old::{self, Old};
use crate::webhook::status::Subject;

const PERSON: u64 = 20;
const ANSWER: u64 = 21;
const TEXT: u64 = 22;
const MEDIA: u64 = 23;

/// Ids that a turn may use.
const PLACES: u64 = 2;

pub(super) fn traffic(business: &Business) -> impl Iterator<Item = Webhook> + '_ {
    let people = business.options.people();
    let turns = if people == 0 { 0 } else { u64::MAX / 1000 };
    (0..turns).flat_map(move |turn| {
        let seed = business.options.seed;
        // Those with a thread write; without any, everybody in the address book may.
        let writers = match business.options.threads {
            0 => people,
            threads => threads,
        };
        let person = roll(seed, PERSON, turn) % u64::from(writers.max(1));
        let person = u32::try_from(person).unwrap_or(0);
        let mut webhooks = vec![spoken(business, person, turn, Author::Customer)];
        match roll(seed, ANSWER, turn) % 100 {
            0..40 => webhooks.push(spoken(business, person, turn, Author::Business)),
            40..60 => webhooks.extend(statuses(business, person, turn)),
            _ => {}
        }
        webhooks
    })
}

fn at_ms(business: &Business, turn: u64) -> u64 {
    business.now_ms.saturating_add(turn.saturating_mul(1000))
}

/// Place of a live message among all of the business, old ones first.
fn place(business: &Business, turn: u64, author: Author) -> u64 {
    let within = u64::from(author == Author::Business);
    u64::from(business.options.messages) + turn * PLACES + within
}

fn spoken(business: &Business, person: u32, turn: u64, author: Author) -> Webhook {
    let seed = business.options.seed;
    let (customer, language) = (
        people::person(business, person),
        people::language(business, person),
    );
    let place = place(business, turn, author);
    let from_me = author == Author::Business;
    let message = Old {
        customer: person,
        from_me,
        id: wamid::encode(&customer.phone, author, &stanza(seed, place)),
        at_ms: at_ms(business, turn),
        phase: 0,
        media: strikes(roll(seed, MEDIA, place), business.options.media_percent),
        text: phrases::line(language, author, roll(seed, TEXT, place)),
    };
    let file = message.media.then(|| File::picture(&message.id));
    let content = match &file {
        Some(file) => ("image", file.object()),
        None => ("text", json!({"body": message.text})),
    };
    let mut value = old::again(
        &business.number,
        &customer,
        &message,
        content,
        business.user_ids,
    );
    if !from_me {
        let contact = customer.contact(business.user_ids);
        value.insert("contacts".into(), json!([contact]));
    }
    let part = if from_me { Part::Echo } else { Part::Message };
    Webhook {
        messages: 1,
        media: usize::from(message.media),
        file,
        ..business.webhook(part, &customer.phone, vec![person], value, message.at_ms)
    }
}

fn statuses(business: &Business, person: u32, turn: u64) -> impl Iterator<Item = Webhook> + '_ {
    let customer = people::person(business, person);
    let place = place(business, turn, Author::Business);
    let id = wamid::encode(
        &customer.phone,
        Author::Business,
        &stanza(business.options.seed, place),
    );
    let subject = Subject {
        number: business.number.clone(),
        customer,
        id,
        opaque: None,
        category: "service".into(),
        window_open: true,
        by_user_id: false,
    };
    let at_ms = at_ms(business, turn);
    ["sent", "delivered", "read"]
        .into_iter()
        .map(move |word| Webhook {
            part: Part::Status,
            people: vec![person],
            messages: 0,
            media: 0,
            change: subject.status(business.user_ids, at_ms, word),
            file: None,
        })
}
