//! Files that are sent: handed over once, uploaded once for all that need them, uploaded again when Meta has lost them,
//! and sent once whenever the power is cut.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use duet_sim::play::CustomerMessage;
use duet_sim::{Sent, Sim, Trouble};
use duet_tests::plugins_file::PluginsFile;
use duet_tests::wait::{Seen, until};
use duet_tests::{Admin, Gateway, Setup, gateway, webhook};
use reqwest::Method;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
const ASHA: &str = "919800000001";
const BALA: &str = "919800000002";
/// More than an image may have.
const FILE_BYTES_MAX: usize = 6 << 20;

struct Stage {
    sim: Sim,
    gateway: Gateway,
    admin: Admin,
}

impl Stage {
    async fn set() -> anyhow::Result<Stage> {
        let sim = Sim::start(gateway::open_sim()).await?;
        let setup = Setup::default()
            .graph(sim.url())
            .env("DUET_MEDIA_FILE_BYTES_MAX", FILE_BYTES_MAX);
        let gateway = Gateway::start(setup).await?;
        sim.set_webhook(gateway.webhook()?);
        let admin = gateway.admin()?;
        Ok(Stage {
            sim,
            gateway,
            admin,
        })
    }

    /// The conversation with a customer who has written.
    async fn talk(&self, phone: &str) -> anyhow::Result<i64> {
        let hello = webhook::text(phone, &format!("wamid.{phone}"), "hello");
        self.gateway.meta()?.deliver(&hello).await?;
        id(&self.admin.conversation(phone, PATIENCE).await?)
    }

    /// The digest of a file that was handed over.
    async fn give(&self, mime_type: &str, bytes: &[u8]) -> anyhow::Result<String> {
        let (status, given) = self.admin.hand_over("", mime_type, bytes.to_vec()).await?;
        anyhow::ensure!(status == 201, "{status}: {given}");
        Ok(given["sha256"].as_str().context("a digest")?.to_owned())
    }

    async fn send(&self, conversation: i64, message: &Value) -> anyhow::Result<i64> {
        let path = format!("/conversations/{conversation}/messages");
        let queued = self.admin.post(&path, message).await?;
        queued["outbox"].as_i64().context("a row")
    }

    /// Waits until a row of the outbox is in this state.
    async fn is(&self, row: i64, state: &str) -> anyhow::Result<Value> {
        let what = format!("row {row} is {state}");
        let fits = |found: &Value| found["id"] == json!(row) && found["state"] == state;
        self.admin.row("outbox", &what, PATIENCE, fits).await
    }

    async fn restart(&mut self, failpoint: Option<&str>) -> anyhow::Result<()> {
        let env = failpoint.map(|place| ("DUET_FAILPOINT".to_owned(), place.to_owned()));
        let up = self.gateway.restart_with(env.as_slice()).await?;
        anyhow::ensure!(up, "the gateway ended at once");
        self.admin = self.gateway.admin()?;
        self.sim.set_webhook(self.gateway.webhook()?);
        Ok(())
    }

    /// The digests of the files on disk.
    fn files(&self) -> anyhow::Result<Vec<String>> {
        let mut found = Vec::new();
        for folder in std::fs::read_dir(self.gateway.data().join("media"))? {
            let files = std::fs::read_dir(folder?.path())?;
            for file in files {
                let path: PathBuf = file?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                found.push(name.into_owned());
            }
        }
        found.sort();
        Ok(found)
    }
}

fn id(row: &Value) -> anyhow::Result<i64> {
    row["id"].as_i64().context("an id")
}

fn image(file: &str, caption: &str) -> Value {
    json!({"type": "image", "image": {"file": file, "caption": caption}})
}

fn text(body: &str) -> Value {
    json!({"type": "text", "text": {"body": body}})
}

fn hex_digest(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}

/// What a send said, whatever its type.
fn words(sent: &Sent) -> &str {
    let of = |pointer| sent.body.pointer(pointer).and_then(Value::as_str);
    of("/text/body")
        .or(of("/image/caption"))
        .unwrap_or_default()
}

fn media_id(sent: &Sent) -> &str {
    let id = sent.body.pointer("/image/id").and_then(Value::as_str);
    id.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_uploaded_once_and_again_when_meta_has_lost_it() -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let (asha, bala) = (stage.talk(ASHA).await?, stage.talk(BALA).await?);
    let picture = vec![7; 300_000];
    let file = stage.give("image/jpg", &picture).await?;
    assert_eq!(file, hex_digest(&picture));
    assert_eq!(stage.give("image/jpeg", &picture).await?, file);
    assert_eq!(
        stage.files()?,
        std::slice::from_ref(&file),
        "the same bytes are one file"
    );

    let row = stage.send(asha, &image(&file, "for Asha")).await?;
    stage.send(bala, &image(&file, "for Bala")).await?;
    let sent = stage.sim.wait_sent(2, PATIENCE).await?;
    assert_eq!(stage.sim.uploads().len(), 1, "{:?}", stage.sim.uploads());
    assert_eq!(media_id(&sent[0]), media_id(&sent[1]));
    let at_meta = stage.sim.media(media_id(&sent[0])).context("Meta has it")?;
    assert_eq!(
        (at_meta.0.as_str(), at_meta.1.as_ref()),
        ("image/jpeg", picture.as_slice())
    );
    stage.is(row, "sent").await?;
    let messages = stage.admin.messages(asha).await?;
    let told = messages.last().context("a message")?;
    assert_eq!(
        (&told["direction"], &told["text"], &told["media"]["state"]),
        (&json!("out"), &json!("for Asha"), &json!("stored"))
    );
    assert_eq!(told["media"]["sha256"], file.as_str(), "{told}");
    let wamid = told["id"].as_str().unwrap_or_default().replace('/', "%2F");
    let path = format!("/conversations/{asha}/messages/{wamid}/media");
    assert_eq!(stage.admin.fetch(&path, &[]).await?.body, picture);

    // Meta has lost it: one more upload, and the customer gets the message once.
    stage.sim.lose_media();
    let row = stage.send(asha, &image(&file, "again")).await?;
    stage.is(row, "sent").await?;
    assert_eq!(stage.sim.uploads().len(), 2);
    assert_eq!(
        stage
            .sim
            .sent()
            .iter()
            .filter(|sent| words(sent) == "again")
            .count(),
        1
    );

    // What Meta refuses twice is not uploaded a third time.
    stage.sim.fail_next(131_053, 2);
    let row = stage.send(bala, &image(&file, "never")).await?;
    let failed = stage.is(row, "failed").await?;
    assert_eq!(failed["code"], 131_053, "{failed}");
    assert_eq!(stage.sim.uploads().len(), 3);
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_wait_for_one_upload_and_nobody_else_does() -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let mut conversations = Vec::new();
    for nth in 0..12 {
        conversations.push(stage.talk(&format!("9198000001{nth:02}")).await?);
    }
    let bala = stage.talk(BALA).await?;
    let file = stage.give("image/png", b"a brochure").await?;
    // Two tries are in vain, each answered late.
    stage.sim.add_trouble(Trouble {
        code: 131_000,
        on: "media".into(),
        times: Some(2),
        ..Trouble::default()
    });
    for conversation in &conversations {
        stage.send(*conversation, &image(&file, "offer")).await?;
        stage.send(*conversation, &text("and this")).await?;
    }
    stage.send(bala, &text("not held up")).await?;
    let sent = stage.sim.wait_sent(25, PATIENCE).await?;
    assert_eq!(words(&sent[0]), "not held up");
    let outcomes: Vec<_> = stage
        .sim
        .uploads()
        .iter()
        .map(|seen| seen.outcome)
        .collect();
    assert_eq!(outcomes, ["error", "error", "ok"]);
    for conversation in sent.iter().map(|sent| &sent.to).filter(|to| *to != BALA) {
        let said: Vec<_> = sent
            .iter()
            .filter(|sent| sent.to == *conversation)
            .map(words)
            .collect();
        assert_eq!(said, ["offer", "and this"], "in order");
    }

    // What Meta does not take ends all that wait for it, with the reason.
    let file = stage.give("image/png", b"a broken brochure").await?;
    stage.sim.add_trouble(Trouble {
        code: 131_053,
        on: "media".into(),
        times: Some(1),
        ..Trouble::default()
    });
    let row = stage.send(bala, &image(&file, "never")).await?;
    let failed = stage.is(row, "failed").await?;
    assert_eq!(failed["code"], 131_053, "{failed}");
    let cause = failed["cause"].as_str().unwrap_or_default();
    assert!(cause.contains("Meta did not take its file"), "{failed}");
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_power_is_cut_at_each_step_and_the_message_leaves_once() -> anyhow::Result<()> {
    let mut stage = Stage::set().await?;
    let asha = stage.talk(ASHA).await?;
    // (place, uploads that it takes in the end)
    let places = [
        ("upload.before_call:1", 1),
        ("upload.answered_before_commit:1", 2),
        ("upload.stored:1", 1),
        ("outbox.before_gate:2", 1),
        ("outbox.answered_before_commit:1", 1),
    ];
    for (place, uploads) in places {
        let file = stage.give("image/png", place.as_bytes()).await?;
        let before = stage.sim.uploads().len();
        stage.gateway.stop().await?;
        stage.restart(Some(place)).await?;
        let row = stage.send(asha, &image(&file, place)).await?;
        let died = stage.gateway.died_within(PATIENCE).await?;
        assert!(died, "it passed {place}");
        stage.restart(None).await?;
        stage.is(row, "sent").await?;
        let sent = stage.sim.sent();
        let copies = sent.iter().filter(|sent| words(sent) == place).count();
        assert_eq!(copies, 1, "{place}");
        assert_eq!(stage.sim.uploads().len() - before, uploads, "{place}");
    }

    // A file that is handed over is there whole, or not at all.
    for place in ["media.before_place:1", "media.placed:1"] {
        let kept = stage.files()?;
        stage.gateway.stop().await?;
        stage.restart(Some(place)).await?;
        let broken = stage.admin.hand_over("", "image/png", "cut off").await;
        assert!(broken.is_err(), "{place}: {broken:?}");
        assert!(stage.gateway.died_within(PATIENCE).await?);
        stage.restart(None).await?;
        until("what was cut off is gone", PATIENCE, || async {
            let found = stage.files()?;
            Ok(Seen::when(found == kept, (), || format!("{found:?}")))
        })
        .await?;
    }
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_business_that_hands_over_slowly_holds_up_no_other() -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let shop = json!({"id": "shop"});
    stage.admin.post("/businesses", &shop).await?;
    stage.give("image/png", b"the folder is clear").await?;
    let before = stage.files()?.len();
    let mut slow = Vec::new();
    for _ in 0..4 {
        slow.push(stage.admin.hand_over_slowly("?business=shop").await?);
    }
    until("four files are coming", PATIENCE, || async {
        let coming = stage.files()?.len() - before;
        Ok(Seen::when(coming == 4, (), || coming.to_string()))
    })
    .await?;
    stage.give("image/png", b"not held up").await?;
    // One of them is through, and so is the shop's next.
    slow.pop();
    let (status, given) = stage
        .admin
        .hand_over("?business=shop", "image/png", "the next")
        .await?;
    assert_eq!(status, 201, "{given}");
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_sends_a_file_by_its_name() -> anyhow::Result<()> {
    let mut stage = Stage::set().await?;
    let table = "[plugins.clerk]\ncomponent = \"misbehave.wasm\"\nfrom = \"beginning\"\n\
         [plugins.clerk.messages]\nspeak = [\"automation\"]\n[plugins.clerk.store]\n\
         [plugins.clerk.contacts]\n[plugins.clerk.conversations]\n";
    let plugins = PluginsFile::default().and("misbehave", table);
    stage.gateway.change_plugins(plugins)?;
    stage.admin.post("/plugins/reload", &json!({})).await?;
    stage.admin.plugins_run(PATIENCE).await?;
    let file = stage.give("image/png", b"a menu").await?;
    let says = async |phone, what: &str| {
        let meta = stage.gateway.meta()?;
        let asks = webhook::text(phone, &format!("wamid.{phone}"), what);
        meta.deliver(&asks).await
    };
    says(ASHA, &format!("file {file}")).await?;
    let sent = stage.sim.wait_sent(1, PATIENCE).await?;
    let at_meta = stage.sim.media(media_id(&sent[0])).context("Meta has it")?;
    assert_eq!(at_meta.1.as_ref(), b"a menu");

    // One that nobody has is refused to the plugin itself.
    says(BALA, &format!("file {}", hex_digest(b"nobody has it"))).await?;
    let is_told = |row: &Value| row["cause"].to_string().contains("no such file");
    let what = "the plugin is told";
    let admin = &stage.admin;
    admin.row("dead-letters", what, PATIENCE, is_told).await?;
    assert_eq!(stage.sim.sent().len(), 1);
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_must_not_be_sent_is_told_with_the_remedy() -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let asha = stage.talk(ASHA).await?;
    let admin = &stage.admin;
    for (mime_type, size, status, words) in [
        (
            "application/zip",
            10,
            400,
            "Content-Type: is application/zip",
        ),
        ("image/png", 0, 400, "empty"),
        ("video/mp4", FILE_BYTES_MAX + 1, 413, "6291456"),
    ] {
        let (found, said) = admin.hand_over("", mime_type, vec![1; size]).await?;
        let message = said["error"]["message"].as_str().unwrap_or_default();
        assert!(
            found == status && message.contains(words),
            "{found}: {said}"
        );
    }
    let png = stage.give("image/png", b"small").await?;
    let large = stage.give("image/png", &vec![1; (5 << 20) + 1]).await?;
    let path = format!("/conversations/{asha}/messages");
    for (message, words) in [
        (
            image(&large, ""),
            "message/image/file: has 5242881 bytes, and WhatsApp takes as image at most 5242880; make it smaller, or send it as a document",
        ),
        (
            json!({"type": "video", "video": {"file": png}}),
            "message/video/file: is image/png, and WhatsApp takes as video only video/3gpp, video/mp4; convert it, or send it as a document",
        ),
        (
            image(&hex_digest(b"nobody has it"), ""),
            "message/image/file: there is no such file of this business; hand it over with POST /api/v1/media, and send again",
        ),
        (
            json!({"type": "image", "image": {"file": png, "id": "1"}}),
            "message/image: needs exactly one of",
        ),
    ] {
        let (status, said) = admin.call(Method::POST, &path, Some(&message)).await?;
        let told = said["error"]["message"].as_str().unwrap_or_default();
        assert!(status == 400 && told.starts_with(words), "{status}: {said}");
    }
    let fits = json!({"type": "document", "document": {"file": large, "filename": "scan.png"}});
    let row = stage.send(asha, &fits).await?;
    stage.is(row, "sent").await?;

    // Another business's file is not there.
    admin.post("/businesses", &json!({"id": "shop"})).await?;
    let (status, given) = admin
        .hand_over("?business=shop", "image/png", "of the shop")
        .await?;
    assert_eq!(status, 201, "{given}");
    let theirs = image(given["sha256"].as_str().unwrap_or_default(), "");
    let (status, said) = admin.call(Method::POST, &path, Some(&theirs)).await?;
    assert!(
        status == 400 && said.to_string().contains("no such file"),
        "{said}"
    );
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_can_be_sent_on_and_goes_with_the_last_who_has_it() -> anyhow::Result<()> {
    let stage = Stage::set().await?;
    let picture = b"what Asha sent".to_vec();
    stage
        .sim
        .customer_sends(CustomerMessage {
            media: Some(stage.sim.add_media("image/png", picture.clone())),
            ..CustomerMessage::text(ASHA, "look")
        })
        .await?;
    let asha = id(&stage.admin.conversation(ASHA, PATIENCE).await?)?;
    stage.admin.media_done(PATIENCE).await?;
    let bala = stage.talk(BALA).await?;
    let came = stage.admin.messages(asha).await?[0]["media"]["sha256"].clone();
    assert_eq!(came, hex_digest(&picture).as_str());
    let on = image(came.as_str().unwrap_or_default(), "from Asha");
    let row = stage.send(bala, &on).await?;
    stage.is(row, "sent").await?;
    let sent = stage.sim.sent();
    let at_meta = stage.sim.media(media_id(&sent[0])).context("Meta has it")?;
    assert_eq!(at_meta.1.as_ref(), picture.as_slice());

    // Handed over for Asha, for both, and for nobody yet.
    let hers = stage.give("image/png", b"only for Asha").await?;
    let both = stage.give("image/png", b"for both").await?;
    let unused = stage.give("image/png", b"for nobody").await?;
    for (conversation, file) in [(asha, &hers), (asha, &both), (bala, &both)] {
        let row = stage.send(conversation, &image(file, "")).await?;
        stage.is(row, "sent").await?;
    }
    let contact = |row: &Value| row["contact"]["id"].to_string();
    let asha = contact(&stage.admin.conversation(ASHA, PATIENCE).await?);
    let export = stage.admin.get(&format!("/contacts/{asha}/export")).await?;
    let files = export["media"].to_string();
    assert!(files.contains(&hers) && files.contains(&both), "{files}");
    stage.admin.delete(&format!("/contacts/{asha}")).await?;
    let mut left = vec![hex_digest(&picture), both, unused.clone()];
    left.sort();
    assert_eq!(stage.files()?, left, "hers alone has gone");
    let bala = contact(&stage.admin.conversation(BALA, PATIENCE).await?);
    stage.admin.delete(&format!("/contacts/{bala}")).await?;
    assert_eq!(stage.files()?, [unused]);
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_token_holds_an_upload_and_its_send_as_any_other() -> anyhow::Result<()> {
    let mut stage = Stage::set().await?;
    let asha = stage.talk(ASHA).await?;
    let file = stage.give("image/png", b"for later").await?;
    let mut mood = stage.sim.mood();
    mood.token_expired = true;
    stage.sim.set_mood(mood.clone());
    let row = stage.send(asha, &image(&file, "later")).await?;
    let held = |found: &Value| found["id"] == json!(row) && found["cause"] == "token-refused";
    stage
        .admin
        .row("outbox", "it waits for a token", PATIENCE, held)
        .await?;
    assert_eq!(
        stage.sim.uploads().len(),
        1,
        "it is not tried over and over"
    );
    mood.token_expired = false;
    stage.sim.set_mood(mood);
    // A start tries every token again.
    stage.gateway.stop().await?;
    stage.restart(None).await?;
    stage.is(row, "sent").await?;
    assert_eq!(stage.sim.sent().len(), 1);
    stage.gateway.end().await
}
