use rusqlite::params;

use super::Page;
use crate::store::wall::Wall;
use crate::store::{Store, StoreError};

/// A template as far as Meta has told.
#[derive(Debug, Clone)]
pub struct TemplateRow {
    pub id: i64,
    pub waba: String,
    pub name: String,
    pub language: String,
    pub status: Option<String>,
    pub category: Option<String>,
    pub quality: Option<String>,
    pub learned_ms: i64,
}

impl Store {
    /// Templates in the order in which they were first heard of, of one account or of all.
    pub async fn templates(
        &self,
        wall: Wall,
        page: Page,
        waba: Option<String>,
    ) -> Result<Vec<TemplateRow>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, waba, name, language, status, category, quality, learned_ms FROM templates t
                 WHERE id > ?1 AND (?2 IS NULL OR waba = ?2)
                 AND (?4 IS NULL OR ?4 = coalesce((SELECT a.business FROM accounts a WHERE a.waba = t.waba), '')) ORDER BY id LIMIT ?3",
            )?;
            let rows = statement.query_map(params![page.after, waba, page.limit, wall], |row| {
                Ok(TemplateRow {
                    id: row.get(0)?,
                    waba: row.get(1)?,
                    name: row.get(2)?,
                    language: row.get(3)?,
                    status: row.get(4)?,
                    category: row.get(5)?,
                    quality: row.get(6)?,
                    learned_ms: row.get(7)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}
