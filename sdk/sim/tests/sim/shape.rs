//! Two JSON values have the same shape: the same keys and types, at every depth.

use std::path::Path;

use serde_json::Value;

/// Reads one of Meta's examples.
pub(crate) fn example(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/graph-api")
        .join(format!("{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).expect(name)).expect(name)
}

/// `but` lists pointers, with `0` for any element, at which the two may differ.
pub(crate) fn assert_same(example: &Value, got: &Value, but: &[&str]) {
    let mut differences = Vec::new();
    compare(example, got, "", but, &mut differences);
    assert!(
        differences.is_empty(),
        "{differences:#?}\nexample {example:#}\ngot {got:#}"
    );
}

fn compare(example: &Value, got: &Value, at: &str, but: &[&str], differences: &mut Vec<String>) {
    if but.contains(&at) {
        return;
    }
    match (example, got) {
        (Value::Object(example), Value::Object(got)) => {
            let keys: std::collections::BTreeSet<_> = example.keys().chain(got.keys()).collect();
            for key in keys {
                let at = format!("{at}/{key}");
                match (example.get(key), got.get(key)) {
                    (Some(example), Some(got)) => compare(example, got, &at, but, differences),
                    _ if but.contains(&at.as_str()) => {}
                    (have, _) => differences.push(format!(
                        "{at} only in {}",
                        if have.is_some() {
                            "the example"
                        } else {
                            "the answer"
                        }
                    )),
                }
            }
        }
        (Value::Array(example), Value::Array(got)) => {
            let Some(first) = example.first() else { return };
            for got in got {
                compare(first, got, &format!("{at}/0"), but, differences);
            }
            if got.is_empty() {
                differences.push(format!("{at} is empty"));
            }
        }
        (example, got) if std::mem::discriminant(example) == std::mem::discriminant(got) => {}
        (example, got) => differences.push(format!("{at} is {got}, not like {example}")),
    }
}
