//! Whose an element is: its number's business, else its account's, else the gateway's own.

use std::collections::HashMap;

use duet_rules::partner::{self, Owner};
use duet_rules::provider::Provider;
use duet_rules::webhook::{Element, Meaning};
use rusqlite::{Connection, OptionalExtension};

use super::{Store, StoreError};

/// The account that an element is about; a word about an account may name another one than its envelope.
fn account(element: &Element) -> Option<&String> {
    let named = match &element.meaning {
        Meaning::Account(account) => account.waba.as_ref(),
        _ => None,
    };
    named.or(element.waba.as_ref())
}

/// The business of a number, `None` when there is no such number.
pub(super) fn of_number(
    connection: &Connection,
    number: &str,
) -> Result<Option<String>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT business FROM numbers WHERE id = ?1")?
        .query_row([number], |row| row.get(0))
        .optional()?)
}

/// The business of an element, as it stands now; the number's row is complete already.
pub(super) fn of(connection: &Connection, element: &Element) -> Result<String, StoreError> {
    if let Some(number) = &element.number
        && let Some(business) = of_number(connection, number)?
    {
        return Ok(business);
    }
    let Some(account) = account(element) else {
        return Ok(String::new());
    };
    let business: Option<String> = connection
        .prepare_cached("SELECT business FROM accounts WHERE waba = ?1")?
        .query_row([account], |row| row.get(0))
        .optional()?;
    Ok(business.unwrap_or_default())
}

impl Store {
    /// The business and the number that a row of the outbox is sent from.
    pub fn sender_of(&self, row: i64) -> Result<Option<(String, String)>, StoreError> {
        self.peek(|connection| {
            Ok(connection
                .prepare_cached(
                    "SELECT n.business, n.id FROM outbox o JOIN conversations c ON c.id = o.conversation
                     JOIN numbers n ON n.id = c.number WHERE o.id = ?1",
                )?
                .query_row([row], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?)
        })
    }
}

/// Whether there is a business that reaches WhatsApp through a partner.
pub(super) fn any_has_a_partner(connection: &Connection) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM providers WHERE provider <> ?1)")?
        .query_row([Provider::Meta.as_str()], |row| row.get(0))?)
}

/// How many numbers a business has.
pub(super) fn numbers(connection: &Connection, business: &str) -> Result<i64, StoreError> {
    Ok(connection
        .prepare_cached("SELECT count(*) FROM numbers WHERE business = ?1")?
        .query_row([business], |row| row.get(0))?)
}

/// Whether an account is anybody's.
pub(super) fn has_account(connection: &Connection, account: &str) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached("SELECT 1 FROM accounts WHERE waba = ?1")?
        .exists([account])?)
}

/// How many accounts a business has.
pub(super) fn accounts(connection: &Connection, business: &str) -> Result<i64, StoreError> {
    Ok(connection
        .prepare_cached("SELECT count(*) FROM accounts WHERE business = ?1")?
        .query_row([business], |row| row.get(0))?)
}

/// Whose the number and the accounts are that an element names, as far as they are known. An account is also his who
/// has a number of it.
pub(super) fn of_all_named(
    connection: &Connection,
    element: &Element,
) -> Result<Vec<Owner>, StoreError> {
    let mut owners = Vec::new();
    let mut add = |sql: &str, id: &str| -> Result<(), StoreError> {
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query([id])?;
        while let Some(row) = rows.next()? {
            let provider: Option<String> = row.get(1)?;
            owners.push(Owner {
                business: row.get(0)?,
                provider: provider
                    .and_then(|word| Provider::from_word(&word))
                    .unwrap_or(Provider::Meta),
            });
        }
        Ok(())
    };
    if let Some(number) = &element.number {
        add(
            "SELECT n.business, p.provider FROM numbers n LEFT JOIN providers p ON p.business = n.business WHERE n.id = ?1",
            number,
        )?;
    }
    for account in partner::accounts(element) {
        add(
            "SELECT o.business, p.provider FROM (SELECT business FROM accounts WHERE waba = ?1
             UNION SELECT business FROM numbers WHERE waba = ?1) o LEFT JOIN providers p ON p.business = o.business",
            account,
        )?;
    }
    Ok(owners)
}

/// The businesses of all numbers and accounts, for looking at many elements away from the store.
#[derive(Debug, Default)]
pub(super) struct Owners {
    numbers: HashMap<String, String>,
    accounts: HashMap<String, String>,
}

impl Owners {
    pub(super) fn read(connection: &Connection) -> Result<Owners, StoreError> {
        let pairs = |sql: &str| -> Result<HashMap<String, String>, StoreError> {
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        };
        Ok(Owners {
            numbers: pairs("SELECT id, business FROM numbers")?,
            accounts: pairs("SELECT waba, business FROM accounts")?,
        })
    }

    /// Whether there is nobody else: then nothing needs to be told apart.
    pub(super) fn are_all(&self, business: &str) -> bool {
        let mut all = self.numbers.values().chain(self.accounts.values());
        all.all(|other| other == business)
    }

    pub(super) fn of(&self, element: &Element) -> &str {
        let number = element.number.as_ref().and_then(|id| self.numbers.get(id));
        let account = || self.accounts.get(account(element)?);
        number.or_else(account).map_or("", String::as_str)
    }
}
