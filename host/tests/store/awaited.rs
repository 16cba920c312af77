//! A plugin that waits for the file of a message is told once what becomes of it, whenever it has asked.

use std::sync::Arc;

use duet::effect::Effect;
use duet::event::{Event, Lane};
use duet::store::lanes::{Finish, From};
use duet::store::media::{Fetch, Fetched};
use duet_rules::media::Next;
use serde_json::{Value, json};

use super::bodies::{ANA, BEN, Person};
use super::erasure::done;
use super::house::House;
use super::media::{sends, store};

struct Waiting {
    house: House,
    fetch: Fetch,
    event: Arc<Event>,
}

impl Waiting {
    /// Somebody has sent a file, which is still at Meta.
    async fn of(person: &Person) -> Waiting {
        let house = House::new();
        for instance in ["crm", "desk"] {
            let place = house
                .store
                .place(instance.into(), String::new(), From::After(0));
            place.await.unwrap();
        }
        let fetch = sends(&house, person, "3A01").await;
        let event = house.events().await.pop().unwrap();
        Waiting {
            house,
            fetch,
            event,
        }
    }

    async fn asks(&self, instance: &str) {
        let body: Value = serde_json::from_str(&self.event.body).unwrap();
        let awaits = Effect::AwaitFile {
            conversation: self.event.conversation.unwrap(),
            message: body["id"].as_str().unwrap().to_owned(),
        };
        let finish = Finish {
            instance: instance.into(),
            ..done(&self.house, &self.event, vec![awaits])
        };
        self.house.store.finish(finish).await.unwrap();
    }

    /// Whom was told, and what.
    async fn told(&self) -> Vec<(Option<String>, Value)> {
        let events = self.house.events().await;
        let settled = events.iter().filter(|event| event.kind == "media.settled");
        let told = settled.map(|event| {
            let lane = Lane::Conversation(self.event.conversation.unwrap());
            assert_eq!(event.lane(), lane);
            let body = serde_json::from_str(&event.body).unwrap();
            (event.instance.clone(), body)
        });
        told.collect()
    }
}

#[tokio::test]
async fn who_waits_is_told_when_it_is_here_and_who_asks_later_at_once() {
    let waiting = Waiting::of(&ANA).await;
    waiting.asks("crm").await;
    assert_eq!(waiting.told().await, []);
    let digest = store(&waiting.house, waiting.fetch.clone(), b"a cat").await;
    let told = waiting.told().await;
    assert_eq!(told.len(), 1, "{told:?}");
    let body: Value = serde_json::from_str(&waiting.event.body).unwrap();
    let expect = json!({
        "message": body["id"],
        "state": "stored",
        "handle": digest.to_string(),
        "mime_type": "image/jpeg",
        "bytes": 5,
        "filename": null,
    });
    assert_eq!(told[0], (Some("crm".into()), expect.clone()));
    waiting.asks("desk").await;
    let later = waiting.told().await;
    assert_eq!(later.last(), Some(&(Some("desk".into()), expect)));
}

#[tokio::test]
async fn a_file_that_will_not_come_is_told_with_its_reason() {
    let waiting = Waiting::of(&ANA).await;
    waiting.asks("crm").await;
    let fetched = Fetched::Not {
        next: Next::Expired,
        cause: "too late".into(),
    };
    let settled = waiting
        .house
        .store
        .settle_fetch(waiting.fetch.clone(), fetched);
    assert!(settled.await.unwrap());
    let told = waiting.told().await;
    assert_eq!(told.len(), 1, "{told:?}");
    let (state, handle) = (&told[0].1["state"], &told[0].1["handle"]);
    assert_eq!((state, handle), (&json!("expired"), &Value::Null));
}

#[tokio::test]
async fn an_erasure_takes_what_is_awaited_along() {
    let waiting = Waiting::of(&BEN).await;
    waiting.asks("crm").await;
    let contact = waiting.house.contact(BEN.phone).await.unwrap();
    let log = &waiting.house.log;
    waiting
        .house
        .store
        .erase_contact(log, contact)
        .await
        .unwrap();
    store(&waiting.house, waiting.fetch.clone(), b"a cat").await;
    assert_eq!(waiting.told().await, []);
}
