//! What a bridge to a help desk needs: files both ways, agents who speak, tickets that open and close, notes, labels and
//! assignments. The guest `desk` is such a bridge in small.

mod agents;
mod annotations;
mod cases;
mod files;
mod replay;
mod walls;

use std::time::Duration;

use anyhow::Context;
use duet_sim::Sim;
use duet_tests::outside::{Outside, Reply};
use duet_tests::plugins_file::PluginsFile;
use duet_tests::{Admin, Gateway, Meta, Setup, gateway, webhook};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(90);
const ASHA: &str = "919800000001";
const TOKEN: &str = "the-desks-own-key";

/// What is said of a send that names a file which is not there.
const NO_FILE: &str = "refused: send refused: invalid: message/document/file: there is no such file of this business; \
                       hand it over with POST /api/v1/media, and send again";

/// An instance of `desk` with these lines of its own.
fn bridge(name: &str, url: &str, lines: &str) -> String {
    format!(
        "[plugins.{name}]\ncomponent = \"desk.wasm\"\nfrom = \"beginning\"\n{lines}\n\
         [plugins.{name}.retry]\nattempts = 1\n\
         [plugins.{name}.limits]\nwall_ms_max = 120000\ncpu_ms_max = 10000\n\
         [plugins.{name}.settings]\nurl = \"{url}/tickets/7\"\n\
         [plugins.{name}.messages]\nspeak = [\"automation\", \"person\"]\n\
         [plugins.{name}.conversations]\nhandling = true\n\
         [plugins.{name}.http]\nallow = [\"{url}\"]\nprivate = true\n\
         [plugins.{name}.http.secrets.token]\nenv = \"DESK_TOKEN\"\nhosts = [\"{url}\"]\n"
    )
}

/// Its grants for files, cases and annotations, which a test may word otherwise.
fn grants(name: &str) -> String {
    format!(
        "[plugins.{name}.media]\nkeep = true\n[plugins.{name}.cases]\n\
         [plugins.{name}.annotations]\nwrite = true\n"
    )
}

struct Stage {
    sim: Sim,
    gateway: Gateway,
    meta: Meta,
    admin: Admin,
    desk: Outside,
    said: usize,
}

impl Stage {
    /// With instances of `desk`, each a name, lines of its own, and its grants.
    async fn set(plugins: &[(&str, &str, String)]) -> anyhow::Result<Stage> {
        let desk = Outside::start(|_| Reply::new(201, "{}")).await?;
        let sim = Sim::start(gateway::open_sim()).await?;
        let mut file = PluginsFile::default();
        for (name, lines, grants) in plugins {
            let table = bridge(name, desk.url(), lines) + grants;
            file = file.and("desk", &table);
        }
        let setup = Setup::default()
            .graph(sim.url())
            .env("DESK_TOKEN", TOKEN)
            .plugins(file);
        let gateway = Gateway::start(setup).await?;
        sim.set_webhook(gateway.webhook()?);
        let (meta, admin) = (gateway.meta()?, gateway.admin()?);
        admin.plugins_run(PATIENCE).await?;
        Ok(Stage {
            sim,
            gateway,
            meta,
            admin,
            desk,
            said: 0,
        })
    }

    /// Starts the gateway again, with this place for the power to be cut at.
    async fn restart(&mut self, failpoint: Option<&str>) -> anyhow::Result<()> {
        let env = failpoint.map(|place| ("DUET_FAILPOINT".to_owned(), place.to_owned()));
        let up = self.gateway.restart_with(env.as_slice()).await?;
        anyhow::ensure!(up, "the gateway ended at once");
        self.sim.set_webhook(self.gateway.webhook()?);
        (self.meta, self.admin) = (self.gateway.meta()?, self.gateway.admin()?);
        self.admin.plugins_run(PATIENCE).await?;
        Ok(())
    }

    async fn say(&mut self, text: &str) -> anyhow::Result<()> {
        self.said += 1;
        let id = format!("wamid.said.{}", self.said);
        self.meta.deliver(&webhook::text(ASHA, &id, text)).await
    }

    /// What a plugin answers to this: the first text that it has not sent before.
    async fn ask(&mut self, plugin: &str, text: &str) -> anyhow::Result<String> {
        let before = self.told(plugin).await?.len();
        self.say(text).await?;
        self.telling(plugin, before + 1).await?;
        let told = self.told(plugin).await?;
        Ok(told.get(before).cloned().unwrap_or_default())
    }

    /// Waits until a plugin has put so many sends into the outbox.
    async fn telling(&self, plugin: &str, count: usize) -> anyhow::Result<()> {
        let what = format!("{plugin} has said {count} things");
        duet_tests::wait::until(&what, PATIENCE, || async {
            let told = self.told(plugin).await?;
            Ok(match told.len() >= count {
                true => duet_tests::wait::Seen::Done(()),
                false => duet_tests::wait::Seen::NotYet(format!("{told:?}")),
            })
        })
        .await
    }

    /// What a plugin has said so far; a file by its handle.
    async fn told(&self, plugin: &str) -> anyhow::Result<Vec<String>> {
        let rows = self.admin.rows("outbox", "").await?;
        let own = rows.iter().filter(|row| row["plugin"] == plugin);
        let text = |row: &Value| {
            let message = &row["message"];
            let text = message.pointer("/text/body");
            let text = text.or(message.pointer("/document/file"));
            text.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        Ok(own.map(text).collect())
    }

    async fn conversation(&self) -> anyhow::Result<i64> {
        let row = self.admin.conversation(ASHA, PATIENCE).await?;
        row["id"].as_i64().context("an id")
    }

    /// Erases the customer: again, as the API asks, while Meta still tells of what was sent.
    async fn erase(&self, contact: i64) -> anyhow::Result<()> {
        let path = format!("/contacts/{contact}");
        duet_tests::wait::until("the customer is erased", PATIENCE, || async {
            let delete = reqwest::Method::DELETE;
            let (status, said) = self.admin.call(delete, &path, None).await?;
            anyhow::ensure!([200, 409].contains(&status), "{status}: {said}");
            Ok(duet_tests::wait::Seen::when(status == 200, (), || {
                said.to_string()
            }))
        })
        .await
    }

    async fn cases(&self) -> anyhow::Result<Vec<Value>> {
        let path = format!("/conversations/{}/cases", self.conversation().await?);
        let cases = self.admin.get(&path).await?;
        Ok(cases["cases"].as_array().cloned().unwrap_or_default())
    }

    /// The newest first.
    async fn notes(&self) -> anyhow::Result<Vec<Value>> {
        let path = format!("/conversations/{}/notes", self.conversation().await?);
        let notes = self.admin.get(&path).await?;
        Ok(notes["notes"].as_array().cloned().unwrap_or_default())
    }
}

/// The event with which a plugin gave up.
async fn letter(admin: &Admin, word: &str) -> anyhow::Result<Value> {
    let fits = |row: &Value| row["cause"].to_string().contains(word);
    admin.row("dead-letters", word, PATIENCE, fits).await
}

fn agent(id: &str) -> Value {
    json!({"id": id, "name": format!("Agent {id}")})
}
