//! A partner's API that does not answer holds up its own business and nobody else.

use anyhow::Context as _;
use duet_sim::play::CustomerMessage;
use duet_sim::{Channel, Dialog360, Sim};
use duet_tests::wait::{Seen, until};
use duet_tests::{Admin, Gateway, Setup, gateway};
use serde_json::{Value, json};

use super::{KEY, NUMBER, PATIENCE, PICTURE, Printed, WABA, post, printed, text};

/// A partner that hangs, with customers of the tea house who have written there; and Meta with the gateway's own number.
struct Hanging {
    partner: Dialog360,
    sim: Sim,
    gateway: Gateway,
    admin: Admin,
    to_tea: String,
    tea: Printed,
}

impl Hanging {
    async fn with(customers: usize) -> anyhow::Result<Hanging> {
        let channel = Channel {
            key: KEY.to_owned(),
            number: NUMBER.to_owned(),
            waba: WABA.to_owned(),
        };
        let partner = Dialog360::start(vec![channel]).await?;
        let sim = Sim::start(gateway::sim()).await?;
        let setup = Setup::default()
            .graph(sim.url())
            .env("DUET_BUSINESS_TOKEN", KEY);
        let gateway = Gateway::start(setup).await?;
        sim.set_webhook(gateway.webhook()?);
        let admin = gateway.admin()?;
        let add = [
            "business",
            "add",
            "tea",
            "--360dialog",
            "--number",
            NUMBER,
            "--base-url",
            partner.url(),
        ];
        let (tea, _) = printed(&gateway, &add).await?;
        partner.hang(true);
        let to_tea = format!("{}{}", gateway.url()?, tea.url);
        let mut all = text(WABA, NUMBER, "wamid.0");
        let entry = all["entry"][0].clone();
        for at in 1..customers {
            let mut entry = entry.clone();
            let value = &mut entry["changes"][0]["value"];
            let customer = format!("91980000{at:04}");
            value["contacts"][0]["wa_id"] = json!(customer);
            value["messages"][0]["from"] = json!(customer);
            value["messages"][0]["id"] = json!(format!("wamid.{at}"));
            all["entry"].as_array_mut().context("entries")?.push(entry);
        }
        let scene = Hanging {
            partner,
            sim,
            gateway,
            admin,
            to_tea,
            tea,
        };
        scene.pass_on(&all).await?;
        Ok(scene)
    }

    /// The partner passes on what customers have sent.
    async fn pass_on(&self, body: &Value) -> anyhow::Result<()> {
        let header = ("authorization", self.tea.header.as_str());
        let status = post(&self.to_tea, &[header], body).await?;
        anyhow::ensure!(status == 200, "it was answered {status}");
        self.admin.intake_done(PATIENCE).await
    }

    async fn say(&self, conversation: &Value, message: &Value) -> anyhow::Result<()> {
        let path = format!("/conversations/{}/messages", conversation["id"]);
        self.admin.post(&path, message).await?;
        Ok(())
    }

    /// A picture that a business has handed over.
    async fn picture(&self, query: &str, byte: u8) -> anyhow::Result<Value> {
        let (status, given) = self
            .admin
            .hand_over(query, "image/png", vec![byte; 100])
            .await?;
        anyhow::ensure!(status == 201, "{status}: {given}");
        Ok(json!({"type": "image", "image": {"file": given["sha256"]}}))
    }

    /// Waits until so many calls hang.
    async fn hang(&self, path: &str, count: usize) -> anyhow::Result<()> {
        until("its calls hang", PATIENCE, || async {
            let calls = self.calls(path);
            Ok(Seen::when(calls >= count, (), || calls.to_string()))
        })
        .await
    }

    fn calls(&self, path: &str) -> usize {
        let calls = self.partner.calls();
        calls.iter().filter(|call| call.path == path).count()
    }

    /// The gateway's own number gets this through to a customer.
    async fn gets_through(&self, message: &Value) -> anyhow::Result<()> {
        const OWN_CUSTOMER: &str = "919811111111";
        self.sim.customer_writes(OWN_CUSTOMER, "hello").await?;
        let own = self.admin.conversation(OWN_CUSTOMER, PATIENCE).await?;
        self.say(&own, message).await?;
        self.sim.wait_sent(1, PATIENCE).await?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partner_that_hangs_holds_up_its_own_business_alone() -> anyhow::Result<()> {
    let scene = Hanging::with(70).await?;
    let yes = json!({"type": "text", "text": {"body": "yes"}});
    for conversation in scene.admin.rows("conversations", "").await? {
        scene.say(&conversation, &yes).await?;
    }
    scene.hang("/messages", 16).await?;
    scene.gets_through(&yes).await?;
    let sends = scene.calls("/messages");
    assert_eq!(sends, 16, "it has a quarter of the places");
    drop(scene.partner);
    scene.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_go_to_meta_while_those_for_a_partner_hang() -> anyhow::Result<()> {
    let scene = Hanging::with(6).await?;
    for (conversation, byte) in scene.admin.rows("conversations", "").await?.iter().zip(0..) {
        let picture = scene.picture("?business=tea", byte).await?;
        scene.say(conversation, &picture).await?;
    }
    scene.hang("/media", 3).await?;
    scene.gets_through(&scene.picture("", 99).await?).await?;
    let uploads = scene.calls("/media");
    assert_eq!(uploads, 3, "one place is left");
    drop(scene.partner);
    scene.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_come_from_meta_while_those_of_a_partner_hang() -> anyhow::Result<()> {
    let scene = Hanging::with(1).await?;
    for at in 0..6 {
        let mut picture = text(WABA, NUMBER, &format!("wamid.picture.{at}"));
        let message = &mut picture["entry"][0]["changes"][0]["value"]["messages"][0];
        message["type"] = json!("image");
        message["image"] = json!({"id": format!("77{at}"), "mime_type": "image/png"});
        scene.pass_on(&picture).await?;
    }
    let fetches = || {
        let calls = scene.partner.calls();
        calls.iter().filter(|call| call.method == "GET").count()
    };
    until("a file hangs", PATIENCE, || async {
        Ok(Seen::when(fetches() > 0, (), || fetches().to_string()))
    })
    .await?;
    let media = scene.sim.add_media("image/png", PICTURE);
    scene
        .sim
        .customer_sends(CustomerMessage {
            media: Some(media),
            ..CustomerMessage::text("919811111111", "look")
        })
        .await?;
    let own = scene.admin.conversation("919811111111", PATIENCE).await?;
    until("Meta's own file is here", PATIENCE, || async {
        let id = own["id"].as_i64().unwrap_or_default();
        let messages = scene.admin.messages(id).await?;
        let is_here = messages.iter().any(|row| row["media"]["state"] == "stored");
        Ok(Seen::when(is_here, (), || format!("{messages:?}")))
    })
    .await?;
    assert_eq!(fetches(), 1, "it has a quarter of the places");
    drop(scene.partner);
    scene.gateway.end().await
}
