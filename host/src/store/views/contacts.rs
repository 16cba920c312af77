use duet_rules::identity::other_spelling;
use rusqlite::{OptionalExtension, Row, params};

use super::Page;
use crate::store::wall::Wall;
use crate::store::{Store, StoreError};

pub(super) const COLUMNS: &str = "k.id, k.wa_id, k.user_id, k.name, k.username, k.saved_name, k.marketing_stopped, k.same_as, k.business";

#[derive(Debug, Clone)]
pub struct ContactRow {
    pub id: i64,
    /// Whose contact it is; `""` is the gateway's own.
    pub business: String,
    /// Digits of the phone number; absent when the person hides it behind a username.
    pub wa_id: Option<String>,
    /// Meta's business-scoped user id.
    pub user_id: Option<String>,
    pub name: Option<String>,
    pub username: Option<String>,
    /// The name in the phone's address book.
    pub saved_name: Option<String>,
    pub marketing_stopped: bool,
    /// The contact that stands for the same person.
    pub same_as: Option<i64>,
}

impl Store {
    /// Contacts in the order of their ids.
    pub async fn contacts(&self, wall: Wall, page: Page) -> Result<Vec<ContactRow>, StoreError> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM contacts k WHERE k.id > ?1 AND (?3 IS NULL OR k.business = ?3) ORDER BY k.id LIMIT ?2"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let rows =
                statement.query_map(params![page.after, page.limit, wall], |row| contact(row, 0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Contacts that a person may mean by `name`: a phone number in any spelling, a user id, or a contact's id. Each
    /// business has one of its own.
    pub async fn find_contacts(
        &self,
        wall: Wall,
        name: String,
    ) -> Result<Vec<ContactRow>, StoreError> {
        self.read(move |connection| {
            let phone: String = name.chars().filter(char::is_ascii_digit).collect();
            let spelled = name.chars().all(|char| char.is_ascii_digit() || "+ -()./".contains(char));
            let phone = (spelled && !phone.is_empty()).then_some(phone);
            let other = phone.as_deref().and_then(other_spelling);
            let id: Option<i64> = name.parse().ok().filter(|_| !name.starts_with('+'));
            let sql = format!(
                "SELECT {COLUMNS} FROM contacts k WHERE (k.wa_id IN (?1, ?4) OR k.user_id = ?2 OR k.id = ?3)
                 AND (?5 IS NULL OR k.business = ?5) ORDER BY k.id"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map(params![phone, name, id, other, wall], |row| contact(row, 0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Whether there is such a contact.
    pub async fn has_contact(&self, wall: Wall, id: i64) -> Result<bool, StoreError> {
        self.read(move |connection| {
            let found = connection
                .prepare_cached(
                    "SELECT 1 FROM contacts WHERE id = ?1 AND (?2 IS NULL OR business = ?2)",
                )?
                .query_row(params![id, wall], |_| Ok(()))
                .optional()?;
            Ok(found.is_some())
        })
        .await
    }
}

/// A contact from the nine columns that begin at `first`.
pub(super) fn contact(row: &Row<'_>, first: usize) -> Result<ContactRow, rusqlite::Error> {
    Ok(ContactRow {
        id: row.get(first)?,
        wa_id: row.get(first + 1)?,
        user_id: row.get(first + 2)?,
        name: row.get(first + 3)?,
        username: row.get(first + 4)?,
        saved_name: row.get(first + 5)?,
        marketing_stopped: row.get(first + 6)?,
        same_as: row.get(first + 7)?,
        business: row.get(first + 8)?,
    })
}
