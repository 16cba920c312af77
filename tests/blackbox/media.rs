//! The files of messages: fetched while Meta has them, kept under the digest of their bytes, handed out as nothing
//! that a browser would run, and gone with the last message that has them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use duet_sim::play::CustomerMessage;
use duet_sim::{HistoryPlan, Sim};
use duet_tests::fake_graph::{FakeGraph, Reply};
use duet_tests::wait::{Seen, until};
use duet_tests::{Admin, Gateway, Setup, gateway, webhook};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
const ASHA: &str = "919800000001";
const BALA: &str = "919800000002";

async fn sim() -> anyhow::Result<Sim> {
    Sim::start(gateway::sim()).await
}

/// A body with an image; `more` is put into its object.
fn image(from: &str, wamid: &str, more: Value) -> Value {
    let mut image = json!({"mime_type": "image/jpeg"});
    if let (Some(image), Some(more)) = (image.as_object_mut(), more.as_object()) {
        image.extend(more.clone());
    }
    let message = json!({"from": from, "id": wamid, "timestamp": webhook::now_s().to_string(), "type": "image", "image": image});
    let contact = json!([{"profile": {"name": "Somebody"}, "wa_id": from}]);
    webhook::body(&[webhook::change(
        "messages",
        json!({"contacts": contact, "messages": [message]}),
    )])
}

fn base64_digest(bytes: &[u8]) -> String {
    STANDARD.encode(digest(&SHA256, bytes))
}

fn hex_digest(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}

/// The message as soon as its file is in this state, and its conversation.
async fn in_state(admin: &Admin, wamid: &str, state: &str) -> anyhow::Result<(i64, Value)> {
    until(&format!("{wamid} is {state}"), PATIENCE, || async {
        let mut seen = Value::Null;
        for conversation in admin.rows("conversations", "").await? {
            let id = conversation["id"].as_i64().unwrap_or_default();
            for message in admin.messages(id).await? {
                if message["id"] == wamid {
                    if message["media"]["state"] == state {
                        return Ok(Seen::Done((id, message)));
                    }
                    seen = message;
                }
            }
        }
        Ok(Seen::NotYet(seen.to_string()))
    })
    .await
}

/// The files under their final names, and those that are arriving.
fn on_disk(gateway: &Gateway) -> anyhow::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let media = gateway.data().join("media");
    let (mut kept, mut arriving) = (Vec::new(), Vec::new());
    for folder in list(&media)? {
        if folder.ends_with("new") {
            arriving.extend(list(&folder)?);
        } else {
            kept.extend(list(&folder)?);
        }
    }
    Ok((kept, arriving))
}

fn list(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    Ok(std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?)
}

/// Every file under a final name is what its name says.
fn whole(gateway: &Gateway) -> anyhow::Result<()> {
    for path in on_disk(gateway)?.0 {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let found = hex_digest(&std::fs::read(&path)?);
        anyhow::ensure!(found == name, "{name} holds the bytes of {found}");
    }
    Ok(())
}

fn path(conversation: i64, wamid: &str) -> String {
    let wamid = wamid.replace('/', "%2F");
    format!("/conversations/{conversation}/messages/{wamid}/media")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_is_on_disk_before_metas_link_dies() -> anyhow::Result<()> {
    let sim = sim().await?;
    let gateway = Gateway::start(Setup::default().graph(sim.url())).await?;
    sim.set_webhook(gateway.webhook()?);
    let (meta, admin) = (gateway.meta()?, gateway.admin()?);
    let picture = vec![7; 300_000];
    let wamid = sim
        .customer_sends(CustomerMessage {
            media: Some(sim.add_media("image/png", picture.clone())),
            ..CustomerMessage::text(ASHA, "look")
        })
        .await?;
    let (conversation, message) = in_state(&admin, &wamid, "stored").await?;
    assert_eq!(
        message["media"],
        json!({"state": "stored", "mime_type": "image/png", "sha256": hex_digest(&picture), "bytes": picture.len(),
               "filename": null, "cause": null})
    );

    // The address of the webhook is dead; its id still works.
    let late = b"a very late picture".to_vec();
    let id = sim.add_media("image/jpeg", late.clone());
    let dead = format!(
        "{}/whatsapp_business/attachments/?mid={id}&ext=1&hash=0",
        sim.url()
    );
    meta.deliver(&image(
        BALA,
        "wamid.late",
        json!({"id": id, "url": dead, "sha256": base64_digest(&late)}),
    ))
    .await?;
    in_state(&admin, "wamid.late", "stored").await?;

    // Media of the history follow their messages in two shapes.
    sim.history(&HistoryPlan {
        media_every: 3,
        phases: vec![0],
        ..HistoryPlan::default()
    })
    .await?;
    sim.wait_quiet(PATIENCE).await?;
    admin.intake_done(PATIENCE).await?;
    let of_history = until("the history's files are here", PATIENCE, || async {
        let mut files = Vec::new();
        for row in admin.rows("conversations", "").await? {
            for message in admin
                .messages(row["id"].as_i64().unwrap_or_default())
                .await?
            {
                if message["origin"] == "history" && !message["media"].is_null() {
                    files.push((message["direction"].clone(), message["media"].clone()));
                }
            }
        }
        let all = !files.is_empty() && files.iter().all(|(_, media)| media["state"] == "stored");
        let seen = format!("{files:?}");
        Ok(Seen::when(all, files, || seen))
    })
    .await?;
    for direction in ["in", "out"] {
        assert!(
            of_history.iter().any(|(sent, _)| sent == direction),
            "{of_history:?}"
        );
    }
    let asked = sim.requests();
    assert!(
        asked
            .iter()
            .all(|seen| !seen.path.contains("phone_number_id")),
        "{asked:?}"
    );

    // Meta has forgotten all of it.
    sim.advance(Duration::from_secs(40 * 86_400));
    let answer = admin.fetch(&path(conversation, &wamid), &[]).await?;
    assert_eq!((answer.status, &answer.body), (200, &picture));
    for (name, value) in [
        ("content-type", "image/png"),
        ("content-length", "300000"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "sandbox"),
        ("content-disposition", "attachment"),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    let part = admin
        .fetch(&path(conversation, &wamid), &[("range", "bytes=10-19")])
        .await?;
    assert_eq!((part.status, part.body.len()), (206, 10));
    assert_eq!(part.header("content-range"), "bytes 10-19/300000");
    let tag = answer.header("etag");
    let known = admin
        .fetch(&path(conversation, &wamid), &[("if-none-match", tag)])
        .await?;
    assert_eq!(known.status, 304);
    let (status, metrics) = admin.open("/metrics").await?;
    assert!(
        status == 200
            && metrics
                .lines()
                .any(|line| line == "duet_queue_depth{queue=\"media\"} 0"),
        "{metrics}"
    );
    whole(&gateway)?;
    gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_goes_to_metas_hosts_only() -> anyhow::Result<()> {
    let foreign = FakeGraph::start(|_, _| Reply::bytes(b"from a stranger")).await?;
    let elsewhere = format!("{}/file", foreign.url());
    let graph = FakeGraph::start(move |path, own| match path {
        "/v23.0/771" => Reply::json(&json!({"url": format!("{own}/good"), "file_size": "4"})),
        "/v23.0/772" => Reply::json(&json!({"url": format!("{own}/away"), "file_size": "4"})),
        "/v23.0/773" => Reply::json(&json!({"url": elsewhere, "file_size": "4"})),
        "/good" => Reply::bytes(b"good"),
        "/away" => Reply::redirect(&elsewhere),
        _ => Reply::status(404),
    })
    .await?;
    let gateway = Gateway::start(Setup::default().graph(graph.url())).await?;
    let (meta, admin) = (gateway.meta()?, gateway.admin()?);
    let strange = format!("{}/webhook", foreign.url());
    let userinfo = graph.url().replace("http://", "http://a:b@");
    for (wamid, file, state) in [
        ("wamid.own", json!({"id": "771", "url": strange}), "stored"),
        ("wamid.redirected", json!({"id": "772"}), "failed"),
        ("wamid.described", json!({"id": "773"}), "failed"),
        ("wamid.bare", json!({"url": strange}), "failed"),
        (
            "wamid.user",
            json!({"url": format!("{userinfo}/good")}),
            "failed",
        ),
    ] {
        meta.deliver(&image(ASHA, wamid, file)).await?;
        in_state(&admin, wamid, state).await?;
    }
    assert_eq!(foreign.requests(), Vec::<String>::new());
    let bearer = format!("authorization: Bearer {}", gateway::ACCESS_TOKEN);
    let asked = graph.requests();
    assert!(
        !asked.is_empty() && asked.iter().all(|request| request.contains(&bearer)),
        "{asked:?}"
    );
    assert!(
        !gateway.log().contains(gateway::ACCESS_TOKEN),
        "the log holds the token"
    );
    gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tampered_file_is_never_served() -> anyhow::Result<()> {
    let sim = sim().await?;
    let gateway = Gateway::start(Setup::default().graph(sim.url())).await?;
    let (meta, admin) = (gateway.meta()?, gateway.admin()?);
    let id = sim.add_media("image/jpeg", b"swapped on the way".to_vec());
    let file = json!({"id": id, "sha256": base64_digest(b"what she sent")});
    meta.deliver(&image(ASHA, "wamid.swapped", file)).await?;
    let honest = b"honest".to_vec();
    let id = sim.add_media("image/jpeg", honest.clone());
    let file = json!({"id": id, "sha256": base64_digest(&honest)});
    meta.deliver(&image(ASHA, "wamid.honest", file)).await?;

    let (conversation, message) = in_state(&admin, "wamid.swapped", "failed").await?;
    let cause = message["media"]["cause"].as_str().unwrap_or_default();
    assert!(cause.contains("not those that Meta announced"), "{message}");
    let answer = admin
        .fetch(&path(conversation, "wamid.swapped"), &[])
        .await?;
    assert_eq!(answer.status, 404);

    let (_, metrics) = admin.open("/metrics").await?;
    for line in [
        "duet_media_fetches_total{outcome=\"tampered\"} 5",
        "duet_media_given_up_total{state=\"failed\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{metrics}");
    }

    // What is changed on the disk is not given out either.
    in_state(&admin, "wamid.honest", "stored").await?;
    let (kept, arriving) = on_disk(&gateway)?;
    assert_eq!(
        (kept.len(), arriving.len()),
        (1, 0),
        "{kept:?} {arriving:?}"
    );
    std::fs::write(&kept[0], b"forged")?;
    let answer = admin
        .fetch(&path(conversation, "wamid.honest"), &[])
        .await?;
    assert_eq!(answer.status, 500, "{:?}", answer.body);
    gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_too_large_is_told_not_stored() -> anyhow::Result<()> {
    let graph = FakeGraph::start(|path, own| match path {
        "/v23.0/771" => Reply::json(&json!({"url": format!("{own}/file"), "file_size": 5000})),
        "/v23.0/772" => Reply::json(&json!({"url": format!("{own}/endless"), "file_size": "5"})),
        "/file" => Reply::bytes(&[1; 5000]),
        // Of unknown length, and more than announced.
        "/endless" => Reply::until_closed(&[2; 5000]),
        _ => Reply::status(404),
    })
    .await?;
    let setup = Setup::default()
        .graph(graph.url())
        .env("DUET_MEDIA_FILE_BYTES_MAX", 1024);
    let gateway = Gateway::start(setup).await?;
    let (meta, admin) = (gateway.meta()?, gateway.admin()?);
    for id in ["771", "772"] {
        let wamid = format!("wamid.{id}");
        meta.deliver(&image(ASHA, &wamid, json!({"id": id})))
            .await?;
        let (_, message) = in_state(&admin, &wamid, "too-large").await?;
        let cause = message["media"]["cause"].as_str().unwrap_or_default();
        assert!(
            cause.contains("5000") && cause.contains("1024"),
            "{message}"
        );
    }
    assert_eq!(on_disk(&gateway)?, (Vec::new(), Vec::new()));
    gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_nine_while_fetching_leaves_no_half_file() -> anyhow::Result<()> {
    let sim = sim().await?;
    let mut gateway = Gateway::start(Setup::default().graph(sim.url())).await?;
    let places = [
        ("media.written:2", 1_u8),
        ("media.before_place:1", 2),
        ("media.placed:1", 3),
    ];
    for (place, round) in places {
        gateway.stop().await?;
        let at = [("DUET_FAILPOINT".to_owned(), place.to_owned())];
        assert!(gateway.restart_with(&at).await?);
        let bytes: Vec<u8> = (0..3_000_000_u32)
            .map(|at| at.to_le_bytes()[0] ^ round)
            .collect();
        let id = sim.add_media("video/mp4", bytes.clone());
        let wamid = format!("wamid.{round}");
        let file = json!({"id": id, "sha256": base64_digest(&bytes)});
        gateway.meta()?.deliver(&image(ASHA, &wamid, file)).await?;
        assert!(gateway.died_within(PATIENCE).await?, "it passed {place}");
        whole(&gateway)?;

        gateway.restart().await?;
        let admin = gateway.admin()?;
        let (conversation, _) = in_state(&admin, &wamid, "stored").await?;
        let answer = admin.fetch(&path(conversation, &wamid), &[]).await?;
        assert_eq!((answer.status, answer.body.len()), (200, bytes.len()));
        whole(&gateway)?;
        let (kept, arriving) = on_disk(&gateway)?;
        assert_eq!(
            (kept.len(), arriving.len()),
            (usize::from(round), 0),
            "{kept:?} {arriving:?}"
        );
    }
    gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasing_one_contact_keeps_what_another_shares() -> anyhow::Result<()> {
    let sim = sim().await?;
    let gateway = Gateway::start(Setup::default().graph(sim.url())).await?;
    let (meta, admin) = (gateway.meta()?, gateway.admin()?);
    let (shared, own) = (b"the same cat for all".to_vec(), b"only mine".to_vec());
    for (from, wamid, bytes) in [
        (ASHA, "wamid.asha.shared", &shared),
        (BALA, "wamid.bala.shared", &shared),
        (ASHA, "wamid.asha.own", &own),
    ] {
        let id = sim.add_media("image/jpeg", bytes.clone());
        let file = json!({"id": id, "sha256": base64_digest(bytes)});
        meta.deliver(&image(from, wamid, file)).await?;
        in_state(&admin, wamid, "stored").await?;
    }
    let names = || -> anyhow::Result<Vec<String>> {
        let (kept, arriving) = on_disk(&gateway)?;
        anyhow::ensure!(arriving.is_empty(), "{arriving:?}");
        let name = |path: &PathBuf| {
            path.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        };
        let mut names: Vec<_> = kept.iter().map(name).collect();
        names.sort();
        Ok(names)
    };
    let mut both = vec![hex_digest(&shared), hex_digest(&own)];
    both.sort();
    assert_eq!(names()?, both);

    let contacts = admin.rows("contacts", "").await?;
    let contact = |phone: &str| {
        contacts
            .iter()
            .find(|row| row["wa_id"] == phone)
            .map(|row| row["id"].to_string())
    };
    let (asha, bala) = (
        contact(ASHA).unwrap_or_default(),
        contact(BALA).unwrap_or_default(),
    );
    let export = admin.get(&format!("/contacts/{asha}/export")).await?;
    let files = export["media"].to_string();
    for bytes in [&shared, &own] {
        assert!(files.contains(&hex_digest(bytes)), "{files}");
    }
    for file in export["media"].as_array().into_iter().flatten() {
        let at = file["path"]
            .as_str()
            .unwrap_or_default()
            .trim_start_matches("/api/v1");
        assert_eq!(admin.fetch(at, &[]).await?.status, 200, "{file}");
        let on_disk = gateway
            .data()
            .join(file["file"].as_str().unwrap_or_default());
        assert!(on_disk.is_file(), "{file}");
    }

    admin.delete(&format!("/contacts/{asha}")).await?;
    assert_eq!(names()?, [hex_digest(&shared)]);
    let (conversation, _) = in_state(&admin, "wamid.bala.shared", "stored").await?;
    let answer = admin
        .fetch(&path(conversation, "wamid.bala.shared"), &[])
        .await?;
    assert_eq!((answer.status, answer.body), (200, shared));

    admin.delete(&format!("/contacts/{bala}")).await?;
    assert_eq!(names()?, Vec::<String>::new());
    gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_folder_pauses_and_says_so_until_there_is_room() -> anyhow::Result<()> {
    let sim = sim().await?;
    let setup = Setup::default()
        .graph(sim.url())
        .env("DUET_MEDIA_FILE_BYTES_MAX", 1100)
        .env("DUET_MEDIA_TOTAL_BYTES_MAX", 1500);
    let gateway = Gateway::start(setup).await?;
    let (meta, admin) = (gateway.meta()?, gateway.admin()?);
    let send = async |from: &str, wamid: &str, byte: u8| {
        let id = sim.add_media("image/jpeg", vec![byte; 1000]);
        meta.deliver(&image(from, wamid, json!({"id": id}))).await
    };
    send(ASHA, "wamid.first", 1).await?;
    in_state(&admin, "wamid.first", "stored").await?;
    send(BALA, "wamid.second", 2).await?;
    let paused = async |wanted: &str| {
        until("/metrics says whether it pauses", PATIENCE, || async {
            let (_, text) = admin.open("/metrics").await?;
            let line = text
                .lines()
                .find(|line| line.starts_with("duet_media_paused"));
            let line = line.unwrap_or_default().to_owned();
            Ok(Seen::when(line.ends_with(wanted), (), || line))
        })
        .await
    };
    paused(" 1").await?;
    let (_, waiting) = in_state(&admin, "wamid.second", "remote").await?;
    assert!(
        waiting["media"]["cause"].is_null(),
        "no attempt was spent: {waiting}"
    );
    assert!(
        gateway.log().contains("media.total_bytes_max"),
        "the log names the remedy"
    );

    let asha = admin
        .row("contacts", "she is known", PATIENCE, |row| {
            row["wa_id"] == ASHA
        })
        .await?;
    admin.delete(&format!("/contacts/{}", asha["id"])).await?;
    in_state(&admin, "wamid.second", "stored").await?;
    paused(" 0").await?;
    gateway.end().await
}
