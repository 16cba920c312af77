use std::collections::BTreeMap;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::toml_file::{Findings, Section, quoted};

/// Deeper settings are refused: whoever walks them later may recurse.
const DEPTH_MAX: usize = 32;

/// Where each part of an instance's settings stands in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsLines {
    line: usize,
    parts: BTreeMap<String, SettingsLines>,
}

impl SettingsLines {
    pub(super) fn at(line: usize) -> Self {
        Self {
            line,
            parts: BTreeMap::new(),
        }
    }

    /// The line of what a JSON pointer (RFC 6901, `/answers/0/text`) names. A part that is not in the
    /// file gives the line of the nearest part around it, down to the header of the settings.
    pub fn line(&self, pointer: &str) -> usize {
        let mut place = self;
        for token in pointer.split('/').skip(1) {
            let key = token.replace("~1", "/").replace("~0", "~");
            match place.parts.get(&key) {
                Some(part) => place = part,
                None => break,
            }
        }
        place.line
    }
}

/// The settings as JSON with the lines they come from. Dates and times become text as they are written.
pub(super) fn read(section: &Section<'_>, findings: &mut Findings<'_>) -> (Value, SettingsLines) {
    let mut lines = SettingsLines::at(findings.line(section.offset()));
    let mut object = Map::new();
    for field in section.fields() {
        let part = lines.parts.entry(field.key.to_owned()).or_default();
        object.insert(
            field.key.to_owned(),
            json(field.offset, field.value.get_ref(), 1, part, findings),
        );
    }
    (Value::Object(object), lines)
}

fn json(
    offset: usize,
    value: &DeValue<'_>,
    depth: usize,
    lines: &mut SettingsLines,
    findings: &mut Findings<'_>,
) -> Value {
    lines.line = findings.line(offset);
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(truth) => Value::Bool(*truth),
        DeValue::Datetime(datetime) => Value::String(datetime.to_string()),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) => Value::from(number),
            Err(_) => no_number(offset, &integer.to_string(), findings),
        },
        DeValue::Float(float) => match float
            .as_str()
            .parse::<f64>()
            .ok()
            .and_then(serde_json::Number::from_f64)
        {
            Some(number) => Value::Number(number),
            None => no_number(offset, float.as_str(), findings),
        },
        DeValue::Array(_) | DeValue::Table(_) if depth > DEPTH_MAX => {
            findings.add(
                offset,
                format!("settings are nested more than {DEPTH_MAX} deep"),
                "flatten them",
            );
            Value::Null
        }
        DeValue::Array(array) => json_array(array, depth, lines, findings),
        DeValue::Table(table) => json_object(table, depth, lines, findings),
    }
}

fn json_array(
    array: &DeArray<'_>,
    depth: usize,
    lines: &mut SettingsLines,
    findings: &mut Findings<'_>,
) -> Value {
    let item = |(index, item): (usize, &Spanned<DeValue<'_>>)| {
        let part = lines.parts.entry(index.to_string()).or_default();
        json(item.span().start, item.get_ref(), depth + 1, part, findings)
    };
    Value::Array(array.iter().enumerate().map(item).collect())
}

fn json_object(
    table: &DeTable<'_>,
    depth: usize,
    lines: &mut SettingsLines,
    findings: &mut Findings<'_>,
) -> Value {
    let mut object = Map::new();
    for (key, value) in table.iter() {
        let part = lines.parts.entry(key.get_ref().to_string()).or_default();
        object.insert(
            key.get_ref().to_string(),
            json(key.span().start, value.get_ref(), depth + 1, part, findings),
        );
    }
    Value::Object(object)
}

fn no_number(offset: usize, text: &str, findings: &mut Findings<'_>) -> Value {
    findings.add(
        offset,
        format!("{} has no place in JSON", quoted(text)),
        "use a finite number of at most 64 bits, or text",
    );
    Value::Null
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::instance;

    #[test]
    fn settings_become_json_and_keep_their_lines() {
        let faq = instance(
            r#"[plugins.faq]
component = "faq.wasm"
[plugins.faq.settings]
greeting = "Hé"
rate = 1.5
since = 2026-01-02T03:04:05Z
on = true
"a/b~c" = -3
list = [
  1,
  { deep = "x" },
]
[[plugins.faq.settings.answers]]
text = "one"
[[plugins.faq.settings.answers]]
text = "two"
"#,
        );
        assert_eq!(
            faq.settings,
            json!({"greeting": "Hé", "rate": 1.5, "since": "2026-01-02T03:04:05Z", "on": true, "a/b~c": -3,
               "list": [1, {"deep": "x"}], "answers": [{"text": "one"}, {"text": "two"}]})
        );
        let lines = [
            ("", 3),
            ("/greeting", 4),
            ("/missing", 3),
            ("/a~1b~0c", 8),
            ("/list", 9),
            ("/list/0", 10),
            ("/list/1/deep", 11),
            ("/list/1/other", 11),
            ("/answers/0/text", 14),
            ("/answers/1", 15),
            ("/answers/1/text", 16),
        ];
        for (pointer, line) in lines {
            assert_eq!(faq.settings_lines.line(pointer), line, "{pointer}");
        }
        assert_eq!(
            faq.settings_problem("/rate", "is wrong", "mend it")
                .to_string(),
            "plugins.toml:5: is wrong; mend it"
        );
    }
}
