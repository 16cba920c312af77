use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_over_files_cases_and_notes_come_to_the_same_again_and_do_nothing()
-> anyhow::Result<()> {
    let mut stage = Stage::set(&[("desk", "", grants("desk"))]).await?;
    let file = stage.ask("desk", "bring a word of ours").await?;
    for words in [
        format!("show {file}"),
        format!("post {file}"),
        format!("post {}", "0".repeat(64)),
        "open 7 Late order".to_owned(),
        "case 7".to_owned(),
        "cases".to_owned(),
        "close 7".to_owned(),
        "who".to_owned(),
        "triage 3 urgent".to_owned(),
        "notes".to_owned(),
        "labels".to_owned(),
        "whose".to_owned(),
    ] {
        stage.say(&words).await?;
    }
    stage.say("agent 3 Hello").await?;
    // One after the other, so all are done.
    stage.telling("desk", 12).await?;
    let (sends, calls) = (stage.told("desk").await?, stage.desk.called().len());
    let (cases, notes) = (stage.cases().await?, stage.notes().await?);
    let replay = ["plugin", "replay", "desk", "--json"];
    let (ended, told) = stage.gateway.duet(&replay).await?;
    let told: Value = serde_json::from_str(&told).with_context(|| told.clone())?;
    assert!(ended.success(), "{told:#}");
    assert_eq!(told["same"], 14, "{told:#}");
    assert_eq!(stage.told("desk").await?, sends);
    assert_eq!(stage.desk.called().len(), calls);
    assert_eq!(stage.cases().await?, cases);
    assert_eq!(stage.notes().await?, notes);
    stage.gateway.end().await
}
