//! What commands say to somebody who begins: what is not there yet, what is wrong, and what to do about it.

use std::time::Duration;

use duet_rules::contract::CONTRACT;
use duet_tests::plugins_file::{guest_file, replace, with_contract};
use duet_tests::{Gateway, Setup};

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_beginner_is_told_what_is_missing_and_what_to_do() -> anyhow::Result<()> {
    let mut gateway = Gateway::start(Setup::default()).await?;
    for (arguments, told) in [
        (&["number", "list"][..], "duet number add connects"),
        (&["business", "list"], "duet business add makes one"),
        (&["search", "tea"], "no message holds these words"),
    ] {
        let (ended, words) = gateway.duet(arguments).await?;
        assert!(
            ended.success() && words.contains(told),
            "{arguments:?}: {words}"
        );
    }
    let (_, words) = gateway.duet(&["doctor"]).await?;
    assert!(words.contains("no number is known yet"), "{words}");
    assert!(gateway.duet_unread(&["number", "list"]).await?.success());

    gateway
        .setup
        .env
        .push(("DUET_ADMIN_TOKEN".into(), "of another gateway".into()));
    let (ended, words) = gateway.duet(&["number", "list"]).await?;
    let told = "does not take this admin token; set DUET_ADMIN_TOKEN";
    assert!(!ended.success() && words.contains(told), "{words}");
    gateway.end().await
}

/// The gateway runs without plugins then, too; a file that somebody has named is another matter.
#[tokio::test]
async fn a_folder_without_plugins_is_no_problem() -> anyhow::Result<()> {
    let mut gateway = Gateway::start(Setup::default()).await?;
    gateway.stop().await?;
    std::fs::remove_file(gateway.folder().join("plugins.toml"))?;
    for (named, problems, told) in [
        ("plugins.toml", false, "there is no plugins.toml here"),
        ("mine.toml", true, "mine.toml: cannot be read"),
    ] {
        gateway
            .setup
            .env
            .push(("DUET_PLUGINS".into(), named.into()));
        let (ended, words) = gateway.duet(&["check"]).await?;
        assert!(
            ended.success() != problems && words.contains(told),
            "{words}"
        );
    }
    gateway.end().await
}

/// From a stranger's file to a plugin that runs, with what is printed on the way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_component_asks_for_is_told_with_the_lines_that_switch_it_on() -> anyhow::Result<()>
{
    let gateway = Gateway::start(Setup::default()).await?;
    let (_, none) = gateway.duet(&["plugin", "list"]).await?;
    assert!(none.contains("duet plugin inspect"), "{none}");

    let faq = guest_file("faq")?.display().to_string();
    let (ended, told) = gateway.duet(&["plugin", "inspect", &faq]).await?;
    assert!(ended.success(), "{told}");
    for words in [
        "asks for messages: Sends the answers to customers.",
        "gets message.text",
        "SHA-256",
    ] {
        assert!(told.contains(words), "{words} in {told}");
    }
    let (_, lines) = told.split_once("then duet check:").unwrap_or_default();
    let answers = "answers = [{ words = [\"hi\"], reply = \"Hello.\" }]";
    let lines: Vec<_> = lines
        .lines()
        .map(|line| match line.starts_with("# answers (array, needed)") {
            true => answers,
            false => line,
        })
        .collect();
    replace(
        &gateway.folder().join("plugins.toml"),
        lines.join("\n").as_bytes(),
    )?;
    let (ended, told) = gateway.duet(&["check"]).await?;
    assert!(ended.success(), "{told}");
    let ready = |row: &serde_json::Value| row["name"] == "faq" && row["state"] == "ready";
    let admin = gateway.admin()?;
    admin.row("plugins", "it runs", PATIENCE, ready).await?;
    let (_, list) = gateway.duet(&["plugin", "list"]).await?;
    assert!(list.starts_with("faq  ready  0.1.0  0 done"), "{list}");

    let (ended, told) = gateway.duet(&["plugin", "inspect", "plugins.toml"]).await?;
    assert!(!ended.success() && told.contains("is no plugin"), "{told}");
    gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_of_a_newer_contract_is_refused_with_both_versions() -> anyhow::Result<()> {
    let gateway = Gateway::start(Setup::default()).await?;
    let newer = CONTRACT.replacen("0.1.", "0.2.", 1);
    let component = with_contract(&std::fs::read(guest_file("idle")?)?, &newer);
    replace(&gateway.folder().join("idle.wasm"), &component)?;
    let refusal = format!(
        "is built for contract {newer}, this gateway speaks {CONTRACT}; update Duet, or build the plugin against duet:plugin@{CONTRACT}"
    );
    let enable = ["plugin", "enable", "idle.wasm", "--yes"];
    for arguments in [&["plugin", "inspect", "idle.wasm"][..], &enable] {
        let (ended, told) = gateway.duet(arguments).await?;
        assert!(
            !ended.success() && told.contains(&refusal),
            "{arguments:?}: {told}"
        );
        assert!(told.contains("gets *"), "what it is, too: {told}");
    }
    let inspect = ["plugin", "inspect", "idle.wasm", "--json"];
    let (ended, told) = gateway.duet(&inspect).await?;
    let told: serde_json::Value = serde_json::from_str(&told)?;
    let problem = told["problem"].as_str().unwrap_or_default();
    assert!(!ended.success() && problem.ends_with(&refusal), "{told}");

    let table = b"[plugins.idle]\ncomponent = \"idle.wasm\"\n";
    replace(&gateway.folder().join("plugins.toml"), table)?;
    let (ended, told) = gateway.duet(&["check"]).await?;
    let line = format!("plugins.toml:1: plugin \"idle\" {refusal}");
    assert!(!ended.success() && told.contains(&line), "{told}");
    gateway.end().await
}
