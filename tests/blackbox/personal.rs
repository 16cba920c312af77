//! Everything personal is reachable by contact: an export has it all, and an erasure leaves no byte of it in
//! the data folder, write-ahead logs and free pages included.

use std::path::Path;
use std::time::{Duration, Instant};

use duet_sim::{Config, Sim, StatusDelays};
use duet_tests::plugins_file::PluginsFile;
use duet_tests::{Gateway, Setup, gateway, webhook};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
const GONE: &str = "919812345678";
const STAYS: &str = "919887654321";
/// The bytes of the image that she sent.
const PICTURE: &str = "picture-of-hers-with-enough-bytes";
/// What must not be found afterwards; each was in a webhook.
const TRACES: [&str; 9] = [
    "919812345678",
    "Zerlinde Quastenflosser",
    "Zerl Privat",
    "my-secret-garden",
    // Stands in the index of words, too.
    "xylophonquark",
    "echo-to-her",
    "caption-of-hers",
    "history-of-hers",
    "IN.90000000000000000001",
];

fn bodies(image: &str) -> Vec<Value> {
    let hers = |id: &str, type_: &str, body: Value| {
        json!({"from": GONE, "from_user_id": "IN.90000000000000000001", "id": id,
               "timestamp": webhook::now_s().to_string(), "type": type_, type_: body})
    };
    let contact = json!({"profile": {"name": "Zerlinde Quastenflosser"}, "wa_id": GONE, "user_id": "IN.90000000000000000001"});
    let other = json!({"profile": {"name": "Bystander"}, "wa_id": STAYS});
    let text_of_other = json!({"from": STAYS, "id": "wamid.stays", "timestamp": webhook::now_s().to_string(),
                               "type": "text", "text": {"body": "stays-here"}});
    let image = json!({"id": image, "mime_type": "image/jpeg", "sha256": "x", "caption": "caption-of-hers"});
    let history = json!({"history": [{
        "metadata": {"phase": 0, "chunk_order": 1, "progress": 100},
        "threads": [{"id": GONE, "messages": [{
            "from": GONE, "id": "wamid.history", "timestamp": (webhook::now_s() - 86_400).to_string(), "type": "text",
            "text": {"body": "history-of-hers"}, "history_context": {"status": "READ"}}]}]}]});
    let saved = json!({"state_sync": [{"type": "contact", "action": "add", "metadata": {"timestamp": webhook::now_s().to_string()},
        "contact": {"full_name": "Zerl Privat", "first_name": "Zerl", "phone_number": GONE}}]});
    vec![
        // Both in one body: the receipt is shared.
        webhook::body(&[webhook::change(
            "messages",
            json!({
                "contacts": [contact.clone(), other],
                "messages": [hers("wamid.her.1", "text", json!({"body": "my-secret-garden xylophonquark"})), text_of_other],
            }),
        )]),
        webhook::body(&[webhook::change(
            "messages",
            json!({
                "contacts": [contact], "messages": [hers("wamid.her.2", "image", image)],
            }),
        )]),
        webhook::body(&[webhook::change("smb_app_state_sync", saved)]),
        webhook::body(&[webhook::change("history", history)]),
        webhook::body(&[webhook::echo(GONE, "wamid.her.echo", "echo-to-her")]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_contact_is_exported_whole_and_erased_to_the_last_byte() -> anyhow::Result<()> {
    let sim = Sim::start(Config {
        statuses: StatusDelays {
            sent_ms: Some(20),
            delivered_ms: Some(30),
            read_ms: None,
        },
        ..gateway::open_sim()
    })
    .await?;
    let gateway = Gateway::start(
        Setup::default()
            .graph(sim.url())
            .plugins(PluginsFile::probe("bot", 0)),
    )
    .await?;
    sim.set_webhook(gateway.webhook()?);
    let (meta, admin) = (gateway.meta()?, gateway.admin()?);
    admin.plugins_run(PATIENCE).await?;
    let image = sim.add_media("image/jpeg", PICTURE.as_bytes());
    let mut bodies = bodies(&image);
    let echo = bodies.pop();
    for body in &bodies {
        meta.deliver(body).await?;
    }
    // Replies, their statuses, and what the plugin keeps are hers as well.
    let sent = sim.wait_sent(2, PATIENCE).await?;
    sim.wait_quiet(PATIENCE).await?;
    for body in echo.iter() {
        meta.deliver(body).await?;
    }
    admin.intake_done(PATIENCE).await?;
    for state in ["pending", "sending", "unknown"] {
        admin
            .count("outbox", &format!("state={state}"), 0, PATIENCE)
            .await?;
    }
    admin.media_done(PATIENCE).await?;
    assert!(
        found(&gateway.data(), PICTURE.as_bytes())?.is_some(),
        "her picture was never stored"
    );
    let reply = sent
        .iter()
        .find(|sent| sent.to == GONE)
        .map(|sent| sent.body["text"]["body"].to_string());
    let reply = reply.unwrap_or_default().trim_matches('"').to_owned();

    let contact = admin
        .row("contacts", "she is known", PATIENCE, |row| {
            row["wa_id"] == GONE
        })
        .await?;
    let path = format!("/contacts/{}", contact["id"]);
    let export = admin.get(&format!("{path}/export")).await?.to_string();
    for trace in TRACES.into_iter().chain([reply.as_str()]) {
        assert!(
            export.contains(trace),
            "the export lacks {trace:?}: {export}"
        );
        assert!(
            found(&gateway.data(), trace.as_bytes())?.is_some(),
            "{trace:?} was never stored: the test proves nothing"
        );
    }
    assert!(
        !export.contains("Bystander") && !export.contains("stays-here"),
        "the export has somebody else's"
    );

    let hits = admin.get("/messages/search?q=xylophon*").await?;
    assert_eq!(hits["messages"].as_array().map(Vec::len), Some(1), "{hits}");
    admin.delete(&path).await?;
    // Looked at while it runs, and once more when it has stopped and started.
    let mut wamids: Vec<String> = [
        "wamid.her.1",
        "wamid.her.2",
        "wamid.history",
        "wamid.her.echo",
    ]
    .map(str::to_owned)
    .into();
    wamids.extend(
        sent.iter()
            .filter(|sent| sent.to == GONE)
            .map(|sent| sent.id.clone()),
    );
    let traces: Vec<&str> = TRACES
        .into_iter()
        .chain([reply.as_str(), PICTURE])
        .chain(wamids.iter().map(String::as_str))
        .collect();
    nothing_of(&gateway.data(), &traces)?;
    assert_eq!(
        admin
            .call(reqwest::Method::GET, &format!("{path}/export"), None)
            .await?
            .0,
        404
    );
    let everything = json!([
        admin.rows("contacts", "").await?,
        admin.rows("events", "").await?,
        admin.rows("outbox", "").await?
    ])
    .to_string();
    assert!(
        everything.contains("Bystander") && everything.contains("stays-here"),
        "{everything}"
    );

    // Meta repeats an old webhook of hers: she does not come back.
    for body in &bodies {
        meta.deliver(body).await?;
    }
    admin.intake_done(PATIENCE).await?;
    let contacts = admin.rows("contacts", "").await?;
    assert!(
        !contacts.iter().any(|row| row["wa_id"] == GONE),
        "a repeated webhook brought her back: {contacts:?}"
    );
    let mut gateway = gateway;
    gateway.stop().await?;
    for trace in ["my-secret-garden", STAYS] {
        assert!(!gateway.log().contains(trace), "the log holds {trace:?}");
    }
    assert!(
        !gateway.log().contains(gateway::APP_SECRET)
            && !gateway.log().contains(gateway::ACCESS_TOKEN),
        "the log holds a secret"
    );
    gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_remembers_a_contact_is_told_when_it_is_erased() -> anyhow::Result<()> {
    let sim = Sim::start(gateway::open_sim()).await?;
    let table = "[plugins.desk]\ncomponent = \"errands.wasm\"\nfrom = \"beginning\"\nnumbers = [\"1\", \"106540352242922\"]\n\
                 [plugins.desk.messages]\nspeak = [\"automation\"]\n[plugins.desk.store]\n[plugins.desk.timers]\n";
    let setup = Setup::default()
        .graph(sim.url())
        .plugins(PluginsFile::default().and("errands", table));
    let mut gateway = Gateway::start(setup).await?;
    let admin = gateway.admin()?;
    admin.plugins_run(PATIENCE).await?;
    let mut said = 0;
    let mut say = |from: &'static str, text: String| {
        said += 1;
        webhook::text(from, &format!("wamid.said.{said}"), &text)
    };
    let meta = gateway.meta()?;
    meta.deliver(&say(GONE, "wake hers 86400000".into()))
        .await?;
    let hers = admin.conversation(GONE, PATIENCE).await?;
    let (conversation, contact) = (&hers["id"], &hers["contact"]["id"]);
    // His conversation keeps an id of hers, which no erasure could find.
    meta.deliver(&say(STAYS, format!("note {contact}"))).await?;
    meta.deliver(&say(STAYS, format!("noted {contact}")))
        .await?;
    let mut sent = sim.wait_sent(1, PATIENCE).await?;
    assert_eq!(sent[0].body["text"]["body"], "noted");
    let set = |row: &Value| row["timers"] == 1;
    admin
        .row("plugins", "her timer is set", PATIENCE, set)
        .await?;

    admin.delete(&format!("/contacts/{contact}")).await?;
    let erased = |row: &Value| row["kind"] == "contact.erased";
    let event = admin.row("events", "it is told", PATIENCE, erased).await?;
    assert_eq!(
        event["body"],
        json!({"contacts": [contact], "conversations": [conversation]})
    );
    for place in ["number", "contact", "conversation"] {
        assert_eq!(event[place], Value::Null, "{event}");
    }
    let plugin = admin.row("plugins", "it runs", PATIENCE, |_| true).await?;
    assert_eq!(plugin["timers"], 0, "hers has gone");
    let began = Instant::now();
    while sent
        .last()
        .is_none_or(|last| last.body["text"]["body"] != "not noted")
    {
        assert!(began.elapsed() < PATIENCE, "the plugin still keeps her id");
        meta.deliver(&say(STAYS, format!("noted {contact}")))
            .await?;
        sent = sim
            .wait_sent(u64::try_from(sent.len())? + 1, PATIENCE)
            .await?;
    }
    nothing_of(&gateway.data(), &[GONE])?;
    gateway.stop().await?;
    nothing_of(&gateway.data(), &[GONE])?;
    gateway.end().await
}

fn nothing_of(folder: &Path, traces: &[&str]) -> anyhow::Result<()> {
    let mut left = Vec::new();
    for trace in traces {
        // As it was, as Meta escapes it (all ASCII here), and as base64 carries it.
        let mut shapes = vec![trace.as_bytes().to_vec()];
        shapes.extend(in_base64(trace.as_bytes()));
        for shape in shapes {
            if let Some(file) = found(folder, &shape)? {
                left.push(format!(
                    "{} ({trace}) in {file}",
                    String::from_utf8_lossy(&shape)
                ));
            }
        }
    }
    anyhow::ensure!(
        left.is_empty(),
        "left in the data folder:\n{}",
        left.join("\n")
    );
    Ok(())
}

/// What a text looks like within a longer base64 text: one shape for each of three places that it may begin at.
fn in_base64(text: &[u8]) -> Vec<Vec<u8>> {
    use base64::Engine as _;
    (0..3_usize)
        .filter_map(|before| {
            let padded = [&vec![0; before][..], text].concat();
            let whole = base64::engine::general_purpose::STANDARD_NO_PAD.encode(&padded);
            // Letters that share bits with what stands around it are left out.
            let from = (before * 8).div_ceil(6);
            let to = (padded.len() * 8) / 6;
            (to > from + 8).then(|| whole.as_bytes()[from..to].to_vec())
        })
        .collect()
}

/// The first file of a folder that holds these bytes.
fn found(folder: &Path, bytes: &[u8]) -> anyhow::Result<Option<String>> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if let Some(file) = found(&path, bytes)? {
                return Ok(Some(file));
            }
            continue;
        }
        let content = std::fs::read(&path)?;
        if memchr::memmem::find(&content, bytes).is_some() {
            return Ok(Some(path.display().to_string()));
        }
    }
    Ok(None)
}
