//! A contact leaves and takes everything along; whoever stays, stays whole.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use duet::effect::{Agent, Effect, Reads, Send, Speaker};
use duet::store::erase::EraseError;
use duet::store::lanes::{End, Finish, From};
use duet::store::media::Skipped;
use duet_rules::annotations::{Annotation, NewNote};
use duet_rules::cases::Case;
use serde_json::{Value, json};

use super::bodies::{ANA, BEN, NUMBER, Person, change, write};
use super::house::{House, NOW_MS, PERSON_MS};
use super::media::store;

/// A house in which a plugin is at work.
async fn with_crm() -> House {
    let house = House::new();
    let place = house.store.place("crm".into(), String::new(), From::Now);
    place.await.unwrap();
    house
}

/// A run over an event that leaves effects.
pub(crate) fn done(house: &House, event: &duet::event::Event, effects: Vec<Effect>) -> Finish {
    Finish {
        epoch: house.store.epoch(),
        instance: "crm".into(),
        digest: "d".into(),
        lane: event.lane().to_string(),
        seq: event.seq,
        contact: event.contact,
        now_ms: NOW_MS,
        person_ms: PERSON_MS,
        store_max: None,
        timers_max: None,
        cases_max: None,
        runs_max: 0,
        record: None,
        end: End::Done {
            effects,
            reads: Reads::default(),
        },
    }
}

/// All that can be kept of a person, in every table and both files.
async fn fill(house: &House, person: &Person, secret: &str) {
    let said = house
        .deliver(&person.writes("3A01", &format!("my secret is {secret}")))
        .await;
    house
        .deliver(&person.is_told("3A02", &format!("we keep {secret}")))
        .await;
    house.deliver(&person.status("3A02", "read")).await;
    house.deliver(&person.status("3AFF", "sent")).await;
    // An edit that came before its message.
    let edit = json!({"from": person.phone, "from_user_id": person.user_id, "id": person.id("3AE1"),
        "timestamp": "1789999996", "type": "edit", "edit": {"original_message_id": person.id("3AE0"),
            "message": {"type": "text", "text": {"body": format!("rather {secret}")}}}});
    house.deliver(&write([(person, edit)])).await;
    house.deliver(&person.history(json!([
        {"from": person.phone, "id": person.id("3A03"), "timestamp": "1780000000", "type": "text",
            "text": {"body": format!("long ago {secret}")}, "history_context": {"status": "READ"}},
        {"from": person.phone, "id": person.id("3A04"), "timestamp": "1780000001", "type": "media_placeholder"},
    ]))).await;
    house
        .deliver(&person.follow_up("3A04", &format!("{secret}.pdf")))
        .await;
    for fetch in house
        .store
        .fetches(Skipped::default(), 10, NOW_MS)
        .await
        .unwrap()
    {
        store(house, fetch, format!("scan of {secret}").as_bytes()).await;
    }
    house
        .deliver(&person.follow_up("3A05", &format!("early {secret}.pdf")))
        .await;
    house
        .deliver(&change(
            "smb_app_state_sync",
            json!({"state_sync": [{"type": "contact", "action": "add",
        "contact": {"full_name": person.name, "phone_number": format!("+{}", person.phone)},
        "metadata": {"timestamp": "1789999000"}}]}),
        ))
        .await;
    let conversation = said[0].conversation.unwrap();
    let send = |text: String| {
        Effect::Send(Send {
            conversation,
            speaker: Speaker::Automation,
            agent: None,
            message: json!({"type": "text", "text": {"body": text}}),
        })
    };
    let set = |key: String, value: String| Effect::Set {
        key,
        value: value.into_bytes(),
        expires_ms: None,
    };
    let annotate = |annotation| Effect::Annotate {
        conversation,
        annotation,
    };
    let effects = vec![
        send(format!("dear {}, {secret}", person.name)),
        set(
            format!("case/{secret}"),
            format!("{} wants {secret}", person.name),
        ),
        Effect::OpenCase {
            conversation,
            case: Case {
                key: format!("of {secret}"),
                title: Some(format!("{} wants {secret}", person.name)),
                url: None,
                status: None,
                assignee: None,
            },
        },
        annotate(Annotation::Note(NewNote {
            key: Some(format!("of {secret}")),
            text: format!("{} wants {secret}", person.name),
            agent: None,
        })),
        annotate(Annotation::AddLabel(secret.to_owned())),
        annotate(Annotation::Assign(Some(Agent {
            id: format!("of {secret}"),
            name: None,
        }))),
    ];
    house
        .store
        .finish(done(house, &said[0], effects))
        .await
        .unwrap();
    let again = house.deliver(&person.writes("3A06", secret)).await;
    let retry = End::Retry {
        attempt: 1,
        next_ms: NOW_MS,
        cause: format!("no answer about {secret}"),
        waits_for: None,
    };
    house
        .store
        .finish(Finish {
            end: retry,
            ..done(house, &again[0], vec![])
        })
        .await
        .unwrap();
    let last = house.deliver(&person.writes("3A07", secret)).await;
    let dead = End::Dead {
        attempts: 3,
        cause: format!("rejected: {secret}"),
    };
    house
        .store
        .finish(Finish {
            end: dead,
            ..done(house, &last[0], vec![])
        })
        .await
        .unwrap();
    let broken = format!("{{\"entry\": \"{}\", \"{secret}\"", person.phone);
    let receipt = house.append(&broken, NOW_MS).await;
    house.take_in(receipt).await;
}

/// So many of the giveaways stand in the folder before the erasure, for sure.
const BEFORE: usize = 9;

/// Everything by which bytes could tell of a person.
fn giveaways(person: &Person, secret: &str) -> Vec<Vec<u8>> {
    let mut found: Vec<Vec<u8>> = [
        person.phone,
        person.name,
        person.user_id,
        secret,
        &person.id("3A01"),
        &person.id_to("3A02"),
        &person.id_to("3AFF"),
        &person.id("3A05"),
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    // In base64 the same bytes look different at each of three places; ids of messages hold the first.
    for shift in 0..3 {
        let mut bytes = vec![b'x'; shift];
        bytes.extend_from_slice(person.phone.as_bytes());
        let encoded = STANDARD.encode(bytes);
        // The characters at both ends depend on their neighbours.
        found.push(encoded.as_bytes()[4..encoded.len() - 4].to_vec());
    }
    found
}

#[tokio::test]
async fn erasing_leaves_no_byte_and_spares_the_neighbour() {
    let house = with_crm().await;
    fill(&house, &BEN, "Sauerkirsche").await;
    house
        .deliver(&write([
            (&ANA, ANA.message("3A10", "Quittenmus")),
            (&BEN, BEN.message("3A11", "at the same time")),
        ]))
        .await;
    // Ben passes Ana's number on, quotes her, and a plugin notes her beside others.
    house
        .deliver(&BEN.writes("3A12", "call Ana: +49 151 1234-0987"))
        .await;
    // He names her in words that he takes back.
    house
        .deliver(&BEN.writes("3A14", "ask 4915112340987 first"))
        .await;
    let better = json!({"from": BEN.phone, "id": "wamid.edit", "timestamp": "1789999996", "type": "edit",
        "edit": {"original_message_id": BEN.id("3A14"),
            "message": {"type": "text", "text": {"body": "ask her first"}}}});
    house.deliver(&write([(&BEN, better)])).await;
    let noted = house.deliver(&BEN.writes("3A13", "hello")).await;
    let note = Effect::Set {
        key: "phones".into(),
        value: ANA.phone.into(),
        expires_ms: None,
    };
    house
        .store
        .finish(done(&house, &noted[0], vec![note]))
        .await
        .unwrap();
    fill(&house, &ANA, "Quittenmus").await;
    let before = house.export(BEN.phone).await;
    for bytes in giveaways(&ANA, "Quittenmus").iter().take(BEFORE) {
        assert!(
            house.holds(bytes).is_some(),
            "the test itself: {}",
            String::from_utf8_lossy(bytes)
        );
    }
    for scan in ["scan of Sauerkirsche", "scan of Quittenmus"] {
        assert!(house.holds(scan.as_bytes()).is_some(), "{scan} is kept");
    }

    let ana = house.contact(ANA.phone).await.unwrap();
    let erased = house.store.erase_contact(&house.log, ana).await.unwrap();

    assert_eq!(erased.lingering, None);
    assert!(house.holds(b"scan of Sauerkirsche").is_some(), "his stays");
    for bytes in giveaways(&ANA, "Quittenmus") {
        assert_eq!(
            house.holds(&bytes),
            None,
            "{}",
            String::from_utf8_lossy(&bytes)
        );
    }
    assert_eq!(
        (erased.contacts, erased.conversations, erased.messages),
        (1, 1, 7)
    );
    assert_eq!(
        (erased.outbox, erased.deliveries, erased.dead_letters),
        (1, 1, 1)
    );
    assert_eq!((erased.kv, erased.unreadable), (2, 1));
    assert_eq!(house.contact(ANA.user_id).await, None);
    let gone = house.store.erase_contact(&house.log, ana).await;
    assert!(matches!(gone, Err(EraseError::NoSuchContact(_))));

    let after = house.export(BEN.phone).await;
    let texts = |export: &Value| -> Vec<Value> {
        export["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| message["text"].clone())
            .collect()
    };
    let spared: Vec<Value> = texts(&before)
        .into_iter()
        .map(|text| {
            if text == "call Ana: +49 151 1234-0987" {
                Value::Null
            } else {
                text
            }
        })
        .collect();
    assert_eq!(texts(&after), spared);
    assert_eq!(after["outbox"], before["outbox"]);
    assert_eq!(after["contacts"], before["contacts"]);
    assert_eq!(
        after["events"].as_array().unwrap().len() + 2,
        before["events"].as_array().unwrap().len()
    );
}

#[tokio::test]
async fn a_repetition_brings_nobody_back() {
    let house = House::new();
    let body = ANA.writes("3A01", "Quittenmus");
    house.deliver(&body).await;
    let ana = house.contact(ANA.phone).await.unwrap();
    house.store.erase_contact(&house.log, ana).await.unwrap();
    let house = house.reopen();
    assert_eq!(house.deliver(&body).await.len(), 0);
    let kinds = house.events().await;
    let kinds: Vec<&str> = kinds.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["contact.erased"]);
    assert_eq!(house.contact(ANA.phone).await, None);
}

/// Meta tells for a month what became of a message.
#[tokio::test]
async fn the_late_status_of_an_erased_message_brings_nobody_back() {
    let house = House::new();
    house.deliver(&ANA.is_told("3A02", "Quittenmus")).await;
    house.deliver(&BEN.is_told("3B02", "Quittenmus")).await;
    let ana = house.contact(ANA.phone).await.unwrap();
    house.store.erase_contact(&house.log, ana).await.unwrap();
    assert!(house.deliver(&ANA.status("3A02", "read")).await.is_empty());
    assert_eq!(house.contact(ANA.phone).await, None);
    assert_eq!(house.deliver(&BEN.status("3B02", "read")).await.len(), 1);
    // Of a message that was never here, a status comes as it always did.
    assert_eq!(house.deliver(&ANA.status("3A09", "read")).await.len(), 1);
}

/// Rows that moved to other pages when theirs were full have left copies there.
#[tokio::test]
async fn erasing_leaves_no_copy_in_pages_that_were_split() {
    let house = House::new();
    let ana = house.deliver(&ANA.writes("3A01", "hello")).await.remove(0);
    let mut state = 1_u32;
    for round in 0..40 {
        let (writer, stanza, word) = if round % 2 == 0 {
            (&ANA, format!("3A{round:02X}AA"), "Quittenmus")
        } else {
            (&BEN, format!("3B{round:02X}AA"), "Sauerkirsche")
        };
        let event = &house
            .deliver(&writer.writes(&stanza, "hello"))
            .await
            .remove(0);
        // Keys in no order and values that grow and shrink, so that pages split and merge.
        let sets = (0..100).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            Effect::Set {
                key: format!("{:03x}{word}", (state >> 8) % 1500),
                value: format!("{word} ")
                    .repeat(1 + (state >> 20) as usize % 60)
                    .into_bytes(),
                expires_ms: None,
            }
        });
        let finish = done(&house, event, sets.collect());
        house.store.finish(finish).await.unwrap();
    }
    let before = house.export(BEN.phone).await["kv"]
        .as_array()
        .unwrap()
        .len();
    let erased = house
        .store
        .erase_contact(&house.log, ana.contact.unwrap())
        .await
        .unwrap();
    assert!(erased.kv > 500 && erased.lingering.is_none());
    assert_eq!(house.holds(b"Quittenmus"), None);
    let kept = house.export(BEN.phone).await["kv"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(kept, before);
}

/// Somebody looks into the file with another tool, and the gateway ends before the files are rewritten.
#[tokio::test]
async fn an_erasure_that_is_held_up_says_so_and_is_finished_later() {
    let house = House::new();
    house.deliver(&ANA.writes("3A01", "Quittenmus")).await;
    let onlooker = rusqlite::Connection::open(house.folder.path().join("duet.db")).unwrap();
    onlooker
        .execute_batch("BEGIN; SELECT count(*) FROM events;")
        .unwrap();
    let ana = house.contact(ANA.phone).await.unwrap();
    let erased = house.store.erase_contact(&house.log, ana).await.unwrap();
    assert!(erased.lingering.is_some());
    assert!(house.holds(b"Quittenmus").is_some());
    drop(onlooker);
    let house = house.reopen();
    assert_eq!(house.store.finish_erasures(&house.log).await.unwrap(), None);
    assert_eq!(house.holds(b"Quittenmus"), None);
    assert_eq!(house.holds(ANA.phone.as_bytes()), None);
}

/// Whoever is done first must not take the rewriting of the files away from the other.
#[tokio::test]
async fn two_erasures_at_once_leave_no_byte_of_either() {
    let house = with_crm().await;
    fill(&house, &ANA, "Quittenmus").await;
    fill(&house, &BEN, "Sauerkirsche").await;
    let ana = house.contact(ANA.phone).await.unwrap();
    let ben = house.contact(BEN.phone).await.unwrap();
    let erased = tokio::join!(
        house.store.erase_contact(&house.log, ana),
        house.store.erase_contact(&house.log, ben),
    );
    for erased in [erased.0, erased.1] {
        assert_eq!(erased.unwrap().lingering, None);
    }
    for (person, secret) in [(&ANA, "Quittenmus"), (&BEN, "Sauerkirsche")] {
        let scan = format!("scan of {secret}").into_bytes();
        for bytes in giveaways(person, secret).into_iter().chain([scan]) {
            assert_eq!(
                house.holds(&bytes),
                None,
                "{}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }
}

#[tokio::test]
async fn one_person_under_two_contacts_is_erased_whole() {
    let house = House::new();
    let by_user_id = json!({"from_user_id": ANA.user_id, "id": "wamid.byuser", "timestamp": "1789999990",
        "type": "text", "text": {"body": "Quittenmus one"}});
    let only_user = json!({"profile": {"name": ANA.name}, "user_id": ANA.user_id});
    house
        .deliver(&change(
            "messages",
            json!({"contacts": [only_user], "messages": [by_user_id]}),
        ))
        .await;
    let by_phone = json!({"from": ANA.phone, "id": "wamid.byphone", "timestamp": "1789999991", "type": "text",
        "text": {"body": "Quittenmus two"}});
    house
        .deliver(&change("messages", json!({"messages": [by_phone]})))
        .await;
    house.deliver(&ANA.writes("3A01", "Quittenmus three")).await;
    let ana = house.contact(ANA.phone).await.unwrap();
    let erased = house.store.erase_contact(&house.log, ana).await.unwrap();
    assert_eq!((erased.contacts, erased.messages), (2, 3));
    for text in [
        ANA.phone,
        ANA.name,
        ANA.user_id,
        "Quittenmus",
        "wamid.byuser",
    ] {
        assert_eq!(house.holds(text.as_bytes()), None, "{text}");
    }
}

#[tokio::test]
async fn what_intake_has_not_seen_is_not_erased_in_silence() {
    let house = House::new();
    house.deliver(&ANA.writes("3A01", "Quittenmus")).await;
    let waiting = house
        .append(&ANA.writes("3A02", "not yet").to_string(), NOW_MS)
        .await;
    let ana = house.contact(ANA.phone).await.unwrap();
    let refused = house.store.erase_contact(&house.log, ana).await;
    assert!(
        matches!(refused, Err(EraseError::IntakeBehind(1))),
        "{refused:?}"
    );
    assert_eq!(house.messages(ANA.phone).await.len(), 1);
    house.take_in(waiting).await;
    house.store.erase_contact(&house.log, ana).await.unwrap();
    assert_eq!(house.holds(ANA.phone.as_bytes()), None);
}

#[tokio::test]
async fn a_business_number_is_not_erased_with_everybody_on_it() {
    let house = House::new();
    house.deliver(&BEN.writes("3A01", "hello")).await;
    let own = Person {
        phone: super::bodies::DISPLAY,
        ..ANA
    };
    house
        .deliver(&own.writes("3A02", "a test from my own phone"))
        .await;
    let contact = house.contact(own.phone).await.unwrap();
    let refused = house.store.erase_contact(&house.log, contact).await;
    assert!(
        matches!(&refused, Err(EraseError::OwnNumber(number)) if number == NUMBER),
        "{refused:?}"
    );
    assert_eq!(house.messages(BEN.phone).await.len(), 1);
}

/// A plugin that was running while its contact was erased must not write the contact down again.
#[tokio::test]
async fn a_run_that_ends_after_the_erasure_leaves_nothing() {
    let house = with_crm().await;
    let said = house.deliver(&ANA.writes("3A01", "Quittenmus")).await;
    let ana = said[0].contact.unwrap();
    house.store.erase_contact(&house.log, ana).await.unwrap();
    let effects = vec![
        Effect::Set {
            key: "case".into(),
            value: b"Quittenmus".to_vec(),
            expires_ms: None,
        },
        Effect::Send(Send {
            conversation: said[0].conversation.unwrap(),
            speaker: Speaker::Automation,
            agent: None,
            message: json!({"type": "text", "text": {"body": "dear Quittenmus"}}),
        }),
    ];
    assert!(
        house
            .store
            .finish(done(&house, &said[0], effects))
            .await
            .unwrap()
            .is_empty()
    );
    let retry = End::Retry {
        attempt: 1,
        next_ms: NOW_MS,
        cause: "Quittenmus".into(),
        waits_for: None,
    };
    house
        .store
        .finish(Finish {
            end: retry,
            ..done(&house, &said[0], vec![])
        })
        .await
        .unwrap();
    assert_eq!(house.holds(b"Quittenmus"), None);
}

#[tokio::test]
async fn an_export_holds_everything_and_nothing_of_others() {
    let house = with_crm().await;
    fill(&house, &ANA, "Quittenmus").await;
    house
        .deliver(&write([
            (&ANA, ANA.message("3A10", "Quittenmus")),
            (&BEN, BEN.message("3A11", "Sauerkirsche")),
        ]))
        .await;
    let export = house.export(ANA.phone).await;
    let count = |name: &str| export[name].as_array().unwrap().len();
    assert_eq!(
        (count("contacts"), count("conversations"), count("messages")),
        (1, 1, 7)
    );
    assert_eq!(
        (
            count("outbox"),
            count("deliveries"),
            count("dead_letters"),
            count("kv")
        ),
        (1, 1, 1, 1)
    );
    assert_eq!(count("early"), 3);
    assert_eq!(
        export["events"][0]["body"]["text"]["body"],
        "my secret is Quittenmus"
    );
    assert_eq!(export["events"][0]["context"]["profile"]["name"], ANA.name);
    let value = STANDARD
        .decode(export["kv"][0]["value"].as_str().unwrap())
        .unwrap();
    assert_eq!(
        String::from_utf8(value).unwrap(),
        format!("{} wants Quittenmus", ANA.name)
    );
    let receipts = export["receipts"].as_array().unwrap();
    let withheld = receipts
        .iter()
        .filter(|receipt| receipt.get("body").is_none())
        .count();
    assert_eq!((receipts.len(), withheld), (13, 1));
    let text = export.to_string();
    assert!(!text.contains("Sauerkirsche") && !text.contains(BEN.phone));
    assert_eq!(
        house.store.export_contact(&house.log, 999).await.unwrap(),
        None
    );
}
