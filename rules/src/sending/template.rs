//! What is known of a template, and what that means for a send of it.

use serde_json::Value;

use super::gate::Cause;

/// Meta: there is no such template in this language, or it is not approved.
const CODE_UNKNOWN: i64 = 132_001;
const CODE_PAUSED: i64 = 132_015;
const CODE_DISABLED: i64 = 132_016;

/// A template as the gate looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    /// Its category is marketing, or not known.
    pub marketing: bool,
    /// Why Meta would refuse it, with Meta's code.
    pub refusal: Option<(i64, Cause)>,
}

/// What was learned of a template: Meta's words in any case, `None` where nothing was said. `complete` says that
/// the whole list of the account was read once, so that what is not `listed` does not exist.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Learnt<'a> {
    pub complete: bool,
    pub listed: bool,
    pub status: Option<&'a str>,
    pub category: Option<&'a str>,
}

impl Template {
    /// What has never been read is nothing against a send.
    #[must_use]
    pub fn of(learnt: Learnt<'_>) -> Template {
        let harmless = |category: &str| !category.eq_ignore_ascii_case("marketing");
        let unknown = Some((CODE_UNKNOWN, Cause::TemplateUnknown));
        let refusal = match learnt.status.map(str::to_ascii_uppercase).as_deref() {
            Some("PAUSED") => Some((CODE_PAUSED, Cause::TemplatePaused)),
            Some("DISABLED") => Some((CODE_DISABLED, Cause::TemplateDisabled)),
            Some("PENDING" | "REJECTED" | "DELETED") => unknown,
            _ if learnt.complete && !learnt.listed => unknown,
            // Approved, flagged, or a word that nobody has heard of: Meta may take it.
            _ => None,
        };
        Template {
            marketing: !learnt.category.is_some_and(harmless),
            refusal,
        }
    }
}

/// Name and language of the template that a message sends.
#[must_use]
pub fn template_named(message: &Value) -> Option<(&str, &str)> {
    let text = |pointer: &str| message.pointer(pointer).and_then(Value::as_str);
    text("/template/name").zip(text("/template/language/code"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_meta_has_said_stands_against_a_send() {
        let listed = Learnt {
            complete: true,
            listed: true,
            ..Learnt::default()
        };
        let paused = Some((132_015, Cause::TemplatePaused));
        let unknown = Some((132_001, Cause::TemplateUnknown));
        for (status, refusal) in [
            ("APPROVED", None),
            ("FLAGGED", None),
            ("a_word_of_tomorrow", None),
            ("paused", paused),
            ("DISABLED", Some((132_016, Cause::TemplateDisabled))),
            ("PENDING", unknown),
            ("REJECTED", unknown),
        ] {
            let template = Template::of(Learnt {
                status: Some(status),
                ..listed
            });
            assert_eq!(template.refusal, refusal, "{status}");
        }
        assert_eq!(Template::of(Learnt::default()).refusal, None);
        let absent = Learnt {
            listed: false,
            ..listed
        };
        assert_eq!(Template::of(absent).refusal, unknown);
    }

    #[test]
    fn a_category_that_is_not_known_counts_as_marketing() {
        for (category, marketing) in [
            (None, true),
            (Some("MARKETING"), true),
            (Some("marketing"), true),
            (Some("UTILITY"), false),
            (Some("AUTHENTICATION"), false),
        ] {
            let learnt = Learnt {
                category,
                ..Learnt::default()
            };
            assert_eq!(Template::of(learnt).marketing, marketing, "{category:?}");
        }
    }
}
