use std::path::PathBuf;

use super::Instance;
use super::instance::read_component;
use crate::canary::EVENTS_DEFAULT;
use crate::manifest::Manifest;
use crate::toml_file::{Findings, Problem, Section};

/// Percent of the conversations when the file says nothing.
pub const PERCENT_DEFAULT: u8 = 5;

/// Another version of a plugin for a share of its conversations. From `[plugins.<name>.canary]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canary {
    /// As written: relative to the folder of `plugins.toml`.
    pub component: PathBuf,
    /// Of the conversations, 0 to 100.
    pub percent: u8,
    /// After so many different events that it could not do and the live version could, it is withdrawn.
    pub events: u64,
    /// The line of the table's header.
    pub line: usize,
}

/// `None` when what must be there is missing, which is then among the findings.
pub(super) fn read(mut section: Section<'_>, findings: &mut Findings<'_>) -> Option<Canary> {
    let line = findings.line(section.offset());
    let component = read_component(&mut section, findings);
    let percent = section
        .integer("percent", 0..=100, findings)
        .and_then(|percent| u8::try_from(percent).ok())
        .unwrap_or(PERCENT_DEFAULT);
    let events = section
        .integer("events", 1..=20, findings)
        .unwrap_or(EVENTS_DEFAULT);
    section.finish(findings);
    Some(Canary {
        component: component?,
        percent,
        events,
        line,
    })
}

impl Instance {
    /// The instance with its canary's component, and the canary itself; nothing where none is to run. What is wrong with
    /// that component is told with the line of the canary's table.
    #[must_use]
    pub fn with_canary(&self) -> Option<(Instance, Canary)> {
        let canary = self.canary.clone().filter(|canary| canary.percent > 0)?;
        let instance = Instance {
            component: canary.component.clone(),
            line: canary.line,
            ..self.clone()
        };
        Some((instance, canary))
    }

    /// Why a version cannot be the canary beside the live one: both share the store. `self` has the canary's component.
    #[must_use]
    pub fn beside(&self, live: &Manifest, canary: &Manifest) -> Option<Problem> {
        let (now, other) = (live.store_schema, canary.store_schema);
        if now == other {
            return None;
        }
        let message = format!(
            "version {} of plugin {:?} keeps its store by schema {other}, the live version {} by schema {now}, and a canary shares the store",
            canary.version, self.name, live.version
        );
        let remedy = format!(
            "try it with duet plugin replay {} --component {}, then put it in the place of the live component; or build it so that it keeps to schema {now}",
            self.name,
            self.component.display()
        );
        Some(self.table_problem(message, remedy))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::instance;
    use super::*;
    use crate::contract::CONTRACT;

    fn manifest(version: &str, store_schema: Option<u32>) -> Manifest {
        let mut text =
            json!({"name": "faq", "version": version, "contract": CONTRACT, "events": ["*"]});
        if let Some(schema) = store_schema {
            text["store_schema"] = schema.into();
        }
        Manifest::parse("faq.wasm", text.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_canary_of_another_store_schema_is_refused_with_both() {
        let file = "[plugins.faq]\ncomponent = 'faq.wasm'\n[plugins.faq.canary]\ncomponent = 'next.wasm'\n";
        let (canary, _) = instance(file).with_canary().unwrap();
        let live = manifest("1.0.0", None);
        assert_eq!(canary.beside(&live, &manifest("1.1.0", Some(1))), None);
        let told = canary.beside(&live, &manifest("2.0.0", Some(2)));
        assert_eq!(
            told.unwrap().to_string(),
            r#"plugins.toml:3: version 2.0.0 of plugin "faq" keeps its store by schema 2, the live version 1.0.0 by schema 1, and a canary shares the store; try it with duet plugin replay faq --component next.wasm, then put it in the place of the live component; or build it so that it keeps to schema 1"#
        );
    }

    #[test]
    fn no_percent_is_no_canary() {
        let file = |more: &str| {
            let text = format!(
                "[plugins.faq]\ncomponent = 'faq.wasm'\n[plugins.faq.canary]\ncomponent = 'next.wasm'\n{more}"
            );
            instance(&text)
        };
        assert_eq!(file("percent = 0").with_canary(), None);
        let faq = file("");
        let (canary, said) = faq.with_canary().unwrap();
        assert_eq!(
            (said.percent, said.events),
            (PERCENT_DEFAULT, EVENTS_DEFAULT)
        );
        assert_eq!((canary.line, canary.component), (3, "next.wasm".into()));
        let paths: Vec<_> = faq.paths().collect();
        assert_eq!(paths, ["faq.wasm", "next.wasm"].map(std::path::Path::new));
    }
}
