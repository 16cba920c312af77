//! What Meta documents and real samples lack, built by hand.

use super::*;

fn history(item: Value) -> Value {
    change("history", json!({"history": [item]}))
}

#[test]
fn a_live_message_names_its_user_and_opens_the_window() {
    let body = change(
        "messages",
        json!({
        "contacts": [
            {"profile": {"name": "Someone Else"}, "wa_id": "1999"},
            {"profile": {"name": "Ana", "username": "@ana"}, "wa_id": USER, "user_id": "US.1"}],
        "messages": [{"from": USER, "id": WAMID, "timestamp": "1739321000", "type": "text",
            "text": {"body": "Hi \u{1f600}"}, "context": {"id": "wamid.Q"}, "referral": {"source_id": "1"}}]}),
    );
    let element = one(&body);
    assert_eq!(element.kind, "message.text");
    assert_eq!(
        (element.waba.as_deref(), element.number.as_deref()),
        (Some(WABA), Some(NUMBER))
    );
    assert_eq!(element.display.as_deref(), Some(BUSINESS));
    assert_eq!(element.at_ms, Some(1_739_321_000_000));
    let contact = element.contact.clone().unwrap();
    assert_eq!(contact.wa_id.as_deref(), Some(USER));
    assert_eq!(contact.user_id.as_deref(), Some("US.1"));
    assert_eq!(
        (contact.name.as_deref(), contact.username.as_deref()),
        (Some("Ana"), Some("@ana"))
    );
    let context: Value = serde_json::from_str(element.context.as_ref().unwrap()).unwrap();
    assert_eq!(context["profile"]["name"], "Ana");
    let message = message(&element);
    assert_eq!(message.text.as_deref(), Some("Hi \u{1f600}"));
    assert_eq!(
        (message.wamid.as_deref(), message.stanza.as_deref()),
        (Some(WAMID), Some(STANZA))
    );
    assert_eq!(message.reply_to.as_deref(), Some("wamid.Q"));
    assert_eq!((message.origin, message.outgoing), (Origin::Live, false));
    assert!(message.opens_window && message.referral && !message.group);
    assert_eq!(
        element.keys,
        [
            Key::of(&["m", NUMBER, WAMID]),
            Key::of(&["s", NUMBER, "16467043595", STANZA])
        ]
    );
}

#[test]
fn what_is_no_word_of_the_user_opens_no_window() {
    for extra in [
        json!({"type": "unsupported", "errors": [{"code": 131_060, "title": "This message is unavailable"}]}),
        json!({"type": "system", "system": {"body": "User changed", "type": "user_changed_number"}}),
        json!({"type": "reaction", "reaction": {"message_id": "wamid.Q", "emoji": ""}}),
        json!({"type": "reaction", "reaction": {"message_id": "wamid.Q"}}),
        json!({"type": "text", "text": {"body": "all"}, "group_id": "G1"}),
        json!({"type": "hologram"}),
    ] {
        let mut item = json!({"from": USER, "id": "wamid.A", "timestamp": "1739321000"});
        item.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        let element = one(&change("messages", json!({"messages": [item]})));
        assert!(!message(&element).opens_window, "{extra}");
        assert_eq!(element.group, extra.get("group_id").is_some());
    }
}

#[test]
fn an_unsupported_message_of_an_unsupported_companion_says_so() {
    let body = change(
        "messages",
        json!({"messages": [{"from": USER, "id": "wamid.A", "timestamp": 1_739_321_000,
        "type": "unsupported", "unsupported": {"type": "unknown"},
        "errors": [{"code": 131_060, "title": "This message is currently unavailable", "message": "m"}]}]}),
    );
    let element = one(&body);
    assert_eq!(element.kind, "message.unsupported");
    assert_eq!(
        message(&element).text.as_deref(),
        Some("This message is currently unavailable")
    );
}

#[test]
fn a_bare_user_id_is_somebody() {
    let element = one(&change(
        "messages",
        json!({
        "contacts": [{"profile": {"name": "Ana"}, "user_id": "US.9"}],
        "messages": [{"from_user_id": "US.9", "id": "wamid.A", "type": "text", "text": {"body": "x"}}]}),
    ));
    let contact = element.contact.unwrap();
    assert_eq!(
        (
            contact.wa_id,
            contact.user_id.as_deref(),
            contact.name.as_deref()
        ),
        (None, Some("US.9"), Some("Ana"))
    );
    assert_eq!(
        element.at_ms,
        Some(1_739_321_024_000),
        "the entry's time stands in"
    );
}

#[test]
fn only_a_sole_contact_fits_a_message_that_names_nobody() {
    let nameless = json!([{"id": "wamid.A", "type": "text", "text": {"body": "x"}}]);
    let sole = json!([{"wa_id": USER}]);
    let two = json!([{"wa_id": USER}, {"wa_id": "1999"}]);
    let body = |contacts: &Value| {
        change(
            "messages",
            json!({"contacts": contacts, "messages": nameless}),
        )
    };
    assert_eq!(wa_id(&one(&body(&sole))), Some(USER));
    assert_eq!(one(&body(&two)).contact, None);
    let named = change(
        "messages",
        json!({"contacts": sole, "messages": [{"from": "1999", "id": "wamid.A"}]}),
    );
    let element = one(&named);
    assert_eq!(
        (wa_id(&element), element.context.as_deref()),
        (Some("1999"), None)
    );
}

#[test]
fn a_call_belongs_to_the_user_on_either_end() {
    let calls = json!([
        {"id": "c1", "event": "connect", "direction": "USER_INITIATED", "from": USER, "to": BUSINESS},
        {"id": "c2", "event": "terminate", "direction": "BUSINESS_INITIATED", "from": BUSINESS, "to": USER, "status": "COMPLETED"},
        {"id": "c3", "status": "FAILED", "from": USER}, {"id": "c4", "from": USER}]);
    let statuses = json!([{"id": "c5", "type": "call", "status": "RINGING", "recipient_id": USER}]);
    let elements = all(&change(
        "calls",
        json!({"calls": calls, "statuses": statuses}),
    ));
    assert_eq!(
        kinds(&elements),
        [
            "call.ringing",
            "call.connect",
            "call.terminate",
            "call.failed",
            "call.update"
        ]
    );
    assert!(elements.iter().all(|element| wa_id(element) == Some(USER)));
}

#[test]
fn a_status_in_a_group_names_the_participant() {
    let element = one(&change(
        "messages",
        json!({"statuses": [{"id": "wamid.S", "status": "read",
        "recipient_id": "GROUP", "recipient_type": "group", "recipient_participant_id": USER}]}),
    ));
    assert!(element.group);
    assert_eq!(wa_id(&element), Some(USER));
}

#[test]
fn an_echo_is_outgoing_even_without_to() {
    let value = json!({
        "contacts": [{"wa_id": USER, "user_id": "US.1", "profile": {"name": "Ana"}}],
        "message_echoes": [{"from": BUSINESS, "id": WAMID, "timestamp": "1739321000", "type": "image",
            "image": {"id": "5", "mime_type": "image/jpeg", "sha256": "h", "caption": "See", "url": "https://l"}}]});
    let element = one(&change("smb_message_echoes", value.clone()));
    assert_eq!(element.kind, "echo.image");
    assert_eq!(wa_id(&element), Some(USER));
    let echo = message(&element);
    assert!(echo.outgoing && !echo.opens_window);
    assert_eq!(echo.origin, Origin::Echo);
    let media = echo.media.clone().unwrap();
    assert_eq!(
        (
            media.id.as_deref(),
            media.url.as_deref(),
            media.caption.as_deref()
        ),
        (Some("5"), Some("https://l"), Some("See"))
    );

    let mut addressed = value;
    addressed["message_echoes"][0]["to"] = "+1 650 555 1234".into();
    assert_eq!(
        wa_id(&one(&change("smb_message_echoes", addressed))),
        Some(USER)
    );
}

#[test]
fn edits_and_revocations_point_at_their_original() {
    let elements = all(&change(
        "smb_message_echoes",
        json!({"message_echoes": [
        {"from": BUSINESS, "to": USER, "id": "wamid.E", "timestamp": "1739321000", "type": "edit", "edit": {
            "original_message_id": "wamid.O",
            "message": {"context": {"id": "M0"}, "type": "text", "text": {"body": "new"}}}},
        {"from": BUSINESS, "to": USER, "id": "wamid.R", "timestamp": "1739321001", "type": "revoke",
            "revoke": {"original_message_id": "wamid.O"}}]}),
    ));
    assert_eq!(kinds(&elements), ["echo.edit", "echo.revoke"]);
    assert_eq!(
        elements[0].meaning,
        Meaning::Edit(Edit {
            wamid: Some("wamid.E".into()),
            original: "wamid.O".into(),
            outgoing: true,
            text: Some("new".into()),
            media: None
        })
    );
    assert_eq!(
        elements[1].meaning,
        Meaning::Revoke(Revoke {
            wamid: Some("wamid.R".into()),
            original: "wamid.O".into(),
            outgoing: true
        })
    );
}

#[test]
fn the_address_book_adds_and_removes() {
    let elements = all(&change(
        "smb_app_state_sync",
        json!({"state_sync": [
        {"type": "contact", "action": "add", "metadata": {"timestamp": "1739321100"},
         "contact": {"full_name": "Ana Lima", "first_name": "Ana", "phone_number": "+1 650-555-1234"}},
        {"type": "contact", "action": "remove", "metadata": {"timestamp": 1_739_321_200},
         "contact": {"phone_number": USER}},
        {"type": "contact", "action": "merge", "contact": {"user_id": "US.1"}}]}),
    ));
    assert_eq!(
        kinds(&elements),
        ["contact.added", "contact.removed", "unknown"]
    );
    assert_eq!(
        elements[0].contact.as_ref().unwrap().name.as_deref(),
        Some("Ana Lima")
    );
    assert_eq!(wa_id(&elements[0]), wa_id(&elements[1]));
    let removed = ContactChange {
        removed: true,
        at_ms: Some(1_739_321_200_000),
    };
    assert_eq!(elements[1].meaning, Meaning::Contact(removed));
    assert_eq!(
        elements[2].contact.as_ref().unwrap().user_id.as_deref(),
        Some("US.1")
    );
}

#[test]
fn history_knows_its_direction_and_its_thread() {
    let elements = all(&history(json!({
        "metadata": {"phase": 1, "chunk_order": "2", "progress": 55},
        "threads": [
            {"id": "+16505551234", "messages": [
                {"from": BUSINESS, "id": WAMID, "timestamp": "1739230955", "type": "text",
                 "text": {"body": "by phone"}, "history_context": {"status": "READ"}},
                {"from": USER, "id": "wamid.B", "timestamp": "1739230970", "type": "text",
                 "text": {"body": "by user"}, "history_context": {"status": "pending"}},
                {"from": "918588096070", "id": "wamid.C", "timestamp": "1739230971", "type": "media_placeholder",
                 "history_context": {"status": "delivered", "from_me": true}}]},
            {"context": {"user_id": "US.7", "username": "bo"}, "messages": [{"id": "wamid.D", "type": "text"}]}]})));
    assert_eq!(
        kinds(&elements),
        [
            "coexistence.history_progress",
            "history.text",
            "history.text",
            "history.media_placeholder",
            "history.text"
        ]
    );
    let progress = HistoryProgress {
        phase: Some(1),
        chunk_order: Some(2),
        progress: Some(55),
        messages: 4,
    };
    assert_eq!(elements[0].meaning, Meaning::HistoryProgress(progress));
    let directions: Vec<bool> = elements[1..]
        .iter()
        .map(|element| message(element).outgoing)
        .collect();
    assert_eq!(directions, [true, false, true, false]);
    assert_eq!(message(&elements[4]).phase, Some(1));
    assert!(elements.iter().all(|element| element.history));
    assert!(
        elements[1..]
            .iter()
            .all(|element| !message(element).opens_window)
    );
    assert!(
        elements[1..4]
            .iter()
            .all(|element| wa_id(element) == Some(USER))
    );
    assert_eq!(message(&elements[1]).status.as_deref(), Some("read"));
    assert_eq!(
        elements[4].contact.as_ref().unwrap().user_id.as_deref(),
        Some("US.7")
    );
    // The id holds the business's own number here; the thread tells whose chat it is.
    assert_eq!(elements[1].keys[1], Key::of(&["s", NUMBER, USER, STANZA]));
}

#[test]
fn late_media_of_history_comes_in_two_shapes() {
    let media = json!({"id": "m1", "mime_type": "image/jpeg", "sha256": "h"});
    let by_user = one(&change(
        "history",
        json!({"messages": [
        {"from": USER, "id": WAMID, "timestamp": "1738796547", "type": "image", "image": media}]}),
    ));
    let by_business = one(&change(
        "history",
        json!({"message_echoes": [
        {"from": BUSINESS, "to": USER, "id": WAMID, "timestamp": "1738796547", "type": "image", "image": media}]}),
    ));
    for (element, outgoing) in [(&by_user, false), (&by_business, true)] {
        assert_eq!(element.kind, "history.image");
        assert_eq!(wa_id(element), Some(USER));
        let message = message(element);
        assert_eq!(
            (message.outgoing, message.follow_up, message.origin),
            (outgoing, true, Origin::History)
        );
        assert_eq!(message.media.as_ref().unwrap().id.as_deref(), Some("m1"));
        assert_eq!(
            element.keys,
            [Key::of(&["f", NUMBER, WAMID])],
            "a follow-up is no repetition"
        );
    }
}

#[test]
fn declined_history_is_found_with_and_without_envelope() {
    let value = json!({"history": [{"errors": [{"code": 2_593_109, "title": "History sync is turned off"}]}]});
    let wrapped = one(&change("history", value.clone()));
    assert_eq!(wrapped.waba.as_deref(), Some(WABA));
    let bare = one(&framed(value.clone()));
    let bare_change = one(&json!({"field": "history", "value": framed(value)}));
    for element in [&wrapped, &bare, &bare_change] {
        assert_eq!(element.kind, "coexistence.history_declined");
        assert_eq!(element.meaning, Meaning::HistoryDeclined);
        assert_eq!(element.number.as_deref(), Some(NUMBER));
        assert!(element.history);
    }
    let other = one(&history(json!({"errors": [{"code": 1}]})));
    assert_eq!(other.kind, "coexistence.history_error");
}

#[test]
fn a_status_carries_what_the_outbox_needs() {
    let element = one(&change(
        "messages",
        json!({"statuses": [{"id": "wamid.S", "status": "FAILED",
        "timestamp": "1739321000", "recipient_id": USER, "biz_opaque_callback_data": "o-1",
        "errors": [{"code": 131_049, "title": "Not delivered"}]}]}),
    ));
    assert_eq!(element.kind, "status.failed");
    assert_eq!(wa_id(&element), Some(USER));
    assert_eq!(
        element.keys,
        [Key::of(&["t", NUMBER, "wamid.S", "failed", "1739321000"])]
    );
    assert_eq!(
        element.meaning,
        Meaning::Status(Status {
            wamid: Some("wamid.S".into()),
            status: "failed".into(),
            opaque: Some("o-1".into()),
            error: Some((131_049, "Not delivered".into()))
        })
    );
    let odd = one(&change(
        "messages",
        json!({"statuses": [{"id": "wamid.S", "status": "in_orbit"}]}),
    ));
    assert_eq!(odd.kind, "unknown");
}

#[test]
fn disconnection_is_read_in_both_shapes() {
    let info = json!({"reason": "PRIMARY_INACTIVITY", "initiated_by": "SYSTEM"});
    let by_waba = json!({"event": "PARTNER_REMOVED", "waba_info": {"waba_id": "7"}, "disconnection_info": info});
    let by_phone = json!({"event": "PARTNER_REMOVED", "phone_number": "+15550783881", "disconnection_info": info});
    for (value, waba, phone) in [(by_waba, Some("7"), None), (by_phone, None, Some(BUSINESS))] {
        let body = json!({"entry": [{"id": WABA, "time": 1_739_321_024, "changes": [
            {"field": "account_update", "value": value}]}]});
        let element = one(&body);
        assert_eq!(element.kind, "account.partner_removed");
        let Meaning::Account(account) = &element.meaning else {
            panic!("{element:?}")
        };
        assert_eq!(
            (account.waba.as_deref(), account.phone.as_deref()),
            (waba, phone)
        );
        assert_eq!(account.reason.as_deref(), Some("PRIMARY_INACTIVITY"));
    }
    let suspended = json!({"entry": [{"id": WABA, "changes": [
        {"field": "account_update", "value": {"event": "ACCOUNT_OFFBOARDED"}}]}]});
    assert_eq!(one(&suspended).kind, "account.offboarded");
}

#[test]
fn templates_go_by_their_members() {
    for (member, kind) in [
        ("new_quality_score", "template.quality"),
        ("new_category", "template.category"),
        ("message_template_element", "template.components"),
        ("event", "template.status"),
    ] {
        let mut value = json!({"message_template_id": 1});
        value[member] = "X".into();
        assert_eq!(
            one(&change("message_template_status_update", value)).kind,
            kind
        );
    }
}

#[test]
fn a_new_user_id_is_told_in_every_spelling() {
    let item = json!({"wa_id": USER, "user_id": {"previous": "US.1", "current": "US.2"}});
    for value in [
        json!({"user_id_update": item}),
        json!({"user_id_update": [item]}),
        item.clone(),
    ] {
        let element = one(&change("user_id_update", value));
        assert_eq!(element.kind, "contact.user_id");
        assert_eq!(
            element.contact.as_ref().unwrap().user_id.as_deref(),
            Some("US.2")
        );
        let meaning = Meaning::UserId {
            previous: Some("US.1".into()),
            current: Some("US.2".into()),
        };
        assert_eq!(element.meaning, meaning);
    }
    let username =
        json!({"display_phone_number": BUSINESS, "username": "shop", "status": "approved"});
    for field in ["business_username_update", "business_username_updates"] {
        assert_eq!(
            one(&change(field, username.clone())).kind,
            "number.username"
        );
    }
}

/// `to` may be absent, and still somebody must be taken over.
#[test]
fn an_echo_without_addressee_is_to_whom_its_id_names() {
    let echo = |id: &str| {
        let echo = json!({"from": BUSINESS, "id": id, "timestamp": "1739321000", "type": "text",
            "text": {"body": "Until nine."}});
        one(&change(
            "smb_message_echoes",
            json!({"message_echoes": [echo]}),
        ))
        .contact
    };
    let published = "wamid.HBgLMTY0NjcwNDM1OTUVAgARGBIyNDlBOEI5QUQ4NDc0N0FCNjMA";
    assert_eq!(
        echo(published).unwrap().wa_id.as_deref(),
        Some("16467043595")
    );
    assert_eq!(echo("wamid.QyNUE"), None);
}
