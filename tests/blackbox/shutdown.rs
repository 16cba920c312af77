//! The end of a process: what was accepted is answered and kept, and nobody else works on its folder.

use std::time::Duration;

use duet_rules::signature::{Secret, sign};
use duet_tests::gateway::APP_SECRET;
use duet_tests::{Gateway, Setup, webhook};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_is_answered_before_the_end() -> anyhow::Result<()> {
    const CLIENTS: usize = 20;
    let mut gateway = Gateway::start(Setup::default()).await?;
    let mut half_sent = Vec::new();
    for number in 0..CLIENTS {
        let body =
            webhook::text("919800000001", &format!("wamid.{number}"), "before the end").to_string();
        let signature = sign(&Secret::new(APP_SECRET), body.as_bytes());
        let head = format!(
            "POST /webhook HTTP/1.1\r\nhost: x\r\nx-hub-signature-256: {signature}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let (first, rest) = body.split_at(body.len() / 2);
        let mut stream = TcpStream::connect(gateway.listen()?).await?;
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(first.as_bytes()).await?;
        half_sent.push((stream, rest.to_owned()));
    }
    // All of them are accepted once one that came later has its answer.
    gateway
        .meta()?
        .deliver(&webhook::text(
            "919800000001",
            "wamid.later",
            "I came later",
        ))
        .await?;
    let address = gateway.listen()?.to_owned();
    gateway.ask_to_stop()?;
    // Nobody new is taken any more.
    let refused = async {
        while TcpStream::connect(&address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await?;
    for (stream, rest) in &mut half_sent {
        stream.write_all(rest.as_bytes()).await?;
        let mut answer = [0; 12];
        tokio::time::timeout(PATIENCE, stream.read_exact(&mut answer)).await??;
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
    drop(half_sent);
    let status = gateway.stop().await?;
    assert!(status.success(), "{status}");
    gateway.restart().await?;
    let admin = gateway.admin()?;
    admin.intake_done(PATIENCE).await?;
    assert_eq!(admin.rows("events", "").await?.len(), CLIENTS + 1);
    gateway.end().await
}

#[tokio::test]
async fn a_second_process_on_the_same_folder_is_refused() -> anyhow::Result<()> {
    let gateway = Gateway::start(Setup::default()).await?;
    let (status, words) = gateway.duet(&["serve"]).await?;
    assert!(!status.success(), "{words}");
    let folder = gateway.data().display().to_string();
    assert!(words.contains(&folder), "it names the folder: {words}");
    assert!(
        ["another", "already", "in use"]
            .iter()
            .any(|word| words.contains(word)),
        "it says why: {words}"
    );
    gateway
        .meta()?
        .deliver(&webhook::text("919800000001", "wamid.1", "still here?"))
        .await?;
    let admin = gateway.admin()?;
    admin.intake_done(PATIENCE).await?;
    assert_eq!(
        admin.rows("events", "").await?.len(),
        1,
        "the first one is not disturbed"
    );
    assert_eq!(admin.open("/readyz").await?.0, 200);
    gateway.end().await
}
