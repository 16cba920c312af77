//! What a conversation shows: every message as it stands now, what it said before, and what only the app can show.

use std::time::Duration;

use duet_tests::webhook::{self, body, change, now_s};
use duet_tests::{Gateway, Setup};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);
const CUSTOMER: &str = "919800000001";

/// Delivers the changes and reads the customer's conversation.
async fn shown(gateway: &Gateway, changes: &[Value]) -> anyhow::Result<Vec<Value>> {
    let admin = gateway.admin()?;
    gateway.meta()?.deliver(&body(changes)).await?;
    admin.intake_done(PATIENCE).await?;
    let conversation = admin.conversation(CUSTOMER, PATIENCE).await?;
    admin
        .messages(conversation["id"].as_i64().unwrap_or_default())
        .await
}

fn of_customer(message: Value) -> Value {
    let mut said = json!({"from": CUSTOMER, "timestamp": now_s().to_string()});
    for (key, value) in message.as_object().into_iter().flatten() {
        said[key] = value.clone();
    }
    let contacts = json!([{"profile": {"name": "Asha"}, "wa_id": CUSTOMER}]);
    change(
        "messages",
        json!({"contacts": contacts, "messages": [said]}),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edited_and_a_deleted_message_still_tell_what_they_said() -> anyhow::Result<()> {
    let gateway = Gateway::start(Setup::default()).await?;
    let edit = json!({"original_message_id": "wamid.1",
        "message": {"context": {"id": "M0"}, "type": "text", "text": {"body": "size L, please"}}});
    let messages = shown(
        &gateway,
        &[
            webhook::texts(CUSTOMER, "Asha", &[("wamid.1", "size M, please"), ("wamid.2", "never mind")]),
            of_customer(json!({"id": "wamid.e", "type": "edit", "edit": edit})),
            of_customer(json!({"id": "wamid.r", "type": "revoke", "revoke": {"original_message_id": "wamid.2"}})),
        ],
    )
    .await?;
    let [edited, revoked] = messages.as_slice() else {
        anyhow::bail!("an edit is no message of its own: {messages:?}")
    };
    assert_eq!(
        (
            &edited["text"],
            &edited["edited"],
            &edited["earlier"][0]["text"]
        ),
        (
            &json!("size L, please"),
            &json!(true),
            &json!("size M, please")
        )
    );
    assert_eq!(
        (&revoked["text"], &revoked["revoked"]),
        (&json!("never mind"), &json!(true))
    );
    gateway.end().await
}

/// A failure's reason is what an admin can act upon; many tools throw it away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_message_keeps_metas_whole_reason() -> anyhow::Result<()> {
    let gateway = Gateway::start(Setup::default()).await?;
    let errors = json!([{"code": 131_026, "title": "Message undeliverable", "message": "Message undeliverable",
        "error_data": {"details": "The recipient has not accepted the new terms"}}]);
    let mut failed = webhook::status(CUSTOMER, "wamid.echo", "failed");
    failed["value"]["statuses"][0]["errors"] = errors.clone();
    let messages = shown(
        &gateway,
        &[
            failed,
            webhook::echo(CUSTOMER, "wamid.echo", "Your parcel is here"),
        ],
    )
    .await?;
    assert_eq!(
        (
            &messages[0]["status"],
            &messages[0]["status_error"],
            &messages[0]["errors"]
        ),
        (&json!("failed"), &json!(131_026), &errors)
    );
    gateway.end().await
}

/// Whoever looks for what a customer wrote finds it, over the API and on the command line, and types no syntax by accident.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_found_by_their_words() -> anyhow::Result<()> {
    let gateway = Gateway::start(Setup::default()).await?;
    let text = "कल सुबह \"parcel\" aayega, pakka?";
    shown(
        &gateway,
        &[webhook::texts(
            CUSTOMER,
            "Asha",
            &[("wamid.1", text), ("wamid.2", "another")],
        )],
    )
    .await?;
    let admin = gateway.admin()?;
    for q in ["parcel", "सुबह", "%22parcel%20aay%22*", "pak*"] {
        let page = admin.get(&format!("/messages/search?q={q}")).await?;
        let [message] = &page["messages"].as_array().map_or(&[][..], Vec::as_slice) else {
            anyhow::bail!("{q}: {page}");
        };
        assert_eq!(
            (&message["id"], &message["text"]),
            (&json!("wamid.1"), &json!(text)),
            "{q}"
        );
        assert!(message["conversation"].is_i64() && message["number"].is_string());
        let older = format!(
            "/messages/search?q={q}&after={}",
            page["next"].as_str().unwrap_or_default()
        );
        assert_eq!(admin.get(&older).await?["messages"], json!([]), "{q}");
    }
    assert_eq!(
        admin.get("/messages/search?q=parcel%20NOT%20zebra").await?["messages"],
        json!([])
    );
    let (status, refused) = admin
        .call(reqwest::Method::GET, "/messages/search?q=%3F%21", None)
        .await?;
    assert_eq!(
        (status, &refused["error"]["code"]),
        (400, &json!("bad_parameter")),
        "{refused}"
    );
    let (_, refused) = admin
        .call(reqwest::Method::GET, "/messages/search?limit=x&q=a", None)
        .await?;
    let told = "limit: invalid digit found in string";
    assert_eq!(refused["error"]["message"], told);
    let by_phone = ["search", "aay*", "--number", webhook::DISPLAY];
    let (ended, told) = gateway.duet(&by_phone).await?;
    assert!(ended.success() && told.contains("[aayega]"), "{told}");
    gateway.end().await
}
