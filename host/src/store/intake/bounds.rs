//! Who may say what, by the table of `rules::partner`: a partner speaks of its business alone, and Meta of no business
//! that has a partner. What is beyond that is kept with its receipt, is no event, and raises an alarm.

use duet_rules::partner::{self, Source};
use duet_rules::webhook::Element;
use rusqlite::Connection;

use super::super::alarms::{self, Alarm};
use super::super::owner;
use super::{Recorded, Slice, StoreError};

/// Numbers that a business has without an admin's word.
const NUMBERS_MAX: i64 = 1000;

/// Leaves of a slice what its source may say; what a partner brings first becomes its business's. The answer tells of
/// the rest, if there is any.
pub(super) fn keep(
    connection: &Connection,
    slice: &mut Slice,
    recorded: &mut Recorded,
) -> Result<Option<String>, StoreError> {
    let business = slice.partner_of.clone();
    if business.is_none() && !owner::any_has_a_partner(connection)? {
        return Ok(None);
    }
    let source = business.as_deref().map_or(Source::Meta, Source::PartnerOf);
    let mut foreign = None;
    let mut own = Vec::with_capacity(slice.elements.len());
    for mut element in std::mem::take(&mut slice.elements) {
        if !may_say(connection, source, &element)? {
            foreign.get_or_insert_with(|| reason(source, &element));
            continue;
        }
        if let Source::PartnerOf(business) = source {
            partner::confine(&mut element);
            claim(connection, &element, business)?;
        }
        own.push(element);
    }
    slice.elements = own;
    if let Some(reason) = &foreign {
        let remedy = remedy(source);
        let detail = format!("{reason}; receipt {} keeps it. {remedy}", slice.receipt);
        let alarm = Alarm::new(alarms::FOREIGN_WEBHOOK, None, detail);
        recorded.alarm(connection, alarm, slice.received_ms)?;
    }
    Ok(foreign)
}

fn may_say(
    connection: &Connection,
    source: Source<'_>,
    element: &Element,
) -> Result<bool, StoreError> {
    let owners = owner::of_all_named(connection, element)?;
    if !partner::may_say(source, element, &owners) {
        return Ok(false);
    }
    match (source, &element.number) {
        (Source::PartnerOf(business), Some(number))
            if owner::of_number(connection, number)?.is_none() =>
        {
            Ok(owner::numbers(connection, business)? < NUMBERS_MAX)
        }
        _ => Ok(true),
    }
}

/// What nobody had is the business's from now on.
fn claim(connection: &Connection, element: &Element, business: &str) -> Result<(), StoreError> {
    if let Some(number) = &element.number {
        connection
            .prepare_cached(
                "INSERT OR IGNORE INTO numbers (id, state, business) VALUES (?1, 'live', ?2)",
            )?
            .execute([number.as_str(), business])?;
    }
    for account in partner::accounts(element) {
        connection
            .prepare_cached("INSERT OR IGNORE INTO accounts (waba, business) VALUES (?1, ?2)")?
            .execute([account, business])?;
    }
    Ok(())
}

fn reason(source: Source<'_>, element: &Element) -> String {
    let named = match (&element.number, partner::accounts(element).last()) {
        (Some(number), _) => format!("the number {}", short(number)),
        (None, Some(account)) => format!("the account {}", short(account)),
        (None, None) => "no number and no account".to_owned(),
    };
    match source {
        Source::PartnerOf(business) => format!(
            "the partner of the business {business} spoke of {named}, which it may not: that part was not taken in"
        ),
        Source::Meta => format!(
            "Meta spoke of {named}, which a business has at its partner: that part was not taken in"
        ),
    }
}

fn remedy(source: Source<'_>) -> String {
    match source {
        Source::PartnerOf(business) => format!(
            "If it is that business's, give it with duet business token {business} --number; else somebody knows the webhook secret: make another one with duet business webhook {business}"
        ),
        Source::Meta => "If the business is at its partner, unsubscribe your app from the account; else set its provider to meta with PUT /api/v1/businesses/{id}/access".to_owned(),
    }
}

/// An id as it came may be anything.
fn short(id: &str) -> String {
    id.chars().take(64).collect()
}
