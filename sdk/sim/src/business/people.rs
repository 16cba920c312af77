//! The people of a business, each a function of the seed and their place.

use serde_json::{Map, json};

use super::dice::{pick, roll, strikes};
use super::{Business, Language, Part, Webhook};
use crate::clock::DAY_MS;
use crate::play::contacts::{BOOK_MAX, Entry};
use crate::world::{Customer, user_id};

const FIRST_NAMES: [&str; 24] = [
    "Aarav", "Aditi", "Anand", "Deepa", "Farhan", "Gauri", "Harish", "Ishita", "Jaya", "Kabir",
    "Kavya", "Lakshmi", "Manoj", "Meera", "Nikhil", "Pooja", "Rahul", "Rekha", "Sandeep", "Shruti",
    "Sunita", "Tanvi", "Vikram", "Zoya",
];
const LAST_NAMES: [&str; 24] = [
    "Agarwal",
    "Bhat",
    "Chavan",
    "Das",
    "Deshmukh",
    "Fernandes",
    "Gupta",
    "Iyer",
    "Jadhav",
    "Joshi",
    "Khan",
    "Kulkarni",
    "Kumar",
    "Mehta",
    "Murugan",
    "Nair",
    "Patel",
    "Patil",
    "Pillai",
    "Rao",
    "Reddy",
    "Shah",
    "Sharma",
    "Singh",
];

/// Phones `9197` and eight digits.
const PHONES: u64 = 100_000_000;
/// Prime to [`PHONES`], so that no two people share a phone.
const PHONE_STEP: u64 = 48_271;

const NAME: u64 = 1;
const SPEECH: u64 = 2;
const USERNAME: u64 = 3;
const BOOK: u64 = 4;

fn names(business: &Business, index: u32) -> (&'static str, &'static str) {
    let rolled = roll(business.options.seed, NAME, index.into());
    let first = pick(&FIRST_NAMES, rolled).unwrap_or_default();
    (first, pick(&LAST_NAMES, rolled >> 32).unwrap_or_default())
}

pub(super) fn person(business: &Business, index: u32) -> Customer {
    let options = &business.options;
    let waba = &business.number.number.waba;
    let start = roll(options.seed, 0, 0) % PHONES;
    let phone = format!(
        "9197{:08}",
        (start + u64::from(index) * PHONE_STEP) % PHONES
    );
    let (first, last) = names(business, index);
    let rolled = roll(options.seed, USERNAME, index.into());
    let phone_hidden = strikes(rolled >> 32, options.user_id_only_percent);
    let has_username = phone_hidden || strikes(rolled, options.username_percent);
    let username = format!("{}.{}{index}", first.to_lowercase(), last.to_lowercase());
    Customer {
        user_id: user_id(waba, &phone),
        name: format!("{first} {last}"),
        username: has_username.then_some(username),
        phone_hidden,
        phone,
        ..Customer::default()
    }
}

pub(super) fn language(business: &Business, index: u32) -> Language {
    let languages = &business.options.languages;
    let rolled = roll(business.options.seed, SPEECH, index.into()) % languages.len().max(1) as u64;
    usize::try_from(rolled)
        .ok()
        .and_then(|place| languages.get(place))
        .copied()
        .unwrap_or(Language::English)
}

pub(super) fn address_book(business: &Business) -> impl Iterator<Item = Webhook> + '_ {
    let all = business.options.contacts;
    let page = u32::try_from(BOOK_MAX).unwrap_or(u32::MAX);
    (0..all.div_ceil(page)).map(move |number| {
        let first = number * page;
        let people: Vec<u32> = (first..(first + page).min(all)).collect();
        let entries: Vec<_> = people.iter().map(|index| entry(business, *index)).collect();
        let value = Map::from_iter([("state_sync".to_owned(), json!(entries))]);
        business.webhook(Part::Contacts, "contacts", people, value, business.now_ms)
    })
}

fn entry(business: &Business, index: u32) -> serde_json::Value {
    let customer = person(business, index);
    // The phone knows since when it has had a contact: some time in the last three years.
    let age_ms = roll(business.options.seed, BOOK, index.into()) % (3 * 365 * DAY_MS);
    let entry = Entry {
        full_name: Some(&customer.name),
        first_name: customer.name.split(' ').next(),
        removed: false,
        seconds: business.now_ms.saturating_sub(age_ms) / 1000,
    };
    entry.element(&customer, business.user_ids)
}
