//! A body taken apart, change by change, and put together again.

use super::Unreadable;
use super::outline::BODY;
use super::tree::{self, Tree};

/// The entries of a body, each with one change, as JSON; what brings no change is left out. Put together again with
/// [`enclose`], some of them make a body that means what it did. A change or a value without its envelope is no entry:
/// a body of that kind has none.
///
/// # Errors
/// [`Unreadable`] when the body is not UTF-8 or no JSON object.
pub fn entries(body: &[u8]) -> Result<Vec<String>, Unreadable> {
    let body = std::str::from_utf8(body)
        .map_err(|error| Unreadable::new(format!("not UTF-8 at byte {}", error.valid_up_to())))?;
    let tree = tree::open(body, &BODY)
        .map_err(|error| Unreadable::new(format!("not a JSON object: {error}")))?;
    let mut found = Vec::new();
    if let Tree::Object(root) = &tree
        && let Some(Tree::List(entries)) = root.get("entry")
    {
        for entry in entries {
            add(entry, &mut found);
        }
    }
    Ok(found)
}

fn add(entry: &Tree<'_>, found: &mut Vec<String>) {
    let Tree::Object(branch) = entry else {
        found.push(written(entry));
        return;
    };
    let Some(Tree::List(changes)) = branch.get("changes") else {
        found.push(written(entry));
        return;
    };
    for change in changes {
        let mut json = String::from("{");
        for (name, member) in branch.iter().filter(|(name, _)| *name != "changes") {
            json.push_str(&serde_json::Value::from(name).to_string());
            json.push(':');
            member.write(&mut json);
            json.push(',');
        }
        json.push_str("\"changes\":[");
        change.write(&mut json);
        json.push_str("]}");
        found.push(json);
    }
}

fn written(tree: &Tree<'_>) -> String {
    let mut json = String::new();
    tree.write(&mut json);
    json
}

/// A body with these entries.
#[must_use]
pub fn enclose<S: AsRef<str>>(entries: &[S]) -> String {
    let entries: Vec<&str> = entries.iter().map(AsRef::as_ref).collect();
    format!(
        "{{\"object\":\"whatsapp_business_account\",\"entry\":[{}]}}",
        entries.join(",")
    )
}
