//! Files of messages: what is to be fetched, what came of it, and the bytes themselves.
//!
//! - `folder`: the files on disk, each named by its SHA-256
//! - `fetches`: the work that is open, and its end; `due`: which of it comes next
//! - `awaited`: which plugins are told of that end
//! - `given`: files that a business may send
//! - `uploads`: by which id Meta has them, and who waits for one
//! - `sweep`: files to which nothing refers any more
//!
//! Promises: a file stands under its name only whole and fsynced, and a row says `stored` only when it does. Nothing
//! from outside is ever part of a path. A file that several messages share, or sends, or whoever handed it over, goes with
//! the last of them.

mod awaited;
mod due;
mod fetches;
mod folder;
mod given;
mod sweep;
mod uploads;

pub(super) use awaited::{Awaited, await_file};
pub use due::Skipped;
pub(super) use fetches::expect;
pub use fetches::{Fetch, Fetched};
pub use folder::{Arrival, MediaFolder};
pub(super) use given::{hold, let_go_of, sendable};
pub(super) use uploads::{HeldFile, Ready, begin_anew, forget_of, forget_uploads, held, ready};
pub use uploads::{Upload, Uploaded};

use duet_rules::media::Digest;
use duet_rules::webhook::Key;
use rusqlite::{OptionalExtension, params};

use super::wall::Wall;
use super::{Store, StoreError};

/// A file that can be handed out.
#[derive(Debug, Clone)]
pub struct StoredFile {
    pub digest: Digest,
    pub bytes: u64,
}

/// What there is of a message's file.
#[derive(Debug, Clone)]
pub struct MessageFile {
    /// `stored`, or why it is not here.
    pub state: String,
    pub stored: Option<StoredFile>,
    pub mime_type: Option<String>,
    pub filename: Option<String>,
}

impl Store {
    /// The folder of the files.
    pub fn media_folder(&self) -> MediaFolder {
        MediaFolder::new(self.folder().join("media"))
    }

    /// The file of a message of a conversation; `message` is its wamid, or `m` and its number. `None` when there
    /// is no such message, or it has no file.
    pub async fn message_file(
        &self,
        wall: Wall,
        conversation: i64,
        message: String,
    ) -> Result<Option<MessageFile>, StoreError> {
        self.read(move |connection| {
            let number: Option<String> = connection
                .prepare_cached(
                    "SELECT c.number FROM conversations c JOIN contacts k ON k.id = c.contact WHERE c.id = ?1
                     AND (?2 IS NULL OR k.business = ?2)",
                )?
                .query_row(params![conversation, wall], |row| row.get(0))
                .optional()?;
            let Some(number) = number else {
                return Ok(None);
            };
            let key = Key::message(&number, &message);
            let row: Option<i64> = message.strip_prefix('m').and_then(|row| row.parse().ok());
            let found = connection
                .prepare_cached(
                    "SELECT f.state, f.digest, coalesce(f.mime_type, m.media ->> 'mime_type'), m.media ->> 'filename', f.bytes
                     FROM messages m JOIN media f ON f.message = m.id WHERE m.conversation = ?1
                     AND m.id = coalesce((SELECT message FROM dedupe WHERE key = ?2), ?3)",
                )?
                .query_row(params![conversation, &key.0[..], row], |row| {
                    let digest: Option<String> = row.get(1)?;
                    let bytes: Option<i64> = row.get(4)?;
                    let bytes = bytes.unwrap_or_default();
                    Ok(MessageFile {
                        state: row.get(0)?,
                        stored: digest.as_deref().and_then(Digest::read).map(|digest| StoredFile {
                            digest,
                            bytes: u64::try_from(bytes).unwrap_or(0),
                        }),
                        mime_type: row.get(2)?,
                        filename: row.get(3)?,
                    })
                })
                .optional()?;
            Ok(found)
        })
        .await
    }
}
