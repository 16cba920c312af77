use rusqlite::{Connection, OptionalExtension, params};

use super::Page;
use crate::event::Event;
use crate::store::events::{COLUMNS, event};
use crate::store::wall::Wall;
use crate::store::{Store, StoreError};

/// A filtered page looks at so many events at most, so that a rare kind does not hold a reader for long.
const SCAN_MAX: i64 = 200_000;
/// A page ends after so many bytes of bodies.
const PAGE_BYTES_MAX: usize = 8 << 20;

/// One kind (`message.text`) or a family of kinds (`message.*`).
#[derive(Debug, Clone)]
pub struct Kinds {
    from: String,
    to: String,
}

impl Kinds {
    pub fn new(text: &str) -> Kinds {
        match text.strip_suffix('*') {
            Some(family) => Kinds {
                from: family.into(),
                to: format!("{family}\u{10FFFF}"),
            },
            None => Kinds {
                from: text.into(),
                to: text.into(),
            },
        }
    }
}

#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    pub kinds: Option<Kinds>,
    pub conversation: Option<i64>,
}

/// Events in the order of `seq`. The page may be short, or even empty, before the end: go on from `next`
/// until it repeats `after`.
#[derive(Debug)]
pub struct EventPage {
    pub events: Vec<Event>,
    pub next: i64,
}

impl Store {
    /// Events after `page.after`. None is ever added below one that was seen.
    pub async fn events(
        &self,
        wall: Wall,
        page: Page,
        filter: EventFilter,
    ) -> Result<EventPage, StoreError> {
        self.read(move |connection| events(connection, &wall, page, &filter))
            .await
    }
}

fn events(
    connection: &Connection,
    wall: &Wall,
    page: Page,
    filter: &EventFilter,
) -> Result<EventPage, StoreError> {
    let mut scanned = Scanned::new(page.limit);
    if filter.conversation.is_some() {
        // The contact's index leads to a conversation's events without a scan.
        let sql = format!(
            "SELECT {COLUMNS} FROM events
             WHERE contact = (SELECT contact FROM conversations WHERE id = ?4) AND conversation = ?4
             AND seq > ?1 AND (?2 IS NULL OR kind BETWEEN ?2 AND ?3) AND (?6 IS NULL OR business = ?6)
             ORDER BY seq LIMIT ?5"
        );
        let (from, to) = bounds(filter);
        let mut statement = connection.prepare_cached(&sql)?;
        scanned.take(statement.query(params![
            page.after,
            from,
            to,
            filter.conversation,
            page.limit,
            wall
        ])?)?;
        return Ok(scanned.page(page.after));
    }
    let Some((first, newest)) = extent(connection, page.after)? else {
        return Ok(EventPage {
            events: Vec::new(),
            next: page.after,
        });
    };
    let last = if filter.kinds.is_some() || !wall.is_none() {
        newest.min(first.saturating_add(SCAN_MAX))
    } else {
        newest
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM events
         WHERE seq > ?1 AND seq <= ?4 AND (?2 IS NULL OR kind BETWEEN ?2 AND ?3)
         AND (?6 IS NULL OR business = ?6) ORDER BY seq LIMIT ?5"
    );
    let (from, to) = bounds(filter);
    let mut statement = connection.prepare_cached(&sql)?;
    scanned.take(statement.query(params![page.after, from, to, last, page.limit, wall])?)?;
    let scanned_out = !scanned.full && last < newest;
    Ok(if scanned_out {
        EventPage {
            events: scanned.events,
            next: last,
        }
    } else {
        scanned.page(page.after)
    })
}

fn bounds(filter: &EventFilter) -> (Option<&str>, Option<&str>) {
    match &filter.kinds {
        Some(kinds) => (Some(&kinds.from), Some(&kinds.to)),
        None => (None, None),
    }
}

/// The first event after `after` and the newest one. Old events may be gone, so the first can be far.
fn extent(connection: &Connection, after: i64) -> Result<Option<(i64, i64)>, StoreError> {
    let first: Option<i64> = connection
        .prepare_cached("SELECT seq FROM events WHERE seq > ?1 ORDER BY seq LIMIT 1")?
        .query_row([after], |row| row.get(0))
        .optional()?;
    let Some(first) = first else { return Ok(None) };
    let newest = connection
        .prepare_cached("SELECT max(seq) FROM events")?
        .query_row([], |row| row.get(0))?;
    Ok(Some((first, newest)))
}

struct Scanned {
    events: Vec<Event>,
    limit: u32,
    full: bool,
}

impl Scanned {
    fn new(limit: u32) -> Scanned {
        Scanned {
            events: Vec::new(),
            limit,
            full: false,
        }
    }

    fn take(&mut self, mut rows: rusqlite::Rows<'_>) -> Result<(), StoreError> {
        let mut bytes = 0;
        while let Some(row) = rows.next()? {
            let event = event(row)?;
            bytes += event.body.len();
            self.events.push(event);
            if bytes >= PAGE_BYTES_MAX {
                self.full = true;
                return Ok(());
            }
        }
        self.full = u32::try_from(self.events.len()).is_ok_and(|count| count >= self.limit);
        Ok(())
    }

    fn page(self, after: i64) -> EventPage {
        let next = self.events.last().map_or(after, |event| event.seq);
        EventPage {
            events: self.events,
            next,
        }
    }
}
