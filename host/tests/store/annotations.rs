//! Notes, labels and an assignment go with their conversation, and those elsewhere with whom they name; each change is told
//! once, in its transaction, and there are never too many.

use std::sync::Arc;

use duet::effect::{Agent, Effect};
use duet::event::Event;
use duet::store::StoreError;
use duet::store::lanes::{Finish, From};
use duet::store::retention::Retention;
use duet_rules::annotations::{Annotation, LABELS_MAX, NOTES_MAX, NewNote};
use serde_json::{Value, json};

use super::bodies::{ANA, BEN};
use super::erasure::done;
use super::house::{House, NOW_MS};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

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

fn note(key: Option<&str>, text: &str) -> Annotation {
    Annotation::Note(NewNote {
        key: key.map(Into::into),
        text: text.into(),
        agent: None,
    })
}

fn label(label: &str) -> Annotation {
    Annotation::AddLabel(label.into())
}

fn assign(id: &str) -> Annotation {
    Annotation::Assign(Some(Agent {
        id: id.into(),
        name: None,
    }))
}

/// What a plugin does to the conversation of an event while it handles that.
fn effects(event: &Event, annotations: impl IntoIterator<Item = Annotation>) -> Vec<Effect> {
    let effect = |annotation| Effect::Annotate {
        conversation: event.conversation.unwrap(),
        annotation,
    };
    annotations.into_iter().map(effect).collect()
}

async fn commit(house: &House, event: &Event, annotations: Vec<Annotation>) {
    let finish = done(house, event, effects(event, annotations));
    house.store.finish(finish).await.unwrap();
}

/// Does it for the admin API; whether an event tells of it, or why it is refused.
async fn by_api(house: &House, event: &Event, annotation: Annotation) -> Result<bool, String> {
    let id = event.conversation.unwrap();
    let annotated = house.store.annotate(id, annotation, NOW_MS).await.unwrap();
    annotated.map(|event| event.is_some())
}

/// The notes of a conversation, the newest first, its labels and whose it is.
async fn kept(house: &House, event: &Event) -> (Vec<String>, Vec<String>, Option<String>) {
    let id = event.conversation.unwrap();
    let notes = house.store.notes(id, 1000).await.unwrap().into_iter();
    let marks = house.store.marks(id).await.unwrap();
    (
        notes.map(|note| note.note.text).collect(),
        marks.labels.into_iter().collect(),
        marks.assignee.map(|agent| agent.id),
    )
}

/// The events about annotations, in the words of their kinds, with who did it.
async fn told(house: &House) -> Vec<String> {
    let events = house.events().await;
    let told = events.iter().filter_map(|event| {
        let word = event.kind.strip_prefix("conversation.")?;
        let body: Value = serde_json::from_str(&event.body).unwrap();
        Some(format!("{word} by {}", body["by"].as_str()?))
    });
    told.collect()
}

#[tokio::test]
async fn an_erasure_takes_what_is_on_her_conversation_and_what_names_her_elsewhere() {
    let (house, hers, his) = house().await;
    let on_hers = vec![note(None, "Wants two"), label("vip"), assign("3")];
    commit(&house, &hers, on_hers).await;
    let on_his = vec![
        note(None, &format!("asks about {}", ANA.phone)),
        note(Some(ANA.phone), "asks about somebody"),
        note(None, "asks about himself"),
        label(ANA.phone),
        label("vip"),
        assign(ANA.phone),
    ];
    commit(&house, &his, on_his).await;
    let export = house.export(ANA.phone).await;
    assert_eq!(export["notes"][0]["text"], "Wants two");
    assert_eq!(export["labels"][0]["label"], "vip");
    assert_eq!(export["assignments"].as_array().unwrap().len(), 1);
    assert_eq!(told(&house).await.len(), 9);

    let contact = house.contact(ANA.phone).await.unwrap();
    let erased = house.store.erase_contact(&house.log, contact).await;
    erased.unwrap();
    assert_eq!(kept(&house, &hers).await, (vec![], vec![], None));
    let his_own = (
        vec!["asks about himself".to_owned()],
        vec!["vip".to_owned()],
        None,
    );
    assert_eq!(kept(&house, &his).await, his_own);
    assert_eq!(told(&house).await, ["noted by crm", "labelled by crm"]);
    assert_eq!(house.holds(b"Wants two"), None);
}

#[tokio::test]
async fn what_changes_nothing_is_not_told_and_an_event_is_done_once() {
    let (house, hers, _) = house().await;
    let twice = || {
        vec![
            note(Some("1"), "Wants two"),
            note(Some("1"), "Wants three"),
            label("vip"),
            label("vip"),
            Annotation::RemoveLabel("old".into()),
            assign("3"),
            assign("3"),
        ]
    };
    let lost = Finish {
        epoch: house.store.epoch() + 1,
        ..done(&house, &hers, effects(&hers, twice()))
    };
    let refused = house.store.finish(lost).await.unwrap_err();
    assert!(matches!(refused, StoreError::LeaseLost(_)), "{refused}");
    assert_eq!(kept(&house, &hers).await, (vec![], vec![], None));

    let once = ["noted by crm", "labelled by crm", "assigned by crm"];
    // Whoever ran it twice, it is done once.
    for _ in 0..2 {
        commit(&house, &hers, twice()).await;
        let is = kept(&house, &hers).await;
        assert_eq!(is.0, ["Wants two"]);
        assert_eq!((is.1, is.2), (vec!["vip".into()], Some("3".into())));
        assert_eq!(told(&house).await, once);
    }
    // Another author's key is another one.
    assert_eq!(
        by_api(&house, &hers, note(Some("1"), "By us")).await,
        Ok(true)
    );
    assert_eq!(
        by_api(&house, &hers, note(Some("1"), "Again")).await,
        Ok(false)
    );
    assert_eq!(by_api(&house, &hers, label("vip")).await, Ok(false));
    assert_eq!(
        by_api(&house, &hers, Annotation::Assign(None)).await,
        Ok(true)
    );
    let is = kept(&house, &hers).await;
    assert_eq!(
        (is.0, is.2),
        (vec!["By us".into(), "Wants two".into()], None)
    );
    let all = told(&house).await;
    assert_eq!(all[..3], once);
    assert_eq!(all[3..], ["noted by api", "assigned by api"]);
    // One that nobody has is nobody's.
    let nobodys = house.store.annotate(987_654, label("vip"), NOW_MS).await;
    assert!(matches!(nobodys, Ok(Ok(None))));
}

#[tokio::test]
async fn of_each_author_the_newest_notes_stay_and_there_are_so_many_labels() {
    let (house, hers, his) = house().await;
    assert_eq!(
        by_api(&house, &hers, note(None, "by a person")).await,
        Ok(true)
    );
    let notes = (0..NOTES_MAX + 5).map(|at| note(None, &at.to_string()));
    let labels = (0..LABELS_MAX).map(|at| label(&format!("label {at}")));
    commit(&house, &hers, notes.chain(labels).collect()).await;
    let (texts, words, _) = kept(&house, &hers).await;
    let max = usize::try_from(NOTES_MAX).unwrap();
    assert_eq!((texts.len(), words.len()), (max + 1, LABELS_MAX));
    assert_eq!(
        (texts[max - 1].as_str(), texts[max].as_str()),
        ("5", "by a person")
    );

    // A run that saw room for a label looks again, and nothing of it is done.
    let more = vec![note(None, "one more"), label("one too many")];
    let his_run = effects(&hers, more);
    let refused = house.store.finish(done(&house, &his, his_run)).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    let refused = by_api(&house, &hers, label("one too many"))
        .await
        .unwrap_err();
    assert!(refused.contains("50 labels"), "{refused}");
    let (after, words, _) = kept(&house, &hers).await;
    assert_eq!((after, words.len()), (texts, LABELS_MAX));
    assert_eq!(by_api(&house, &hers, label("label 7")).await, Ok(false));
}

#[tokio::test]
async fn time_takes_the_events_and_leaves_what_they_told_of() {
    let (house, hers, _) = house().await;
    commit(&house, &hers, vec![note(None, "Wants two"), label("vip")]).await;
    let newest = house.events().await.last().unwrap().seq;
    house.store.advance("crm".into(), newest).await.unwrap();
    let retention = Retention {
        receipts_older_than_ms: 7 * DAY_MS,
        events_older_than_ms: Some(30 * DAY_MS),
        media_older_than_ms: Some(30 * DAY_MS),
    };
    let later_ms = NOW_MS + 400 * DAY_MS;
    house
        .store
        .prune(&house.log, retention, later_ms)
        .await
        .unwrap();
    assert_eq!(told(&house).await, [""; 0]);
    assert_eq!(kept(&house, &hers).await.0, ["Wants two"]);
    let export = house.export(ANA.phone).await;
    assert_eq!(export["labels"][0]["label"], json!("vip"));
}
