//! A case goes with its conversation, and with whom it names; of closed ones a conversation keeps the newest.

use std::sync::Arc;

use duet::effect::Effect;
use duet::event::Event;
use duet::store::StoreError;
use duet::store::lanes::{Finish, From};
use duet_rules::cases::{CLOSED_MAX, Case};

use super::bodies::{ANA, BEN};
use super::erasure::done;
use super::house::House;

async fn house() -> (House, Arc<Event>, Arc<Event>) {
    let house = House::new();
    let place = house
        .store
        .place("crm".into(), String::new(), From::After(0));
    place.await.unwrap();
    let hers = house.deliver(&ANA.writes("3A01", "hello")).await.remove(0);
    let his = house.deliver(&BEN.writes("3A02", "hello")).await.remove(0);
    (house, hers, his)
}

fn open(event: &Event, key: &str, title: &str) -> Effect {
    Effect::OpenCase {
        conversation: event.conversation.unwrap(),
        case: Case {
            key: key.into(),
            title: Some(title.into()),
            url: None,
            status: None,
            assignee: None,
        },
    }
}

fn close(key: &str) -> Effect {
    Effect::CloseCase { key: key.into() }
}

/// The keys of a conversation's cases.
async fn keys(house: &House, event: &Event) -> Vec<String> {
    let cases = house.store.cases(event.conversation.unwrap()).await;
    let keys = cases.unwrap().into_iter().map(|entry| entry.case.key);
    keys.collect()
}

#[tokio::test]
async fn an_erasure_takes_cases_of_the_contact_and_those_that_name_it() {
    let (house, hers, his) = house().await;
    let effects = vec![
        open(&his, "1", &format!("asks about {}", ANA.phone)),
        open(&his, "2", "asks about himself"),
        open(&hers, "3", "asks about nobody"),
    ];
    house
        .store
        .finish(done(&house, &his, effects))
        .await
        .unwrap();
    assert_eq!(keys(&house, &his).await, ["1", "2"]);
    let told = house.events().await;
    let told = told.iter().filter(|event| event.kind == "case.opened");
    assert_eq!(told.count(), 3);
    let contact = house.contact(ANA.phone).await.unwrap();
    house
        .store
        .erase_contact(&house.log, contact)
        .await
        .unwrap();
    assert_eq!(keys(&house, &his).await, ["2"]);
    assert_eq!(keys(&house, &hers).await, [""; 0]);
    let told = house.events().await;
    let told = told.iter().filter(|event| event.kind == "case.opened");
    assert_eq!(told.count(), 1);
}

#[tokio::test]
async fn closed_ones_are_kept_up_to_a_bound_and_open_ones_up_to_the_grants() {
    let (house, hers, his) = house().await;
    let more = CLOSED_MAX + 5;
    let effects = (0..more).flat_map(|at| {
        let key = at.to_string();
        [open(&hers, &key, "again and again"), close(&key)]
    });
    let effects = effects.chain([open(&hers, "open", "still")]).collect();
    let finish = Finish {
        cases_max: Some(1),
        ..done(&house, &hers, effects)
    };
    house.store.finish(finish).await.unwrap();
    let all = house.export(ANA.phone).await["cases"].clone();
    let all = all.as_array().unwrap();
    let (closed, open_ones): (Vec<_>, Vec<_>) =
        all.iter().partition(|case| !case["closed_ms"].is_null());
    let kept = usize::try_from(CLOSED_MAX).unwrap();
    assert_eq!((closed.len(), open_ones.len()), (kept, 1));
    let finish = Finish {
        cases_max: Some(1),
        ..done(&house, &his, vec![open(&his, "his", "one too many")])
    };
    let refused = house.store.finish(finish).await.unwrap_err();
    assert!(
        matches!(
            refused,
            StoreError::Bound {
                limit: "cases.max",
                held: 2,
                max: 1
            }
        ),
        "{refused}"
    );
    assert_eq!(keys(&house, &his).await, [""; 0]);
}
