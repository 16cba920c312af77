//! What a message said before it was edited. Kept for whoever has to know later; never shown as what it says now.

use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::StoreError;

/// WhatsApp lets a message be edited for a quarter of an hour. Beyond so many, the first words and the newest stay.
const VERSIONS_MAX: usize = 20;

/// New words or a new file for a message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Edited {
    pub(super) text: Option<String>,
    /// JSON, as in a message's row.
    pub(super) media: Option<String>,
    /// By Meta's clock, ms since 1970.
    pub(super) at_ms: i64,
}

/// What a message said, until when by Meta's clock (ms since 1970).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Version {
    pub text: Option<String>,
    pub media: Option<String>,
    pub until_ms: i64,
}

impl Version {
    /// Reads the column `earlier`, oldest first.
    #[must_use]
    pub fn list(column: Option<&str>) -> Vec<Version> {
        column
            .and_then(|json| serde_json::from_str(json).ok())
            .unwrap_or_default()
    }
}

struct Words {
    text: Option<String>,
    media: Option<String>,
    edited_ms: Option<i64>,
    earlier: Vec<Version>,
}

/// Gives the message what the edit says, and keeps what it replaces. An edit that is older than the newest one
/// came late: its words are among the earlier ones.
pub(super) fn rewrite(
    connection: &Connection,
    message: i64,
    edited: &Edited,
) -> Result<(), StoreError> {
    let Some(mut words) = words(connection, message)? else {
        return Ok(());
    };
    let version = match words.edited_ms.filter(|newest| *newest > edited.at_ms) {
        Some(newest) => Version {
            text: edited.text.clone(),
            media: edited.media.clone(),
            until_ms: newest,
        },
        None => {
            let text = edited.text.clone().or_else(|| words.text.clone());
            let media = edited.media.clone().or_else(|| words.media.clone());
            words.edited_ms = Some(edited.at_ms);
            Version {
                text: std::mem::replace(&mut words.text, text),
                media: std::mem::replace(&mut words.media, media),
                until_ms: edited.at_ms,
            }
        }
    };
    words.earlier.push(version);
    words.earlier.sort_by_key(|version| version.until_ms);
    if words.earlier.len() > VERSIONS_MAX {
        words.earlier.remove(1);
    }
    connection
        .prepare_cached(
            "UPDATE messages SET edited = 1, text = ?2, media = ?3, edited_ms = ?4, earlier = ?5 WHERE id = ?1",
        )?
        .execute(params![
            message,
            words.text,
            words.media,
            words.edited_ms,
            serde_json::json!(words.earlier).to_string()
        ])?;
    Ok(())
}

fn words(connection: &Connection, message: i64) -> Result<Option<Words>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT text, media, edited_ms, earlier FROM messages WHERE id = ?1")?
        .query_row([message], |row| {
            Ok(Words {
                text: row.get(0)?,
                media: row.get(1)?,
                edited_ms: row.get(2)?,
                earlier: Version::list(row.get::<_, Option<String>>(3)?.as_deref()),
            })
        })
        .optional()?)
}
