use duet_rules::wamid;
use duet_rules::webhook::Key;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::store::intake::Version;
use crate::store::{Store, StoreError};

/// A page ends after so many bytes of texts.
const PAGE_BYTES_MAX: usize = 8 << 20;

/// What a row of the table `m` and its file `f` are read from.
pub(super) const COLUMNS: &str = "id, wamid, direction, origin, type, text, at_ms, status, status_error, reply_to, edited, revoked, earlier,
    errors, f.state, coalesce(f.mime_type, m.media ->> 'mime_type'), coalesce(f.digest, f.claimed), f.bytes,
    m.media ->> 'filename', f.cause";

/// A place in a conversation's messages: after everything older than `at_ms`, and up to `id` within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessagePlace {
    pub at_ms: i64,
    pub id: i64,
}

#[derive(Debug, Clone)]
pub struct MessageRow {
    pub id: i64,
    pub wamid: Option<String>,
    /// `in` or `out`.
    pub direction: String,
    /// `live`, `echo`, `history` or `duet`.
    pub origin: String,
    pub kind: String,
    pub text: Option<String>,
    pub at_ms: i64,
    pub status: Option<String>,
    /// Meta's error code of a failed one.
    pub status_error: Option<i64>,
    /// The message that it answers: the wamid by which it is known here, else Meta's word for it.
    pub reply_to: Option<String>,
    pub media: Option<MediaRow>,
    pub edited: bool,
    pub revoked: bool,
    /// What it said before it was edited, oldest first.
    pub earlier: Vec<Version>,
    /// Meta's `errors[]`, JSON, of one that failed or that the API does not show.
    pub errors: Option<String>,
}

/// The file of a message, and what came of fetching it.
#[derive(Debug, Clone)]
pub struct MediaRow {
    /// `remote`, `stored`, `failed`, `expired`, `too-large` or `removed`.
    pub state: String,
    pub mime_type: Option<String>,
    /// Hex of the file on disk, else what Meta says, in its spelling.
    pub sha256: Option<String>,
    pub bytes: Option<i64>,
    pub filename: Option<String>,
    /// Why it is not stored.
    pub cause: Option<String>,
}

impl Store {
    /// A conversation's messages, oldest first; fewer than `limit` when they are long.
    pub async fn messages(
        &self,
        conversation: i64,
        after: Option<MessagePlace>,
        limit: u32,
    ) -> Result<Vec<MessageRow>, StoreError> {
        self.read(move |connection| {
            let after = after.unwrap_or(MessagePlace {
                at_ms: i64::MIN,
                id: 0,
            });
            let sql = format!(
                "SELECT {COLUMNS} FROM messages m LEFT JOIN media f ON f.message = m.id
                 WHERE conversation = ?1 AND (at_ms, id) > (?2, ?3) ORDER BY at_ms, id LIMIT ?4"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let mut found = statement.query(params![conversation, after.at_ms, after.id, limit])?;
            let (mut rows, mut bytes) = (Vec::new(), 0);
            while bytes < PAGE_BYTES_MAX
                && let Some(row) = found.next()?
            {
                let row = message(row)?;
                let said = row.earlier.iter().map(|version| &version.text);
                let said = said.chain([&row.text, &row.errors]).flatten();
                bytes += said.map(String::len).sum::<usize>();
                rows.push(row);
            }
            let chat = Chat::read(connection, conversation)?;
            if let Some(chat) = chat {
                rows.iter_mut()
                    .try_for_each(|row| chat.resolve(connection, row))?;
            }
            Ok(rows)
        })
        .await
    }
}

/// Whose conversation it is: what a message's second key is made of.
pub(super) struct Chat {
    number: String,
    /// Phone and user id of the contact.
    peers: [Option<String>; 2],
}

impl Chat {
    pub(super) fn read(
        connection: &Connection,
        conversation: i64,
    ) -> Result<Option<Chat>, StoreError> {
        let chat = connection
            .prepare_cached(
                "SELECT c.number, k.wa_id, k.user_id FROM conversations c JOIN contacts k ON k.id = c.contact
                 WHERE c.id = ?1",
            )?
            .query_row([conversation], |row| {
                Ok(Chat {
                    number: row.get(0)?,
                    peers: [row.get(1)?, row.get(2)?],
                })
            })
            .optional()?;
        Ok(chat)
    }

    /// Has the message name the one that it answers by the wamid by which that is known here.
    pub(super) fn resolve(
        &self,
        connection: &Connection,
        row: &mut MessageRow,
    ) -> Result<(), StoreError> {
        if let Some(quoted) = &row.reply_to {
            row.reply_to = self.known_as(connection, quoted)?.or(row.reply_to.take());
        }
        Ok(())
    }

    /// The wamid of the message that Meta means by `quoted`. A quotation may name it by an id that is scoped to
    /// the user id while it came with one that is scoped to the phone, or the other way round; the stanza inside
    /// is the same.
    fn known_as(
        &self,
        connection: &Connection,
        quoted: &str,
    ) -> Result<Option<String>, StoreError> {
        let mut keys = vec![Key::message(&self.number, quoted)];
        if let Some(inside) = wamid::decode(quoted) {
            let peers = self.peers.iter().flatten();
            keys.extend(peers.map(|peer| Key::stanza(&self.number, peer, &inside.stanza)));
        }
        let mut find = connection.prepare_cached(
            "SELECT m.wamid FROM dedupe d JOIN messages m ON m.id = d.message WHERE d.key = ?1",
        )?;
        for key in keys {
            let found: Option<Option<String>> =
                find.query_row([&key.0[..]], |row| row.get(0)).optional()?;
            if let Some(wamid) = found.flatten() {
                return Ok(Some(wamid));
            }
        }
        Ok(None)
    }
}

pub(super) fn message(row: &Row<'_>) -> Result<MessageRow, rusqlite::Error> {
    Ok(MessageRow {
        id: row.get(0)?,
        wamid: row.get(1)?,
        direction: row.get(2)?,
        origin: row.get(3)?,
        kind: row.get(4)?,
        text: row.get(5)?,
        at_ms: row.get(6)?,
        status: row.get(7)?,
        status_error: row.get(8)?,
        reply_to: row.get(9)?,
        edited: row.get(10)?,
        revoked: row.get(11)?,
        earlier: Version::list(row.get::<_, Option<String>>(12)?.as_deref()),
        errors: row.get(13)?,
        media: media(row)?,
    })
}

fn media(row: &Row<'_>) -> Result<Option<MediaRow>, rusqlite::Error> {
    let Some(state) = row.get(14)? else {
        return Ok(None);
    };
    Ok(Some(MediaRow {
        state,
        mime_type: row.get(15)?,
        sha256: row.get(16)?,
        bytes: row.get(17)?,
        filename: row.get(18)?,
        cause: row.get(19)?,
    }))
}
