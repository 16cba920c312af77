//! What the admin API reads. Every list is a page: rows after a cursor, at most `limit` of them, in the
//! order of the cursor, so that a reader who comes back with the last one sees each row once. Each list takes the
//! asker's [`Wall`](super::wall::Wall): rows behind it are left out in SQL, so that a page is full without them.

mod alarms;
mod contacts;
mod conversations;
mod dead_letters;
mod depths;
mod events;
mod history;
mod ledger;
mod messages;
mod numbers;
mod outbox;
mod receipts;
mod search;
mod signups;
mod templates;

pub use alarms::{AlarmRow, NoticeRow};
pub use contacts::ContactRow;
pub use conversations::{ConversationFilter, ConversationRow};
pub use dead_letters::{DeadLetterFilter, DeadLetterRow};
pub use depths::{Depths, Troubles};
pub use events::{EventFilter, EventPage, Kinds};
pub use ledger::{Days, LedgerPage};
pub use messages::{MediaRow, MessagePlace, MessageRow};
pub use numbers::NumberRow;
pub use outbox::{OutboxFilter, OutboxRow};
pub use receipts::{ReceiptPage, ReceiptRow, ReceiptState};
pub use search::{FoundRow, Search, Wanted};
pub use signups::SignupRow;
pub use templates::TemplateRow;

/// Which rows of a list: those after `after`, at most `limit`.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    pub after: i64,
    pub limit: u32,
}

/// The database engine's version.
pub fn engine_version() -> &'static str {
    rusqlite::version()
}
