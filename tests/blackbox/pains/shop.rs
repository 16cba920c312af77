//! A shop, its gateway and Meta, and what the tests do with them.

use super::*;

/// The shop.
pub(super) struct Shop {
    pub(super) sim: Sim,
    pub(super) gateway: Gateway,
    pub(super) admin: Admin,
}

impl Shop {
    pub(super) async fn open() -> anyhow::Result<Shop> {
        Shop::with(gateway::sim()).await
    }

    pub(super) async fn with(config: Config) -> anyhow::Result<Shop> {
        let sim = Sim::start(config).await?;
        let setup = Setup::default()
            .graph(sim.url())
            .plugins(PluginsFile::probe("bot", 0))
            .env("DUET_SIGNUP_APP_ID", "1234567890123456");
        let gateway = Gateway::start(setup).await?;
        sim.set_webhook(gateway.webhook()?);
        let admin = gateway.admin()?;
        admin.plugins_run(PATIENCE).await?;
        Ok(Shop {
            sim,
            gateway,
            admin,
        })
    }

    /// Everything that Meta has sent is stored.
    pub(super) async fn quiet(&self) -> anyhow::Result<()> {
        self.sim.wait_quiet(PATIENCE).await?;
        self.admin.intake_done(PATIENCE).await
    }

    pub(super) async fn conversation(&self, phone: &str) -> anyhow::Result<Value> {
        self.admin.conversation(phone, PATIENCE).await
    }

    pub(super) async fn messages(&self, phone: &str) -> anyhow::Result<Vec<Value>> {
        let conversation = self.conversation(phone).await?;
        let id = conversation["id"].as_i64().unwrap_or_default();
        self.admin.messages(id).await
    }

    /// The message with this id, once it is as wanted.
    pub(super) async fn message(
        &self,
        phone: &str,
        id: &Value,
        fits: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        until("the message is as wanted", PATIENCE, || async {
            let messages = self.messages(phone).await?;
            let found = messages
                .iter()
                .find(|message| message["id"] == *id && fits(message));
            Ok(found.map_or_else(
                || Seen::NotYet(json!(messages).to_string()),
                |found| Seen::Done(found.clone()),
            ))
        })
        .await
    }

    /// Nobody waits any more, and all of it adds up.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        self.quiet().await?;
        for number in self.admin.rows("numbers", "").await? {
            let id = number["id"].as_str().unwrap_or_default();
            let ledger = self.admin.get(&format!("/numbers/{id}/ledger")).await?;
            assert_eq!(ledger["adds_up"], true, "{ledger}");
        }
        self.gateway.end().await
    }

    /// A business that has just ended the signup: its account and its number.
    pub(super) fn signs_up(&self) -> anyhow::Result<(String, String)> {
        let signed = self.sim.signs_up(&Signup::default())?;
        let word = |pointer: &str| {
            let word = signed.pointer(pointer).and_then(Value::as_str);
            word.unwrap_or_default().to_owned()
        };
        Ok((word("/session/data/waba_id"), word("/number")))
    }

    /// The number of this account is connected, to the end.
    pub(super) async fn connects(&self, waba: &str) -> anyhow::Result<()> {
        self.admin.post("/numbers", &json!({"waba": waba})).await?;
        let done = |row: &Value| row["step"] == "done";
        self.admin
            .row("connections", "all steps are taken", PATIENCE, done)
            .await?;
        Ok(())
    }

    /// What Meta was asked for that it gives only once.
    pub(super) fn asked_once(&self) -> Vec<Value> {
        let requests = self.sim.requests();
        let asked = requests
            .iter()
            .filter(|request| request.path.ends_with("smb_app_data"));
        asked
            .map(|request| request.body["sync_type"].clone())
            .collect()
    }
}
