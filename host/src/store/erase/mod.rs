//! A contact of one business leaves: its rows, whatever else names it, the receipts that it came with, and then the old copies
//! that SQLite leaves in pages and logs.
//!
//! - `subject`: who is meant, and what gives it away
//! - `mentions`: other rows that name it
//! - `files`: what was handed over for it alone
//! - `share`: what of a receipt is its business's
//! - `rows`: the transaction in which all of it goes; `told`: the event that comes in its place, for plugins
//! - `scrub`: rewriting the files, so that no byte stays; files of messages that nobody else's message has go
//!
//! The order makes a broken erasure repeatable: receipts are emptied first, the contact's own row goes with
//! everything else, and a mark in the data folder remembers until the end that the files have to be rewritten.
//! Dedupe keys are hashes and stay, so that a repetition of Meta's brings nobody back. Deliberately absent: a
//! list of erased people; the ids in the event of an erasure lead to nobody. Whoever writes again is a new contact.

mod files;
mod mentions;
mod rows;
mod scrub;
mod share;
mod subject;
mod told;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::intake::Part;
use super::ledger::{Reason, because};
use super::receipts::ReceiptLog;
use super::{Store, StoreError};
pub(super) use mentions::Mentions;
use rows::Removed;
pub(super) use share::Share;
pub(super) use subject::Subject;
pub use told::ERASED;

/// Intake has to pass the receipts that are there within this time.
const INTAKE_WAIT_MAX: Duration = Duration::from_secs(5);
const INTAKE_POLL: Duration = Duration::from_millis(20);
/// So often the erasure begins anew because the contact goes on writing.
const ROUNDS_MAX: u32 = 5;

/// Why a contact was not erased. What is already gone stays gone; the same call finishes it.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    #[error("there is no contact {0}")]
    NoSuchContact(i64),
    /// Each of the number's receipts names it, so erasing it would take everybody else's along.
    #[error("the contact's phone is that of a business number of this gateway ({0})")]
    OwnNumber(String),
    #[error(
        "{0} stored webhooks are not taken in yet, and they may name the contact; let duet serve catch up, then erase again"
    )]
    IntakeBehind(i64),
    #[error("the contact keeps writing; erase again")]
    Busy,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for EraseError {
    fn from(error: rusqlite::Error) -> EraseError {
        EraseError::Store(error.into())
    }
}

/// What was erased, as numbers of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// More than one when the same person was known under several ids.
    pub contacts: usize,
    pub conversations: usize,
    pub messages: usize,
    /// Among them events of others whose body names the contact.
    pub events: usize,
    pub outbox: usize,
    pub deliveries: usize,
    pub dead_letters: usize,
    pub kv: usize,
    /// Of plugins.
    pub timers: usize,
    pub early: usize,
    pub unreadable: usize,
    /// Receipts that were emptied, or parts of them where several businesses share one. Other people's part of them stands among the events.
    pub receipts: usize,
    /// Why old copies may linger in the files; `finish_erasures` tries again.
    pub lingering: Option<String>,
    /// The event that tells plugins of it.
    #[serde(skip)]
    pub event: i64,
}

impl Store {
    /// Erases a contact. Waits a little for intake to pass the receipts that are there. What arrives of the
    /// contact meanwhile and later makes a new one. The caller forgets what it keeps in memory.
    ///
    /// The writers stand still while their files are rewritten: about a second for 100 MB. Another erasure waits for it.
    pub async fn erase_contact(
        &self,
        log: &ReceiptLog,
        contact: i64,
    ) -> Result<Erased, EraseError> {
        // Whoever is done first takes the mark away, which is the other's as well.
        let _erasing = self.inner.erasing.lock().await;
        let mut emptied = 0;
        for _ in 0..ROUNDS_MAX {
            let taken = self.wait_for_intake(log).await?;
            let subject = self
                .read(move |connection| Subject::read(connection, contact))
                .await?;
            let subject = Arc::new(subject.ok_or(EraseError::NoSuchContact(contact))?);
            if let Some(number) = &subject.own_number {
                return Err(EraseError::OwnNumber(number.clone()));
            }
            self.remember_to_scrub()?;
            let receipts = log.mentioning(&subject, taken).await?;
            emptied += empty(log, &subject, &receipts).await?;
            let mentions = Mentions::collect(self, &subject).await?;
            let removed = {
                let subject = subject.clone();
                self.write(move |connection| {
                    because(connection, Reason::Erased, || {
                        rows::remove(connection, &subject, mentions, &receipts, taken)
                    })
                })
                .await?
            };
            if let Removed::All(mut erased) = removed {
                self.drop_arrivals(subject.messages.iter().copied().collect())
                    .await?;
                erased.receipts = emptied;
                erased.lingering = self.scrub(log).await?;
                return Ok(*erased);
            }
        }
        Err(EraseError::Busy)
    }

    /// Waits until both parts of intake have passed every receipt that is on disk now; the answer is the last.
    async fn wait_for_intake(&self, log: &ReceiptLog) -> Result<i64, EraseError> {
        let newest = log.acknowledged();
        let started = Instant::now();
        loop {
            let live = self.intake_place(Part::Live).await?.receipt;
            let history = self.intake_place(Part::History).await?.receipt;
            let behind = log
                .inspect(move |connection| {
                    Ok(connection.query_row(
                        "SELECT (SELECT count(*) FROM receipts WHERE id > ?2 AND id <= ?1)
                         + (SELECT count(*) FROM receipts WHERE history = 1 AND id > ?3 AND id <= min(?1, ?2))",
                        [newest, live, history],
                        |row| row.get(0),
                    )?)
                })
                .await?;
            if behind == 0 {
                return Ok(newest);
            }
            if started.elapsed() > INTAKE_WAIT_MAX {
                return Err(EraseError::IntakeBehind(behind));
            }
            tokio::time::sleep(INTAKE_POLL).await;
        }
    }
}

/// Empties receipts of what is the subject's business's; the answer counts those that were not empty before.
async fn empty(
    log: &ReceiptLog,
    subject: &Arc<Subject>,
    receipts: &[i64],
) -> Result<usize, StoreError> {
    let mut count = 0;
    for ids in receipts.chunks(scrub::ROWS_MAX) {
        let whole = if subject.owners.are_all(&subject.business) {
            ids.to_vec()
        } else {
            let mut whole = Vec::new();
            for id in ids {
                match cut(log, subject, *id).await? {
                    Cut::Left => {}
                    Cut::Apart => count += 1,
                    Cut::Whole => whole.push(*id),
                }
            }
            whole
        };
        count += log
            .maintain(move |connection| {
                let transaction = connection.unchecked_transaction()?;
                let mut count = 0;
                for id in whole {
                    count += transaction
                        .prepare_cached(
                            "UPDATE receipts SET body = x'' WHERE id = ?1 AND body <> x''",
                        )?
                        .execute([id])?;
                }
                transaction.commit()?;
                Ok(count)
            })
            .await?;
    }
    Ok(count)
}

/// What became of a receipt that several businesses may share.
enum Cut {
    /// Nothing in it is the subject's business's.
    Left,
    /// That part is gone.
    Apart,
    /// All of it is.
    Whole,
}

async fn cut(log: &ReceiptLog, subject: &Arc<Subject>, id: i64) -> Result<Cut, StoreError> {
    loop {
        let (reader, of) = (log.clone(), subject.clone());
        let read = move || -> Result<_, StoreError> {
            let receipt = reader.get(id)?.filter(|receipt| !receipt.body.is_empty());
            Ok(receipt.map(|receipt| (Share::of(id, &receipt.looked_at(), &of), receipt.body)))
        };
        let found = tokio::task::spawn_blocking(read)
            .await
            .map_err(|_| StoreError::Stopped)??;
        let (rest, body) = match found {
            None | Some((Share::Nothing, _)) => return Ok(Cut::Left),
            Some((Share::Whole, _)) => return Ok(Cut::Whole),
            Some((Share::Part(rest), body)) => (rest, body),
        };
        // Another erasure may have cut it meanwhile: what that took away must not come back.
        let changed = log
            .maintain(move |connection| {
                Ok(connection
                    .prepare_cached("UPDATE receipts SET body = ?2 WHERE id = ?1 AND body = ?3")?
                    .execute(rusqlite::params![id, rest.as_bytes(), body])?)
            })
            .await?;
        if changed > 0 {
            return Ok(Cut::Apart);
        }
    }
}
