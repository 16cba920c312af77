//! An instance's settings against its plugin's schema.

use duet_rules::plugins_toml::Instance;
use duet_rules::toml_file::Problem;
use jsonschema::PatternOptions;
use serde_json::Value;

/// A message of the validator's may quote a whole schema; an admin needs the beginning.
const MESSAGE_CHARS_MAX: usize = 300;

/// Every setting that the schema refuses, each with its line. A schema that is none is the plugin's own problem.
pub(super) fn check(instance: &Instance, schema: &Value) -> Vec<Problem> {
    // Linear-time patterns only: the schema is a stranger's.
    let validator = match jsonschema::options()
        .with_pattern_options(PatternOptions::regex())
        .build(schema)
    {
        Ok(validator) => validator,
        Err(error) => {
            let message = format!(
                "plugin {:?} has a settings schema that is none: {}",
                instance.name,
                short(&error)
            );
            return vec![instance.settings_problem(
                "",
                &message,
                "ask its author to correct the manifest",
            )];
        }
    };
    validator
        .iter_errors(&instance.settings)
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
            instance.settings_problem(&pointer, &message, "see the plugin's page for its settings")
        })
        .collect()
}

/// Never with the value itself: a setting may be a key, and the message goes to the log.
fn short(error: &impl ToString) -> String {
    error.to_string().chars().take(MESSAGE_CHARS_MAX).collect()
}
