//! Which of the open fetches come next. They are looked up number by number, so that the backlog of one that has to wait
//! is passed over at once, however long it is.

use std::collections::BTreeSet;

use duet_rules::media::{LIFE_MS, Tries};
use duet_rules::sending::Call;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::super::access::access;
use super::super::{Store, StoreError};
use super::Fetch;

/// What is left out when open fetches are asked for.
#[derive(Debug, Clone, Default)]
pub struct Skipped {
    /// Their files are on the way.
    pub messages: BTreeSet<i64>,
    /// Their API has as many requests as it may.
    pub businesses: BTreeSet<String>,
}

/// A number with open fetches of one kind, live or history.
struct Open {
    /// The first of their times.
    next_ms: i64,
    number: String,
}

/// What may be fetched of a number.
enum Share {
    All,
    /// Its token is refused: only those that have waited for too long, to be told so.
    Expired,
    Nothing,
}

/// An open fetch in its place: those that are due, live before history, then the others in the order of their times.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    later: bool,
    history: bool,
    next_ms: i64,
    message: i64,
}

impl Store {
    /// At most `limit` open fetches without the `skipped` ones: those that are due at `now_ms`, live before history,
    /// then the others in the order of their times. Those whose token is refused are left out: when it may be tried, one
    /// goes first, and the others follow when it is taken. Who has waited for too long is told so, token or not.
    pub async fn fetches(
        &self,
        skipped: Skipped,
        limit: usize,
        now_ms: i64,
    ) -> Result<Vec<Fetch>, StoreError> {
        self.read(move |connection| first(connection, &skipped, limit, now_ms))
            .await
    }
}

fn first(
    connection: &Connection,
    skipped: &Skipped,
    limit: usize,
    now_ms: i64,
) -> Result<Vec<Fetch>, StoreError> {
    // Whichever of them are on the way, so many of a number are enough, and so many numbers.
    let enough = skipped.messages.len().saturating_add(limit);
    let mut places = Vec::new();
    for history in [false, true] {
        let mut numbers = 0;
        for Open { number, .. } in open(connection, history)? {
            if numbers == enough {
                break;
            }
            let share = share(connection, &number, skipped, now_ms)?;
            numbers += usize::from(matches!(share, Share::All));
            for (next_ms, message) in of(connection, history, &number, &share, enough, now_ms)? {
                let later = next_ms > now_ms;
                places.push(Place {
                    later,
                    history: history && !later,
                    next_ms,
                    message,
                });
            }
        }
    }
    places.retain(|place| !skipped.messages.contains(&place.message));
    places.sort_unstable();
    places.truncate(limit);
    let fetches = places.iter().map(|place| fetch(connection, place.message));
    fetches.filter_map(Result::transpose).collect()
}

/// The numbers that have open fetches, in the order of their first ones.
fn open(connection: &Connection, history: bool) -> Result<Vec<Open>, StoreError> {
    let mut next = connection.prepare_cached(
        "SELECT next_ms, number FROM media WHERE state = 'remote' AND history = ?1 AND number > ?2
         ORDER BY number, next_ms LIMIT 1",
    )?;
    let mut found: Vec<Open> = Vec::new();
    loop {
        let after = found.last().map_or("", |open| open.number.as_str());
        let row = next.query_row(params![history, after], |row| {
            Ok(Open {
                next_ms: row.get(0)?,
                number: row.get(1)?,
            })
        });
        match row.optional()? {
            Some(open) => found.push(open),
            None => break,
        }
    }
    found.sort_by_key(|open| open.next_ms);
    Ok(found)
}

fn share(
    connection: &Connection,
    number: &str,
    skipped: &Skipped,
    now_ms: i64,
) -> Result<Share, StoreError> {
    let business: Option<String> = connection
        .prepare_cached("SELECT business FROM numbers WHERE id = ?1")?
        .query_row([number], |row| row.get(0))
        .optional()?;
    let Some(business) = business.filter(|business| !skipped.businesses.contains(business)) else {
        return Ok(Share::Nothing);
    };
    Ok(match access(connection, &business, number)?.call(now_ms) {
        Call::Wait { .. } => Share::Expired,
        Call::Free | Call::Trial => Share::All,
    })
}

/// The first open fetches of a number, as far as it has a share: when each is due, and its message.
fn of(
    connection: &Connection,
    history: bool,
    number: &str,
    share: &Share,
    limit: usize,
    now_ms: i64,
) -> Result<Vec<(i64, i64)>, StoreError> {
    let (sql, until_ms) = match share {
        Share::Nothing => return Ok(Vec::new()),
        Share::All => (
            "SELECT next_ms, message FROM media WHERE state = 'remote' AND history = ?1 AND number = ?2
             AND next_ms <= ?3 ORDER BY next_ms LIMIT ?4",
            i64::MAX,
        ),
        Share::Expired => (
            "SELECT next_ms, message FROM media WHERE state = 'remote' AND history = ?1 AND number = ?2
             AND received_ms <= ?3 ORDER BY received_ms LIMIT ?4",
            now_ms.saturating_sub(LIFE_MS),
        ),
    };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![history, number, until_ms, limit], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn fetch(connection: &Connection, message: i64) -> Result<Option<Fetch>, StoreError> {
    let read = |row: &Row<'_>| {
        Ok(Fetch {
            message,
            business: row.get(0)?,
            number: row.get(1)?,
            media_id: row.get(2)?,
            url: row.get(3)?,
            claimed: row.get(4)?,
            received_ms: row.get(5)?,
            next_ms: row.get(6)?,
            tries: Tries {
                attempt: row.get(7)?,
                strikes: row.get(8)?,
            },
        })
    };
    Ok(connection
        .prepare_cached(
            "SELECT n.business, n.id, f.media_id, f.url, f.claimed, f.received_ms, f.next_ms, f.attempt, f.strikes
             FROM media f CROSS JOIN numbers n ON n.id = f.number WHERE f.message = ?1",
        )?
        .query_row([message], read)
        .optional()?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const NOW_MS: i64 = 1_790_000_000_000;
    /// SQLite's steps between two counts.
    const STEPS: i32 = 100;

    /// Four businesses: one whose API hangs and one whose token is refused, both with a long history, one without a token,
    /// and one in whose history two files came last.
    fn plant(connection: &Connection) -> Result<(), StoreError> {
        connection.execute_batch(
            "INSERT INTO numbers (id, state, business) VALUES
                 ('1001', 'live', 'hangs'), ('1002', 'live', 'refused'), ('1003', 'live', 'tokenless'), ('1004', 'live', '');
             INSERT INTO secrets (business, purpose, number, master, box, set_ms)
                 SELECT business, 'access', '', '', x'00', 0 FROM numbers WHERE business IN ('hangs', 'refused');
             INSERT INTO refusals VALUES ('refused', '', 'token-refused', 190, 0, 1790000000001);
             WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 30000)
                 INSERT INTO media (message, media_id, history, received_ms, number)
                 SELECT n, n, 1, 1790000000000 - (n = 7) * 700000000, 1001 + n % 3 FROM n;
             INSERT INTO media (message, media_id, history, received_ms, number, next_ms)
                 VALUES (40001, 'a', 1, 1790000000000, '1004', 2), (40002, 'b', 1, 1790000000000, '1004', 1);",
        )?;
        Ok(())
    }

    #[tokio::test]
    async fn a_long_backlog_that_waits_costs_the_others_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.write(plant).await.unwrap();
        let mut connection = super::super::super::reader(&folder.path().join("duet.db")).unwrap();
        let counts = Arc::new(AtomicUsize::new(0));
        let counted = counts.clone();
        let count = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            false
        };
        connection.progress_handler(STEPS, Some(count)).unwrap();
        let skipped = Skipped {
            messages: [40_003].into(),
            businesses: ["hangs".to_owned()].into(),
        };
        let found = first(&connection, &skipped, 4, NOW_MS).unwrap();
        let found: Vec<i64> = found.iter().map(|fetch| fetch.message).collect();
        // The seventh is of the number that is refused, and as old as Meta keeps none.
        assert_eq!(found, [7, 40_002, 40_001]);
        assert!(counts.load(Ordering::Relaxed) < 30, "{counts:?}");
    }
}
