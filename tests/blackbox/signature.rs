//! Meta's side of the listener: what is taken, what is refused, and that a stranger can neither get a body in
//! nor hold a place for long.

use std::time::Duration;

use bytes::Bytes;
use duet_rules::signature::{Secret, sign};
use duet_tests::gateway::{APP_SECRET, VERIFY_TOKEN};
use duet_tests::{Gateway, Meta, Setup, webhook};
use reqwest::header::HeaderValue;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("not a header"))
}

#[tokio::test]
async fn only_a_whole_right_signature_gets_a_body_in() -> anyhow::Result<()> {
    let setup = Setup::default().env("DUET_APP_SECRET", format!("{APP_SECRET},the-secret-before"));
    let gateway = Gateway::start(setup).await?;
    let (meta, admin) = (gateway.meta()?, gateway.admin()?);
    let body = |id: &str| Bytes::from(webhook::text("919800000001", id, "hello").to_string());
    let right = |body: &Bytes| sign(&Secret::new(APP_SECRET), body);

    let refused = body("wamid.refused");
    let good = right(&refused);
    let other = right(&body("wamid.other"));
    let wrong = sign(&Secret::new("somebody else's"), &refused);
    let bad: Vec<(&str, Vec<String>)> = vec![
        ("no signature", vec![]),
        ("another secret", vec![wrong.clone()]),
        ("of another body", vec![other]),
        ("truncated", vec![good[..good.len() - 2].into()]),
        ("only the prefix", vec!["sha256=".into()]),
        ("without the prefix", vec![good["sha256=".len()..].into()]),
        ("longer", vec![format!("{good}00")]),
        ("SHA-1", vec![good.replace("sha256", "sha1")]),
        ("not hex", vec![format!("{}zz", &good[..good.len() - 2])]),
        ("two headers, both right", vec![good.clone(), good.clone()]),
        ("two headers, one right", vec![wrong.clone(), good.clone()]),
        ("two values in one header", vec![format!("{good}, {good}")]),
    ];
    for (what, signatures) in bad {
        let headers: Vec<_> = signatures.iter().map(|text| header(text)).collect();
        assert_eq!(
            meta.post_with(refused.clone(), headers).await?,
            401,
            "{what}"
        );
    }

    let upper = body("wamid.upper");
    let digits = right(&upper)["sha256=".len()..].to_uppercase();
    assert_eq!(
        meta.post_with(upper, [header(&format!("sha256={digits}"))])
            .await?,
        200,
        "upper-case hex"
    );
    assert_eq!(meta.post(body("wamid.new")).await?, 200, "the first secret");
    let before = Meta::new(gateway.webhook()?, "the-secret-before")?;
    assert_eq!(
        before.post(body("wamid.before")).await?,
        200,
        "the second secret, while it is rotated out"
    );

    admin.intake_done(Duration::from_secs(10)).await?;
    let events = admin.rows("events", "").await?;
    let mut ids: Vec<_> = events
        .iter()
        .filter_map(|event| event["body"]["id"].as_str())
        .collect();
    ids.sort_unstable();
    assert_eq!(
        ids,
        ["wamid.before", "wamid.new", "wamid.upper"],
        "what was refused left no event"
    );
    assert_eq!(admin.rows("receipts", "").await?.len(), 3, "nor a receipt");
    let told = gateway.log().matches("webhooks are refused").count();
    assert_eq!(told, 1, "the log says it, and not once for each");
    gateway.end().await
}

#[tokio::test]
async fn the_challenge_is_echoed_only_to_whoever_knows_the_token() -> anyhow::Result<()> {
    let gateway = Gateway::start(Setup::default()).await?;
    let cases = [
        (
            format!("hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={VERIFY_TOKEN}"),
            200,
        ),
        (
            format!("hub.verify_token={VERIFY_TOKEN}&hub.challenge=1158201444&hub.mode=subscribe"),
            200,
        ),
        (
            "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=wrong".into(),
            403,
        ),
        (
            format!(
                "hub.mode=unsubscribe&hub.challenge=1158201444&hub.verify_token={VERIFY_TOKEN}"
            ),
            403,
        ),
        (
            format!("hub.mode=subscribe&hub.verify_token={VERIFY_TOKEN}"),
            403,
        ),
        (
            format!("hub.mode=subscribe&hub.challenge=%0d%0aX:1&hub.verify_token={VERIFY_TOKEN}"),
            403,
        ),
        (String::new(), 403),
    ];
    for (query, status) in cases {
        let answer = reqwest_get(&format!("{}?{query}", gateway.webhook()?)).await?;
        assert_eq!(answer.0, status, "{query}");
        if status == 200 {
            assert_eq!(answer.1, "1158201444");
        }
    }
    assert_eq!(
        reqwest_get(&format!("{}/healthz", gateway.url()?)).await?.0,
        200
    );
    assert_eq!(
        reqwest_get(&format!("{}/api/v1/events", gateway.url()?))
            .await?
            .0,
        404,
        "no admin side in public"
    );
    gateway.end().await
}

async fn reqwest_get(url: &str) -> anyhow::Result<(u16, String)> {
    let address = url.strip_prefix("http://").unwrap_or(url);
    let (host, path) = address.split_once('/').unwrap_or((address, ""));
    let request = format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    let mut stream = TcpStream::connect(host).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|word| word.parse().ok())
        .unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status, body.to_owned()))
}

#[tokio::test]
async fn three_megabytes_are_taken_and_a_margin_above_is_the_end() -> anyhow::Result<()> {
    let gateway = Gateway::start(Setup::default()).await?;
    let (meta, admin) = (gateway.meta()?, gateway.admin()?);
    let filled = |id: &str, bytes: usize| {
        let empty = webhook::text("919800000001", id, "").to_string().len();
        Bytes::from(webhook::text("919800000001", id, &"x".repeat(bytes - empty)).to_string())
    };
    assert_eq!(meta.post(filled("wamid.3mb", 3 << 20)).await?, 200);
    assert_eq!(meta.post(filled("wamid.max", 3328 << 10)).await?, 200);
    // The answer may come before the body is through; the connection may then break while it is sent.
    let too_large = meta.post(filled("wamid.more", (3328 << 10) + 1)).await;
    assert!(matches!(too_large, Ok(413) | Err(_)), "{too_large:?}");
    assert_eq!(
        announced(gateway.listen()?, 64 << 20).await?,
        413,
        "refused by its announced length"
    );
    admin.intake_done(Duration::from_secs(10)).await?;
    assert_eq!(admin.rows("events", "").await?.len(), 2);
    gateway.end().await
}

/// Announces a body without sending it: the status of the answer.
async fn announced(listen: &str, bytes: usize) -> anyhow::Result<u16> {
    let mut stream = TcpStream::connect(listen).await?;
    let head = format!("POST /webhook HTTP/1.1\r\nhost: x\r\ncontent-length: {bytes}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut answer = [0; 12];
    tokio::time::timeout(Duration::from_secs(10), stream.read_exact(&mut answer)).await??;
    Ok(String::from_utf8_lossy(&answer[9..]).parse()?)
}

#[tokio::test]
async fn a_slow_client_is_closed_and_others_are_served_meanwhile() -> anyhow::Result<()> {
    let gateway = Gateway::start(Setup::default()).await?;
    let meta = gateway.meta()?;
    let listen = gateway.listen()?.to_owned();
    // Never finishes its head; its body; says nothing at all; never tells which protocol it speaks.
    let head = "POST /webhook HTTP/1.1\r\nhost: x\r\nx-slow: ";
    let body = "POST /webhook HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{";
    let mut slow = Vec::new();
    for begin in [head, body, "", "PRI * HTTP/2.0\r\n"] {
        let mut stream = TcpStream::connect(&listen).await?;
        stream.write_all(begin.as_bytes()).await?;
        slow.push(tokio::spawn(async move {
            let mut rest = Vec::new();
            // A closed connection ends the reading, with or without a last answer.
            let _ = stream.read_to_end(&mut rest).await;
            String::from_utf8_lossy(&rest).into_owned()
        }));
    }
    for n in 0..20 {
        meta.deliver(&webhook::text(
            "919800000001",
            &format!("wamid.{n}"),
            "meanwhile",
        ))
        .await?;
    }
    for waiting in slow {
        let answer = tokio::time::timeout(Duration::from_secs(40), waiting).await??;
        assert!(answer.is_empty() || answer.contains(" 408 "), "{answer}");
    }
    gateway.end().await
}

#[tokio::test]
async fn http2_with_prior_knowledge_works() -> anyhow::Result<()> {
    let gateway = Gateway::start(Setup::default()).await?;
    let client = reqwest::Client::builder()
        .no_proxy()
        .http2_prior_knowledge()
        .build()?;
    let body = webhook::text("919800000001", "wamid.h2", "over HTTP/2").to_string();
    let signature = sign(&Secret::new(APP_SECRET), body.as_bytes());
    let request = client
        .post(gateway.webhook()?)
        .header("x-hub-signature-256", signature)
        .body(body);
    let answer = request.send().await?;
    assert_eq!(
        (answer.status().as_u16(), answer.version()),
        (200, reqwest::Version::HTTP_2)
    );
    let admin = gateway.admin()?;
    admin.intake_done(Duration::from_secs(10)).await?;
    assert_eq!(admin.rows("events", "").await?.len(), 1);
    gateway.end().await
}

/// An error would make Meta repeat such a body for days.
#[tokio::test]
async fn a_signed_body_that_nobody_can_read_is_kept_and_answered_200() -> anyhow::Result<()> {
    let gateway = Gateway::start(Setup::default()).await?;
    let (meta, admin) = (gateway.meta()?, gateway.admin()?);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let bodies: Vec<Bytes> = vec![
        Bytes::new(),
        Bytes::from_static(b"not json"),
        Bytes::from_static(b"\xff\xfe\x00"),
        Bytes::from_static(b"[]"),
        Bytes::from_static(b"null"),
        Bytes::from_static(b"{\"object\":\"page\"}"),
        Bytes::from_static(b"{\"object\":\"whatsapp_business_account\",\"entry\":[{\"id\":\"1\""),
        Bytes::from(deep),
    ];
    for body in &bodies {
        assert_eq!(meta.post(body.clone()).await?, 200);
    }
    // And what comes after them is read.
    meta.deliver(&webhook::text("919800000001", "wamid.after", "still there"))
        .await?;
    admin.intake_done(Duration::from_secs(10)).await?;
    let unreadable = admin.rows("receipts", "state=unreadable").await?;
    assert_eq!(unreadable.len(), bodies.len(), "{}", json!(unreadable));
    for (receipt, body) in unreadable.iter().zip(&bodies) {
        assert_eq!(receipt["bytes"], json!(body.len()));
        assert!(
            receipt["reason"]
                .as_str()
                .is_some_and(|reason| !reason.is_empty()),
            "{receipt}"
        );
    }
    let events = admin.rows("events", "").await?;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["body"]["id"], "wamid.after");
    gateway.end().await
}
