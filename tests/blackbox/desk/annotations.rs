use reqwest::Method;

use super::*;

/// And no words about what others note.
const MESSAGES: &str = "events = [\"message.*\"]";
const OTHERS: &str =
    "events = [\"conversation.noted\", \"conversation.labelled\", \"conversation.assigned\"]";

impl Stage {
    /// Does it as a person, by the admin API.
    async fn person(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        let path = format!("/conversations/{}/{path}", self.conversation().await?);
        let (status, said) = self.admin.call(method, &path, body.as_ref()).await?;
        anyhow::ensure!((200..300).contains(&status), "{path}: {status} {said}");
        Ok(said)
    }

    /// The bodies of the events of this kind.
    async fn bodies(&self, kind: &str) -> anyhow::Result<Vec<Value>> {
        let events = self.admin.rows("events", &format!("kind={kind}")).await?;
        Ok(events.iter().map(|event| event["body"].clone()).collect())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_plugin_keeps_on_a_conversation_is_shown_and_told_to_others() -> anyhow::Result<()> {
    let mut stage = Stage::set(&[
        ("desk", "", grants("desk")),
        ("csat", OTHERS, grants("csat")),
    ])
    .await?;
    for (words, heard) in [
        ("note Wants two", "conversation.noted desk Wants two"),
        ("once 7 Asked twice", "conversation.noted desk Asked twice"),
        ("once 7 Asked thrice", ""),
        (
            "label to call back",
            "conversation.labelled desk \"to call back\" true",
        ),
        ("label to call back", ""),
        ("unlabel vip", ""),
        ("take 3", "conversation.assigned desk 3"),
        ("take 3", ""),
        ("drop", "conversation.assigned desk nobody"),
        (
            "unlabel to call back",
            "conversation.labelled desk \"to call back\" false",
        ),
        ("label vip", "conversation.labelled desk \"vip\" true"),
        ("take 4", "conversation.assigned desk 4"),
    ] {
        let before = stage.told("csat").await?.len();
        stage.say(words).await?;
        if heard.is_empty() {
            // It is done once the next question is answered.
            stage.ask("desk", "labels").await?;
        } else {
            stage.telling("csat", before + 1).await?;
        }
        let told = stage.told("csat").await?;
        let expect = (!heard.is_empty()).then(|| format!("heard {heard}"));
        assert_eq!(told.get(before), expect.as_ref(), "{words}");
    }
    let own = stage.told("desk").await?;
    assert!(!own.iter().any(|told| told.starts_with("heard")), "{own:?}");
    assert_eq!(
        stage.ask("desk", "notes").await?,
        "notes: Asked twice, Wants two"
    );
    assert_eq!(stage.ask("desk", "labels").await?, "labels: vip");
    assert_eq!(stage.ask("desk", "whose").await?, "4");

    let notes = stage.notes().await?;
    assert_eq!(notes.len(), 2);
    for (member, value) in [
        ("author", json!("desk")),
        ("key", json!("7")),
        ("text", json!("Asked twice")),
        ("agent", agent("3")),
    ] {
        assert_eq!(notes[0][member], value, "{member} of {notes:?}");
    }
    let kept = stage.admin.conversation(ASHA, PATIENCE).await?;
    assert_eq!(
        (&kept["labels"], &kept["assignee"]),
        (&json!(["vip"]), &agent("4"))
    );
    for (query, found) in [
        ("label=vip", 1),
        ("label=to", 0),
        ("assignee=4", 1),
        ("assignee=3", 0),
    ] {
        let rows = stage.admin.rows("conversations", query).await?;
        assert_eq!(rows.len(), found, "{query}");
    }

    let contact = kept["contact"]["id"].as_i64().context("an id")?;
    let export = stage
        .admin
        .get(&format!("/contacts/{contact}/export"))
        .await?;
    assert_eq!(export["notes"][0]["text"], "Wants two");
    assert_eq!(export["labels"][0]["label"], "vip");
    assert_eq!(export["assignments"].as_array().map(Vec::len), Some(1));
    stage.erase(contact).await?;
    stage.said += 100;
    assert_eq!(stage.ask("desk", "notes").await?, "notes: ");
    assert_eq!(stage.ask("desk", "labels").await?, "labels: ");
    assert_eq!(stage.ask("desk", "whose").await?, "nobody's");
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_note_label_and_assign_reaches_plugins_once() -> anyhow::Result<()> {
    let reads = "[plugins.looks.media]\n[plugins.looks.cases]\n[plugins.looks.annotations]\n";
    let mut stage = Stage::set(&[
        ("desk", "", grants("desk")),
        ("looks", MESSAGES, reads.to_owned()),
    ])
    .await?;
    stage.ask("desk", "labels").await?;
    let said = stage.told("desk").await?.len();
    let note =
        json!({"text": "Call her back", "key": "1", "agent": {"id": "3", "name": "Agent 3"}});
    for _ in 0..2 {
        stage
            .person(Method::POST, "notes", Some(note.clone()))
            .await?;
        let labelled = stage
            .person(Method::PUT, "labels/to%20call%20back", None)
            .await?;
        assert_eq!(labelled["labels"], json!(["to call back"]));
        let assigned = stage
            .person(Method::PUT, "assignment", Some(agent("3")))
            .await?;
        assert_eq!(assigned["assignee"], agent("3"));
        assert_eq!(assigned["handling"], "automation");
    }
    // What was said is there after a power cut.
    stage.gateway.kill9().await?;
    stage.restart(None).await?;
    for _ in 0..2 {
        stage
            .person(Method::DELETE, "labels/to%20call%20back", None)
            .await?;
        let nobodys = stage.person(Method::DELETE, "assignment", None).await?;
        assert_eq!(
            (&nobodys["labels"], &nobodys["assignee"]),
            (&json!([]), &json!(null))
        );
    }
    stage.telling("desk", said + 5).await?;
    let told = stage.told("desk").await?;
    assert_eq!(
        told.get(said..).unwrap_or_default(),
        [
            "heard conversation.noted api Call her back",
            "heard conversation.labelled api \"to call back\" true",
            "heard conversation.assigned api 3",
            "heard conversation.labelled api \"to call back\" false",
            "heard conversation.assigned api nobody",
        ]
    );
    assert_eq!(
        stage.bodies("conversation.noted").await?,
        [json!({"by": "api", "key": "1", "text": "Call her back", "agent": agent("3")})]
    );
    assert_eq!(stage.ask("desk", "notes").await?, "notes: Call her back");

    // A token that may not see what people wrote sees that there is a note.
    let wanted = json!({"name": "reads", "scopes": ["read"]});
    let token = stage.admin.post("/tokens", &wanted).await?;
    let reader = stage
        .admin
        .with_token(token["token"].as_str().context("a token")?);
    let path = format!("/conversations/{}/notes", stage.conversation().await?);
    let notes = reader.get(&path).await?;
    assert_eq!(
        (&notes["notes"][0]["text"], &notes["notes"][0]["redacted"]),
        (&json!(null), &json!(true))
    );

    let long = "x".repeat(65);
    for (method, path, body, status) in [
        (
            Method::POST,
            "notes".to_owned(),
            Some(json!({"text": ""})),
            400,
        ),
        (Method::PUT, format!("labels/{long}"), None, 400),
        (
            Method::PUT,
            "assignment".to_owned(),
            Some(json!({"id": ""})),
            400,
        ),
    ] {
        let path = format!("/conversations/{}/{path}", stage.conversation().await?);
        let (got, said) = stage.admin.call(method, &path, body.as_ref()).await?;
        assert_eq!(got, status, "{path}: {said}");
    }
    // It may read and no more.
    stage.telling("looks", 2).await?;
    assert_eq!(
        stage.ask("looks", "note Not mine").await?,
        "refused: not granted; add write = true to [plugins.looks.annotations]"
    );
    stage.gateway.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_the_power_is_cut_a_conversation_is_noted_labelled_and_assigned_once()
-> anyhow::Result<()> {
    let mut stage = Stage::set(&[("desk", "", grants("desk"))]).await?;
    let places = [
        "dispatch.before_finish",
        "dispatch.in_finish",
        "dispatch.finished",
    ];
    for (nth, place) in places.iter().enumerate() {
        stage.gateway.stop().await?;
        stage.restart(Some(&format!("{place}:1"))).await?;
        stage.say(&format!("triage {nth} {place}")).await?;
        assert!(stage.gateway.died_within(PATIENCE).await?, "{place}");
        stage.restart(None).await?;
        stage.telling("desk", nth + 1).await?;
    }
    let newest_first: Vec<_> = stage.notes().await?;
    let newest_first: Vec<_> = newest_first
        .iter()
        .map(|note| note["text"].clone())
        .collect();
    let mut expect = places.map(|place| json!(place));
    expect.reverse();
    assert_eq!(newest_first, expect);
    for (kind, member) in [
        ("conversation.noted", "text"),
        ("conversation.labelled", "label"),
    ] {
        let told = stage.bodies(kind).await?;
        let told: Vec<_> = told.iter().map(|body| body[member].clone()).collect();
        assert_eq!(told, places, "{kind}");
    }
    let assigned = stage.bodies("conversation.assigned").await?;
    let assigned: Vec<_> = assigned
        .iter()
        .map(|body| body["agent"]["id"].clone())
        .collect();
    assert_eq!(assigned, ["0", "1", "2"]);
    assert_eq!(
        stage.told("desk").await?,
        places.map(|place| format!("triaged {place}"))
    );
    stage.gateway.end().await
}
