//! An instance's settings against its plugin's schema.
//!
//! The schema is a stranger's and is compiled in the gateway's own process, so its size, its patterns and the
//! complaints that it can make are bounded.

use duet_rules::plugins_toml::Instance;
use duet_rules::settings_schema;
use duet_rules::toml_file::{PROBLEMS_MAX, Problem};
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// A message of the validator's may quote a whole schema; an admin needs the beginning.
const MESSAGE_CHARS_MAX: usize = 300;
/// What one compiled pattern may take, and what matching it may; so many classes of letters fit that names of
/// 20 characters can be described.
const PATTERN_MEMORY_BYTES_MAX: usize = 1024 * 1024;
/// The validator makes all its complaints before it tells the first: at worst one for each part of the schema about
/// each part of the settings.
const COMPLAINTS_BYTES_MAX: usize = 100 * 1024 * 1024;

/// Every setting that the schema refuses, each with its line. A schema that is none is the plugin's own problem.
pub(super) fn check(instance: &Instance, schema: &Value) -> Vec<Problem> {
    let schema_bytes = match settings_schema::check(schema) {
        Ok(bytes) => bytes,
        Err(refusal) => return vec![unusable(instance, &refusal, refusal.remedy())],
    };
    // Linear-time patterns only: the schema is a stranger's.
    let patterns = PatternOptions::regex()
        .size_limit(PATTERN_MEMORY_BYTES_MAX)
        .dfa_size_limit(PATTERN_MEMORY_BYTES_MAX);
    let validator = match jsonschema::options()
        .with_pattern_options(patterns)
        .build(schema)
    {
        Ok(validator) => validator,
        Err(error) => return vec![unusable(instance, &error, "correct the manifest")],
    };
    let complaints_bytes = schema_bytes.saturating_mul(parts(&instance.settings));
    if complaints_bytes <= COMPLAINTS_BYTES_MAX {
        complaints(instance, &validator)
    } else if validator.is_valid(&instance.settings) {
        Vec::new()
    } else {
        let message = format!(
            "settings of plugin {:?} are not what its schema asks for, and too many to say where",
            instance.name
        );
        vec![instance.settings_problem("", &message, "try them in smaller parts")]
    }
}

/// How many values there are, those that hold others included.
fn parts(value: &Value) -> usize {
    1 + match value {
        Value::Object(members) => members.values().map(parts).sum(),
        Value::Array(items) => items.iter().map(parts).sum(),
        _ => 0,
    }
}

fn unusable(instance: &Instance, reason: &impl ToString, remedy: &str) -> Problem {
    let message = format!(
        "plugin {:?} has a settings schema that cannot be used: {}",
        instance.name,
        short(reason)
    );
    instance.settings_problem("", &message, &format!("ask its author to {remedy}"))
}

fn complaints(instance: &Instance, validator: &Validator) -> Vec<Problem> {
    validator
        .iter_errors(&instance.settings)
        .take(PROBLEMS_MAX)
        .map(|error| {
            let pointer = error.instance_path().to_string();
            let place = if pointer.is_empty() {
                String::new()
            } else {
                format!(" at {pointer}")
            };
            let message = format!(
                "settings of plugin {:?}{place}: {}",
                instance.name,
                short(&error.masked())
            );
            let remedy = format!(
                "duet plugin inspect {} tells which settings it takes",
                instance.component.display()
            );
            instance.settings_problem(&pointer, &message, &remedy)
        })
        .collect()
}

/// Never with the value itself: a setting may be a key, and the message goes to the log.
fn short(error: &impl ToString) -> String {
    error.to_string().chars().take(MESSAGE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use duet_rules::plugins_toml;
    use serde_json::json;

    use super::*;

    fn told(settings: &str, schema: &Value) -> Vec<String> {
        let toml =
            format!("[plugins.x]\ncomponent = \"x.wasm\"\n[plugins.x.settings]\n{settings}\n");
        let parsed = plugins_toml::parse("plugins.toml", &toml)
            .into_result()
            .unwrap();
        check(&parsed.plugins[0], schema)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    /// `d0` names `d1` twice, that `d2` twice, and so on.
    fn doubling(times: usize) -> Value {
        let mut schema = json!({"$ref": "#/$defs/d0", "$defs": {}});
        for at in 0..times {
            let next = json!({"$ref": format!("#/$defs/d{}", at + 1)});
            schema["$defs"][format!("d{at}")] = json!({"allOf": [next, next]});
        }
        schema["$defs"][format!("d{times}")] = json!({"type": "string"});
        schema
    }

    #[test]
    fn a_schema_that_grows_is_not_compiled() {
        assert_eq!(
            told("", &doubling(18)),
            [
                "plugins.toml:3: plugin \"x\" has a settings schema that cannot be used: with each $ref replaced by what it names it has more than 2MiB; ask its author to have fewer parts, shorter names or fewer references"
            ]
        );
    }

    /// What passes the rule compiles: a chain as long as is allowed, and a pattern as long as is allowed.
    #[test]
    fn the_largest_schema_fits() {
        let mut nested = json!({"type": "string"});
        for _ in 0..60 {
            nested = json!({"anyOf": [nested]});
        }
        assert_eq!(told("", &nested).len(), 1);
        let wide = json!({"properties": {"a": {"items": {"allOf": vec![true; 9000]}}}});
        assert_eq!(told("a = [1, 2, 3]", &wide), Vec::<String>::new());
        let named = json!({"properties": {"a": {"pattern": "a".repeat(1000)}}});
        assert_eq!(told("a = 1", &named), Vec::<String>::new());
    }

    #[test]
    fn a_pattern_that_takes_too_much_memory_is_refused() {
        let schema = |pattern: &str| json!({"properties": {"a": {"pattern": pattern}}});
        assert_eq!(
            told("a = 'Jo'", &schema(r"^\p{L}{1,20}$")),
            Vec::<String>::new()
        );
        let told = told("a = 'Jo'", &schema(r"^(\p{L}{1,20}b){1,3}$"));
        assert!(told[0].contains("cannot be used"), "{told:?}");
    }

    #[test]
    fn a_hundred_complaints_are_enough() {
        let schema = json!({"properties": {"a": {"items": {"type": "string"}}}});
        let settings = |count: usize| format!("a = {:?}", vec![1; count]);
        assert_eq!(told(&settings(200), &schema).len(), PROBLEMS_MAX);
        let many = told(&settings(200_000), &schema);
        assert!(
            many.len() == 1 && many[0].contains("too many to say where"),
            "{many:?}"
        );
        let schema = json!({"properties": {"a": {"items": {"type": "integer"}}}});
        assert_eq!(told(&settings(200_000), &schema), Vec::<String>::new());
    }
}
