//! The scene: what each player does, and what the gateway must and must not do then.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::chat::{self, Chat};
use super::stage::Stage;

/// The sim knows her name.
pub(super) const CUSTOMER: &str = "919800000001";
const QUESTION: &str = "What are your opening hours?";
/// How often the demo asks before it says that a saved change did not come through.
const ASKED_MAX: usize = 10;
/// A file counts as saved when it has been left alone for a moment; nobody types faster than this.
const SAVED: Duration = Duration::from_millis(400);

/// A customer asks, the plugin answers, a person takes over, the plugin is silent, the person gives back.
/// The answer is what the plugin said to the question.
pub(super) fn takeover(stage: &Stage, chat: &mut Chat) -> Result<String> {
    chat::act("1. A customer writes, the plugin answers");
    let answer = ask(stage, chat)?;

    chat::act("2. A person answers from the phone: the plugin falls silent");
    stage.sim.post("/sim/phone", &json!({"to": CUSTOMER, "text": "Hello Asha, Ravi here. We open late tomorrow, at eleven."}))?;
    stage.until("the person to have the conversation", || {
        Ok(conversation(stage)?.filter(|found| handling(found) == "person"))
    })?;
    stay_silent(stage, chat)?;

    chat::act("3. The person gives the conversation back: the plugin answers again");
    give_back(stage)?;
    ask(stage, chat)?;
    Ok(answer)
}

/// Changes the answer in the copy of plugins.toml and asks again.
pub(super) fn change_answer(
    stage: &Stage,
    chat: &mut Chat,
    plugins: &Path,
    answer: &str,
) -> Result<()> {
    chat::act("4. An answer changes in the copy of plugins.toml: it is live when it is saved");
    let new = format!("{answer} (changed while the gateway ran)");
    let text = fs::read_to_string(plugins)?;
    ensure!(
        text.contains(answer),
        "{} does not hold the answer {answer:?}, so the demo cannot change it",
        plugins.display()
    );
    let draft = plugins.with_extension("toml.new");
    fs::write(&draft, text.replace(answer, &new)).and_then(|()| fs::rename(&draft, plugins))?;
    chat::note(&format!("saved {}", plugins.display()));
    for _ in 0..ASKED_MAX {
        std::thread::sleep(SAVED);
        if ask(stage, chat)? == new {
            return Ok(());
        }
    }
    bail!("the plugin still gives the old answer")
}

/// The customer asks and the plugin answers once.
fn ask(stage: &Stage, chat: &mut Chat) -> Result<String> {
    let before = sent(stage)?.len();
    stage.sim.post(
        "/sim/customer",
        &json!({"from": CUSTOMER, "text": QUESTION}),
    )?;
    let all = stage.until("the plugin's answer", || {
        Ok(Some(sent(stage)?).filter(|all| all.len() > before))
    })?;
    chat.show(stage, 0)?;
    ensure!(
        all.len() == before + 1,
        "one question, {} answers",
        all.len() - before
    );
    let text = all
        .last()
        .and_then(|sent| sent.pointer("/body/text/body"))
        .and_then(Value::as_str);
    text.map(ToOwned::to_owned)
        .context("the plugin's answer is no text")
}

/// The customer asks, the plugin has seen it, and nothing was sent.
fn stay_silent(stage: &Stage, chat: &mut Chat) -> Result<()> {
    let (before, done) = (sent(stage)?.len(), done(stage)?);
    stage.sim.post(
        "/sim/customer",
        &json!({"from": CUSTOMER, "text": QUESTION}),
    )?;
    stage.until("the plugins to be done with the question", || {
        Ok((self::done(stage)? > done).then_some(()))
    })?;
    stage.until("the outbox to be empty", || {
        Ok(waiting(stage)?.is_empty().then_some(()))
    })?;
    chat.show(stage, 0)?;
    ensure!(
        sent(stage)?.len() == before,
        "the plugin spoke while a person had the conversation"
    );
    chat::note("the plugin saw the question and said nothing");
    Ok(())
}

/// Through the admin API, as a console would.
pub(super) fn give_back(stage: &Stage) -> Result<()> {
    let conversation =
        conversation(stage)?.context("the gateway knows no conversation with the customer")?;
    let id = conversation.get("id").context("a conversation has no id")?;
    stage.admin.post(
        &format!("/api/v1/conversations/{id}/handling"),
        &json!({"handling": "automation"}),
    )?;
    chat::note(&format!(
        "POST /api/v1/conversations/{id}/handling {{\"handling\": \"automation\"}}"
    ));
    Ok(())
}

fn conversation(stage: &Stage) -> Result<Option<Value>> {
    let all = stage.admin.list("/api/v1/conversations", "conversations")?;
    let of_customer =
        |found: &Value| found.pointer("/contact/wa_id").and_then(Value::as_str) == Some(CUSTOMER);
    Ok(all.into_iter().find(of_customer))
}

fn handling(conversation: &Value) -> &str {
    conversation
        .get("handling")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// What the local Meta accepted.
fn sent(stage: &Stage) -> Result<Vec<Value>> {
    stage.sim.list("/sim/sent", "sent")
}

/// Events that the plugins are done with.
fn done(stage: &Stage) -> Result<u64> {
    let plugins = stage.admin.list("/api/v1/plugins", "plugins")?;
    Ok(plugins
        .iter()
        .filter_map(|plugin| plugin.pointer("/events/done")?.as_u64())
        .sum())
}

/// Sends that may still go out.
fn waiting(stage: &Stage) -> Result<Vec<Value>> {
    let mut outbox = stage.admin.list("/api/v1/outbox", "outbox")?;
    outbox.retain(|row| {
        matches!(
            row.get("state").and_then(Value::as_str),
            Some("pending" | "sending")
        )
    });
    Ok(outbox)
}
