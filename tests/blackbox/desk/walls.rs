use super::*;

const RIVAL: &str = "rival";
const NUMBER: &str = "406540352242922";
const WABA: &str = "402290129340398";
const DISPLAY: &str = "912255500441";

/// The same customer writes to the other business.
fn to_rival(id: &str, text: &str) -> anyhow::Result<Value> {
    let body = webhook::text(ASHA, id, text).to_string();
    let body = body
        .replace(webhook::NUMBER, NUMBER)
        .replace(webhook::WABA, WABA)
        .replace(webhook::DISPLAY, DISPLAY);
    Ok(serde_json::from_str(&body)?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_agents_cases_and_notes_of_one_business_are_not_there_for_another()
-> anyhow::Result<()> {
    let mut stage = Stage::set(&[("desk", "", grants("desk"))]).await?;
    let wanted = json!({"id": RIVAL, "name": RIVAL});
    stage.admin.post("/businesses", &wanted).await?;
    let path = format!("/businesses/{RIVAL}/accounts/{WABA}");
    let put = reqwest::Method::PUT;
    let (status, said) = stage.admin.call(put, &path, None).await?;
    assert_eq!(status, 204, "{said}");
    let url = stage.desk.url().to_owned();
    let lines = format!("business = \"{RIVAL}\"");
    let file = PluginsFile::default()
        .and("desk", &(bridge("desk", &url, "") + &grants("desk")))
        .and("desk", &(bridge(RIVAL, &url, &lines) + &grants(RIVAL)));
    stage.gateway.change_plugins(file)?;
    stage.admin.post("/plugins/reload", &json!({})).await?;
    stage.admin.plugins_run(PATIENCE).await?;

    let file = stage.ask("desk", "bring what only one may see").await?;
    stage.say("open 7 Late order").await?;
    stage.ask("desk", "triage 3 urgent").await?;
    stage.say("agent 3 Hello").await?;
    stage.telling("desk", 3).await?;
    let id = stage.conversation().await?;
    assert_eq!(stage.cases().await?.len(), 1);
    for (at, (words, told)) in [
        (format!("show {file}"), "no file".to_owned()),
        (format!("forward {file}"), NO_FILE.to_owned()),
        (
            format!("post {file}"),
            "the desk is not asked: no-such-file: the body names a file that is not there"
                .to_owned(),
        ),
        ("case 7".to_owned(), "no case".to_owned()),
        (format!("in {id} cases"), "cases: ".to_owned()),
        (
            format!("in {id} open 8 Across"),
            format!("refused: no conversation {id}"),
        ),
        (
            "close 7".to_owned(),
            "refused: this plugin has no such case".to_owned(),
        ),
        (format!("in {id} who"), "no conversation".to_owned()),
        (
            format!("in {id} give 4"),
            format!("refused: no conversation {id}"),
        ),
        (format!("in {id} notes"), "notes: ".to_owned()),
        (format!("in {id} labels"), "labels: ".to_owned()),
        (format!("in {id} whose"), "nobody's".to_owned()),
        (
            format!("in {id} note Across"),
            format!("refused: no conversation {id}"),
        ),
        (
            format!("in {id} label across"),
            format!("refused: no conversation {id}"),
        ),
        (
            format!("in {id} drop"),
            format!("refused: no conversation {id}"),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let wamid = format!("wamid.across.{at}");
        stage.meta.deliver(&to_rival(&wamid, &words)?).await?;
        stage.telling(RIVAL, at + 1).await?;
        assert_eq!(stage.told(RIVAL).await?.last(), Some(&told), "{words}");
    }
    assert!(stage.desk.called().is_empty());
    let cases = stage.cases().await?;
    assert_eq!((cases.len(), &cases[0]["open"]), (1, &json!(true)));
    assert_eq!(stage.notes().await?.len(), 1);
    let kept = stage.admin.conversation(ASHA, PATIENCE).await?;
    assert_eq!(
        (&kept["labels"], &kept["assignee"]),
        (&json!(["urgent"]), &agent("3"))
    );
    // The same bytes are its own once it has brought them itself.
    let own = to_rival("wamid.across.own", "bring what only one may see")?;
    stage.meta.deliver(&own).await?;
    stage.telling(RIVAL, 16).await?;
    assert_eq!(stage.told(RIVAL).await?.last(), Some(&file));
    stage.gateway.end().await
}
