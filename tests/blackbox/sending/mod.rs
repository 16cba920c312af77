//! Sending without harm: what Meta would refuse or punish is held or refused here, and Meta never sees it.

mod limits;
mod marketing;
mod rates;
mod standing;

use std::time::Duration;

use duet_sim::{Config, Deed, Mood, Number, Sim, StatusDelays, Trouble};
use duet_tests::tries::{tries, wait_tries};
use duet_tests::wait::{Seen, until};
use duet_tests::{Admin, Gateway, Meta, Setup, gateway, webhook};
use reqwest::Method;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);
const CUSTOMER: &str = "919800000001";
/// A second number of the same business, in an account of its own.
const OTHER_NUMBER: &str = "106540352242923";
const OTHER_WABA: &str = "102290129340399";

/// A gateway without plugins, and a Meta that refuses what is too fast.
struct Stage {
    sim: Sim,
    gateway: Gateway,
    meta: Meta,
    admin: Admin,
}

impl Stage {
    async fn set(change: impl FnOnce(Setup) -> Setup) -> anyhow::Result<Stage> {
        let sim = Sim::start(Config {
            numbers: vec![
                Number::default(),
                Number {
                    id: OTHER_NUMBER.into(),
                    digits: "912255500101".into(),
                    waba: OTHER_WABA.into(),
                    ..Number::default()
                },
            ],
            statuses: StatusDelays::none(),
            mood: Mood {
                rate_limits: true,
                ..Mood::default()
            },
            ..gateway::open_sim()
        })
        .await?;
        let gateway = Gateway::start(change(Setup::default().graph(sim.url()))).await?;
        sim.set_webhook(gateway.webhook()?);
        let (meta, admin) = (gateway.meta()?, gateway.admin()?);
        Ok(Stage {
            sim,
            gateway,
            meta,
            admin,
        })
    }

    /// The conversation with a customer who has just written.
    async fn meets(&self, customer: &str) -> anyhow::Result<i64> {
        let id = format!("wamid.hello.{customer}");
        self.meta
            .deliver(&webhook::text(customer, &id, "hello"))
            .await?;
        let conversation = self.admin.conversation(customer, PATIENCE).await?;
        Ok(conversation["id"].as_i64().unwrap_or_default())
    }

    async fn says(&self, conversation: i64, message: &Value) -> anyhow::Result<(u16, Value)> {
        let path = format!("/conversations/{conversation}/messages");
        self.admin.call(Method::POST, &path, Some(message)).await
    }

    /// Codes with which Meta has refused something.
    fn refused(&self) -> Vec<u32> {
        let requests = self.sim.requests();
        requests.iter().filter_map(|request| request.code).collect()
    }

    /// Waits until this template is so.
    async fn template_is(&self, name: &str, status: &str) -> anyhow::Result<()> {
        let what = format!("{name} is {status}");
        let path = format!("waba={}", webhook::WABA);
        until(&what, PATIENCE, || async {
            let rows = self.admin.rows("templates", &path).await?;
            let is = rows
                .iter()
                .any(|row| row["name"] == name && row["status"] == status);
            Ok(Seen::when(is, (), || json!(rows).to_string()))
        })
        .await
    }

    /// What the customer got, in order.
    fn texts(&self) -> Vec<String> {
        let text = |sent: &duet_sim::Sent| sent.body["text"]["body"].as_str().map(str::to_owned);
        self.sim.sent().iter().filter_map(text).collect()
    }
}

fn text(body: &str) -> Value {
    json!({"type": "text", "text": {"body": body}})
}

fn campaign() -> Value {
    let components = json!([{"type": "body", "parameters": [{"type": "text", "text": "Asha"}]}]);
    json!({"type": "template", "template": {"name": "spring_tea", "language": {"code": "en_US"}, "components": components}})
}

fn template(name: &str) -> Value {
    json!({"type": "template", "template": {"name": name, "language": {"code": "en_US"}}})
}

/// Meta's word about a template, as a webhook.
fn template_word(field: &str, name: &str, value: &Value) -> Value {
    let mut value = value.clone();
    value["message_template_id"] = json!(1_192_339_204_654_487_u64);
    value["message_template_name"] = json!(name);
    value["message_template_language"] = json!("en_US");
    webhook::body(&[json!({"field": field, "value": value})])
}
