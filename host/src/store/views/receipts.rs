use std::collections::HashMap;

use rusqlite::{Connection, Row, params};

use super::Page;
use crate::store::receipts::FILE;
use crate::store::{Store, StoreError};

/// A page of what is done looks at so many receipts at most.
const SCAN_MAX: u32 = 10_000;

const LOGGED: &str =
    "SELECT id, received_ms, history, length(body), provider, business FROM receipts";

/// How far a receipt has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptState {
    /// On disk, not yet taken in.
    Waiting,
    /// Its elements are events.
    Done,
    /// Signed, but not of Meta's shape.
    Unreadable,
}

#[derive(Debug, Clone)]
pub struct ReceiptRow {
    pub id: i64,
    pub received_ms: i64,
    pub state: ReceiptState,
    /// Why it is unreadable.
    pub reason: Option<String>,
    /// Absent once the body is no longer kept.
    pub bytes: Option<i64>,
    pub history: Option<bool>,
    /// Who has passed it on, and of which business; absent when it came from Meta.
    pub provider: Option<String>,
    pub business: Option<String>,
}

/// Receipts in the order of arrival. May be short before the end: go on from `next` until it repeats `after`.
#[derive(Debug)]
pub struct ReceiptPage {
    pub receipts: Vec<ReceiptRow>,
    pub next: i64,
}

/// What the log knows of a receipt without its body.
struct Logged {
    id: i64,
    received_ms: i64,
    history: bool,
    bytes: i64,
    provider: Option<String>,
    business: Option<String>,
}

impl Logged {
    fn read(row: &Row<'_>) -> rusqlite::Result<Logged> {
        Ok(Logged {
            id: row.get(0)?,
            received_ms: row.get(1)?,
            history: row.get(2)?,
            bytes: row.get(3)?,
            provider: row.get(4)?,
            business: row.get(5)?,
        })
    }

    fn row(self, state: ReceiptState, reason: Option<String>) -> ReceiptRow {
        ReceiptRow {
            id: self.id,
            received_ms: self.received_ms,
            state,
            reason,
            bytes: Some(self.bytes),
            history: Some(self.history),
            provider: self.provider,
            business: self.business,
        }
    }
}

/// The last receipt that is taken in, of each part.
struct Cursors {
    live: i64,
    history: i64,
}

impl Cursors {
    fn read(main: &Connection) -> Result<Cursors, StoreError> {
        let cursor = |part: &str| {
            main.prepare_cached("SELECT receipt FROM intake WHERE part = ?1")?
                .query_row([part], |row| row.get(0))
        };
        Ok(Cursors {
            live: cursor("live")?,
            history: cursor("history")?,
        })
    }
}

impl Store {
    /// Receipts after `page.after` in this state, or in any.
    pub async fn receipts(
        &self,
        page: Page,
        state: Option<ReceiptState>,
    ) -> Result<ReceiptPage, StoreError> {
        let path = self.folder().join(FILE);
        self.read(move |main| {
            let log = crate::store::reader(&path)?;
            match state {
                Some(ReceiptState::Unreadable) => unreadable(main, &log, page),
                Some(ReceiptState::Waiting) => waiting(main, &log, page),
                state => any(main, &log, page, state),
            }
        })
        .await
    }
}

fn unreadable(main: &Connection, log: &Connection, page: Page) -> Result<ReceiptPage, StoreError> {
    let mut statement = main.prepare_cached(
        "SELECT receipt, received_ms, reason FROM unreadable WHERE receipt > ?1 ORDER BY receipt LIMIT ?2",
    )?;
    let mut rows = statement.query(params![page.after, page.limit])?;
    let mut receipts = Vec::new();
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let logged = logged(log, id - 1, 1)?
            .pop()
            .filter(|logged| logged.id == id);
        receipts.push(ReceiptRow {
            id,
            received_ms: row.get(1)?,
            state: ReceiptState::Unreadable,
            reason: row.get(2)?,
            bytes: logged.as_ref().map(|logged| logged.bytes),
            history: logged.as_ref().map(|logged| logged.history),
            provider: logged.as_ref().and_then(|logged| logged.provider.clone()),
            business: logged.and_then(|logged| logged.business),
        });
    }
    let next = receipts.last().map_or(page.after, |receipt| receipt.id);
    Ok(ReceiptPage { receipts, next })
}

/// From where intake stands, however long the log is.
fn waiting(main: &Connection, log: &Connection, page: Page) -> Result<ReceiptPage, StoreError> {
    let Cursors { live, history } = Cursors::read(main)?;
    let (live, history) = (live.max(page.after), history.max(page.after));
    let mut statement = log.prepare_cached(&format!(
        "{LOGGED} WHERE id IN (
             SELECT * FROM (SELECT id FROM receipts WHERE id > ?1 ORDER BY id LIMIT ?3)
             UNION SELECT * FROM (SELECT id FROM receipts WHERE history = 1 AND id > ?2 ORDER BY id LIMIT ?3)
         ) ORDER BY id LIMIT ?3"
    ))?;
    let rows = statement.query_map(params![live, history, page.limit], Logged::read)?;
    let logged = rows.collect::<Result<Vec<_>, _>>()?;
    let next = logged.last().map_or(page.after, |logged| logged.id);
    let reasons = reasons(main, page.after, next)?;
    let receipts = logged
        .into_iter()
        .filter(|logged| !reasons.contains_key(&logged.id))
        .map(|logged| logged.row(ReceiptState::Waiting, None))
        .collect();
    Ok(ReceiptPage { receipts, next })
}

fn any(
    main: &Connection,
    log: &Connection,
    page: Page,
    state: Option<ReceiptState>,
) -> Result<ReceiptPage, StoreError> {
    let scan = if state.is_some() {
        SCAN_MAX
    } else {
        page.limit
    };
    let logged = logged(log, page.after, scan)?;
    let last = logged.last().map_or(page.after, |logged| logged.id);
    let mut reasons = reasons(main, page.after, last)?;
    let cursors = Cursors::read(main)?;
    let mut result = ReceiptPage {
        receipts: Vec::new(),
        next: page.after,
    };
    for logged in logged {
        let reason = reasons.remove(&logged.id);
        let taken = logged.id <= cursors.live && (!logged.history || logged.id <= cursors.history);
        let found = match (&reason, taken) {
            (Some(_), _) => ReceiptState::Unreadable,
            (None, true) => ReceiptState::Done,
            (None, false) => ReceiptState::Waiting,
        };
        result.next = logged.id;
        if state.is_none_or(|state| state == found) {
            result.receipts.push(logged.row(found, reason));
        }
        if u32::try_from(result.receipts.len()).is_ok_and(|count| count >= page.limit) {
            break;
        }
    }
    Ok(result)
}

fn logged(log: &Connection, after: i64, limit: u32) -> Result<Vec<Logged>, StoreError> {
    let mut statement =
        log.prepare_cached(&format!("{LOGGED} WHERE id > ?1 ORDER BY id LIMIT ?2"))?;
    let rows = statement.query_map(params![after, limit], Logged::read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn reasons(main: &Connection, after: i64, last: i64) -> Result<HashMap<i64, String>, StoreError> {
    let mut statement = main.prepare_cached(
        "SELECT receipt, reason FROM unreadable WHERE receipt > ?1 AND receipt <= ?2",
    )?;
    let rows = statement.query_map([after, last], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
