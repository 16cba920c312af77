//! Who may say what, by the table of `rules::partner`: a partner speaks of its business alone, and Meta of no business
//! that has a partner. What is beyond that is kept with its receipt, is no event, and raises an alarm of that business.

use std::collections::BTreeMap;

use duet_rules::business::OWN;
use duet_rules::partner::{self, Source};
use duet_rules::webhook::Element;
use rusqlite::Connection;

use super::super::alarms::{self, Alarm};
use super::super::{businesses, owner};
use super::{Recorded, Slice, StoreError};

/// Numbers that a business has without an admin's word, and as many accounts.
const CLAIMS_MAX: i64 = 1000;

/// Why a part is not taken in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Apart {
    /// The business whose partner has passed it on is no more; another one may have its id.
    Removed(String),
    /// The partner of this business may not say it.
    OfPartner(String),
    /// Meta may not say it of this business, which has a partner.
    OfMeta(String),
}

/// Leaves of a slice what its source may say; what a partner brings first becomes its business's, unless that was removed
/// meanwhile. The answer tells of the rest, if there is any.
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
    let is_gone = match source {
        Source::PartnerOf(business) => {
            !businesses::was_there(connection, business, slice.received_ms)?
        }
        Source::Meta => false,
    };
    let mut rest = BTreeMap::new();
    let mut own = Vec::with_capacity(slice.elements.len());
    for mut element in std::mem::take(&mut slice.elements) {
        let apart = match is_gone {
            true => business.clone().map(Apart::Removed),
            false => kept_apart(connection, source, &element)?,
        };
        if let Some(apart) = apart {
            let reason = apart.reason(&element);
            rest.entry(apart).or_insert(reason);
            continue;
        }
        if let Source::PartnerOf(business) = source {
            partner::confine(&mut element);
            claim(connection, &element, business)?;
        }
        own.push(element);
    }
    slice.elements = own;
    let first = rest.values().next().cloned();
    for (apart, reason) in rest {
        let remedy = apart.remedy();
        let detail = format!("{reason}; receipt {} keeps it. {remedy}", slice.receipt);
        let alarm = Alarm::new(alarms::FOREIGN_WEBHOOK, None, detail).of(apart.concerned());
        recorded.alarm(connection, alarm, slice.received_ms)?;
    }
    Ok(first)
}

/// Why the source may not say this, or nothing when it may.
fn kept_apart(
    connection: &Connection,
    source: Source<'_>,
    element: &Element,
) -> Result<Option<Apart>, StoreError> {
    let owners = owner::of_all_named(connection, element)?;
    let concerned = partner::kept_apart(source, element, &owners);
    Ok(match (source, concerned) {
        (Source::Meta, concerned) => concerned.map(|business| Apart::OfMeta(business.to_owned())),
        (Source::PartnerOf(business), None) if has_room(connection, element, business)? => None,
        (Source::PartnerOf(business), _) => Some(Apart::OfPartner(business.to_owned())),
    })
}

/// Whether the business may still have what nobody has yet: else one body could take the ids of all that are to come.
fn has_room(
    connection: &Connection,
    element: &Element,
    business: &str,
) -> Result<bool, StoreError> {
    if let Some(number) = &element.number
        && owner::of_number(connection, number)?.is_none()
        && owner::numbers(connection, business)? >= CLAIMS_MAX
    {
        return Ok(false);
    }
    for account in partner::accounts(element) {
        if !owner::has_account(connection, account)?
            && owner::accounts(connection, business)? >= CLAIMS_MAX
        {
            return Ok(false);
        }
    }
    Ok(true)
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

impl Apart {
    /// Whose trouble it is.
    fn concerned(self) -> String {
        match self {
            Apart::Removed(_) => OWN.to_owned(),
            Apart::OfPartner(business) | Apart::OfMeta(business) => business,
        }
    }

    fn reason(&self, element: &Element) -> String {
        let named = match (&element.number, partner::accounts(element).last()) {
            (Some(number), _) => format!("the number {}", short(number)),
            (None, Some(account)) => format!("the account {}", short(account)),
            (None, None) => "no number and no account".to_owned(),
        };
        let what = match self {
            Apart::Removed(business) => format!(
                "the business {business} was removed while a webhook of its partner waited, which speaks of {named}"
            ),
            Apart::OfPartner(business) => {
                format!("the partner of the business {business} spoke of {named}, which it may not")
            }
            Apart::OfMeta(business) => {
                format!("Meta spoke of {named}, which the business {business} has at its partner")
            }
        };
        format!("{what}: that part was not taken in")
    }

    fn remedy(&self) -> String {
        match self {
            Apart::Removed(_) => "Take the webhook's address out at the partner".to_owned(),
            Apart::OfPartner(business) => format!(
                "If it is that business's, give it with duet business token {business} --number; else somebody knows the webhook secret: make another one with duet business webhook {business}"
            ),
            Apart::OfMeta(business) => format!(
                "If the business is at its partner, unsubscribe your app from the account; else set its provider to meta with PUT /api/v1/businesses/{business}/access"
            ),
        }
    }
}

/// An id as it came may be anything.
fn short(id: &str) -> String {
    id.chars().take(64).collect()
}
