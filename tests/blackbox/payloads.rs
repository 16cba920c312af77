//! Every payload, public or written by hand, posted with a real signature, becomes exactly the events of the table: nothing is
//! dropped, nothing is made up, and `unknown` is only what the table lists as unknown.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use duet_tests::element_table::{self, Row};
use duet_tests::webhook::NUMBER;
use duet_tests::{Gateway, Setup};
use serde_json::{Value, json};

#[tokio::test]
async fn all_bodies_become_the_events_of_the_table() -> anyhow::Result<()> {
    let gateway = Gateway::start(Setup::default()).await?;
    let (meta, admin) = (gateway.meta()?, gateway.admin()?);
    let files = element_table::files()?;
    assert_eq!(files.len(), element_table::BODIES);
    // One after the other, so that of rows with the same made-up id the first is the one that is kept.
    for file in &files {
        assert_eq!(meta.post(element_table::bytes(file)?).await?, 200, "{file}");
    }
    admin.intake_done(Duration::from_secs(30)).await?;
    let events = admin.rows("events", "").await?;
    let expected = expected(&files)?;
    let differences = compare(&expected, &events, &contacts(&admin).await?);
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences.join("\n")
    );

    // Meta repeats everything, in another order: nothing is new.
    for file in files.iter().rev() {
        assert_eq!(
            meta.post(element_table::bytes(file)?).await?,
            200,
            "{file} again"
        );
    }
    admin.intake_done(Duration::from_secs(30)).await?;
    assert_eq!(
        admin.rows("events", "").await?.len(),
        events.len(),
        "events after repetition"
    );
    assert_eq!(
        admin.rows("receipts", "").await?.len(),
        2 * files.len(),
        "receipts"
    );
    assert_eq!(
        admin.rows("receipts", "state=unreadable").await?,
        Vec::<Value>::new()
    );
    gateway.end().await
}

/// The shapes that no public source has are more than events: what they tell is known afterwards.
#[tokio::test]
async fn bodies_written_by_hand_change_what_they_tell_of() -> anyhow::Result<()> {
    const SHEENA: &str = "16505551234";
    const RAVI: &str = "16505559871";
    let gateway = Gateway::start(Setup::default()).await?;
    let (meta, admin) = (gateway.meta()?, gateway.admin()?);
    let saved = "piusalfred-whatsapp-go/smb_app_state_sync_add_entry_time.json";
    assert_eq!(meta.post(element_table::bytes(saved)?).await?, 200);
    let wait = Duration::from_secs(30);
    let sheena = |row: &Value| row["wa_id"] == SHEENA;
    let contact = admin
        .row("contacts", "the contact is saved", wait, sheena)
        .await?;
    assert_eq!(contact["saved_name"], "Pablo Morales");
    let by_hand = |file: &String| file.starts_with("by-hand/");
    for file in element_table::files()?.iter().filter(|file| by_hand(file)) {
        assert_eq!(meta.post(element_table::bytes(file)?).await?, 200, "{file}");
    }
    admin.intake_done(wait).await?;

    // Removed from the phone, and two user ids later: still the same one.
    let contacts = admin.rows("contacts", "").await?;
    let [contact] = contacts
        .iter()
        .filter(|row| sheena(row))
        .collect::<Vec<_>>()[..]
    else {
        anyhow::bail!("one contact: {contacts:?}")
    };
    assert_eq!(
        (&contact["saved_name"], &contact["user_id"]),
        (&Value::Null, &json!("US.55501823344556677889"))
    );

    let report = admin.get(&format!("/numbers/{NUMBER}/history")).await?;
    assert_eq!(
        (&report["state"], &report["messages"], &report["missing"]),
        (&json!("complete"), &json!(7), &json!(1)),
        "{report}"
    );
    let chunks: Vec<_> = report["phases"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|phase| &phase["chunks"])
        .collect();
    assert_eq!(chunks, [1, 2, 1]);
    let declined = admin.get("/numbers/106540352242999/history").await?;
    assert_eq!(declined["state"], "declined");

    let alarms = admin.rows("alarms", "open=true").await?;
    let alert = |alarm: &&Value| alarm["name"] == "account-alert" && alarm["number"] == NUMBER;
    assert_eq!(alarms.iter().filter(alert).count(), 1, "{alarms:?}");

    let messages = async |phone: &str| -> anyhow::Result<Vec<Value>> {
        let conversation = admin.conversation(phone, wait).await?;
        admin
            .messages(conversation["id"].as_i64().unwrap_or_default())
            .await
    };
    let shown = messages(SHEENA).await?;
    let echoes: Vec<_> = shown
        .iter()
        .filter(|message| message["origin"] == "echo")
        .collect();
    assert_eq!(echoes.len(), 2, "{shown:?}");
    assert_eq!(
        (&echoes[0]["type"], &echoes[0]["text"]),
        (&json!("image"), &json!("In stock again"))
    );
    assert_eq!(
        (&echoes[1]["direction"], &echoes[1]["media"]["filename"]),
        (&json!("out"), &json!("invoice.pdf"))
    );
    let shown = messages(RAVI).await?;
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert_eq!(
        (&shown[0]["look_in_app"], &shown[1]["text"]),
        (&json!(true), &json!("We close at nine."))
    );
    gateway.end().await
}

/// What the same element is known by: its key, or its place and JSON where the key is a hash of both.
type Name = String;

fn expected(files: &[String]) -> anyhow::Result<Vec<(Row, Value)>> {
    let mut by_file: HashMap<String, Vec<Row>> = HashMap::new();
    for row in element_table::rows()? {
        by_file.entry(row.file.clone()).or_default().push(row);
    }
    let mut seen: HashSet<Name> = HashSet::new();
    let mut expected = Vec::new();
    for file in files {
        let whole: Value = serde_json::from_slice(&element_table::bytes(file)?)?;
        for row in by_file.remove(file).unwrap_or_default() {
            let body = row.body(&whole)?;
            let names = names(&row, &body);
            // Either key makes it the same message.
            if !names.iter().any(|name| seen.contains(name)) {
                expected.push((row, body));
            }
            seen.extend(names);
        }
    }
    Ok(expected)
}

fn names(row: &Row, body: &Value) -> Vec<Name> {
    match row.key() {
        Some(key) => [Some(key), row.second_key()]
            .into_iter()
            .flatten()
            .map(|key| key.to_string())
            .collect(),
        None => vec![format!(
            "{} {:?} {:?} {:?} {body}",
            row.kind, row.waba, row.number, row.at_ms
        )],
    }
}

async fn contacts(admin: &duet_tests::Admin) -> anyhow::Result<HashMap<i64, Value>> {
    let rows = admin.rows("contacts", "").await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| Some((row["id"].as_i64()?, row)))
        .collect())
}

/// The events come in the order of the table, since bodies were posted one after the other.
fn compare(
    expected: &[(Row, Value)],
    events: &[Value],
    contacts: &HashMap<i64, Value>,
) -> Vec<String> {
    let mut differences = Vec::new();
    if expected.len() != events.len() {
        differences.push(format!(
            "{} events, the table has {}",
            events.len(),
            expected.len()
        ));
    }
    let mut left: Vec<&Value> = events.iter().collect();
    for (row, body) in expected {
        let found = left.iter().position(|event| {
            event["kind"] == json!(row.kind)
                && event["number"] == json!(row.number)
                && event["body"] == *body
        });
        let Some(at) = found else {
            differences.push(format!("{row}: no event has its kind, number and body"));
            continue;
        };
        let event = left.remove(at);
        let mut same = |what: &str, table: Value, got: &Value| {
            if table != *got {
                differences.push(format!("{row}: {what} is {got}, the table says {table}"));
            }
        };
        same("waba", json!(row.waba), &event["waba"]);
        same("history", json!(row.history), &event["history"]);
        let at_ms = event["at"].as_str().and_then(ms_of);
        same("at", json!(row.at_ms), &json!(at_ms));
        if let Some(key) = row.key() {
            same("id", json!(key.to_string()), &event["id"]);
        }
        let contact = event["contact"]
            .as_i64()
            .and_then(|id| contacts.get(&id))
            .unwrap_or(&Value::Null);
        // A contact may know more than this element told; what the element told, it knows. Many samples give
        // different user ids to one phone, so the phone decides where there is one.
        // In one sample the sender is a placeholder, and the table looks on into contacts[]; see decode_table.
        let placeholder = contact["wa_id"]
            .as_str()
            .is_some_and(|id| !id.bytes().any(|byte| byte.is_ascii_digit()));
        match (&row.wa_id, &row.user_id) {
            _ if placeholder => {}
            (Some(wa_id), _) => same("the contact's phone", json!(wa_id), &contact["wa_id"]),
            (None, Some(user_id)) => {
                same("the contact's user id", json!(user_id), &contact["user_id"])
            }
            (None, None) => {}
        }
    }
    differences.extend(
        left.iter()
            .map(|event| format!("not in the table: {} {}", event["kind"], event["body"])),
    );
    differences
}

/// RFC 3339 in UTC to ms since 1970.
fn ms_of(time: &str) -> Option<i64> {
    time.parse::<jiff::Timestamp>()
        .ok()
        .map(|time| time.as_millisecond())
}
