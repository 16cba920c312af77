//! The local 360dialog: its key, its paths, and to which address it passes on what.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::routing::any;
use duet_sim::play::ContactChange;
use duet_sim::{Channel, Config, Dialog360, Sim};
use serde_json::{Value, json};

use crate::scene::{ASHA, NUMBER, WABA};

const KEY: &str = "d360-key";

type Arrived = Arc<Mutex<Vec<(String, String, Value)>>>;

/// Takes any webhook: its path, its header and its body.
async fn arrive(State(arrived): State<Arrived>, uri: Uri, headers: HeaderMap, body: String) {
    let header = headers
        .get("authorization")
        .map_or("", |value| value.to_str().unwrap());
    let body = serde_json::from_str(&body).unwrap();
    let path = uri.path().to_owned();
    arrived.lock().unwrap().push((path, header.into(), body));
}

async fn listener() -> (String, Arrived) {
    let arrived = Arrived::default();
    let router = Router::new()
        .fallback(any(arrive))
        .with_state(arrived.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, arrived)
}

async fn start() -> (Dialog360, Sim) {
    let partner = Dialog360::start(vec![Channel::of_first_number(KEY)])
        .await
        .unwrap();
    let sim = Sim::start(Config {
        webhook: Some(partner.inlet()),
        ..Config::default()
    })
    .await
    .unwrap();
    partner.stand_before(&sim, "sim-token");
    (partner, sim)
}

async fn call(partner: &Dialog360, key: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}{path}", partner.url());
    let request = match body {
        Some(body) => http.post(url).json(&body),
        None => http.get(url),
    };
    let answer = request.header("D360-API-KEY", key).send().await.unwrap();
    (
        answer.status().as_u16(),
        answer.json().await.unwrap_or_default(),
    )
}

#[tokio::test]
async fn the_api_answers_to_its_key_alone() {
    let (partner, sim) = start().await;
    let text = json!({"messaging_product": "whatsapp", "to": ASHA, "type": "text", "text": {"body": "yes"}});
    let (status, said) = call(&partner, "wrong", "/messages", Some(text.clone())).await;
    assert_eq!((status, &said["meta"]["success"]), (401, &json!(false)));
    assert!(sim.sent().is_empty());

    sim.customer_writes(ASHA, "tea?").await.unwrap();
    let (status, said) = call(&partner, KEY, "/messages", Some(text)).await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(sim.sent()[0].to, ASHA);
    let media = sim.add_media("image/png", &b"tea"[..]);
    let (_, said) = call(&partner, KEY, &format!("/{media}"), None).await;
    let url = said["url"].as_str().unwrap();
    let path = url.split_once("/whatsapp_business").unwrap().1;
    let (status, _) = call(&partner, KEY, &format!("/whatsapp_business{path}"), None).await;
    assert_eq!(status, 200, "{url}");
    let (_, list) = call(&partner, KEY, "/v1/configs/templates", None).await;
    assert_eq!(
        list["total"],
        list["waba_templates"].as_array().unwrap().len()
    );
    assert_eq!(call(&partner, KEY, "/elsewhere/else", None).await.0, 404);
    let seen: Vec<u16> = partner.calls().iter().map(|call| call.status).collect();
    assert_eq!(seen, [401, 200, 200, 200, 200, 404]);
}

#[tokio::test]
async fn contacts_and_history_go_to_the_account_and_all_else_to_the_number() {
    let (partner, sim) = start().await;
    let (url, arrived) = listener().await;
    let set =
        json!({"url": format!("{url}/number"), "headers": {"Authorization": "of the number"}});
    let (status, said) = call(&partner, KEY, "/v1/configs/webhook", Some(set.clone())).await;
    assert_eq!((status, &said["url"]), (200, &set["url"]));
    assert_eq!(
        call(&partner, KEY, "/v1/configs/webhook", None).await.1,
        set
    );
    partner.set_account_webhook(
        &format!("{url}/account"),
        ("Authorization", "of the account"),
    );

    sim.customer_writes(ASHA, "tea?").await.unwrap();
    sim.phone_replies(ASHA, "yes").await.unwrap();
    sim.contact(ContactChange {
        action: "add".into(),
        phone: ASHA.into(),
        ..ContactChange::default()
    })
    .await
    .unwrap();
    sim.wait_quiet(Duration::from_secs(10)).await.unwrap();
    let arrived = arrived.lock().unwrap();
    for (path, header, body) in arrived.iter() {
        match path.as_str() {
            "/number" => {
                assert_eq!(header, "of the number");
                assert_eq!(body["entry"][0]["id"], WABA);
                assert_ne!(
                    body["entry"][0]["changes"][0]["field"],
                    "smb_app_state_sync"
                );
            }
            _ => {
                assert_eq!(header, "of the account");
                assert_eq!(body["event"], "smb_app_state_sync");
                assert_eq!(body["data"]["id"], WABA);
                assert_eq!(body["data"]["metadata"]["phone_number_id"], NUMBER);
            }
        }
    }
    let count = |path: &str| arrived.iter().filter(|(to, ..)| to == path).count();
    assert_eq!((count("/number"), count("/account")), (2, 1), "{arrived:?}");
}
