//! What an asker may see: everything, or what is one business's. Whoever reads lists or single rows for somebody outside
//! has to say which, so that no query forgets it.

use std::sync::Arc;

use rusqlite::ToSql;
use rusqlite::types::ToSqlOutput;

/// As a value in SQL: the business, or NULL for no wall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wall(Option<Arc<str>>);

impl Wall {
    /// Everything is seen: for the gateway itself and its admin.
    pub fn none() -> Wall {
        Wall(None)
    }

    /// Only what is this business's; `""` is the gateway's own.
    pub fn around(business: &str) -> Wall {
        Wall(Some(business.into()))
    }

    /// The business whose wall it is.
    pub fn business(&self) -> Option<&str> {
        self.0.as_deref()
    }

    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Whether something of this business is seen.
    pub fn shows(&self, business: &str) -> bool {
        self.0.as_deref().is_none_or(|own| own == business)
    }
}

impl ToSql for Wall {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}
