//! Whether a plugin's settings schema may be compiled.
//!
//! A validator compiles what a `$ref` names once for each way that leads there, and keeps a path for each part, so
//! a schema of a kilobyte can take gigabytes. [`check`] walks the schema as a validator unrolls it and stops when it
//! has seen enough. It follows references as the validator does only where they can mean one thing: pointers into
//! the schema itself. Keywords are recognised by their name and the type of their value wherever they stand, so a
//! string called `$ref` within a `default` counts as a reference too.

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::toml_file::{bytes_text, quoted};

/// What a schema may weigh when each `$ref` is replaced by what it names: about 10,000 parts.
pub const UNROLLED_BYTES_MAX: usize = 2 * 1024 * 1024;

/// What a part weighs beside its path and its text.
const PART_BYTES: usize = 200;
const LEVELS_MAX: usize = 128;
/// Each asks all that stands beside it once more, so one within another takes twice as long with each level.
const UNEVALUATED_MAX: usize = 4;
const PATTERNS_MAX: usize = 64;
const PATTERN_BYTES_MAX: usize = 1000;

/// Why a schema is not compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("with each $ref replaced by what it names it has more than {}", bytes_text(UNROLLED_BYTES_MAX as u64))]
    TooLarge,
    #[error("with each $ref replaced by what it names it has more than {LEVELS_MAX} levels")]
    TooDeep,
    #[error("$ref {} leads back to itself", quoted(.0))]
    Recursive(String),
    #[error("$ref {} is no pointer into the schema", quoted(.0))]
    NoPointer(String),
    #[error("$ref {} points at nothing", quoted(.0))]
    Dangling(String),
    #[error("it uses {}", quoted(.0))]
    Keyword(String),
    #[error(
        "it has more than {UNEVALUATED_MAX} of unevaluatedProperties and unevaluatedItems within one another"
    )]
    Unevaluated,
    #[error("it has more than {PATTERNS_MAX} patterns")]
    TooManyPatterns,
    #[error("pattern {} has more than {PATTERN_BYTES_MAX} bytes", quoted(.0))]
    LongPattern(String),
}

impl Refusal {
    /// What the plugin's author can do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::TooLarge => "have fewer parts, shorter names or fewer references",
            Self::TooDeep => "nest less",
            Self::Recursive(_) => "write out as many levels as are needed",
            Self::NoPointer(_) => "write references as #/$defs/name",
            Self::Dangling(_) => "define what it names",
            Self::Keyword(_) => {
                "write references as $ref to #/$defs/name, and $id and $schema at the root only"
            }
            Self::Unevaluated => "write additionalProperties and items in their place",
            Self::TooManyPatterns => "have fewer patterns",
            Self::LongPattern(_) => "shorten it",
        }
    }
}

/// What the schema weighs, in bytes, when each `$ref` is replaced by what it names.
pub fn check(schema: &Value) -> Result<usize, Refusal> {
    let dialect = schema.get("$schema").and_then(Value::as_str);
    let mut walk = Walk {
        schema,
        draft_4: dialect.is_some_and(|dialect| dialect.contains("draft-04")),
        bytes: 0,
        targets: Vec::new(),
        patterns: BTreeSet::new(),
    };
    walk.part(schema, Place::default())?;
    Ok(walk.bytes)
}

struct Walk<'s> {
    schema: &'s Value,
    /// Where `id` is what `$id` is later.
    draft_4: bool,
    bytes: usize,
    /// What the references on the way name, outermost first.
    targets: Vec<&'s Value>,
    patterns: BTreeSet<&'s str>,
}

#[derive(Clone, Copy, Default)]
struct Place {
    levels: usize,
    path_bytes: usize,
    /// Around it and in it.
    unevaluated: usize,
}

impl Place {
    fn below(self, name: &str) -> Place {
        Place {
            levels: self.levels + 1,
            path_bytes: self.path_bytes + 1 + name.len(),
            unevaluated: self.unevaluated,
        }
    }
}

impl<'s> Walk<'s> {
    fn part(&mut self, part: &'s Value, place: Place) -> Result<(), Refusal> {
        let text_bytes = part.as_str().map_or(0, str::len);
        self.bytes += PART_BYTES + place.path_bytes + text_bytes;
        if self.bytes > UNROLLED_BYTES_MAX {
            return Err(Refusal::TooLarge);
        }
        if place.levels > LEVELS_MAX {
            return Err(Refusal::TooDeep);
        }
        match part {
            Value::Object(members) => {
                let names = ["unevaluatedProperties", "unevaluatedItems"];
                let here = names.iter().filter(|name| members.contains_key(**name));
                let place = Place {
                    unevaluated: place.unevaluated + here.count(),
                    ..place
                };
                if place.unevaluated > UNEVALUATED_MAX {
                    return Err(Refusal::Unevaluated);
                }
                members
                    .iter()
                    .try_for_each(|(name, value)| self.member(name, value, place))
            }
            Value::Array(items) => items
                .iter()
                .try_for_each(|item| self.part(item, place.below(""))),
            _ => Ok(()),
        }
    }

    fn member(&mut self, name: &'s str, value: &'s Value, place: Place) -> Result<(), Refusal> {
        let below_root = place.levels > 0;
        match (name, value) {
            ("$ref", Value::String(reference)) => self.reference(reference, place)?,
            ("pattern", Value::String(pattern)) => self.pattern(pattern)?,
            ("patternProperties", Value::Object(members)) => members
                .keys()
                .try_for_each(|pattern| self.pattern(pattern))?,
            // They change what `#/` means, or what a keyword does.
            ("$id" | "$schema", Value::String(_)) if below_root => return Err(keyword(name)),
            ("id", Value::String(_)) if below_root && self.draft_4 => return Err(keyword(name)),
            ("$anchor" | "$dynamicAnchor" | "$dynamicRef" | "$recursiveRef", Value::String(_))
            | ("$recursiveAnchor", Value::Bool(_)) => return Err(keyword(name)),
            _ => {}
        }
        self.part(value, place.below(name))
    }

    fn reference(&mut self, reference: &str, place: Place) -> Result<(), Refusal> {
        if reference == "#" {
            return Err(Refusal::Recursive(reference.to_owned()));
        }
        let pointer = pointer(reference).ok_or_else(|| Refusal::NoPointer(reference.to_owned()))?;
        let target = self
            .schema
            .pointer(&pointer)
            .ok_or_else(|| Refusal::Dangling(reference.to_owned()))?;
        if self.targets.iter().any(|open| std::ptr::eq(*open, target)) {
            return Err(Refusal::Recursive(reference.to_owned()));
        }
        self.targets.push(target);
        self.part(target, place.below(reference))?;
        self.targets.pop();
        Ok(())
    }

    fn pattern(&mut self, pattern: &'s str) -> Result<(), Refusal> {
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(Refusal::LongPattern(pattern.to_owned()));
        }
        self.patterns.insert(pattern);
        if self.patterns.len() > PATTERNS_MAX {
            return Err(Refusal::TooManyPatterns);
        }
        Ok(())
    }
}

fn keyword(name: &str) -> Refusal {
    Refusal::Keyword(name.to_owned())
}

/// The JSON pointer in a reference such as `#/$defs/a%20name`. A `~` that escapes nothing is read in more than one
/// way, so it is none.
fn pointer(reference: &str) -> Option<String> {
    let fragment = reference.strip_prefix('#')?;
    let pointer = percent_decode_str(fragment).decode_utf8().ok()?;
    let escapes = pointer.split('~').skip(1);
    let is_one =
        fragment.starts_with('/') && escapes.into_iter().all(|rest| rest.starts_with(['0', '1']));
    is_one.then(|| pointer.into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// `d0` names `d1` so many times, that `d2`, and so on; the last is a string.
    fn chain(length: usize, references: usize) -> Value {
        let mut schema = json!({"$ref": "#/$defs/d0", "$defs": {}});
        for at in 0..length {
            let next = json!({"$ref": format!("#/$defs/d{}", at + 1)});
            schema["$defs"][format!("d{at}")] = json!({"allOf": vec![next; references]});
        }
        schema["$defs"][format!("d{length}")] = json!({"type": "string"});
        schema
    }

    #[test]
    fn a_schema_that_doubles_is_too_large() {
        assert_eq!(check(&chain(22, 2)), Err(Refusal::TooLarge));
        assert!(check(&chain(4, 2)).is_ok());
    }

    #[test]
    fn every_reference_counts_what_it_names() {
        let one = json!({"$defs": {"a": {"type": "string"}}, "allOf": [{"$ref": "#/$defs/a"}]});
        let two = json!({"$defs": {"a": {"type": "string"}}, "allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]});
        let three = json!({"$defs": {"a": {"type": "string"}}, "allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]});
        let [one, two, three] = [one, two, three].map(|schema| check(&schema).unwrap());
        assert_eq!(two - one, three - two);
        assert!(two - one > 4 * PART_BYTES, "{one} {two}");
    }

    /// A validator keeps the path of each part.
    #[test]
    fn a_long_name_over_many_parts_is_too_large() {
        let parts = vec![json!(true); 100];
        let schema = |name: String| json!({"properties": {name: {"allOf": parts}}});
        assert!(check(&schema("name".into())).is_ok());
        assert_eq!(check(&schema("n".repeat(50_000))), Err(Refusal::TooLarge));
    }

    /// Forty of them once kept a validator busy for hours.
    #[test]
    fn what_takes_twice_as_long_with_each_level_has_few_levels() {
        let nested = |levels: usize| {
            let begin = json!({"properties": {"a": {}}});
            (0..levels).fold(
                begin,
                |inner, _| json!({"allOf": [inner], "unevaluatedProperties": false}),
            )
        };
        assert!(check(&nested(UNEVALUATED_MAX)).is_ok());
        assert_eq!(
            check(&nested(UNEVALUATED_MAX + 1)),
            Err(Refusal::Unevaluated)
        );
    }

    #[test]
    fn a_chain_of_references_has_an_end() {
        assert!(check(&chain(30, 1)).is_ok());
        assert_eq!(check(&chain(1000, 1)), Err(Refusal::TooDeep));
    }

    #[test]
    fn what_schemars_makes_passes() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": "https://example.com/settings.json",
            "title": "Settings",
            "type": "object",
            "properties": {
                "answers": {"type": "array", "items": {"$ref": "#/$defs/Answer"}},
                "fallback": {"anyOf": [{"$ref": "#/$defs/Answer"}, {"type": "null"}]},
                "mode": {"$ref": "#/$defs/Mode", "default": "quick"},
                "$id": {"type": "string", "pattern": "^[a-z]+$"},
                "$ref": {"type": "string"},
                "pattern": {"type": "string"},
            },
            "required": ["answers", "$id"],
            "additionalProperties": false,
            "$defs": {
                "Answer": {
                    "type": "object",
                    "properties": {"id": {"type": "string"}, "mode": {"$ref": "#/$defs/Mode"}},
                    "default": {"id": "first"},
                },
                "Mode": {"oneOf": [{"type": "string", "const": "quick"}, {"type": "string", "const": "slow"}]},
            },
        });
        assert!(check(&schema).is_ok(), "{:?}", check(&schema));
        assert!(check(&json!({})).is_ok());
    }

    #[test]
    fn pointers_are_decoded() {
        for reference in [
            "#/$defs/a%20b",
            "#/$defs/a b",
            "#/%24defs/c~1d",
            "#/$defs/e~0f/anyOf/0",
        ] {
            let schema = json!({
                "$ref": reference,
                "$defs": {"a b": {}, "c/d": {}, "e~f": {"anyOf": [true]}},
            });
            assert!(check(&schema).is_ok(), "{reference}: {:?}", check(&schema));
        }
    }

    #[test]
    fn a_slip_is_told() {
        let cases = [
            (json!({"$ref": "#"}), "$ref \"#\" leads back to itself"),
            (
                json!({"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/b"}}, "b": {"$ref": "#/$defs/a"}}}),
                "$ref \"#/$defs/b\" leads back to itself",
            ),
            (
                json!({"properties": {"a": {"$ref": "#/properties"}}}),
                "$ref \"#/properties\" leads back to itself",
            ),
            (
                json!({"$ref": ""}),
                "$ref \"\" is no pointer into the schema",
            ),
            (
                json!({"$ref": "#a"}),
                "$ref \"#a\" is no pointer into the schema",
            ),
            (
                json!({"items": {"$ref": "other.json#/a"}}),
                "$ref \"other.json#/a\" is no pointer into the schema",
            ),
            (
                json!({"$ref": "#%2Fa", "a": {}}),
                "$ref \"#%2Fa\" is no pointer into the schema",
            ),
            (
                json!({"$ref": "#/%ff"}),
                "$ref \"#/%ff\" is no pointer into the schema",
            ),
            (
                json!({"$ref": "#/~~1", "~/": {}}),
                "$ref \"#/~~1\" is no pointer into the schema",
            ),
            (
                json!({"$ref": "#/$defs/a"}),
                "$ref \"#/$defs/a\" points at nothing",
            ),
            (
                json!({"allOf": [true], "$ref": "#/allOf/1"}),
                "$ref \"#/allOf/1\" points at nothing",
            ),
            (json!({"items": {"$id": "a"}}), "it uses \"$id\""),
            (json!({"items": {"$schema": "a"}}), "it uses \"$schema\""),
            (json!({"$anchor": "a"}), "it uses \"$anchor\""),
            (json!({"$dynamicAnchor": "a"}), "it uses \"$dynamicAnchor\""),
            (json!({"$dynamicRef": "#a"}), "it uses \"$dynamicRef\""),
            (json!({"$recursiveRef": "#"}), "it uses \"$recursiveRef\""),
            (
                json!({"$recursiveAnchor": true}),
                "it uses \"$recursiveAnchor\"",
            ),
            (
                json!({"$schema": "http://json-schema.org/draft-04/schema#", "not": {"id": "a"}}),
                "it uses \"id\"",
            ),
            (
                json!({"items": {"patternProperties": {"x".repeat(1001): true}}}),
                &format!("pattern \"{}…\" has more than 1000 bytes", "x".repeat(60)),
            ),
        ];
        for (schema, expect) in cases {
            let told = check(&schema).map_err(|refusal| refusal.to_string());
            assert_eq!(told, Err(expect.to_owned()), "{schema}");
        }
    }

    #[test]
    fn patterns_are_counted_once_each() {
        let patterns = |count: usize, kinds: usize| {
            let items: Vec<_> = (0..count)
                .map(|at| json!({"pattern": format!("a{}", at % kinds)}))
                .collect();
            check(&json!({"allOf": items}))
        };
        assert!(patterns(200, PATTERNS_MAX).is_ok());
        assert_eq!(
            patterns(200, PATTERNS_MAX + 1),
            Err(Refusal::TooManyPatterns)
        );
    }

    fn any_schema() -> impl Strategy<Value = Value> {
        let name = prop_oneof![
            Just("$ref".to_owned()),
            Just("$defs".to_owned()),
            Just("a".to_owned()),
            Just("b".to_owned()),
            Just("allOf".to_owned()),
            Just("pattern".to_owned()),
            Just("patternProperties".to_owned()),
            any::<String>(),
        ];
        let leaf = prop_oneof![
            Just(json!("#/$defs/a")),
            Just(json!("#/$defs/b")),
            Just(json!("#/$defs")),
            Just(json!("#/allOf/0")),
            Just(json!("#/allOf")),
            "#(/[a-z~0-9%$]{0,4}){0,3}".prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            Just(Value::Null),
        ];
        leaf.prop_recursive(6, 200, 6, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
                proptest::collection::btree_map(name.clone(), inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
    /// It ends since each step weighs something; what passes stays below the bound.
    #[test]
    fn any_schema_is_weighed_or_refused(schema in any_schema()) {
        if let Ok(bytes) = check(&schema) {
            prop_assert!((PART_BYTES..=UNROLLED_BYTES_MAX).contains(&bytes));
        }
    }
    }
}
