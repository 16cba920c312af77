//! Businesses, and whose numbers are whose. A number has the business of its account; both are given before the first
//! conversation and never after, so that nothing of one business is ever seen by another.

use duet_rules::business::{OWN, id_is_valid};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Store, StoreError};

/// A business that an admin has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusinessRow {
    pub id: String,
    pub name: String,
    pub created_ms: i64,
    pub accounts: i64,
    pub numbers: i64,
}

/// Why nothing about a business was changed.
#[derive(Debug, thiserror::Error)]
pub enum BusinessError {
    #[error(
        "{0:?} is no name for a business; use 1 to 63 of a-z, 0-9 and -, beginning with a letter or digit"
    )]
    Id(String),
    #[error("there is a business {0} already")]
    Exists(String),
    #[error("there is no business {0}; make it first")]
    Unknown(String),
    #[error(
        "the business {business} has {numbers} numbers and {accounts} accounts; give these to another business first"
    )]
    InUse {
        business: String,
        numbers: i64,
        accounts: i64,
    },
    #[error(
        "{what} has conversations and stays with {from}: what customers wrote to one business is not shown to another"
    )]
    HasConversations { what: String, from: String },
    #[error("the account {0} is with another business already, and stays there")]
    Taken(String),
    #[error(
        "the gateway's own business has its token from DUET_ACCESS_TOKEN; name a business that was made"
    )]
    Own,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for BusinessError {
    fn from(error: rusqlite::Error) -> BusinessError {
        BusinessError::Store(error.into())
    }
}

const SELECT: &str =
    "SELECT b.id, b.name, b.created_ms, (SELECT count(*) FROM accounts a WHERE a.business = b.id),
     (SELECT count(*) FROM numbers n WHERE n.business = b.id) FROM businesses b";

impl Store {
    /// Makes a business.
    pub async fn create_business(
        &self,
        id: String,
        name: String,
        now_ms: i64,
    ) -> Result<BusinessRow, BusinessError> {
        if !id_is_valid(&id) {
            return Err(BusinessError::Id(id));
        }
        let made = self.write(move |connection| {
            let new = connection
                .prepare_cached("INSERT OR IGNORE INTO businesses VALUES (?1, ?2, ?3)")?
                .execute(params![id, name, now_ms])?;
            if new == 0 {
                return Ok(Err(BusinessError::Exists(id)));
            }
            Ok(business(connection, &id)?.ok_or(BusinessError::Unknown(id)))
        });
        made.await?
    }

    /// Businesses after the id `after`, in the order of their ids; the gateway's own is not among them.
    pub async fn businesses(
        &self,
        after: String,
        limit: u32,
    ) -> Result<Vec<BusinessRow>, StoreError> {
        self.read(move |connection| {
            let sql = format!("{SELECT} WHERE b.id > ?1 ORDER BY b.id LIMIT ?2");
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map(params![after, limit], row)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// One business; the gateway's own is none.
    pub async fn business(&self, id: String) -> Result<Option<BusinessRow>, StoreError> {
        self.read(move |connection| business(connection, &id)).await
    }

    /// Removes a business that has no numbers and no accounts, together with its secrets and
    /// the tokens that see it.
    pub async fn remove_business(&self, id: String) -> Result<(), BusinessError> {
        self.write(move |connection| Ok(remove(connection, id)))
            .await?
    }

    /// The business of a number, `None` when there is no such number.
    pub async fn business_of(&self, number: &str) -> Result<Option<String>, StoreError> {
        self.peek(|connection| {
            let business = connection
                .prepare_cached("SELECT business FROM numbers WHERE id = ?1")?
                .query_row([number], |row| row.get(0))
                .optional()?;
            Ok(business)
        })
    }

    /// Whether an admin has made it.
    pub async fn has_business(&self, id: String) -> Result<bool, StoreError> {
        self.read(move |connection| Ok(business(connection, &id)?.is_some()))
            .await
    }

    /// The business of an account, `None` when nothing is known of it.
    pub async fn business_of_account(&self, waba: &str) -> Result<Option<String>, StoreError> {
        self.peek(|connection| {
            let business = connection
                .prepare_cached("SELECT business FROM accounts WHERE waba = ?1")?
                .query_row([waba], |row| row.get(0))
                .optional()?;
            Ok(business)
        })
    }

    /// At most `limit` accounts that were given to a business.
    pub async fn accounts_of(
        &self,
        business: String,
        limit: u32,
    ) -> Result<Vec<String>, StoreError> {
        self.read(move |connection| {
            let mut query = connection.prepare_cached(
                "SELECT waba FROM accounts WHERE business = ?1 ORDER BY waba LIMIT ?2",
            )?;
            let rows = query.query_map(params![business, limit], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Gives an account to a business that has just shown that it is its own; one that another business has been given
    /// stays there, whether it talks or not.
    pub async fn claim_account(&self, waba: String, business: String) -> Result<(), BusinessError> {
        self.write(move |connection| Ok(claim_account(connection, waba, &business)))
            .await?
    }

    /// Gives an account, with the numbers that are known of it and those to come, to a business; `""` is the
    /// gateway's own. An account whose numbers have conversations stays where it is.
    pub async fn give_account(&self, waba: String, business: String) -> Result<(), BusinessError> {
        self.write(move |connection| Ok(give_account(connection, &waba, &business)))
            .await?
    }
}

fn remove(connection: &Connection, id: String) -> Result<(), BusinessError> {
    let Some(found) = business(connection, &id)? else {
        return Err(BusinessError::Unknown(id));
    };
    if found.numbers > 0 || found.accounts > 0 {
        return Err(BusinessError::InUse {
            business: id,
            numbers: found.numbers,
            accounts: found.accounts,
        });
    }
    for sql in [
        "DELETE FROM businesses WHERE id = ?1",
        "DELETE FROM secrets WHERE business = ?1",
        "DELETE FROM refresh_tokens WHERE business = ?1",
        "DELETE FROM providers WHERE business = ?1",
        "DELETE FROM refusals WHERE business = ?1",
        "DELETE FROM tokens WHERE business = ?1",
        "DELETE FROM media_given WHERE business = ?1",
        "DELETE FROM alarms WHERE business = ?1",
    ] {
        connection.prepare_cached(sql)?.execute([&id])?;
    }
    Ok(())
}

fn claim_account(
    connection: &Connection,
    waba: String,
    business: &str,
) -> Result<(), BusinessError> {
    // An account is also that of a business which was given a number of it.
    let is_others = connection
        .prepare_cached(
            "SELECT business FROM accounts WHERE waba = ?1 AND business NOT IN ('', ?2)
             UNION ALL SELECT business FROM numbers WHERE waba = ?1 AND business NOT IN ('', ?2)",
        )?
        .exists([waba.as_str(), business])?;
    match is_others {
        true => Err(BusinessError::Taken(waba)),
        false => give_account(connection, &waba, business),
    }
}

fn give_account(connection: &Connection, waba: &str, business: &str) -> Result<(), BusinessError> {
    must_exist(connection, business)?;
    let talks: Option<String> = connection
        .prepare_cached(
            "SELECT n.business FROM numbers n WHERE n.waba = ?1 AND n.business <> ?2
             AND EXISTS (SELECT 1 FROM conversations c WHERE c.number = n.id) LIMIT 1",
        )?
        .query_row(params![waba, business], |row| row.get(0))
        .optional()?;
    if let Some(from) = talks {
        return Err(stays(format!("the account {waba}"), &from));
    }
    connection
        .prepare_cached(
            "INSERT INTO accounts (waba, business) VALUES (?1, ?2) ON CONFLICT (waba) DO UPDATE SET business = ?2",
        )?
        .execute([waba, business])?;
    connection
        .prepare_cached("UPDATE numbers SET business = ?2 WHERE waba = ?1")?
        .execute([waba, business])?;
    Ok(())
}

/// Gives a partner's number to a business. Meta's id names it; its account, if one is known, stays where it is.
pub(super) fn give_number(
    connection: &Connection,
    number: &str,
    business: &str,
) -> Result<(), BusinessError> {
    let known: Option<(String, bool)> = connection
        .prepare_cached(
            "SELECT business, EXISTS (SELECT 1 FROM conversations c WHERE c.number = n.id) FROM numbers n WHERE n.id = ?1",
        )?
        .query_row([number], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some((from, true)) = known
        && from != business
    {
        return Err(stays(format!("the number {number}"), &from));
    }
    connection
        .prepare_cached(
            "INSERT INTO numbers (id, state, business) VALUES (?1, 'live', ?2)
             ON CONFLICT (id) DO UPDATE SET business = ?2",
        )?
        .execute([number, business])?;
    Ok(())
}

fn stays(what: String, from: &str) -> BusinessError {
    BusinessError::HasConversations {
        what,
        from: match from {
            OWN => "the gateway's own business".to_owned(),
            other => format!("the business {other}"),
        },
    }
}

/// A number whose account has just become known comes to the account's business, unless it has conversations; the
/// account of a number that was given away itself comes along with it.
pub(super) fn join(connection: &Connection, number: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO accounts (waba, business) SELECT waba, business FROM numbers WHERE id = ?1 AND business <> ''
             ON CONFLICT (waba) DO NOTHING",
        )?
        .execute([number])?;
    connection
        .prepare_cached(
            "UPDATE numbers SET business = a.business FROM accounts a
             WHERE numbers.id = ?1 AND a.waba = numbers.waba AND a.business NOT IN ('', numbers.business)
             AND NOT EXISTS (SELECT 1 FROM conversations c WHERE c.number = ?1)",
        )?
        .execute([number])?;
    Ok(())
}

/// Whether there is such a business; the gateway's own need not be made.
pub(super) fn is_known(connection: &Connection, id: &str) -> Result<bool, StoreError> {
    was_there(connection, id, i64::MAX)
}

/// Whether the business that has the id now was there then. One that was removed has left its id to others.
pub(super) fn was_there(
    connection: &Connection,
    id: &str,
    then_ms: i64,
) -> Result<bool, StoreError> {
    Ok(id == OWN
        || connection
            .prepare_cached("SELECT 1 FROM businesses WHERE id = ?1 AND created_ms <= ?2")?
            .exists(params![id, then_ms])?)
}

pub(super) fn must_exist(connection: &Connection, id: &str) -> Result<(), BusinessError> {
    if !is_known(connection, id)? {
        return Err(BusinessError::Unknown(id.to_owned()));
    }
    Ok(())
}

fn business(connection: &Connection, id: &str) -> Result<Option<BusinessRow>, StoreError> {
    Ok(connection
        .prepare_cached(&format!("{SELECT} WHERE b.id = ?1"))?
        .query_row([id], row)
        .optional()?)
}

fn row(row: &Row<'_>) -> Result<BusinessRow, rusqlite::Error> {
    Ok(BusinessRow {
        id: row.get(0)?,
        name: row.get(1)?,
        created_ms: row.get(2)?,
        accounts: row.get(3)?,
        numbers: row.get(4)?,
    })
}
