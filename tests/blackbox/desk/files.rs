use duet_sim::play::CustomerMessage;
use ring::digest::{SHA256, digest};

use super::*;

const PHOTO: &[u8] = b"a photo of a broken cup";

fn handle(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customers_file_is_a_tickets_attachment_once_it_is_here() -> anyhow::Result<()> {
    let stage = Stage::set(&[("desk", "", grants("desk"))]).await?;
    stage
        .sim
        .customer_sends(CustomerMessage {
            media: Some(stage.sim.add_media("image/png", PHOTO)),
            ..CustomerMessage::text(ASHA, "look")
        })
        .await?;
    stage.telling("desk", 1).await?;
    assert_eq!(stage.told("desk").await?, ["the desk says 201"]);
    let called = stage.desk.called();
    assert_eq!(called.len(), 1, "once, whenever it came");
    let call = &called[0];
    assert_eq!((&*call.method, &*call.path), ("POST", "/tickets/7"));
    assert_eq!(call.header("authorization"), format!("Bearer {TOKEN}"));
    assert_eq!(call.header("content-length"), call.body.len().to_string());
    let kind = call.header("content-type");
    let boundary = kind
        .strip_prefix("multipart/form-data; boundary=")
        .context("a form")?;
    let conversation = stage.conversation().await?;
    let expect = format!(
        "--B\r\ncontent-disposition: form-data; name=\"conversation\"\r\n\r\n{conversation}\r\n\
         --B\r\ncontent-disposition: form-data; name=\"attachments[]\"; filename=\"file\"\r\n\
         content-type: image/png\r\n\r\n{}\r\n--B--\r\n",
        String::from_utf8_lossy(PHOTO)
    );
    assert_eq!(call.body, expect.replace("--B", &format!("--{boundary}")));
    // Nobody else is told of the file.
    for event in stage.admin.rows("events", "kind=media.settled").await? {
        assert_eq!(event["conversation"], conversation);
    }
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_brings_files_along_and_sends_them() -> anyhow::Result<()> {
    let mut stage = Stage::set(&[("desk", "", grants("desk"))]).await?;
    let text = "the agent's own words";
    let file = handle(text.as_bytes());
    let sent = stage.ask("desk", &format!("bring {text}")).await?;
    assert_eq!(sent, file);
    let arrived = stage.sim.wait_sent(1, PATIENCE).await?;
    let id = arrived[0].body["document"]["id"]
        .as_str()
        .context("an id")?;
    let (mime_type, bytes) = stage.sim.media(id).context("an upload")?;
    assert_eq!((&*mime_type, &*bytes), ("text/plain", text.as_bytes()));

    let shown = stage.ask("desk", &format!("show {file}")).await?;
    assert_eq!(shown, format!("text/plain {} {text}", text.len()));
    let again = stage.ask("desk", &format!("forward {file}")).await?;
    assert_eq!(again, file);
    let posted = stage.ask("desk", &format!("post {file}")).await?;
    assert_eq!(posted, "the desk says 201");
    let called = stage.desk.called();
    let call = called.last().context("a call")?;
    assert_eq!(call.body, text);
    assert_eq!(call.header("content-type"), "text/plain");
    assert_eq!(call.header("content-length"), text.len().to_string());

    let nothing = handle(b"nobody has this");
    for (words, told) in [
        ("show", "no file".to_owned()),
        ("forward", NO_FILE.to_owned()),
        (
            "post",
            "the desk is not asked: no-such-file: the body names a file that is not there"
                .to_owned(),
        ),
    ] {
        let said = stage.ask("desk", &format!("{words} {nothing}")).await?;
        assert_eq!(said, told, "{words}");
    }
    assert_eq!(stage.desk.called().len(), 1);

    // It came because of her, so it goes with her.
    let contact = stage.admin.conversation(ASHA, PATIENCE).await?;
    let contact = contact["contact"]["id"].as_i64().context("an id")?;
    let export = stage
        .admin
        .get(&format!("/contacts/{contact}/export"))
        .await?;
    assert_eq!(export["media_given"][0]["sha256"], file, "{export}");
    let on_disk = stage
        .gateway
        .data()
        .join("media")
        .join(file.get(..2).unwrap_or_default())
        .join(&file);
    assert!(on_disk.exists());
    stage.erase(contact).await?;
    assert!(!on_disk.exists());
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_as_large_as_the_grant_lets_them_be() -> anyhow::Result<()> {
    let small = "[plugins.desk.media]\nbytes_max = \"1KiB\"\nkeep = true\n[plugins.desk.cases]\n[plugins.desk.annotations]\n";
    let looks = "[plugins.looks.media]\n[plugins.looks.cases]\n[plugins.looks.annotations]\n";
    let mut stage = Stage::set(&[
        ("desk", "", small.to_owned()),
        ("looks", "events = [\"message.text\"]", looks.to_owned()),
    ])
    .await?;
    stage
        .sim
        .customer_sends(CustomerMessage {
            media: Some(stage.sim.add_media("image/png", vec![b'x'; 1025])),
            ..CustomerMessage::text(ASHA, "look")
        })
        .await?;
    stage.telling("desk", 1).await?;
    let limit = "1025 bytes of files are more than bytes_max = 1024 of [plugins.desk.media]";
    assert_eq!(
        stage.told("desk").await?,
        [format!("the desk is not asked: file-too-large: {limit}")]
    );
    assert!(stage.desk.called().is_empty());
    let long = "x".repeat(1025);
    let told = stage.ask("desk", &format!("bring {long}")).await?;
    assert_eq!(told, format!("refused: {limit}"));
    let told = stage
        .ask("desk", &format!("show {}", handle(&[b'x'; 1025])))
        .await?;
    assert_eq!(told, format!("refused: {limit}"));
    stage.telling("looks", 1).await?;
    // What the other one was refused it was refused for another reason.
    let told = stage.told("looks").await?;
    let grant = "refused: not granted; add keep = true to [plugins.looks.media]";
    assert!(told.iter().any(|told| told == grant), "{told:?}");
    stage.gateway.end().await
}
