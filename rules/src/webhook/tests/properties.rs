//! What must hold for any body whatever.

use super::*;
use proptest::prelude::*;

/// Bodies near Meta's grammar: its words in places where they may or may not belong.
fn near_json() -> impl Strategy<Value = Value> + Clone {
    const WORDS: [&str; 34] = [
        "entry",
        "changes",
        "field",
        "value",
        "messages",
        "statuses",
        "message_echoes",
        "history",
        "threads",
        "state_sync",
        "calls",
        "errors",
        "metadata",
        "contacts",
        "id",
        "from",
        "to",
        "type",
        "text",
        "body",
        "timestamp",
        "status",
        "wa_id",
        "user_id",
        "context",
        "contact",
        "action",
        "add",
        "user_preferences",
        "user_id_update",
        "groups",
        "event",
        "wamid.A",
        WAMID,
    ];
    let word = prop::sample::select(WORDS.to_vec());
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(9, 160, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..6).prop_map(|members| {
                members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect()
            }),
        ]
    })
}

/// Bodies that decode: real frames around arrays of near-JSON.
fn webhook() -> impl Strategy<Value = Value> {
    let field = prop::sample::select(vec![
        "messages",
        "history",
        "smb_message_echoes",
        "smb_app_state_sync",
        "account_update",
        "group_status_update",
        "user_id_update",
        "flows",
        "calls",
        "never_heard_of",
    ]);
    let member = prop::sample::select(vec![
        "messages",
        "statuses",
        "message_echoes",
        "history",
        "state_sync",
        "calls",
        "errors",
        "contacts",
        "user_preferences",
        "user_id_update",
        "groups",
        "novelty",
    ]);
    let items = prop_oneof![
        prop::collection::vec(near_item(), 0..4).prop_map(Value::from),
        near_json()
    ];
    let value = prop_oneof![
        5 => prop::collection::vec((member, items), 0..5).prop_map(|members| {
            framed(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
        }),
        1 => near_json(),
    ];
    let change = (field, value).prop_map(|(field, value)| json!({"field": field, "value": value}));
    let change = prop_oneof![8 => change, 1 => near_json()];
    let entry = prop::collection::vec(change, 0..4)
        .prop_map(|changes| json!({"id": WABA, "time": 1_739_321_024, "changes": changes}));
    let entry = prop_oneof![8 => entry, 1 => near_json()];
    prop::collection::vec(entry, 0..4).prop_map(|entries| json!({"entry": entries}))
}

/// A message, a chunk of history, or near-JSON.
fn near_item() -> impl Strategy<Value = Value> {
    let message = (prop::sample::select(vec!["text", "edit", "revoke", "image", "novelty"]), near_json())
        .prop_map(|(type_, inner)| {
            json!({"id": WAMID, "from": USER, "timestamp": "1739321000", "type": type_, type_: inner})
        });
    let chunk = prop::collection::vec(message.clone(), 0..4).prop_map(|messages| {
        json!({"metadata": {"phase": 0}, "threads": [{"id": USER, "messages": messages}]})
    });
    prop_oneof![2 => message, 2 => chunk, 1 => near_json()]
}

/// The JSON with white space wherever it may stand.
fn loosened(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

fn sorted(mut elements: Vec<Element>) -> Vec<String> {
    let mut texts: Vec<String> = elements
        .drain(..)
        .map(|element| format!("{element:?}"))
        .collect();
    texts.sort();
    texts
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(body: Vec<u8>) {
        let _ = decode(&body, Part::All);
    }

    #[test]
    fn arbitrary_json_never_panics(value in near_json()) {
        for part in [Part::All, Part::Live, Part::History] {
            let _ = decode(value.to_string().as_bytes(), part);
        }
    }

    /// One byte changed or cut off anywhere: elements or a reason, and never a panic.
    #[test]
    fn damaged_bodies_never_panic(value in webhook(), at: prop::sample::Index, byte: u8, cut: bool) {
        let mut body = value.to_string().into_bytes();
        let place = at.index(body.len());
        if cut { body.truncate(place) } else { body[place] = byte }
        let _ = decode(&body, Part::All);
    }

    #[test]
    fn slices_make_the_whole(value in webhook(), step in 1_usize..5) {
        let body = value.to_string();
        for part in [Part::All, Part::Live, Part::History] {
            let whole = decode(body.as_bytes(), part).unwrap();
            let outline = Outline::open(body.as_bytes(), part).unwrap();
            prop_assert_eq!(outline.len(), whole.len());
            let mut joined = Vec::new();
            while joined.len() < whole.len() {
                joined.extend(decode_from(body.as_bytes(), part, joined.len(), step).unwrap());
            }
            prop_assert_eq!(&joined, &whole);
            let single: Vec<Element> = (0..whole.len()).map(|index| outline.element(index).unwrap()).collect();
            prop_assert_eq!(single, whole);
        }
    }

    /// A body that is taken apart and put together again means what it did.
    #[test]
    fn entries_make_the_whole(value in webhook()) {
        let body = value.to_string();
        let apart = entries(body.as_bytes()).unwrap();
        for entry in &apart {
            prop_assert!(serde_json::from_str::<Value>(entry).is_ok(), "{entry}");
        }
        let again = enclose(&apart);
        prop_assert_eq!(decode(again.as_bytes(), Part::All).unwrap(), decode(body.as_bytes(), Part::All).unwrap());
    }

    #[test]
    fn live_and_history_make_all(value in webhook()) {
        let body = value.to_string();
        let mut parts = decode(body.as_bytes(), Part::Live).unwrap();
        let history = decode(body.as_bytes(), Part::History).unwrap();
        prop_assert!(parts.iter().all(|element| !element.history));
        prop_assert!(history.iter().all(|element| element.history));
        let scent = mentions(body.as_bytes());
        prop_assert!(history.is_empty() || scent.history);
        let forbids = |kind: &str| kind.starts_with("echo.") || kind == "contact.preference";
        prop_assert!(scent.forbids || !parts.iter().any(|element| forbids(&element.kind)));
        parts.extend(history);
        prop_assert_eq!(sorted(parts), sorted(decode(body.as_bytes(), Part::All).unwrap()));
    }

    #[test]
    fn every_element_has_a_key_and_its_json(value in webhook()) {
        for element in decode(value.to_string().as_bytes(), Part::All).unwrap() {
            prop_assert!(!element.keys.is_empty());
            prop_assert!(serde_json::from_str::<Value>(&element.body).is_ok(), "{}", element.body);
        }
    }

    /// Meta may print the same message differently when it repeats it.
    #[test]
    fn white_space_changes_no_key_of_a_message(value in webhook()) {
        let tight = decode(value.to_string().as_bytes(), Part::All).unwrap();
        let loose = decode(loosened(&value).as_bytes(), Part::All).unwrap();
        prop_assert_eq!(tight.len(), loose.len());
        for (tight, loose) in tight.iter().zip(&loose) {
            prop_assert_eq!(&tight.kind, &loose.kind);
            prop_assert_eq!(&tight.meaning, &loose.meaning);
            if matches!(&tight.meaning, Meaning::Message(message) if message.wamid.is_some()) {
                prop_assert_eq!(&tight.keys, &loose.keys);
            }
        }
    }

    /// A stranger beside them changes nothing for the others.
    #[test]
    fn a_neighbour_spoils_nothing(value in webhook(), stranger in near_json()) {
        let before = decode(value.to_string().as_bytes(), Part::All).unwrap();
        let mut crowded = value;
        crowded["entry"].as_array_mut().unwrap().push(stranger);
        let after = decode(crowded.to_string().as_bytes(), Part::All).unwrap();
        prop_assert_eq!(&after[..before.len()], &before[..]);
    }
}
