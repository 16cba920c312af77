use std::collections::{BTreeMap, HashMap};

use duet_rules::ledger::{
    Arrived, Counts, Difference, Events, Plugin, Receipts, Sends, differences,
};
use duet_rules::wamid;
use duet_rules::webhook::Key;
use rusqlite::{Connection, params};

use crate::store::ledger::day;
use crate::store::receipts::FILE;
use crate::store::wall::Wall;
use crate::store::{Store, StoreError, numbers};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Days of UTC by the time of arrival, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days {
    from: i64,
    to: i64,
}

impl Days {
    /// The days of these times, ms since 1970; open where there is none.
    pub fn between(from_ms: Option<i64>, to_ms: Option<i64>) -> Days {
        // Far enough for every clock, near enough for arithmetic.
        let (first, last) = (0, i64::MAX / DAY_MS / 2);
        let inside = |at_ms: i64| day(at_ms).clamp(first, last);
        Days {
            from: from_ms.map_or(first, inside),
            to: to_ms.map_or(last, inside),
        }
    }

    fn start_ms(self) -> i64 {
        self.from.saturating_mul(DAY_MS)
    }

    fn end_ms(self) -> i64 {
        self.to
            .saturating_add(1)
            .saturating_mul(DAY_MS)
            .saturating_sub(1)
    }
}

/// What is counted for a number.
#[derive(Debug, Clone)]
pub struct LedgerPage {
    pub counts: Counts,
    /// What does not add up among the things that belong to no number.
    pub rest: Vec<Difference>,
}

/// Counted items of one number: by instance and item.
type Items = HashMap<(String, String), i64>;

impl Store {
    /// What was counted for a number in these days, all of one moment; `None` when there is no such number. Behind a wall,
    /// what is the whole gateway's is left out.
    pub async fn ledger(
        &self,
        wall: Wall,
        number: String,
        days: Days,
    ) -> Result<Option<LedgerPage>, StoreError> {
        let path = self.folder().join(FILE);
        self.read(move |connection| {
            let connection = connection.unchecked_transaction()?;
            if !numbers::is_known(&connection, &wall, &number)? {
                return Ok(None);
            }
            let mut page = LedgerPage {
                counts: counts(&connection, &wall, &number, days)?,
                rest: Vec::new(),
            };
            if wall.is_none() {
                page.rest = differences(&counts(&connection, &wall, "", days)?);
                page.counts.receipts = receipts(&connection, &crate::store::reader(&path)?)?;
            }
            Ok(Some(page))
        })
        .await
    }

    /// Which of these ids of a number's messages are known here, by the id itself or by the part that the phones know.
    pub async fn known_messages(
        &self,
        number: String,
        wamids: Vec<String>,
    ) -> Result<Vec<bool>, StoreError> {
        self.read(move |connection| {
            let mut known = connection.prepare_cached("SELECT 1 FROM dedupe WHERE key = ?1")?;
            let mut is_known = |key: Key| known.exists([&key.0[..]]);
            let mut answers = Vec::with_capacity(wamids.len());
            for id in &wamids {
                let inside = wamid::decode(id);
                let stanza =
                    inside.map(|inside| Key::stanza(&number, &inside.peer, &inside.stanza));
                let mut found = is_known(Key::message(&number, id))?;
                if let (false, Some(stanza)) = (found, stanza) {
                    found = is_known(stanza)?;
                }
                answers.push(found);
            }
            Ok(answers)
        })
        .await
    }
}

fn counts(
    connection: &Connection,
    wall: &Wall,
    number: &str,
    days: Days,
) -> Result<Counts, StoreError> {
    let items = items(connection, number, days)?;
    let of = |item: &str| item_of(&items, "", item);
    // In the tables, what belongs to no number has none.
    let column = (!number.is_empty()).then_some(number);
    Ok(Counts {
        receipts: Receipts::default(),
        arrived: Arrived {
            receipts: of("receipts"),
            elements: of("elements"),
            repeated: of("repeated"),
            kinds: with_prefix(&items, "kind."),
        },
        events: Events {
            new: of("events.new"),
            own: of("events.own"),
            kept: connection
                .prepare_cached(
                    "SELECT count(*) FROM events WHERE number IS ?1 AND received_ms BETWEEN ?2 AND ?3",
                )?
                .query_row(params![column, days.start_ms(), days.end_ms()], |row| row.get(0))?,
            erased: of("events.erased"),
            aged: of("events.aged"),
            early: connection
                .prepare_cached("SELECT count(*) FROM early WHERE number = ?1")?
                .query_row([number], |row| row.get(0))?,
        },
        plugins: plugins(connection, wall, column, days, &items)?,
        sends: sends(&items),
    })
}

fn items(connection: &Connection, number: &str, days: Days) -> Result<Items, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT instance, item, sum(count) FROM ledger WHERE number = ?1 AND day BETWEEN ?2 AND ?3 GROUP BY 1, 2",
    )?;
    let rows = statement.query_map(params![number, days.from, days.to], |row| {
        Ok(((row.get(0)?, row.get(1)?), row.get(2)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn item_of(items: &Items, instance: &str, item: &str) -> i64 {
    let key = (instance.to_owned(), item.to_owned());
    items.get(&key).copied().unwrap_or(0)
}

/// What is counted under items that begin so, by the rest of their names.
fn with_prefix(items: &Items, prefix: &str) -> BTreeMap<String, i64> {
    let found = items.iter().filter(|(_, count)| **count != 0);
    found
        .filter_map(|((_, item), count)| Some((item.strip_prefix(prefix)?.to_owned(), *count)))
        .collect()
}

fn sends(items: &Items) -> Sends {
    let of = |item: &str| item_of(items, "", item);
    let fates = with_prefix(items, "sends.").into_iter();
    Sends {
        made: of("sends"),
        erased: of("gone.erased"),
        fates: fates
            .map(|(fate, count)| {
                let (state, cause) = fate.split_once('.').unwrap_or((&fate, ""));
                ((state.to_owned(), cause.to_owned()), count)
            })
            .collect(),
        buried: of("dead"),
        letters: of("letters"),
        letters_withdrawn: of("letters.withdrawn"),
        letters_redriven: of("letters.redriven"),
        letters_erased: of("letters.erased"),
    }
}

fn plugins(
    connection: &Connection,
    wall: &Wall,
    number: Option<&str>,
    days: Days,
    items: &Items,
) -> Result<Vec<Plugin>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT name, watermark, watermark - passed FROM instances WHERE ?1 IS NULL OR business = ?1 ORDER BY name",
    )?;
    let mut rows = statement.query([wall])?;
    let mut plugins = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let of = |item: &str| item_of(items, &name, item);
        plugins.push(Plugin {
            before: of("before"),
            waiting: waiting(connection, number, days, (&name, row.get(1)?))?,
            done: of("done"),
            retried: of("retried"),
            dead: of("dead"),
            redriven: of("letters.redriven"),
            redriven_waiting: connection
                .prepare_cached(
                    "SELECT count(*) FROM deliveries d JOIN events e ON e.seq = d.seq
                     WHERE d.instance = ?1 AND d.redriven = 1 AND e.number IS ?2 AND e.received_ms BETWEEN ?3 AND ?4",
                )?
                .query_row(params![name, number, days.start_ms(), days.end_ms()], |row| row.get(0))?,
            letters: of("letters"),
            letters_erased: of("letters.erased"),
            // A place is one for all numbers: it is told with each, not with what belongs to none.
            moved: if number.is_some() { row.get(2)? } else { 0 },
            name,
        });
    }
    Ok(plugins)
}

/// Events that neither the instance's watermark nor their lane has passed.
fn waiting(
    connection: &Connection,
    number: Option<&str>,
    days: Days,
    (instance, watermark): (&str, i64),
) -> Result<i64, StoreError> {
    let newest = crate::store::events::newest(connection)?;
    if watermark >= newest {
        return Ok(0);
    }
    // The lanes as `event::Lane` names them. Most events wait behind a lane that has no row.
    Ok(connection
        .prepare_cached(
            "SELECT count(*) FROM events e WHERE number IS ?1 AND received_ms BETWEEN ?2 AND ?3 AND seq > ?5
             AND NOT EXISTS (SELECT 1 FROM lanes l WHERE l.instance = ?4 AND l.seq >= e.seq AND l.lane = CASE
                 WHEN e.conversation IS NULL THEN coalesce('n' || e.number, 'w' || e.waba, 'i')
                 WHEN e.history THEN 'h' || e.conversation ELSE 'c' || e.conversation END)",
        )?
        .query_row(
            params![number, days.start_ms(), days.end_ms(), instance, watermark],
            |row| row.get(0),
        )?)
}

/// Bodies of the whole gateway: those of one number are known when they are taken in.
fn receipts(main: &Connection, log: &Connection) -> Result<Receipts, StoreError> {
    let log = log.unchecked_transaction()?;
    let one = |connection: &Connection, sql: &str| -> Result<i64, StoreError> {
        Ok(connection.query_row(sql, [], |row| row.get(0))?)
    };
    let taken = one(main, "SELECT receipt FROM intake WHERE part = 'live'")?;
    Ok(Receipts {
        accepted: one(&log, "SELECT accepted FROM tally")?,
        aged: one(&log, "SELECT aged FROM tally")?,
        kept: one(&log, "SELECT count(*) FROM receipts")?,
        waiting: one(&log, "SELECT coalesce(max(id), 0) FROM receipts")?
            .saturating_sub(taken)
            .max(0),
        unreadable: one(main, "SELECT count(*) FROM unreadable")?,
    })
}
