//! The decoder alone against the table that was written without it: every element, its kind, keys, person,
//! time and bytes.

use std::collections::HashMap;

use duet_rules::webhook::{Element, Part, decode};
use duet_tests::element_table::{self, Row};
use serde_json::Value;

/// In so many samples a placeholder such as `PHONE_NUMBER` stands where the sender's phone belongs. The table
/// counts it as absent and looks on into `contacts[]`; the decoder keeps what the message says: a strange id
/// stays itself. Meta sends neither, so both are right, and only the person is not compared.
const PLACEHOLDERS: usize = 30;

#[test]
fn every_body_decodes_to_the_elements_of_the_table() -> anyhow::Result<()> {
    let mut by_file: HashMap<String, Vec<Row>> = HashMap::new();
    for row in element_table::rows()? {
        by_file.entry(row.file.clone()).or_default().push(row);
    }
    let files = element_table::files()?;
    assert_eq!(files.len(), element_table::BODIES, "the bodies");
    let mut differences = Vec::new();
    let mut placeholders = 0;
    for file in &files {
        let bytes = element_table::bytes(file)?;
        let whole: Value = serde_json::from_slice(&bytes)?;
        let elements = decode(&bytes, Part::All)?;
        let rows = by_file.remove(file).unwrap_or_default();
        if rows.len() != elements.len() {
            differences.push(format!(
                "{file}: {} elements, the table has {}",
                elements.len(),
                rows.len()
            ));
            continue;
        }
        for (at, (row, element)) in rows.iter().zip(&elements).enumerate() {
            placeholders += usize::from(has_placeholder(element));
            assert_eq!(row.index, at, "{row}: the table is in walking order");
            differences.extend(
                differ(row, element, &whole)?
                    .into_iter()
                    .map(|what| format!("{row}: {what}")),
            );
        }
    }
    assert!(
        by_file.is_empty(),
        "rows without a body: {:?}",
        by_file.keys()
    );
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences.join("\n")
    );
    assert_eq!(
        placeholders, PLACEHOLDERS,
        "samples whose sender is a placeholder"
    );
    Ok(())
}

fn has_placeholder(element: &Element) -> bool {
    let wa_id = element
        .contact
        .as_ref()
        .and_then(|contact| contact.wa_id.as_ref());
    wa_id.is_some_and(|id| !id.bytes().any(|byte| byte.is_ascii_digit()))
}

fn differ(row: &Row, element: &Element, whole: &Value) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut same = |what: &str, table: String, decoded: String| {
        if table != decoded {
            found.push(format!("{what} is {decoded}, the table says {table}"));
        }
    };
    let contact = element.contact.clone().unwrap_or_default();
    same("the kind", row.kind.clone(), element.kind.to_string());
    same("the WABA", show(&row.waba), show(&element.waba));
    same("the number", show(&row.number), show(&element.number));
    if !has_placeholder(element) {
        same("the phone", show(&row.wa_id), show(&contact.wa_id));
        same("the user id", show(&row.user_id), show(&contact.user_id));
        same("the name", show(&row.name), show(&contact.name));
    }
    same(
        "the time",
        format!("{:?}", row.at_ms),
        format!("{:?}", element.at_ms),
    );
    same(
        "history",
        row.history.to_string(),
        element.history.to_string(),
    );
    if let Some(key) = row.key() {
        same(
            "the key",
            key.to_string(),
            element
                .keys
                .first()
                .map(ToString::to_string)
                .unwrap_or_default(),
        );
    }
    same(
        "the second key",
        row.second_key()
            .map(|key| key.to_string())
            .unwrap_or_default(),
        element
            .keys
            .get(1)
            .map(ToString::to_string)
            .unwrap_or_default(),
    );
    let body: Value = serde_json::from_str(&element.body)?;
    same("the body", row.body(whole)?.to_string(), body.to_string());
    Ok(found)
}

fn show(text: &Option<String>) -> String {
    text.clone().unwrap_or_else(|| "-".into())
}
