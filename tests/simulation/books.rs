//! Duet's own files: as they are before the first start, and looked into while the gateway is at work.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use duet::store::Store;
use duet::store::receipts::ReceiptLog;
use rusqlite::Connection;

/// What is asked of the main file beside the gateway. One connection for a whole seed: each new one reads the schema.
pub(crate) struct Books(Mutex<Connection>);

impl Books {
    pub(crate) fn open(folder: &Path) -> Books {
        Books(Mutex::new(
            Connection::open(folder.join("duet.db")).expect("a store"),
        ))
    }

    /// Not to be held across an `await`, nor asked for twice at once.
    pub(crate) fn look(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts the files of a gateway that has nothing to do yet into `folder`: made once for all seeds, since making them
/// takes longer than many a story.
pub(crate) fn lay_out(folder: &Path) {
    static FILES: OnceLock<[(&str, Vec<u8>); 2]> = OnceLock::new();
    for (name, bytes) in FILES.get_or_init(make) {
        std::fs::write(folder.join(name), bytes).expect("a file");
    }
}

fn make() -> [(&'static str, Vec<u8>); 2] {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let folded = async {
        let store = Store::open(folder.path()).expect("a store");
        let receipts = ReceiptLog::open(folder.path(), 1, 1).expect("a receipt log");
        store.fold().await.expect("one file");
        receipts.fold().await.expect("one file");
    };
    runtime.expect("a runtime").block_on(folded);
    ["duet.db", "receipts.db"].map(|name| {
        let bytes = std::fs::read(folder.path().join(name)).expect("a file");
        (name, bytes)
    })
}
