//! What goes with time: receipts, events and files of messages if wished, and whatever waits for something that will not come.
//!
//! In slices that are found beside the writer and deleted in short transactions, so that nobody waits for
//! long. Nothing goes that is still needed: no receipt before intake has passed it, no event before every
//! instance has, or while a delivery, a dead letter or an open send refers to it.

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::ledger::{Reason, because};
use super::media::forget_uploads;
use super::receipts::ReceiptLog;
use super::{Store, StoreError, alarms, openings};

/// Rows of one transaction.
const SLICE: i64 = 1000;
/// Bodies of one transaction in the receipt log.
const SLICE_BYTES: i64 = 8 << 20;
/// A key without a message, and what came before its message, is kept so long.
const KEYS_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// An instance that is gone from plugins.toml holds events back so long, and has its timers and runs.
const GONE_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// How old what is kept may become.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    pub receipts_older_than_ms: i64,
    /// For ever, when absent.
    pub events_older_than_ms: Option<i64>,
    /// Files of messages; for ever, when absent.
    pub media_older_than_ms: Option<i64>,
}

/// What went, as numbers of rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    pub receipts: usize,
    pub unreadable: usize,
    pub events: usize,
    /// Changes of who has a conversation; they are kept as long as events.
    pub handovers: usize,
    pub early: usize,
    pub keys: usize,
    /// Entries of plugins' stores that had expired.
    pub kv: usize,
    /// Of plugins that are gone from plugins.toml for long.
    pub timers: usize,
    /// Messages whose file went.
    pub media: usize,
    /// Files that were handed over and not sent for so long, and those of dead sends.
    pub given: usize,
}

impl Store {
    /// Removes what is too old at `now_ms`.
    pub async fn prune(
        &self,
        log: &ReceiptLog,
        retention: Retention,
        now_ms: i64,
    ) -> Result<Pruned, StoreError> {
        let receipts_ms = now_ms.saturating_sub(retention.receipts_older_than_ms);
        let keys_ms = now_ms.saturating_sub(KEYS_MS);
        let mut pruned = Pruned {
            receipts: self.prune_receipts(log, receipts_ms).await?,
            unreadable: self.prune_unreadable(log, receipts_ms).await?,
            early: self
                .prune_keyed(OLD_EARLY, "DELETE FROM early WHERE key = ?1", keys_ms)
                .await?,
            keys: self.prune_keyed(OLD_KEYS, DELETE_KEY, keys_ms).await?
                + self.prune_listed(OLD_HOOKS, DELETE_HOOK, keys_ms).await?,
            kv: self.prune_entries(now_ms).await?,
            timers: self.prune_timers(now_ms.saturating_sub(GONE_MS)).await?,
            events: 0,
            handovers: 0,
            media: 0,
            given: 0,
        };
        if let Some(age_ms) = retention.events_older_than_ms {
            pruned.events = self
                .prune_events(
                    now_ms.saturating_sub(age_ms),
                    now_ms.saturating_sub(GONE_MS),
                )
                .await?;
            self.write(|connection| Ok(connection.execute(RUNS_WITHOUT_EVENT, [])?))
                .await?;
            pruned.handovers = self
                .prune_listed(
                    OLD_HANDOVERS,
                    DELETE_HANDOVER,
                    now_ms.saturating_sub(age_ms),
                )
                .await?;
        }
        if let Some(age_ms) = retention.media_older_than_ms {
            pruned.media = self
                .prune_listed(OLD_FILES, REMOVE_FILE, now_ms.saturating_sub(age_ms))
                .await?;
            pruned.given = self.prune_given(now_ms.saturating_sub(age_ms)).await?;
        }
        self.sweep_media().await?;
        self.write(move |connection| {
            alarms::forget(connection, now_ms)?;
            forget_uploads(connection, now_ms)?;
            openings::forget_all(connection, now_ms)
        })
        .await?;
        Ok(pruned)
    }

    /// `find` lists what is older than its first parameter, at most as many as the second; `remove` takes each from
    /// the list.
    async fn prune_listed(
        &self,
        find: &'static str,
        remove: &'static str,
        before_ms: i64,
    ) -> Result<usize, StoreError> {
        let mut count = 0;
        loop {
            let old: Vec<i64> = self
                .read(move |connection| {
                    let mut statement = connection.prepare_cached(find)?;
                    let old = statement.query_map([before_ms, SLICE], |row| row.get(0))?;
                    Ok(old.collect::<Result<_, _>>()?)
                })
                .await?;
            let removed = self.delete_each(remove, old).await?;
            count += removed;
            if removed == 0 {
                return Ok(count);
            }
        }
    }

    async fn prune_given(&self, before_ms: i64) -> Result<usize, StoreError> {
        let mut count = 0;
        loop {
            let removed = self
                .write(move |connection| {
                    let given = connection.execute(OLD_GIVEN, [before_ms, SLICE])?;
                    let dead = connection.execute(OLD_DEAD_FILES, [before_ms, SLICE])?;
                    Ok(given + dead)
                })
                .await?;
            count += removed;
            if removed == 0 {
                return Ok(count);
            }
        }
    }

    async fn prune_timers(&self, gone_ms: i64) -> Result<usize, StoreError> {
        let mut count = 0;
        loop {
            let removed = self
                .write(move |connection| {
                    connection.execute(GONE_SCHEDULES, [gone_ms])?;
                    connection.execute(GONE_RUNS, [gone_ms])?;
                    connection.execute(GONE_VERSIONS, [gone_ms])?;
                    connection.execute(GONE_REFRESH_TOKENS, [gone_ms])?;
                    connection.execute(GONE_CANARIES, [gone_ms])?;
                    Ok(connection.execute(GONE_TIMERS, [gone_ms, SLICE])?)
                })
                .await?;
            count += removed;
            if removed == 0 {
                return Ok(count);
            }
        }
    }

    async fn prune_receipts(&self, log: &ReceiptLog, before_ms: i64) -> Result<usize, StoreError> {
        let (live, history) = self
            .read(|connection| {
                let place = |part: &str| {
                    connection.query_row(
                        "SELECT receipt FROM intake WHERE part = ?1",
                        [part],
                        |row| row.get(0),
                    )
                };
                Ok::<(i64, i64), _>((place("live")?, place("history")?))
            })
            .await?;
        let (mut count, mut last) = (0, 0);
        loop {
            let (ids, seen) = log
                .inspect(move |connection| old_receipts(connection, last, live, history, before_ms))
                .await?;
            count += log
                .maintain(move |connection| delete_receipts(connection, &ids))
                .await?;
            match seen {
                Some(seen) => last = seen,
                None => return Ok(count),
            }
        }
    }

    /// An unreadable receipt is listed as long as its body is kept.
    async fn prune_unreadable(
        &self,
        log: &ReceiptLog,
        before_ms: i64,
    ) -> Result<usize, StoreError> {
        let listed = self
            .read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT receipt FROM unreadable WHERE received_ms < ?1 ORDER BY receipt",
                )?;
                let listed = statement.query_map([before_ms], |row| row.get(0))?;
                Ok(listed.collect::<Result<Vec<i64>, _>>()?)
            })
            .await?;
        let gone = log
            .inspect(move |connection| {
                let mut kept = connection.prepare_cached("SELECT 1 FROM receipts WHERE id = ?1")?;
                let mut gone = Vec::new();
                for receipt in listed {
                    if kept.query_row([receipt], |_| Ok(())).optional()?.is_none() {
                        gone.push(receipt);
                    }
                }
                Ok(gone)
            })
            .await?;
        self.delete_each("DELETE FROM unreadable WHERE receipt = ?1", gone)
            .await
    }

    async fn prune_keyed(
        &self,
        find: &'static str,
        delete: &'static str,
        before_ms: i64,
    ) -> Result<usize, StoreError> {
        let (mut count, mut last) = (0, Vec::new());
        loop {
            let after = std::mem::take(&mut last);
            let keys = self
                .read(move |connection| {
                    let mut statement = connection.prepare_cached(find)?;
                    let keys =
                        statement.query_map(params![after, before_ms, SLICE], |row| row.get(0))?;
                    Ok(keys.collect::<Result<Vec<Vec<u8>>, _>>()?)
                })
                .await?;
            match keys.last() {
                Some(key) => last.clone_from(key),
                None => return Ok(count),
            }
            count += self.delete_each(delete, keys).await?;
        }
    }

    async fn prune_entries(&self, now_ms: i64) -> Result<usize, StoreError> {
        let mut count = 0;
        loop {
            let expired = self
                .read(move |connection| {
                    let mut statement = connection.prepare_cached(
                        "SELECT instance, key FROM kv WHERE expires_ms <= ?1 LIMIT ?2",
                    )?;
                    let expired = statement.query_map([now_ms, SLICE], |row| {
                        Ok((row.get(0)?, row.get(1)?, now_ms))
                    })?;
                    Ok(expired.collect::<Result<Vec<(String, String, i64)>, _>>()?)
                })
                .await?;
            let deleted = self
                .delete_each(
                    "DELETE FROM kv WHERE instance = ?1 AND key = ?2 AND expires_ms <= ?3",
                    expired,
                )
                .await?;
            count += deleted;
            if deleted == 0 {
                return Ok(count);
            }
        }
    }

    async fn prune_events(&self, before_ms: i64, gone_ms: i64) -> Result<usize, StoreError> {
        let (mut count, mut last) = (0, 0);
        loop {
            let events: Vec<(i64, bool)> = self
                .read(move |connection| {
                    let mut statement = connection.prepare_cached(OLD_EVENTS)?;
                    let events = statement.query_map([last, before_ms, SLICE, gone_ms], |row| {
                        Ok((row.get(0)?, row.get(1)?))
                    })?;
                    Ok(events.collect::<Result<_, _>>()?)
                })
                .await?;
            match events.last() {
                Some((seq, _)) => last = *seq,
                None => return Ok(count),
            }
            let free: Vec<i64> = events
                .into_iter()
                .filter(|(_, held)| !held)
                .map(|(seq, _)| seq)
                .collect();
            count += self.delete_each(DELETE_EVENT, free).await?;
        }
    }

    /// Deletes rows, `SLICE` in a transaction.
    async fn delete_each<T>(&self, sql: &'static str, keys: Vec<T>) -> Result<usize, StoreError>
    where
        T: Values + Send + 'static,
    {
        let mut count = 0;
        let mut keys = keys.into_iter().peekable();
        while keys.peek().is_some() {
            let slice: Vec<T> = keys
                .by_ref()
                .take(usize::try_from(SLICE).unwrap_or(1))
                .collect();
            count += self
                .write(move |connection| {
                    because(connection, Reason::Aged, || {
                        let mut statement = connection.prepare_cached(sql)?;
                        let deleted = slice.iter().map(|key| Ok(key.execute(&mut statement)?));
                        deleted.sum::<Result<usize, StoreError>>()
                    })
                })
                .await?;
        }
        Ok(count)
    }
}

/// What a row is found by.
trait Values {
    fn execute(&self, statement: &mut rusqlite::Statement<'_>) -> Result<usize, rusqlite::Error>;
}

impl Values for i64 {
    fn execute(&self, statement: &mut rusqlite::Statement<'_>) -> Result<usize, rusqlite::Error> {
        statement.execute([self])
    }
}

impl Values for Vec<u8> {
    fn execute(&self, statement: &mut rusqlite::Statement<'_>) -> Result<usize, rusqlite::Error> {
        statement.execute([self])
    }
}

impl Values for (String, String, i64) {
    fn execute(&self, statement: &mut rusqlite::Statement<'_>) -> Result<usize, rusqlite::Error> {
        statement.execute(params![self.0, self.1, self.2])
    }
}

const OLD_EARLY: &str =
    "SELECT key FROM early WHERE key > ?1 AND received_ms < ?2 ORDER BY key LIMIT ?3";

/// A message that has gone takes its key's reason along.
const OLD_KEYS: &str = "SELECT key FROM dedupe WHERE key > ?1 AND received_ms < ?2
    AND (message IS NULL OR NOT EXISTS (SELECT 1 FROM messages WHERE id = message)) ORDER BY key LIMIT ?3";
const DELETE_KEY: &str = "DELETE FROM dedupe WHERE key = ?1
    AND (message IS NULL OR NOT EXISTS (SELECT 1 FROM messages WHERE id = message))";

/// Old events that every instance is past, and whether something still refers to each. Events lie in the order
/// of their arrival, so the first young one ends the search.
const OLD_EVENTS: &str = "SELECT seq, EXISTS (SELECT 1 FROM deliveries d WHERE d.seq = e.seq)
    OR EXISTS (SELECT 1 FROM dead_letters l WHERE l.seq = e.seq)
    OR EXISTS (SELECT 1 FROM outbox o WHERE o.seq = e.seq AND o.state IN ('pending', 'sending', 'unknown'))
    FROM events e WHERE seq > ?1 AND seq <= (SELECT coalesce(min(watermark), 9223372036854775807) FROM instances
                                               WHERE gone_ms IS NULL OR gone_ms > ?4)
    AND seq < coalesce((SELECT seq FROM events WHERE seq > ?1 AND received_ms >= ?2 ORDER BY seq LIMIT 1),
                       9223372036854775807)
    ORDER BY seq LIMIT ?3";
/// What refers to it is asked again: a dead letter may just have been taken up.
const DELETE_EVENT: &str = "DELETE FROM events WHERE seq = ?1
    AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.seq = ?1)
    AND NOT EXISTS (SELECT 1 FROM dead_letters l WHERE l.seq = ?1)";

const OLD_HOOKS: &str = "SELECT id FROM hooks WHERE received_ms < ?1 ORDER BY received_ms LIMIT ?2";
const DELETE_HOOK: &str = "DELETE FROM hooks WHERE id = ?1";

const OLD_FILES: &str =
    "SELECT message FROM media WHERE state = 'stored' AND received_ms < ?1 LIMIT ?2";
/// The message stays, and says what became of its file.
const REMOVE_FILE: &str =
    "UPDATE media SET state = 'removed', cause = 'older than retention.media_days', digest = NULL
    WHERE message = ?1 AND state = 'stored'";

const OLD_GIVEN: &str = "DELETE FROM media_given WHERE (business, digest) IN (
    SELECT business, digest FROM media_given WHERE used_ms < ?1 LIMIT ?2)";
/// A send that died holds its files for whoever takes it up again, but not for ever.
const OLD_DEAD_FILES: &str = "DELETE FROM outbox_files WHERE outbox IN (
    SELECT o.id FROM outbox_files f JOIN outbox o ON o.id = f.outbox WHERE o.state = 'dead' AND o.created_ms < ?1 LIMIT ?2)";

const GONE_TIMERS: &str = "DELETE FROM timers WHERE (instance, name) IN (
    SELECT t.instance, t.name FROM timers t JOIN instances i ON i.name = t.instance WHERE i.gone_ms <= ?1 LIMIT ?2)";

const GONE_SCHEDULES: &str =
    "DELETE FROM schedules WHERE instance IN (SELECT name FROM instances WHERE gone_ms <= ?1)";

const GONE_RUNS: &str =
    "DELETE FROM runs WHERE instance IN (SELECT name FROM instances WHERE gone_ms <= ?1)";
/// Their components go when the next version of any plugin takes over.
const GONE_VERSIONS: &str =
    "DELETE FROM versions WHERE instance IN (SELECT name FROM instances WHERE gone_ms <= ?1)";
const GONE_REFRESH_TOKENS: &str =
    "DELETE FROM refresh_tokens WHERE instance IN (SELECT name FROM instances WHERE gone_ms <= ?1)";
const GONE_CANARIES: &str =
    "DELETE FROM canaries WHERE instance IN (SELECT name FROM instances WHERE gone_ms <= ?1)";
/// Without its event nothing can be run again.
const RUNS_WITHOUT_EVENT: &str = "DELETE FROM runs WHERE seq NOT IN (SELECT seq FROM events)";

/// A change that still holds is kept.
const OLD_HANDOVERS: &str = "SELECT id FROM handovers WHERE last_ms < ?1 AND coalesce(until_ms, 0) < ?1 ORDER BY last_ms LIMIT ?2";
const DELETE_HANDOVER: &str = "DELETE FROM handovers WHERE id = ?1";

/// Receipts after `last` that may go, and the last one looked at unless the search is over.
fn old_receipts(
    connection: &Connection,
    mut last: i64,
    live: i64,
    history: i64,
    before_ms: i64,
) -> Result<(Vec<i64>, Option<i64>), StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, received_ms, history, length(body) FROM receipts WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3",
    )?;
    let mut rows = statement.query([last, live, SLICE])?;
    let (mut ids, mut bytes, mut seen) = (Vec::new(), 0, 0);
    while bytes < SLICE_BYTES {
        let Some(row) = rows.next()? else {
            return Ok((ids, (seen == SLICE).then_some(last)));
        };
        if row.get::<_, i64>(1)? >= before_ms {
            return Ok((ids, None));
        }
        seen += 1;
        last = row.get(0)?;
        if !row.get::<_, bool>(2)? || last <= history {
            bytes += row.get::<_, i64>(3)?;
            ids.push(last);
        }
    }
    Ok((ids, Some(last)))
}

fn delete_receipts(connection: &Connection, ids: &[i64]) -> Result<usize, StoreError> {
    let transaction = connection.unchecked_transaction()?;
    let mut count = 0;
    for id in ids {
        count += transaction
            .prepare_cached("DELETE FROM receipts WHERE id = ?1")?
            .execute([id])?;
    }
    let aged = i64::try_from(count).unwrap_or(i64::MAX);
    transaction.execute("UPDATE tally SET aged = aged + ?1", [aged])?;
    transaction.commit()?;
    Ok(count)
}
