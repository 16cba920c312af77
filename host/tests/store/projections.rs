//! Numbers, contacts, conversations and messages follow what Meta tells, in whatever order it does.

use duet::effect::Handling;
use duet::store::handling::Keeps;
use duet::store::media::Skipped;
use duet::store::wall::Wall;
use duet_rules::coexistence::State;
use serde_json::{Value, json};

use super::bodies::{ANA, DISPLAY, NUMBER, change, payload, wamid, write};
use super::house::{House, NOW_MS, PERSON_MS};

#[tokio::test]
async fn a_status_never_goes_backwards_and_may_come_before_its_message() {
    let told = ANA.is_told("3A02", "told");
    let (sent, delivered, read) = (
        ANA.status("3A02", "sent"),
        ANA.status("3A02", "delivered"),
        ANA.status("3A02", "read"),
    );
    for order in [
        [&told, &sent, &delivered, &read],
        [&read, &delivered, &sent, &told],
        [&sent, &read, &told, &delivered],
        [&delivered, &told, &read, &sent],
    ] {
        let house = House::new();
        for body in order {
            assert_eq!(house.deliver(body).await.len(), 1);
        }
        assert_eq!(house.message(ANA.phone).await["status"], "read");
    }
}

#[tokio::test]
async fn a_failure_brings_its_code_and_a_reading_takes_it_away() {
    let mut failed = ANA.status("3A02", "failed");
    failed["entry"][0]["changes"][0]["value"]["statuses"][0]["errors"] = json!([{"code": 131_047, "title": "Re-engagement message",
        "error_data": {"details": "Older than 24 hours"}}]);
    let told = ANA.is_told("3A02", "told");
    for order in [[&told, &failed], [&failed, &told]] {
        let house = House::new();
        for body in order {
            house.deliver(body).await;
        }
        let message = house.message(ANA.phone).await;
        assert_eq!(
            (&message["status"], &message["status_error"]),
            (&json!("failed"), &json!(131_047))
        );
        let errors: Value = serde_json::from_str(message["errors"].as_str().unwrap()).unwrap();
        assert_eq!(errors[0]["error_data"]["details"], "Older than 24 hours");
        house.deliver(&ANA.status("3A02", "delivered")).await;
        assert_eq!(house.message(ANA.phone).await["status"], "failed");
        house.deliver(&ANA.status("3A02", "read")).await;
        assert_eq!(house.message(ANA.phone).await["status"], "read");
    }
}

#[tokio::test]
async fn media_that_follow_their_placeholder_join_it_in_both_orders() {
    let placeholder = ANA.history(json!([
        {"from": ANA.phone, "id": ANA.id("3A04"), "timestamp": "1780000001", "type": "media_placeholder"},
    ]));
    let follow_up = ANA.follow_up("3A04", "offer.pdf");
    for order in [[&placeholder, &follow_up], [&follow_up, &placeholder]] {
        let house = House::new();
        for body in order {
            house.deliver(body).await;
        }
        let message = house.message(ANA.phone).await;
        assert_eq!(message["media"]["filename"], "offer.pdf");
        let open = house
            .store
            .fetches(Skipped::default(), 10, NOW_MS)
            .await
            .unwrap();
        assert_eq!(
            open.iter().map(|fetch| &fetch.message).collect::<Vec<_>>(),
            [&message["id"]],
            "its file is to be fetched"
        );
        assert_eq!(
            (&message["type"], &message["text"]),
            (&json!("document"), &json!("as promised"))
        );
        // Meta's time of the second webhook contradicts the placeholder, which is right.
        assert_eq!(
            (&message["at_ms"], &message["direction"]),
            (&json!(1_780_000_001_000_i64), &json!("in"))
        );
    }
}

/// What the person on the phone does with an earlier message.
fn act(id: &str, second: i64, body: Value) -> Value {
    let mut echo = json!({"from": DISPLAY, "to": ANA.phone, "id": id, "timestamp": (1_789_999_992 + second).to_string()});
    for (key, value) in body.as_object().unwrap() {
        echo[key] = value.clone();
    }
    change("smb_message_echoes", json!({"message_echoes": [echo]}))
}

fn edit(id: &str, second: i64, text: &str) -> Value {
    act(
        id,
        second,
        json!({"type": "edit", "edit": {"original_message_id": ANA.id_to("3A02"),
            "message": {"type": "text", "text": {"body": text}}}}),
    )
}

#[tokio::test]
async fn edits_and_a_revocation_in_any_order_leave_the_same_message_and_keep_what_it_said() {
    let told = ANA.is_told("3A02", "at nine");
    let (first, second) = (
        edit("wamid.edit1", 1, "at ten"),
        edit("wamid.edit2", 2, "at eleven"),
    );
    let revoke = act(
        "wamid.revoke",
        3,
        json!({"type": "revoke", "revoke": {"original_message_id": ANA.id_to("3A02")}}),
    );
    for order in [
        [&told, &first, &second, &revoke],
        [&told, &second, &revoke, &first],
        [&revoke, &told, &first, &second],
    ] {
        let house = House::new();
        for body in order {
            house.deliver(body).await;
        }
        let message = house.message(ANA.phone).await;
        assert_eq!(
            (&message["text"], &message["edited"], &message["revoked"]),
            (&json!("at eleven"), &json!(1), &json!(1))
        );
        let earlier: Vec<Value> =
            serde_json::from_str(message["earlier"].as_str().unwrap()).unwrap();
        let texts: Vec<_> = earlier.iter().map(|version| &version["text"]).collect();
        assert_eq!(texts.len(), 2, "{texts:?}");
        assert!(texts.contains(&&json!("at nine")) && texts.contains(&&json!("at ten")));
    }
    // Before there is a message the later of two edits waits for it.
    let house = House::new();
    for body in [&second, &first, &told] {
        house.deliver(body).await;
    }
    let message = house.message(ANA.phone).await;
    assert_eq!(message["text"], "at eleven");
    assert!(message["earlier"].as_str().unwrap().contains("at nine"));
}

#[tokio::test]
async fn a_message_edited_without_end_keeps_its_first_words_and_the_newest() {
    let house = House::new();
    house.deliver(&ANA.is_told("3A02", "the first")).await;
    for number in 0..60 {
        let text = format!("edit {number}");
        house
            .deliver(&edit(&format!("wamid.{number}"), number, &text))
            .await;
    }
    let message = house.message(ANA.phone).await;
    assert_eq!(message["text"], "edit 59");
    let earlier: Vec<Value> = serde_json::from_str(message["earlier"].as_str().unwrap()).unwrap();
    assert_eq!(earlier.len(), 20);
    assert_eq!(
        (&earlier[0]["text"], &earlier[19]["text"]),
        (&json!("the first"), &json!("edit 58"))
    );
}

#[tokio::test]
async fn an_echo_gives_the_conversation_to_a_person_and_only_the_customer_opens_the_window() {
    let house = House::new();
    let echo = house
        .deliver(&payload(
            "piusalfred-whatsapp-go/smb_message_echoes_text_entry_time.json",
        ))
        .await;
    let id = echo[0].conversation.unwrap();
    let conversation = house.store.conversation(id).await.unwrap().unwrap();
    assert_eq!(
        (conversation.handling, conversation.handling_seq),
        (Handling::Person, echo[0].seq)
    );
    assert_eq!(
        conversation.handling_until_ms,
        Some(1_739_321_024_000 + PERSON_MS)
    );
    assert_eq!(
        (conversation.handling_by, conversation.window_until_ms),
        (None, None)
    );
    let said = house
        .deliver(&payload("meta-openapi-webhooks/text_message.json"))
        .await;
    assert_eq!(said[0].conversation, Some(id));
    let conversation = house.store.conversation(id).await.unwrap().unwrap();
    assert_eq!(
        conversation.window_until_ms,
        Some(1_749_416_383_000 + 24 * 60 * 60 * 1000)
    );
    assert_eq!(
        (conversation.handling, conversation.handling_seq),
        (Handling::Person, echo[0].seq)
    );
}

#[tokio::test]
async fn the_address_book_names_a_contact_and_a_late_retry_resurrects_no_name() {
    let house = House::new();
    let entry = |action: &str, name: Option<&str>, at: &str| {
        let mut contact = json!({"phone_number": format!("+{}", ANA.phone)});
        if let Some(name) = name {
            contact["full_name"] = json!(name);
        }
        change(
            "smb_app_state_sync",
            json!({"state_sync": [{"type": "contact", "action": action,
            "contact": contact, "metadata": {"timestamp": at}}]}),
        )
    };
    house.deliver(&ANA.writes("3A01", "hello")).await;
    let id = house.contact(&format!("+{}", ANA.phone)).await.unwrap();
    house
        .deliver(&entry("add", Some("Ana from the market"), "1789999100"))
        .await;
    assert_eq!(name(&house, id).await, "Ana from the market");
    house.deliver(&entry("remove", None, "1789999300")).await;
    house
        .deliver(&entry("add", Some("Ana, late"), "1789999200"))
        .await;
    assert_eq!(name(&house, id).await, ANA.name);
}

async fn name(house: &House, contact: i64) -> String {
    house
        .store
        .contact("", contact)
        .await
        .unwrap()
        .unwrap()
        .name
        .unwrap()
}

/// A customer that shows no phone gets a new user id: it stays the same contact.
#[tokio::test]
async fn a_new_user_id_is_no_new_contact() {
    let house = House::new();
    let said = |user_id: &str, id: &str| {
        change(
            "messages",
            json!({"contacts": [{"profile": {"name": ANA.name}, "user_id": user_id}],
            "messages": [{"from_user_id": user_id, "id": id, "timestamp": "1789999990", "type": "text",
                "text": {"body": "hello"}}]}),
        )
    };
    house.deliver(&said("DE.1111111111", "wamid.first")).await;
    house
        .deliver(&change(
            "user_id_update",
            json!({"user_id_update": [{"user_id": {"previous": "DE.1111111111",
        "current": "DE.2222222222"}, "timestamp": "1789999991"}]}),
        ))
        .await;
    house.deliver(&said("DE.2222222222", "wamid.second")).await;
    assert_eq!(house.messages("DE.2222222222").await.len(), 2);
    assert_eq!(house.contact("DE.1111111111").await, None);
}

/// A word about the account, at this second.
fn account(value: Value, time: i64) -> Value {
    json!({"object": "whatsapp_business_account", "entry": [{"id": "102290129340398", "time": time,
        "changes": [{"field": "account_update", "value": value}]}]})
}

/// A text of ANA's that names her by phone, by user id, or by both.
fn text(id: &str, phone: bool, user_id: bool) -> Value {
    let mut profile = json!({"profile": {"name": ANA.name}});
    let mut message =
        json!({"id": id, "timestamp": "1789999990", "type": "text", "text": {"body": "hello"}});
    if phone {
        profile["wa_id"] = ANA.phone.into();
        message["from"] = ANA.phone.into();
    }
    if user_id {
        profile["user_id"] = ANA.user_id.into();
        message["from_user_id"] = ANA.user_id.into();
    }
    change(
        "messages",
        json!({"contacts": [profile], "messages": [message]}),
    )
}

fn echo(id: &str, phone: bool, user_id: bool) -> Value {
    let mut echo = json!({"from": DISPLAY, "id": id, "timestamp": "1789999991", "type": "text",
        "text": {"body": "A person here."}});
    if phone {
        echo["to"] = ANA.phone.into();
    }
    if user_id {
        echo["to_user_id"] = ANA.user_id.into();
    }
    change("smb_message_echoes", json!({"message_echoes": [echo]}))
}

/// Known by phone at first and by user id later, she would be two customers, and the one that nobody has answered
/// would hear the automation.
#[tokio::test]
async fn a_person_who_is_known_twice_is_taken_over_once_and_whole() {
    let (phone, user_id, both) = ((true, false), (false, true), (true, true));
    for (told, last) in [
        // What she is told, in order, and how the last message names her.
        (
            vec![
                ("said", phone),
                ("said", user_id),
                ("said", both),
                ("echo", both),
            ],
            user_id,
        ),
        (
            vec![("said", phone), ("said", user_id), ("echo", both)],
            user_id,
        ),
        (
            vec![
                ("said", phone),
                ("said", user_id),
                ("said", both),
                ("echo", user_id),
            ],
            phone,
        ),
        (vec![("said", phone), ("echo", user_id)], both),
        (
            vec![("said", user_id), ("echo", phone), ("said", both)],
            user_id,
        ),
    ] {
        let house = House::new();
        let mut events = Vec::new();
        for (n, (what, (phone, user_id))) in told.iter().enumerate() {
            let body = match *what {
                "said" => text(&format!("wamid.{n}"), *phone, *user_id),
                _ => echo(&format!("wamid.{n}"), *phone, *user_id),
            };
            events.extend(house.deliver(&body).await);
        }
        events.extend(house.deliver(&text("wamid.last", last.0, last.1)).await);
        for event in &events {
            let id = event.conversation.unwrap();
            let conversation = house.store.conversation(id).await.unwrap().unwrap();
            assert_eq!(conversation.handling, Handling::Person, "{told:?} {last:?}");
            assert_eq!(
                conversation.window_until_ms,
                Some(1_789_999_990_000 + 86_400_000),
                "{told:?} {last:?}"
            );
            let story = house.store.handling_story(id, 0).await.unwrap();
            let causes: Vec<_> = story.iter().map(|change| change.cause.as_str()).collect();
            assert_eq!(causes, ["echo"], "{told:?} {last:?}");
        }
        let ana = house.contact(ANA.phone).await.unwrap();
        let erased = house.store.erase_contact(&house.log, ana).await.unwrap();
        assert_eq!((erased.contacts, erased.events), (2, events.len()));
    }
}

#[tokio::test]
async fn a_number_is_disconnected_and_comes_back() {
    let house = House::new();
    house.deliver(&ANA.writes("3A01", "hello")).await;
    let at = 1_789_999_999;
    for (value, time, state) in [
        (json!({"event": "PARTNER_REMOVED"}), at, State::Disconnected),
        (json!({"event": "PARTNER_ADDED"}), at + 1, State::Live),
        // By phone, in both spellings, and by a phone that no number has shown: the account has just one.
        (
            json!({"event": "PARTNER_REMOVED", "phone_number": format!("+{DISPLAY}")}),
            at + 2,
            State::Disconnected,
        ),
        (json!({"event": "PARTNER_ADDED"}), at + 3, State::Live),
        (
            json!({"event": "PARTNER_REMOVED", "phone_number": "4930000000"}),
            at + 4,
            State::Disconnected,
        ),
        (
            json!({"event": "ACCOUNT_RECONNECTED"}),
            at + 5,
            State::Reconnecting,
        ),
    ] {
        house.deliver(&account(value.clone(), time)).await;
        assert_eq!(life(&house).await, state, "{value}");
    }
    let open = house.store.open_numbers(10).await.unwrap();
    assert_eq!(open, [NUMBER]);
    let told = house
        .store
        .number_on_app(NUMBER.into(), Some(true), NOW_MS + 10_000, NOW_MS)
        .await
        .unwrap();
    assert_eq!(told, Some((State::Live, vec![])));
    assert!(house.store.open_numbers(10).await.unwrap().is_empty());
    let nobody = house
        .store
        .number_on_app("1".into(), Some(true), NOW_MS, NOW_MS)
        .await;
    assert_eq!(nobody.unwrap(), None);
}

async fn life(house: &House) -> State {
    let numbers = house
        .store
        .numbers(Wall::none(), String::new(), 10, NOW_MS)
        .await
        .unwrap();
    numbers[0].life.state
}

/// Meta scopes the id in a quotation to the user id or to the phone, whichever it likes; the customer means one
/// message.
#[tokio::test]
async fn a_quotation_finds_its_message_under_either_of_its_ids() {
    let house = House::new();
    house.deliver(&ANA.is_told("3A01", "which size?")).await;
    let quoted = [
        ANA.id_to("3A01"),
        wamid(ANA.user_id, false, "3A01"),
        wamid(ANA.user_id, false, "3A99"),
    ];
    for (n, id) in quoted.iter().enumerate() {
        let mut answer = ANA.message(&format!("3B0{n}"), "this one");
        answer["context"] = json!({"from": DISPLAY, "id": id});
        house.deliver(&write([(&ANA, answer)])).await;
    }
    let conversation = house.events().await[0].conversation.unwrap();
    let rows = house.store.messages(conversation, None, 10).await.unwrap();
    let means: Vec<_> = rows.into_iter().filter_map(|row| row.reply_to).collect();
    let [known, _, unknown] = quoted;
    assert_eq!(means, [known.clone(), known, unknown]);
}

#[tokio::test]
async fn who_gives_a_conversation_to_a_person_anew_may_shorten_it() {
    let house = House::new();
    let id = house.deliver(&ANA.writes("3A01", "hello")).await[0]
        .conversation
        .unwrap();
    for (keeps, expected) in [
        (Keeps::AtLeast(NOW_MS + 9000), NOW_MS + 9000),
        (Keeps::Usual(5000), NOW_MS + 9000),
        (Keeps::Exactly(NOW_MS + 5000), NOW_MS + 5000),
    ] {
        let given = house
            .store
            .set_handling(id, Handling::Person, keeps, NOW_MS)
            .await;
        assert!(given.unwrap().is_some());
        let conversation = house.store.conversation(id).await.unwrap().unwrap();
        assert_eq!(
            (conversation.handling, conversation.handling_until_ms),
            (Handling::Person, Some(expected))
        );
    }
}

#[tokio::test]
async fn history_wakes_nobody_and_takes_nothing_over() {
    let house = House::new();
    let events = house.deliver_at(&ANA.history(json!([
        {"from": ANA.phone, "id": wamid(ANA.phone, true, "3A03"), "timestamp": "1780000000", "type": "text",
            "text": {"body": "long ago"}, "history_context": {"status": "READ"}},
        {"from": DISPLAY, "to": ANA.phone, "id": wamid(DISPLAY, false, "3A04"), "timestamp": "1780000001",
            "type": "text", "text": {"body": "answered"}, "history_context": {"status": "read", "from_me": true}},
    ])), NOW_MS).await;
    assert!(events.iter().all(|event| event.history));
    let id = events.iter().find_map(|event| event.conversation).unwrap();
    let conversation = house.store.conversation(id).await.unwrap().unwrap();
    assert_eq!(
        (conversation.handling, conversation.window_until_ms),
        (Handling::Automation, None)
    );
    assert_eq!(conversation.number, NUMBER);
    assert_eq!(house.messages(ANA.phone).await.len(), 2);
}

#[tokio::test]
async fn an_echo_of_a_type_that_nobody_knows_takes_over_as_well() {
    for kind in [Some("hologram"), None] {
        let house = House::new();
        let mut body = payload("piusalfred-whatsapp-go/smb_message_echoes_text_entry_time.json");
        let echo = &mut body["entry"][0]["changes"][0]["value"]["message_echoes"][0];
        match kind {
            Some(kind) => echo["type"] = kind.into(),
            None => drop(echo.as_object_mut().unwrap().remove("type")),
        }
        let echo = house.deliver(&body).await;
        let id = echo[0].conversation.unwrap();
        let conversation = house.store.conversation(id).await.unwrap().unwrap();
        assert_eq!(conversation.handling, Handling::Person, "{kind:?}");
    }
}
