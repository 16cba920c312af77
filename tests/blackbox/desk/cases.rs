use super::*;

/// And no words about others' cases.
const MESSAGES: &str = "events = [\"message.*\"]";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_becomes_of_a_case_is_shown_and_told_to_other_plugins() -> anyhow::Result<()> {
    let mut stage = Stage::set(&[
        ("desk", "", grants("desk")),
        ("csat", "events = [\"case.*\"]", grants("csat")),
    ])
    .await?;
    for (words, kind) in [
        ("open 7 Late order", "case.opened"),
        ("assign 7 3", "case.assigned"),
        ("status 7 pending", "case.changed"),
        ("close 7", "case.closed"),
        ("close 7", ""),
        ("status 7 solved", "case.changed"),
        ("open 7 Late again", "case.reopened"),
        ("open 7 Late again", ""),
    ] {
        let heard = stage.told("csat").await?.len();
        stage.say(words).await?;
        if kind.is_empty() {
            // It is done once the next question is answered.
            stage.ask("desk", "case 7").await?;
        } else {
            stage.telling("csat", heard + 1).await?;
        }
        let told = stage.told("csat").await?;
        let expect = (!kind.is_empty()).then(|| format!("heard {kind} 7"));
        assert_eq!(told.get(heard), expect.as_ref(), "{words}");
    }
    let own = stage.told("desk").await?;
    assert!(!own.iter().any(|told| told.starts_with("heard")), "{own:?}");
    let id = stage.conversation().await?;
    let told = stage.ask("desk", "cases").await?;
    assert_eq!(told, format!("cases: desk 7 in {id} open - nobody"));
    stage.say("assign 7 4").await?;
    let told = stage.ask("desk", "case 7").await?;
    assert_eq!(told, format!("desk 7 in {id} open - 4"));

    let cases = stage.cases().await?;
    assert_eq!(cases.len(), 1);
    let case = &cases[0];
    for (member, value) in [
        ("plugin", json!("desk")),
        ("key", json!("7")),
        ("title", json!("Late again")),
        ("url", json!("https://desk.example.com/7")),
        ("status", json!(null)),
        ("assignee", agent("4")),
        ("open", json!(true)),
        ("closed_at", json!(null)),
    ] {
        assert_eq!(case[member], value, "{member} of {case}");
    }
    let events = stage.admin.rows("events", "kind=case.closed").await?;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["conversation"], id);

    let contact = stage.admin.conversation(ASHA, PATIENCE).await?;
    let contact = contact["contact"]["id"].as_i64().context("an id")?;
    let export = stage
        .admin
        .get(&format!("/contacts/{contact}/export"))
        .await?;
    assert_eq!(export["cases"][0]["title"], "Late again");
    stage.erase(contact).await?;
    stage.said += 100;
    assert_eq!(stage.ask("desk", "case 7").await?, "no case");
    assert_eq!(stage.cases().await?, [json!(null); 0]);
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_has_as_many_open_cases_as_it_may_and_none_of_anothers() -> anyhow::Result<()> {
    let few = |name: &str| {
        format!(
            "[plugins.{name}.media]\n[plugins.{name}.cases]\nmax = 2\n[plugins.{name}.annotations]\n"
        )
    };
    let mut stage = Stage::set(&[
        ("desk", MESSAGES, few("desk")),
        ("shop", MESSAGES, few("shop")),
    ])
    .await?;
    // Each of the two does it for itself.
    stage.say("open 1 One").await?;
    stage.say("open 2 Two").await?;
    stage.say("open 3 Three").await?;
    letter(&stage.admin, "cases.max").await?;
    stage.admin.count("dead-letters", "", 2, PATIENCE).await?;
    stage.say("close 1").await?;
    stage.say("open 3 Three").await?;
    stage
        .admin
        .count("events", "kind=case.opened", 6, PATIENCE)
        .await?;
    let cases = stage.cases().await?;
    let open = |plugin: &str| {
        let own = cases.iter().filter(|case| case["plugin"] == plugin);
        let mut open: Vec<_> = own
            .map(|case| (case["key"].clone(), case["open"].clone()))
            .collect();
        open.sort_by_key(|(key, _)| key.to_string());
        open
    };
    let expect = [
        (json!("1"), json!(false)),
        (json!("2"), json!(true)),
        (json!("3"), json!(true)),
    ];
    assert_eq!(open("desk"), expect);
    assert_eq!(open("shop"), expect);
    for words in ["close 9", "status 9 late", "open  nothing"] {
        let refused = stage.ask("desk", words).await?;
        assert!(refused.starts_with("refused: "), "{words}: {refused}");
    }
    stage.gateway.end().await
}
