use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_of_the_agents_spoke_is_told_with_the_send_and_with_the_conversation()
-> anyhow::Result<()> {
    let mut stage = Stage::set(&[("desk", "", grants("desk"))]).await?;
    let speaking = json!({"speaking": ["desk"]});
    stage.say("cases").await?;
    stage.telling("desk", 1).await?;
    let path = format!("/numbers/{}/handling", webhook::NUMBER);
    let put = reqwest::Method::PUT;
    let (status, said) = stage.admin.call(put, &path, Some(&speaking)).await?;
    assert_eq!(status, 200, "{said}");

    assert_eq!(
        stage.ask("desk", "who").await?,
        "nobody is known to have it"
    );
    assert_eq!(stage.ask("desk", "agent 3 Hello").await?, "Hello");
    assert_eq!(stage.ask("desk", "who").await?, "Agent 3 has it");
    assert_eq!(stage.ask("desk", "agent 3 Me again").await?, "Me again");
    stage.say("give 4").await?;
    assert_eq!(stage.ask("desk", "who").await?, "Agent 4 has it");

    let sends = stage.admin.rows("outbox", "").await?;
    let spoken: Vec<_> = sends
        .iter()
        .filter(|send| send["speaker"] == "person")
        .map(|send| send["agent"].clone())
        .collect();
    assert_eq!(spoken, [agent("3"), agent("3")]);
    let others = sends.iter().filter(|send| send["speaker"] == "automation");
    assert!(others.into_iter().all(|send| send["agent"].is_null()));

    let path = format!("/conversations/{}/handling", stage.conversation().await?);
    let story = stage.admin.get(&path).await?;
    let had: Vec<_> = story["changes"]
        .as_array()
        .context("changes")?
        .iter()
        .map(|change| (change["cause"].clone(), change["agent"].clone()))
        .collect();
    // The second word of the same agent only prolongs it.
    let expect = [(json!("agent"), agent("3")), (json!("plugin"), agent("4"))];
    assert_eq!(had, expect);
    let refused = stage.ask("desk", "agent  Nobody").await?;
    assert!(refused.starts_with("refused: "), "{refused}");
    stage.gateway.end().await
}
