//! What users of other tools suffer from most, one test for each, the worst first. The shop of each test is the same: a
//! number that lives in the app and on the API, a bot that answers whatever a customer writes, and Meta between them.

mod shop;

use std::time::Duration;

use duet_sim::play::{AccountEvent, ContactChange, CustomerMessage, PhoneMessage, Signup};
use duet_sim::{Config, DeliveryRules, HistoryPlan, Mood, Sim, StatusDelays, WebhookMood};
use duet_tests::plugins_file::PluginsFile;
use duet_tests::wait::{Seen, until};
use duet_tests::webhook::{self, body, change, now_s};
use duet_tests::{Admin, Gateway, Setup, gateway};
use serde_json::{Value, json};

use shop::Shop;

const PATIENCE: Duration = Duration::from_secs(30);
const ASHA: &str = "919800000001";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Origin and text of each.
fn texts(messages: &[Value]) -> Vec<(&str, &str)> {
    messages
        .iter()
        .map(|message| {
            let part = |name: &str| message[name].as_str().unwrap_or_default();
            (part("origin"), part("text"))
        })
        .collect()
}

/// 1. The person on the phone answers, and the tool shows only one half of the talk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_sent_from_the_phone_are_visible() -> anyhow::Result<()> {
    let shop = Shop::open().await?;
    let id = shop.sim.phone_replies(ASHA, "Your order is ready.").await?;
    let photo = PhoneMessage {
        media: Some(shop.sim.add_media("image/jpeg", b"a parcel".to_vec())),
        ..PhoneMessage::text(ASHA, "here it is")
    };
    shop.sim.phone_sends(photo).await?;
    shop.quiet().await?;
    let messages = shop.messages(ASHA).await?;
    assert_eq!(
        texts(&messages),
        [("echo", "Your order is ready."), ("echo", "here it is")]
    );
    assert_eq!(
        (&messages[0]["direction"], &messages[0]["id"]),
        (&json!("out"), &json!(id))
    );
    // Also as an event, for every tool behind the gateway.
    let events = shop.admin.rows("events", "kind=echo.text").await?;
    assert_eq!(events[0]["body"]["text"]["body"], "Your order is ready.");
    shop.close().await
}

/// 2. "The customer got two voices."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bot_never_answers_over_a_person() -> anyhow::Result<()> {
    let shop = Shop::open().await?;
    shop.sim.customer_writes(ASHA, "is it open?").await?;
    shop.sim.wait_sent(1, PATIENCE).await?;
    shop.sim
        .phone_replies(ASHA, "Asha! Yes, until nine.")
        .await?;
    shop.quiet().await?;
    let conversation = shop.conversation(ASHA).await?;
    assert_eq!(conversation["handling"], "person");
    shop.sim.customer_writes(ASHA, "and on Sunday?").await?;
    shop.sim
        .customer_writes("919800000002", "and for me?")
        .await?;
    // The other customer's answer is the later one.
    let sent = shop.sim.wait_sent(2, PATIENCE).await?;
    shop.quiet().await?;
    assert_eq!(
        (sent[1].to.as_str(), shop.sim.sent_total()),
        ("919800000002", 2)
    );
    shop.close().await
}

/// 3. Six months of chats and all names were promised, and nobody can say what is missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_and_contacts_come_over_and_what_does_not_is_named() -> anyhow::Result<()> {
    let shop = Shop::open().await?;
    let contact = ContactChange {
        action: "add".into(),
        phone: ASHA.into(),
        full_name: Some("Asha Rao".into()),
        ..ContactChange::default()
    };
    shop.sim.contact(contact).await?;
    let plan = HistoryPlan {
        conversations: 3,
        messages: 20,
        ..HistoryPlan::default()
    };
    shop.sim.history(&plan).await?;
    shop.quiet().await?;
    let path = format!("/numbers/{}/history", webhook::NUMBER);
    let report = shop.admin.get(&path).await?;
    assert_eq!(
        (&report["state"], &report["messages"]),
        (&json!("complete"), &json!(60)),
        "{report}"
    );
    let number = shop.admin.get("/numbers").await?["numbers"][0].clone();
    assert_eq!(number["contacts"]["state"], "synced");
    assert_eq!(
        shop.conversation(ASHA).await?["contact"]["name"],
        "Asha Rao"
    );
    let gap = change(
        "history",
        json!({"history": [{"metadata": {"phase": 0, "chunk_order": 9, "progress": 100}, "threads": []}]}),
    );
    shop.gateway.meta()?.deliver(&body(&[gap])).await?;
    shop.quiet().await?;
    let report = shop.admin.get(&path).await?;
    let missing = &report["phases"][0]["chunks_missing"];
    assert!(
        missing
            .as_array()
            .is_some_and(|missing| missing.contains(&json!(8))),
        "{report}"
    );
    assert_eq!(shop.sim.sent_total(), 0, "no bot answers the past");
    shop.close().await
}

/// 4. Meta sends error 131060 instead of many a first message from an advertisement. Tools that drop it lose the lead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_meta_withholds_is_an_entry_to_look_up_in_the_app() -> anyhow::Result<()> {
    let shop = Shop::open().await?;
    let errors = json!([{"code": 131_060, "title": "This message is currently unavailable",
        "error_data": {"details": "Open the WhatsApp Business app to see it"}}]);
    let withheld = json!({"from": ASHA, "id": "wamid.ad", "timestamp": now_s().to_string(), "type": "unsupported",
        "errors": errors.clone()});
    let contacts = json!([{"profile": {"name": "Asha"}, "wa_id": ASHA}]);
    let withheld = change(
        "messages",
        json!({"contacts": contacts, "messages": [withheld]}),
    );
    let next = webhook::texts(ASHA, "Asha", &[("wamid.2", "hello")]);
    shop.gateway
        .meta()?
        .deliver(&body(&[withheld, next]))
        .await?;
    shop.quiet().await?;
    let messages = shop.messages(ASHA).await?;
    assert_eq!(messages[0]["look_in_app"], true);
    assert_eq!(messages[0]["errors"], errors);
    assert_eq!(messages[1]["look_in_app"], false);
    let events = shop.admin.rows("events", "").await?;
    assert_eq!(events[0]["kind"], "message.unsupported");
    shop.close().await
}

/// 5. Meta repeats, overtakes itself and tells all subscribed apps again: one message, one conversation, one answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_doubled_however_often_meta_repeats_it() -> anyhow::Result<()> {
    let shop = Shop::with(Config {
        mood: Mood {
            webhook: WebhookMood {
                copies: 3,
                resends: 1,
                reorder_ms: 50,
                ..WebhookMood::default()
            },
            ..Mood::default()
        },
        delivery: DeliveryRules {
            retry_first_ms: 100,
            ..DeliveryRules::default()
        },
        ..gateway::sim()
    })
    .await?;
    for text in ["one", "two"] {
        shop.sim.customer_writes(ASHA, text).await?;
    }
    shop.sim.wait_sent(2, PATIENCE).await?;
    shop.quiet().await?;
    assert_eq!(shop.sim.sent_total(), 2);
    let mut said = shop.messages(ASHA).await?;
    said.retain(|message| message["direction"] == "in");
    assert_eq!(said.len(), 2);
    assert_eq!(shop.admin.rows("conversations", "").await?.len(), 1);
    let deliveries = shop.sim.deliveries().len();
    assert!(
        deliveries >= 3 * 4,
        "Meta repeated itself: {deliveries} deliveries"
    );
    shop.close().await
}

/// 6. Since July 2026 a quoted reply may name the message by another spelling of its id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quoted_reply_finds_its_message_in_any_spelling() -> anyhow::Result<()> {
    let shop = Shop::open().await?;
    let asked = shop.sim.customer_writes(ASHA, "which size?").await?;
    shop.sim.wait_sent(1, PATIENCE).await?;
    let answered = shop.sim.phone_replies(ASHA, "M or L?").await?;
    for rescoped in [false, true] {
        let reply = CustomerMessage {
            reply_to: Some(answered.clone()),
            rescoped,
            ..CustomerMessage::text(ASHA, "L")
        };
        let id = json!(shop.sim.customer_sends(reply).await?);
        let shown = shop.message(ASHA, &id, |_| true).await?;
        assert_eq!(shown["reply_to"], answered, "rescoped: {rescoped}");
    }
    let echo = PhoneMessage {
        extra: [("context".to_owned(), json!({"from": ASHA, "id": asked}))]
            .into_iter()
            .collect(),
        ..PhoneMessage::text(ASHA, "the blue one")
    };
    let id = json!(shop.sim.phone_sends(echo).await?);
    assert_eq!(shop.message(ASHA, &id, |_| true).await?["reply_to"], asked);
    shop.close().await
}

/// 7. A user id without a phone, a phone without its ninth digit: still the same person.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_person_is_one_contact() -> anyhow::Result<()> {
    let shop = Shop::open().await?;
    shop.sim.customer_writes(ASHA, "hello").await?;
    let hidden = CustomerMessage {
        hide_phone: Some(true),
        username: Some("asha.rao".into()),
        ..CustomerMessage::text(ASHA, "it's me again")
    };
    shop.sim.customer_sends(hidden).await?;
    for (id, phone) in [
        ("wamid.br1", "5511987654321"),
        ("wamid.br2", "551187654321"),
    ] {
        let text = webhook::text(phone, id, "oi");
        shop.gateway.meta()?.deliver(&text).await?;
    }
    shop.quiet().await?;
    let contacts = shop.admin.rows("contacts", "").await?;
    let people = contacts
        .iter()
        .filter(|contact| contact["same_as"].is_null());
    assert_eq!(people.count(), 2, "{contacts:?}");
    assert_eq!(
        texts(&shop.messages(ASHA).await?)
            .into_iter()
            .filter(|(origin, _)| *origin == "live")
            .count(),
        2
    );
    shop.close().await
}

/// 8. The phone was silent for two weeks, or somebody tapped "disconnect", and nobody noticed for days.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disconnection_never_goes_unnoticed() -> anyhow::Result<()> {
    for shape in ["waba", "phone"] {
        let shop = Shop::open().await?;
        shop.sim.customer_writes(ASHA, "is it open?").await?;
        shop.sim.wait_sent(1, PATIENCE).await?;
        let removed = AccountEvent {
            event: "PARTNER_REMOVED".into(),
            shape: Some(shape.into()),
            reason: Some("PRIMARY_INACTIVITY".into()),
            initiated_by: Some("SYSTEM".into()),
            ..AccountEvent::default()
        };
        shop.sim.account(removed).await?;
        shop.quiet().await?;
        let number = shop.admin.get("/numbers").await?["numbers"][0].clone();
        assert_eq!(
            (&number["state"], &number["reason"], &number["initiated_by"]),
            (
                &json!("disconnected"),
                &json!("PRIMARY_INACTIVITY"),
                &json!("SYSTEM")
            ),
            "{shape}"
        );
        let alarms = shop.admin.rows("alarms", "open=true").await?;
        assert_eq!(alarms[0]["name"], "number-disconnected", "{alarms:?}");
        assert!(
            alarms[0]["detail"]
                .to_string()
                .contains("PRIMARY_INACTIVITY")
        );
        let added = AccountEvent {
            event: "PARTNER_ADDED".into(),
            ..AccountEvent::default()
        };
        shop.sim.account(added).await?;
        shop.quiet().await?;
        let number = shop.admin.get("/numbers").await?["numbers"][0].clone();
        assert_eq!(
            (&number["state"], &number["reason"]),
            (&json!("live"), &Value::Null),
            "{shape}"
        );
        assert!(shop.admin.rows("alarms", "open=true").await?.is_empty());
        shop.close().await?;
    }
    Ok(())
}

/// 9. A call that corrupts the app on the phone, and a history that can be asked for once and was not, or in vain.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connecting_harms_no_phone_and_asks_for_everything_once() -> anyhow::Result<()> {
    let mut shop = Shop::open().await?;
    let (waba, number) = shop.signs_up()?;
    shop.connects(&waba).await?;
    // An impatient admin, and a machine that is started anew.
    shop.connects(&waba).await?;
    shop.gateway.kill9().await?;
    shop.gateway.restart().await?;
    shop.sim.set_webhook(shop.gateway.webhook()?);
    shop.admin = shop.gateway.admin()?;
    shop.connects(&waba).await?;
    let path = format!("/numbers/{number}");
    until("all has come over", PATIENCE, || async {
        let number = shop.admin.get(&path).await?;
        let all =
            number["history"]["state"] == "complete" && number["contacts"]["state"] == "synced";
        Ok(Seen::when(all, (), || number.to_string()))
    })
    .await?;
    assert_eq!(shop.asked_once(), ["smb_app_state_sync", "history"]);
    for request in shop.sim.requests() {
        assert!(!request.path.ends_with("register"), "{request:?}");
    }
    shop.close().await
}

/// 10. A message that was read becomes "delivered" again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_never_goes_backwards() -> anyhow::Result<()> {
    let shop = Shop::with(Config {
        statuses: StatusDelays {
            sent_ms: Some(10),
            delivered_ms: None,
            read_ms: Some(10),
        },
        ..gateway::sim()
    })
    .await?;
    shop.sim.customer_writes(ASHA, "is it open?").await?;
    let sent = shop.sim.wait_sent(1, PATIENCE).await?;
    let id = sent[0].id.clone();
    shop.message(ASHA, &json!(id), |message| message["status"] == "read")
        .await?;
    for word in ["delivered", "sent", "in_orbit"] {
        let late = body(&[webhook::status(ASHA, &id, word)]);
        shop.gateway.meta()?.deliver(&late).await?;
    }
    shop.quiet().await?;
    shop.message(ASHA, &json!(id), |message| message["status"] == "read")
        .await?;
    let late = shop.admin.rows("events", "kind=status.delivered").await?;
    assert_eq!(late.len(), 1, "the late word is an event all the same");
    shop.close().await
}

/// 11. The customer's photo of last month is a dead link.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_still_here_when_meta_has_it_no_more() -> anyhow::Result<()> {
    let shop = Shop::open().await?;
    let photo = b"a photo of a torn shirt".to_vec();
    let message = CustomerMessage {
        media: Some(shop.sim.add_media("image/jpeg", photo.clone())),
        ..CustomerMessage::text(ASHA, "look")
    };
    let id = shop.sim.customer_sends(message).await?;
    let stored = |message: &Value| message["media"]["state"] == "stored";
    shop.message(ASHA, &json!(id), stored).await?;
    shop.sim.advance(40 * DAY);
    let conversation = shop.conversation(ASHA).await?["id"].clone();
    let id = id.replace('/', "%2F");
    let path = format!("/conversations/{conversation}/messages/{id}/media");
    let answer = shop.admin.fetch(&path, &[]).await?;
    assert_eq!((answer.status, answer.body), (200, photo));
    shop.close().await
}

/// 12. The tool believes that an answer from the phone, or the chats of the past, have opened the 24 hours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_customers_new_message_opens_the_window() -> anyhow::Result<()> {
    let shop = Shop::open().await?;
    shop.sim.phone_replies(ASHA, "Your order is ready.").await?;
    let plan = HistoryPlan {
        conversations: 1,
        messages: 4,
        ..HistoryPlan::default()
    };
    shop.sim.history(&plan).await?;
    shop.quiet().await?;
    let conversation = shop.conversation(ASHA).await?;
    assert_eq!(conversation["window_until"], Value::Null);
    let path = format!("/conversations/{}/messages", conversation["id"]);
    let text = json!({"type": "text", "text": {"body": "Did you get it?"}});
    let (status, answer) = shop
        .admin
        .call(reqwest::Method::POST, &path, Some(&text))
        .await?;
    assert_eq!(
        (status, &answer["error"]["meta_code"]),
        (409, &json!(131_047)),
        "{answer}"
    );
    assert_eq!(
        shop.sim.sent_total(),
        0,
        "what Meta would refuse is not even tried"
    );
    shop.sim.customer_writes(ASHA, "yes!").await?;
    shop.quiet().await?;
    assert_ne!(shop.conversation(ASHA).await?["window_until"], Value::Null);
    shop.admin.post(&path, &text).await?;
    let said = |sent: &duet_sim::Sent| sent.body["text"]["body"] == "Did you get it?";
    until("the answer leaves", PATIENCE, || async {
        let sent = shop.sim.sent();
        Ok(Seen::when(sent.iter().any(said), (), || {
            format!("{} sent", sent.len())
        }))
    })
    .await?;
    shop.close().await
}

/// 13. An account has one address for its webhooks, and whichever tool was set up last has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_another_tool_took_is_told_and_taken_back() -> anyhow::Result<()> {
    let shop = Shop::open().await?;
    let (waba, number) = shop.signs_up()?;
    shop.connects(&waba).await?;
    let other = Gateway::start(Setup::default()).await?;
    let taken = reqwest::Client::new()
        .post(format!("{}/v23.0/{waba}/subscribed_apps", shop.sim.url()))
        .bearer_auth(gateway::ACCESS_TOKEN)
        .json(&json!({"override_callback_uri": other.webhook()?, "verify_token": gateway::VERIFY_TOKEN}))
        .send()
        .await?;
    assert!(taken.status().is_success(), "{taken:?}");
    let (_, words) = shop.gateway.duet(&["doctor"]).await?;
    assert!(words.contains(&other.webhook()?), "where they go: {words}");
    shop.connects(&waba).await?;
    let message = CustomerMessage {
        number: Some(number),
        ..CustomerMessage::text("919800000077", "is anybody there?")
    };
    shop.sim.customer_sends(message).await?;
    let shown = shop.messages("919800000077").await?;
    assert_eq!(shown[0]["text"], "is anybody there?");
    assert_eq!(
        shop.asked_once().len(),
        2,
        "taking it back asks for nothing again"
    );
    other.end().await?;
    shop.close().await
}

/// 14. Customers are shown as phone numbers, or by the name of two years ago.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_has_the_name_that_the_phone_gives_it() -> anyhow::Result<()> {
    let shop = Shop::open().await?;
    shop.sim.customer_writes(ASHA, "hello").await?;
    shop.quiet().await?;
    // Until the phone says more, the name that she gave herself.
    assert_eq!(shop.conversation(ASHA).await?["contact"]["name"], "Asha");
    let change = |action: &str, name: Option<&str>, timestamp: u64| ContactChange {
        action: action.into(),
        phone: ASHA.into(),
        full_name: name.map(Into::into),
        timestamp: Some(timestamp),
        ..ContactChange::default()
    };
    let now = now_s();
    for (told, shown) in [
        (change("add", Some("Asha Rao"), now), "Asha Rao"),
        (
            change("add", Some("Asha Rao (tea)"), now + 2),
            "Asha Rao (tea)",
        ),
        // What comes late takes nothing back.
        (change("add", Some("Asha R."), now + 1), "Asha Rao (tea)"),
        (change("remove", None, now + 3), "Asha"),
        (change("add", Some("Asha R."), now + 1), "Asha"),
    ] {
        shop.sim.contact(told).await?;
        shop.quiet().await?;
        assert_eq!(shop.conversation(ASHA).await?["contact"]["name"], shown);
    }
    shop.close().await
}

/// 15. One unknown field, one missing one: the parser answers 500, and Meta repeats the body for days.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strict_parsers_never_start_a_retry_storm() -> anyhow::Result<()> {
    let shop = Shop::open().await?;
    let whole = |value: Value| body(&[json!({"field": "messages", "value": value})]).to_string();
    let strange = [
        whole(json!({"statuses": [{"id": "wamid.x", "status": "in_orbit"}]})),
        whole(
            json!({"messages": [{"type": "hologram", "id": "wamid.h", "from": ASHA, "hologram": {"depth": 3}}]}),
        ),
        whole(json!({"messages": "none"})),
        whole(json!(null)),
        body(&[json!({"field": "from_the_future", "value": {"a": [1, {"b": null}]}})]).to_string(),
        json!({"object": "whatsapp_business_account", "entry": {"changes": []}}).to_string(),
        json!([1, 2, 3]).to_string(),
        "no JSON at all".to_owned(),
        String::new(),
    ];
    for body in &strange {
        shop.sim.raw_webhook(body.clone());
    }
    shop.sim.customer_writes(ASHA, "is it open?").await?;
    shop.sim.wait_sent(1, PATIENCE).await?;
    shop.quiet().await?;
    let refused: Vec<_> = shop
        .sim
        .deliveries()
        .into_iter()
        .filter(|delivery| delivery.status != Some(200))
        .collect();
    assert!(refused.is_empty(), "{refused:?}");
    // Nothing of it is thrown away: what no program can read, a person can.
    let unreadable = shop.admin.rows("receipts", "state=unreadable").await?;
    assert!(unreadable.len() >= 3, "{unreadable:?}");
    let kinds = shop.admin.rows("events", "").await?;
    assert!(
        kinds
            .iter()
            .any(|event| event["kind"] == "message.hologram" || event["kind"] == "unknown"),
        "{kinds:?}"
    );
    shop.close().await
}
