//! Mixed, strange and malicious bodies: neighbours are never spoilt, nothing is dropped.

use super::*;

#[test]
fn every_entry_change_and_array_is_walked_in_order() {
    let text = |id: &str| json!({"from": USER, "id": id, "timestamp": "1", "type": "text", "text": {"body": id}});
    let body = json!({"entry": [
        {"changes": [
            {"field": "messages", "value": framed(json!({
                "statuses": [{"id": "wamid.S", "status": "sent"}],
                "messages": [text("wamid.1"), 5, text("wamid.2")],
                "errors": [{"code": 131_035}],
                "calls": [{"id": "c", "event": "connect", "from": USER}],
                "user_preferences": [{"wa_id": USER, "category": "marketing_messages", "value": "stop", "timestamp": 1}],
                "contacts": [{"wa_id": USER}]}))},
            "no change",
            {"field": "smb_message_echoes", "value": {"message_echoes": [text("wamid.3")]}}], "id": "1"},
        {"id": "2", "time": 7},
        {"id": "3", "changes": [{"field": "history", "value": {"history": [{"threads": [{"messages": [text("wamid.4")]}]}]}}]},
        [], null]});
    let elements = all(&body);
    assert_eq!(
        kinds(&elements),
        [
            "error",
            "message.text",
            "unknown",
            "message.text",
            "status.sent",
            "call.connect",
            "contact.preference",
            "unknown",
            "echo.text",
            "unknown",
            "history.text",
            "unknown",
            "unknown"
        ]
    );
    let strays: Vec<&str> = elements
        .iter()
        .filter(|e| e.kind == "unknown")
        .map(|e| e.body.as_str())
        .collect();
    assert_eq!(
        strays,
        [
            "5",
            "\"no change\"",
            "{\"id\":\"2\",\"time\":7}",
            "[]",
            "null"
        ]
    );
    assert_eq!(elements[8].waba.as_deref(), Some("1"));
}

#[test]
fn a_field_or_member_that_nobody_heard_of_is_kept() {
    let future = json!({"entry": [{"id": WABA, "changes": [{"field": "xyz", "value": {"a": [1, {"b": 2}]}}]}]});
    assert_eq!(one(&future).body, "{\"a\":[1,{\"b\":2}]}");
    let elements = all(&change(
        "messages",
        json!({"messages": [{"id": "wamid.1", "type": "text"}], "stories": [1], "groups": [{"x": 1}]}),
    ));
    assert_eq!(kinds(&elements), ["message.text", "unknown"]);
    let rest: Value = serde_json::from_str(&elements[1].body).unwrap();
    assert_eq!(rest, json!({"stories": [1], "groups": [{"x": 1}]}));
    assert_eq!(
        one(&change("messages", json!({"contacts": [{"wa_id": USER}]}))).kind,
        "contact.profile"
    );
    assert!(all(&change("messages", json!({}))).is_empty());
}

#[test]
fn a_wrong_type_costs_only_itself() {
    let elements = all(&change(
        "history",
        json!({"messages": {"id": "wamid.1"}, "history": [
        {"metadata": 1, "threads": [{"id": {}, "messages": [{"id": 77, "type": [], "timestamp": true}, "x"]}, 3, {"messages": 4}], "errors": {}},
        {"progress": 3}]}),
    ));
    assert_eq!(kinds(&elements), vec!["unknown"; 8]);
    assert_eq!(message(&elements[3]).wamid.as_deref(), Some("77"));
    assert!(
        elements
            .iter()
            .all(|element| element.number.as_deref() == Some(NUMBER))
    );
}

#[test]
fn repeated_keys_mean_the_last_and_white_space_means_nothing() {
    let tight = r#"{"entry":[],"entry":[{"id":"0","id":"1","changes":[{"field":"x","field":"messages","value":{"metadata":{"phone_number_id":5},"messages":[{"id":"wamid.1","type":"text","text":{"body":"a"},"text":{"body":"b"}}]}}]}]}"#;
    let loose = tight
        .replace(':', " :\n")
        .replace(',', "\t, ")
        .replace("wamid", "\\u0077amid");
    let read = |body: &str| decode(body.as_bytes(), Part::All).unwrap().remove(0);
    let (tight, loose) = (read(tight), read(&loose));
    assert_eq!(message(&tight).text.as_deref(), Some("b"));
    assert_eq!(
        (tight.waba.as_deref(), tight.number.as_deref()),
        (Some("1"), Some("5"))
    );
    assert_eq!(tight.keys, loose.keys);
    assert_eq!(tight.meaning, loose.meaning);
}

#[test]
fn half_an_emoji_costs_half_an_emoji() {
    let body = br#"{"messages":[{"id":"wamid.1","type":"text","text":{"body":"cut \ud83d"}}]}"#;
    let elements = decode(body, Part::Live).unwrap();
    let text = message(&elements[0]).text.clone().unwrap();
    assert!(text.starts_with("cut \u{fffd}"), "{text}");
}

#[test]
fn what_is_no_webhook_is_unreadable_and_says_why() {
    let deep = format!(
        r#"{{"messages":[{{"a":{}1{}}}]}}"#,
        "[".repeat(200),
        "]".repeat(200)
    );
    let many = format!(r#"{{"messages":[{}1]}}"#, "1,".repeat(100_000));
    for (body, reason) in [
        (&b"{\"entry\":\"\xff\"}"[..], "UTF-8 at byte 10"),
        (b"", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b"{\"entry\":[]", "not a JSON object"),
        (b"{\"entry\":[]} x", "not a JSON object"),
        (b"{\"entry\":{}}", "neither"),
        (b"{\"hello\":1}", "neither"),
        (deep.as_bytes(), "deeper than 100"),
        (many.as_bytes(), "more than 100000"),
    ] {
        let error = decode(body, Part::All).unwrap_err().to_string();
        assert!(error.contains(reason), "{error:?} does not say {reason:?}");
    }
    // Brackets inside of a text are no depth.
    let smile = json!({"messages": [{"id": "wamid.1", "text": {"body": "[\"{".repeat(300)}}]});
    assert_eq!(all(&smile).len(), 1);
}

#[test]
fn what_a_body_holds_is_scented() {
    assert!(mentions(change("history", json!({})).to_string().as_bytes()).history);
    assert!(mentions(br#"{"history":[]}"#).history);
    let talk = br#"{"text":{"body":"our history of message_echoes"},"history_context":1}"#;
    assert_eq!(mentions(talk), Mentions::default());
}
