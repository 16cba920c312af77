//! A business at 360dialog: its whole life goes through the partner, whose word counts for that business alone.
//!
//! - `hanging`: what goes on while the partner's API does not answer

mod hanging;

use std::time::Duration;

use anyhow::Context as _;
use duet_sim::play::{ContactChange, CustomerMessage};
use duet_sim::{Channel, Config, Dialog360, HistoryPlan, Sim, StatusDelays};
use duet_tests::plugins_file::PluginsFile;
use duet_tests::wait::{Seen, until};
use duet_tests::{Admin, Gateway, Setup, gateway, webhook};
use reqwest::Method;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);
const CUSTOMER: &str = "919800000001";
const KEY: &str = "d360-key-of-the-tea-house";
/// The app that every sim has.
const APP: &str = "1234567890123456";
const PICTURE: &[u8] = b"a picture of tea";
/// A number at 360dialog that the sim does not have, and its account.
const NUMBER: &str = "2001";
const WABA: &str = "2000";
/// Another business's, at 360dialog, too.
const BOOKS_NUMBER: &str = "3001";
const BOOKS_WABA: &str = "3000";

/// What has to stand at 360dialog, as `duet business` prints it.
struct Printed {
    url: String,
    header: String,
}

/// Runs `duet business …` for a business at 360dialog and reads what it prints.
async fn printed(gateway: &Gateway, arguments: &[&str]) -> anyhow::Result<(Printed, String)> {
    let (status, said) = gateway.duet(arguments).await?;
    anyhow::ensure!(status.success(), "{said}");
    let after = |mark: &str| {
        let line = said.lines().find_map(|line| line.trim().strip_prefix(mark));
        line.map(|line| line.trim().to_owned())
            .context(mark.to_owned())
    };
    let printed = Printed {
        url: after("address")?,
        header: after("header   Authorization:")?,
    };
    Ok((printed, said))
}

/// Posts a body to a partner's address; the answer is the status.
async fn post(url: &str, headers: &[(&str, &str)], body: &Value) -> anyhow::Result<u16> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let mut request = http.post(url).body(body.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Ok(request.send().await?.status().as_u16())
}

/// A body about a number in Meta's envelope.
fn body(waba: &str, number: &str, field: &str, value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(value) = value.as_object_mut() {
        let metadata = json!({"display_phone_number": "912255500200", "phone_number_id": number});
        value.insert("messaging_product".into(), json!("whatsapp"));
        value.insert("metadata".into(), metadata);
    }
    json!({"object": "whatsapp_business_account",
        "entry": [{"id": waba, "changes": [{"field": field, "value": value}]}]})
}

fn text(waba: &str, number: &str, id: &str) -> Value {
    let message = json!({"from": CUSTOMER, "id": id, "timestamp": webhook::now_s().to_string(),
        "type": "text", "text": {"body": "tea?"}});
    let contacts = json!([{"profile": {"name": "Asha"}, "wa_id": CUSTOMER}]);
    let value = json!({"contacts": contacts, "messages": [message]});
    body(waba, number, "messages", &value)
}

/// History as 360dialog passes it on.
fn history(waba: &str, number: &str) -> Value {
    json!({"id": "e1", "event": "history", "data": {"id": waba, "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "912255500200", "phone_number_id": number},
        "history": [{"metadata": {"phase": 0, "chunk_order": 1, "progress": 100}, "threads": [{"id": CUSTOMER,
            "messages": [{"from": CUSTOMER, "id": "wamid.h", "timestamp": "1739230955", "type": "text",
                "text": {"body": "an old question"}, "history_context": {"status": "READ"}}]}]}]}})
}

async fn add_business(gateway: &Gateway, id: &str, number: &str) -> anyhow::Result<Printed> {
    let add = ["business", "add", id, "--360dialog", "--number", number];
    Ok(printed(gateway, &add).await?.0)
}

async fn has_event(admin: &Admin, what: &str, kind: &str) -> anyhow::Result<Value> {
    let fits = |row: &Value| {
        row["kind"]
            .as_str()
            .is_some_and(|word| word.starts_with(kind))
    };
    admin.row("events", what, PATIENCE, fits).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_life_goes_through_the_partner() -> anyhow::Result<()> {
    let channel = Channel::of_first_number(KEY);
    let partner = Dialog360::start(vec![channel.clone()]).await?;
    let sim = Sim::start(Config {
        webhook: Some(partner.inlet()),
        statuses: StatusDelays {
            sent_ms: Some(20),
            delivered_ms: Some(40),
            read_ms: None,
        },
        ..gateway::sim()
    })
    .await?;
    partner.stand_before(&sim, gateway::ACCESS_TOKEN);
    let setup = Setup::default()
        .graph(sim.url())
        .env("DUET_SIGNUP_APP_ID", APP)
        .env("DUET_BUSINESS_TOKEN", KEY);
    let mut gateway = Gateway::start(setup).await?;
    let here = gateway.url()?;
    let add = [
        "business",
        "add",
        "tea",
        "--360dialog",
        "--number",
        &channel.number,
        "--base-url",
        partner.url(),
        "--address",
        &here,
    ];
    let (there, said) = printed(&gateway, &add).await?;
    assert!(said.contains("it is set there"), "{said}");
    assert!(!said.contains(KEY), "{said}");
    assert_eq!(there.url, format!("{here}/webhook/360dialog/tea"));
    partner.set_account_webhook(&there.url, ("Authorization", &there.header));
    let looked = ["number", "add", &channel.waba, "--business", "tea"];
    let (_, said) = gateway.duet(&looked).await?;
    assert!(
        said.contains("sends contacts and history by itself"),
        "{said}"
    );
    let table = PluginsFile::probe_table("probe", "bot", 0)
        .replace("from = ", "business = \"tea\"\nfrom = ");
    gateway.change_plugins(PluginsFile::default().and("probe", &table))?;
    let admin = gateway.admin()?;
    admin.post("/plugins/reload", &json!({})).await?;
    admin.plugins_run(PATIENCE).await?;

    sim.customer_writes(CUSTOMER, "tea?").await?;
    sim.wait_sent(1, PATIENCE).await?;
    has_event(&admin, "the answer's status comes back", "status.delivered").await?;
    let is_sent = |row: &Value| row["state"] == "sent";
    admin
        .row("outbox", "the answer is sent", PATIENCE, is_sent)
        .await?;

    let media = sim.add_media("image/png", PICTURE);
    sim.customer_sends(CustomerMessage {
        from: CUSTOMER.into(),
        kind: Some("image".into()),
        media: Some(media),
        ..CustomerMessage::default()
    })
    .await?;
    has_event(&admin, "the picture is there", "message.image").await?;
    admin.media_done(PATIENCE).await?;

    sim.phone_replies(CUSTOMER, "from the phone").await?;
    let is_persons = |row: &Value| row["handling"] == "person";
    admin
        .row("conversations", "a person has it", PATIENCE, is_persons)
        .await?;
    sim.contact(ContactChange {
        action: "add".into(),
        phone: CUSTOMER.into(),
        full_name: Some("Asha from the fair".into()),
        ..ContactChange::default()
    })
    .await?;
    has_event(&admin, "the phone's contact is there", "contact.added").await?;
    sim.history(&HistoryPlan {
        conversations: 2,
        messages: 3,
        ..HistoryPlan::default()
    })
    .await?;
    has_event(&admin, "history has come", "history.").await?;
    admin.intake_done(PATIENCE).await?;

    for event in admin.rows("events", "").await? {
        assert_eq!(event["number"], channel.number, "{event}");
    }
    for receipt in admin.rows("receipts", "").await? {
        assert_eq!(receipt["provider"], "360dialog", "{receipt}");
        assert_eq!(receipt["business"], "tea", "{receipt}");
        assert_eq!(receipt["state"], "done", "{receipt}");
    }
    assert_eq!(admin.rows("alarms", "open=true").await?, [json!(null); 0]);

    // What the business itself may ask is asked of its partner, and Meta never sees the key.
    let token = json!({"name": "tea", "business": "tea", "scopes": ["read"]});
    let made = admin.post("/tokens", &token).await?;
    let asker = admin.with_token(made["token"].as_str().unwrap_or_default());
    let examined = asker.get("/doctor").await?.to_string();
    let told = format!("360dialog posts the webhooks of number {}", channel.number);
    assert!(examined.contains(&told), "{examined}");
    assert!(!examined.contains("DUET_ACCESS_TOKEN"), "{examined}");
    let seen = sim.requests();
    assert!(
        seen.iter().all(|request| !request.path.contains(KEY)),
        "{seen:?}"
    );
    let calls = partner.calls();
    let made = |method: &str, path: &str| {
        let is_it =
            |call: &&duet_sim::KeyedCall| call.method == method && call.path.starts_with(path);
        calls.iter().filter(is_it).count()
    };
    assert!(made("POST", "/messages") > 0, "{calls:?}");
    assert!(made("GET", "/whatsapp_business/") > 0, "{calls:?}");
    assert_eq!(made("POST", "/v1/configs/webhook"), 1, "{calls:?}");
    assert!(calls.iter().all(|call| call.key == KEY), "{calls:?}");
    gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_know_the_secret_is_refused_and_a_secret_can_be_changed() -> anyhow::Result<()>
{
    let gateway = Gateway::start(Setup::default().env("DUET_BUSINESS_TOKEN", KEY)).await?;
    let admin = gateway.admin()?;
    let first = add_business(&gateway, "tea", NUMBER).await?;
    let books = add_business(&gateway, "books", BOOKS_NUMBER).await?;
    let url = format!("{}/webhook/360dialog/tea", gateway.url()?);
    let secret = first.header.trim_start_matches("Bearer ").to_owned();
    let hello = text(WABA, NUMBER, "wamid.1");

    let nobodys = format!("{}/webhook/360dialog/nobody", gateway.url()?);
    for (url, headers) in [
        (&url, &[][..]),
        (&url, &[("authorization", "Bearer wrong")][..]),
        (&url, &[("x-other", first.header.as_str())][..]),
        (&url, &[("authorization", books.header.as_str())][..]),
        (
            &url,
            &[
                ("authorization", first.header.as_str()),
                ("authorization", "Bearer wrong"),
            ][..],
        ),
        (&nobodys, &[("authorization", first.header.as_str())][..]),
    ] {
        assert_eq!(post(url, headers, &hello).await?, 401, "{url} {headers:?}");
    }
    assert_eq!(admin.rows("receipts", "").await?, [json!(null); 0]);
    assert_eq!(
        post(&url, &[("authorization", &secret)], &hello).await?,
        200
    );
    has_event(&admin, "the genuine one is taken in", "message.text").await?;

    // The one before counts for a day, the one before that no more.
    let renew = ["business", "webhook", "tea"];
    let (second, _) = printed(&gateway, &renew).await?;
    for header in [&first.header, &second.header] {
        assert_eq!(post(&url, &[("authorization", header)], &hello).await?, 200);
    }
    let (third, _) = printed(&gateway, &renew).await?;
    for (header, status) in [
        (&first.header, 401),
        (&second.header, 200),
        (&third.header, 200),
    ] {
        let answered = post(&url, &[("authorization", header)], &hello).await?;
        assert_eq!(answered, status);
    }

    let weak = json!({"webhook_secret": "guess-me"});
    let (status, said) = admin
        .call(Method::PUT, "/businesses/tea/access", Some(&weak))
        .await?;
    assert_eq!(status, 400, "{said}");
    admin.post("/businesses", &json!({"id": "direct"})).await?;
    let (status, said) = gateway.duet(&["business", "webhook", "direct"]).await?;
    assert!(!status.success(), "{said}");
    assert!(said.contains("at no partner"), "{said}");
    gateway.end().await
}

/// What the partner of the tea house must not say, and of what.
fn attacks() -> Vec<(&'static str, Value)> {
    let removed = json!({"object": "whatsapp_business_account", "entry": [{"id": WABA, "changes": [
        {"field": "account_update", "value": {"event": "PARTNER_REMOVED",
            "waba_info": {"waba_id": BOOKS_WABA, "owner_business_id": "9"}}}]}]});
    let mut nobodys = text(WABA, NUMBER, "wamid.a5");
    nobodys["entry"][0]["id"] = json!(null);
    nobodys["entry"][0]["changes"][0]["value"]["metadata"] = json!({});
    vec![
        (
            "the gateway's own",
            text(webhook::WABA, webhook::NUMBER, "wamid.a1"),
        ),
        (
            "another business's",
            text(BOOKS_WABA, BOOKS_NUMBER, "wamid.a2"),
        ),
        (
            "its number in another's account",
            text(BOOKS_WABA, NUMBER, "wamid.a3"),
        ),
        (
            "a new number in another's account",
            text(BOOKS_WABA, "2999", "wamid.a4"),
        ),
        ("nobody's", nobodys),
        ("another's account by name", removed),
        ("another's history", history(BOOKS_WABA, BOOKS_NUMBER)),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partner_that_speaks_of_another_business_is_not_believed() -> anyhow::Result<()> {
    let gateway = Gateway::start(Setup::default().env("DUET_BUSINESS_TOKEN", KEY)).await?;
    let (admin, meta) = (gateway.admin()?, gateway.meta()?);
    let tea = add_business(&gateway, "tea", NUMBER).await?;
    let books = add_business(&gateway, "books", BOOKS_NUMBER).await?;
    let to_tea = format!("{}{}", gateway.url()?, tea.url);
    let to_books = format!("{}{}", gateway.url()?, books.url);
    let say = |url: String, header: String, body: Value| async move {
        let status = post(&url, &[("authorization", &header)], &body).await?;
        anyhow::ensure!(status == 200, "it was answered {status}");
        anyhow::Ok(())
    };
    meta.deliver(&webhook::text(CUSTOMER, "wamid.m", "hello"))
        .await?;
    say(
        to_books,
        books.header.clone(),
        text(BOOKS_WABA, BOOKS_NUMBER, "wamid.b"),
    )
    .await?;
    admin.intake_done(PATIENCE).await?;
    let before = admin.rows("events", "").await?;
    assert_eq!(before.len(), 2, "{before:?}");

    let attacks = attacks();
    let count = attacks.len();
    for (what, attack) in attacks {
        say(to_tea.clone(), tea.header.clone(), attack)
            .await
            .context(what)?;
    }
    admin.intake_done(PATIENCE).await?;
    assert_eq!(
        admin.rows("events", "").await?,
        before,
        "nothing of it is an event"
    );
    let kept = admin.rows("receipts", "state=unreadable").await?;
    assert_eq!(kept.len(), count, "{kept:?}");
    for receipt in &kept {
        assert_eq!(receipt["business"], "tea", "{receipt}");
        let reason = receipt["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("may not"), "{reason}");
    }
    let alarms = admin.rows("alarms", "open=true").await?;
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    assert_eq!(alarms[0]["name"], "foreign-webhook");

    // By its phone another's number is not meant either.
    let flagged = json!({"object": "whatsapp_business_account", "entry": [{"id": WABA, "changes": [
        {"field": "phone_number_quality_update",
            "value": {"display_phone_number": webhook::DISPLAY, "event": "FLAGGED"}}]}]});
    say(to_tea.clone(), tea.header.clone(), flagged).await?;
    // Of one body its own part is taken in, also of a number that nobody knew.
    let mut mixed = text(WABA, "2002", "wamid.t");
    let foreign = text(BOOKS_WABA, BOOKS_NUMBER, "wamid.f")["entry"][0].clone();
    if let Some(entries) = mixed["entry"].as_array_mut() {
        entries.push(foreign);
    }
    say(to_tea, tea.header.clone(), mixed).await?;
    // Meta's own webhooks do not speak of it.
    meta.deliver(&text(WABA, NUMBER, "wamid.d")).await?;
    let all = until("the rest is taken in", PATIENCE, || async {
        let events = admin.rows("events", "").await?;
        Ok(if events.len() >= before.len() + 2 {
            Seen::Done(events)
        } else {
            Seen::NotYet(format!("{events:?}"))
        })
    })
    .await?;
    admin.intake_done(PATIENCE).await?;
    let new: Vec<_> = all[before.len()..]
        .iter()
        .map(|event| &event["kind"])
        .collect();
    assert_eq!(new, ["number.quality", "message.text"]);
    assert_eq!(all[before.len() + 1]["number"], "2002");
    assert_eq!(
        admin.rows("receipts", "state=unreadable").await?.len(),
        count + 2
    );
    let alarms = admin.rows("alarms", "").await?;
    assert!(
        alarms.iter().all(|alarm| alarm["name"] != "quality-low"),
        "{alarms:?}"
    );
    gateway.end().await
}
