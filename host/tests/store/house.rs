//! A data folder with its store, and a stand-in for receive and intake.

use std::path::Path;
use std::sync::Arc;

use duet::event::Event;
use duet::store::Store;
use duet::store::intake::{Part, Place, Recorded, Slice, Terms};
use duet::store::receipts::{Receipt, ReceiptLog};
use duet::store::wall::Wall;
use duet_rules::webhook;
use serde_json::Value;
use tempfile::TempDir;

/// How long a person keeps a conversation after an echo.
pub(crate) const PERSON_MS: i64 = 60_000;
/// When the bodies arrive, unless a case says otherwise.
pub(crate) const NOW_MS: i64 = 1_790_000_000_000;

/// The one place that names the engine.
pub(crate) fn open(folder: &Path) -> (Store, ReceiptLog) {
    let store = Store::open(folder).unwrap();
    let log = ReceiptLog::open(folder, 64, 16 << 20).unwrap();
    (store, log)
}

pub(crate) struct House {
    pub(crate) folder: TempDir,
    pub(crate) store: Store,
    pub(crate) log: ReceiptLog,
}

impl House {
    pub(crate) fn new() -> House {
        House::at(tempfile::tempdir().unwrap())
    }

    pub(crate) fn at(folder: TempDir) -> House {
        let (store, log) = open(folder.path());
        House { folder, store, log }
    }

    pub(crate) fn reopen(self) -> House {
        let House { folder, store, log } = self;
        drop((store, log));
        House::at(folder)
    }

    /// A body arrives and is taken in; the answer is the new events.
    pub(crate) async fn deliver(&self, body: &Value) -> Vec<Arc<Event>> {
        self.deliver_at(body, NOW_MS).await
    }

    pub(crate) async fn deliver_at(&self, body: &Value, now_ms: i64) -> Vec<Arc<Event>> {
        let id = self.append(&body.to_string(), now_ms).await;
        self.take_in(id).await
    }

    /// A body arrives; the answer is its receipt.
    pub(crate) async fn append(&self, body: &str, now_ms: i64) -> i64 {
        let mentions = webhook::mentions(body.as_bytes());
        self.log
            .append(body.to_owned().into(), now_ms, mentions)
            .await
            .unwrap()
    }

    /// Both parts of a receipt are taken in.
    pub(crate) async fn take_in(&self, receipt: i64) -> Vec<Arc<Event>> {
        let receipt = self.log.get(receipt).unwrap().unwrap();
        let mut events = record(&self.store, &receipt, Part::Live).await.events;
        if receipt.history {
            events.extend(record(&self.store, &receipt, Part::History).await.events);
        }
        events
    }

    /// The contact with this phone, user id or id.
    pub(crate) async fn contact(&self, named: &str) -> Option<i64> {
        let found = self
            .store
            .find_contacts(Wall::none(), named.to_owned())
            .await
            .unwrap();
        assert!(found.len() < 2, "{named} means several");
        found.first().map(|contact| contact.id)
    }

    /// What is kept of the contact with this phone, user id or id.
    pub(crate) async fn export(&self, named: &str) -> Value {
        let contact = self.contact(named).await.expect("the contact is known");
        self.store
            .export_contact(&self.log, contact)
            .await
            .unwrap()
            .unwrap()
    }

    /// The messages with a contact.
    pub(crate) async fn messages(&self, named: &str) -> Vec<Value> {
        self.export(named).await["messages"]
            .as_array()
            .unwrap()
            .clone()
    }

    /// The only message with a contact.
    pub(crate) async fn message(&self, named: &str) -> Value {
        let messages = self.messages(named).await;
        assert_eq!(messages.len(), 1, "{messages:#?}");
        messages[0].clone()
    }

    pub(crate) async fn events(&self) -> Vec<Arc<Event>> {
        self.store.events_after(0, 100_000).await.unwrap()
    }

    /// Whether the bytes stand in any file of the folder.
    pub(crate) fn holds(&self, bytes: &[u8]) -> Option<String> {
        files(self.folder.path())
            .into_iter()
            .find_map(|(name, content)| {
                content
                    .windows(bytes.len())
                    .any(|window| window == bytes)
                    .then_some(name)
            })
    }
}

/// What intake does with a receipt.
pub(crate) fn slice(receipt: &Receipt, part: Part) -> Slice {
    let wanted = if part == Part::History {
        webhook::Part::History
    } else {
        webhook::Part::Live
    };
    let (elements, unreadable) = match webhook::decode(&receipt.metas().unwrap(), wanted) {
        Ok(elements) => (elements, None),
        Err(error) if part == Part::Live => (Vec::new(), Some(error.to_string())),
        Err(_) => (Vec::new(), None),
    };
    Slice {
        receipt: receipt.id,
        received_ms: receipt.received_ms,
        elements,
        unreadable,
        partner_of: receipt.partner_of.clone(),
    }
}

/// The settings under which tests take in.
pub(crate) fn terms() -> Terms {
    Terms {
        person_ms: PERSON_MS,
        ..Terms::default()
    }
}

pub(crate) async fn record(store: &Store, receipt: &Receipt, part: Part) -> Recorded {
    let place = Place {
        receipt: receipt.id,
        element: 0,
    };
    store
        .record(part, vec![slice(receipt, part)], place, terms())
        .await
        .unwrap()
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    found
}
