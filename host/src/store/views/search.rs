use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use super::messages::{COLUMNS, Chat, MessagePlace, MessageRow, message};
use crate::store::wall::Wall;
use crate::store::{Store, StoreError};

/// Nobody waits longer for a search; one for a word that is in every message may need it.
const WAIT_MAX: Duration = Duration::from_secs(3);
/// The clock is looked at after so many messages.
const LOOK_EVERY: usize = 1000;

/// What is looked for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// In FTS5's syntax.
    pub query: String,
    pub number: Option<String>,
    pub conversation: Option<i64>,
    /// Only what is older than this.
    pub before: Option<MessagePlace>,
    pub limit: u32,
}

/// A message that holds the words.
#[derive(Debug, Clone)]
pub struct FoundRow {
    pub message: MessageRow,
    pub conversation: i64,
    pub number: String,
    /// The words with those around them.
    pub snippet: String,
}

/// What came of a search.
#[derive(Debug, Clone)]
pub enum Search {
    Found(Vec<FoundRow>),
    /// So many messages hold the words that they could not be sorted in time.
    TooBroad,
}

/// Conversation and number of messages, by time and id.
type Hits = BTreeMap<(i64, i64), (i64, String)>;

impl Store {
    /// Messages that hold the words, newest first.
    pub async fn search_messages(&self, wall: Wall, wanted: Wanted) -> Result<Search, StoreError> {
        self.read(move |connection| {
            let end = Instant::now() + WAIT_MAX;
            let Some(hits) = newest(connection, &wall, &wanted, end)? else {
                return Ok(Search::TooBroad);
            };
            show(connection, &wanted.query, hits).map(Search::Found)
        })
        .await
    }
}

/// The newest hits; none when the time is up. Only as many as are wanted are held.
fn newest(
    connection: &Connection,
    wall: &Wall,
    wanted: &Wanted,
    end: Instant,
) -> Result<Option<Hits>, StoreError> {
    let before = wanted.before.unwrap_or(MessagePlace {
        at_ms: i64::MAX,
        id: i64::MAX,
    });
    let mut statement = connection.prepare_cached(
        "SELECT m.at_ms, m.id, m.conversation, c.number FROM messages_words w JOIN messages m ON m.id = w.rowid
         JOIN conversations c ON c.id = m.conversation JOIN contacts p ON p.id = c.contact
         WHERE messages_words MATCH ?1 AND (?2 IS NULL OR c.number = ?2) AND (?3 IS NULL OR m.conversation = ?3)
         AND (m.at_ms, m.id) < (?4, ?5) AND (?6 IS NULL OR p.business = ?6)",
    )?;
    let mut rows = statement.query(params![
        wanted.query,
        wanted.number,
        wanted.conversation,
        before.at_ms,
        before.id,
        wall
    ])?;
    let limit = usize::try_from(wanted.limit).unwrap_or(usize::MAX);
    let (mut hits, mut seen) = (Hits::new(), 0_usize);
    while let Some(row) = rows.next()? {
        seen += 1;
        if seen.is_multiple_of(LOOK_EVERY) && Instant::now() > end {
            return Ok(None);
        }
        let place = (row.get(0)?, row.get(1)?);
        if hits.len() < limit
            || hits
                .first_key_value()
                .is_some_and(|(oldest, _)| *oldest < place)
        {
            hits.insert(place, (row.get(2)?, row.get(3)?));
        }
        if hits.len() > limit {
            hits.pop_first();
        }
    }
    Ok(Some(hits))
}

fn show(connection: &Connection, query: &str, hits: Hits) -> Result<Vec<FoundRow>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM messages m LEFT JOIN media f ON f.message = m.id WHERE m.id = ?1"
    );
    let mut one = connection.prepare_cached(&sql)?;
    let mut snippet = connection.prepare_cached(
        "SELECT snippet(messages_words, 0, '[', ']', '…', 16) FROM messages_words WHERE messages_words MATCH ?1 AND rowid = ?2",
    )?;
    let mut rows = Vec::with_capacity(hits.len());
    for ((_, id), (conversation, number)) in hits.into_iter().rev() {
        let mut message = one.query_row([id], message)?;
        if let Some(chat) = Chat::read(connection, conversation)? {
            chat.resolve(connection, &mut message)?;
        }
        rows.push(FoundRow {
            snippet: snippet.query_row(params![query, id], |row| row.get(0))?,
            message,
            conversation,
            number,
        });
    }
    Ok(rows)
}
