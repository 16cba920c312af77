//! What stands in an answer of the admin API, fit for a terminal.

use serde_json::Value;

pub(super) fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

/// A word of the answer without control characters; `-` where there is none.
pub(super) fn word(value: &Value) -> String {
    let text = value.as_str().unwrap_or("-");
    text.chars().filter(|char| !char.is_control()).collect()
}
