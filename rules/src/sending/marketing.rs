//! Who gets no marketing messages: customers who have said stop, and those to whom Meta delivers no more of them
//! for a day. A person's last word counts, by Meta's time, so that a message that comes late takes nothing back.

use unicase::UniCase;

use super::gate::Cause;

/// Meta: the customer has stopped marketing messages from this business.
const CODE_STOPPED: i64 = 131_050;
/// Meta: the customer has got enough marketing messages for now.
const CODE_CAPPED: i64 = 131_049;
/// So long no marketing message follows [`CODE_CAPPED`] (WhatsApp Cloud API, "Error codes").
const CAPPED_MS: i64 = 24 * 60 * 60 * 1000;

/// What is known of a customer and marketing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marketing {
    pub stopped: bool,
    /// Until when Meta delivers none from this number, ms since 1970.
    pub capped_until_ms: i64,
}

impl Marketing {
    /// Why a marketing message would be refused now, and with which code of Meta's.
    #[must_use]
    pub fn refusal(self, now_ms: i64) -> Option<(i64, Cause)> {
        if self.stopped {
            Some((CODE_STOPPED, Cause::OptedOut))
        } else if self.capped_until_ms > now_ms {
            Some((CODE_CAPPED, Cause::MarketingCapped))
        } else {
            None
        }
    }
}

/// What Meta's refusal of a message tells about its customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learned {
    /// Stopped, `at_ms`.
    Stopped { at_ms: i64 },
    /// No marketing until then.
    Capped { until_ms: i64 },
}

/// Reads an error code of an answer or of a failed status.
#[must_use]
pub fn learned(code: i64, at_ms: i64) -> Option<Learned> {
    match code {
        // Meta's other times are whole seconds; a word of the same second is not older.
        CODE_STOPPED => Some(Learned::Stopped {
            at_ms: at_ms - at_ms.rem_euclid(1000),
        }),
        CODE_CAPPED => Some(Learned::Capped {
            until_ms: at_ms.saturating_add(CAPPED_MS),
        }),
        _ => None,
    }
}

/// The admin's words by which a customer opts out and in again, in any case.
#[derive(Debug, Clone, Default)]
pub struct OptWords {
    out: Vec<UniCase<String>>,
    back: Vec<UniCase<String>>,
}

impl OptWords {
    #[must_use]
    pub fn new(out: &[String], back: &[String]) -> OptWords {
        let folded = |words: &[String]| {
            let words = words.iter().map(|word| word.trim());
            words
                .filter(|word| !word.is_empty())
                .map(|word| UniCase::new(word.to_owned()))
                .collect()
        };
        OptWords {
            out: folded(out),
            back: folded(back),
        }
    }

    /// Whether a message that says nothing else opts out (true) or in again (false). A word that stands in both
    /// lists opts out.
    #[must_use]
    pub fn said(&self, text: &str) -> Option<bool> {
        let text = UniCase::new(text.trim());
        let is = |words: &[UniCase<String>]| {
            words.iter().any(|word| UniCase::new(word.as_str()) == text)
        };
        if is(&self.out) {
            Some(true)
        } else {
            is(&self.back).then_some(false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_message_counts_in_any_case() {
        let words = OptWords::new(
            &["Stop".into(), " СТОП ".into(), "both".into()],
            &["start".into(), "both".into(), String::new()],
        );
        for (text, said) in [
            ("stop", Some(true)),
            ("  STOP\n", Some(true)),
            ("стоп", Some(true)),
            ("both", Some(true)),
            ("START", Some(false)),
            ("stop it", None),
            ("please stop", None),
            ("", None),
        ] {
            assert_eq!(words.said(text), said, "{text}");
        }
        assert_eq!(OptWords::default().said("stop"), None);
    }

    #[test]
    fn a_stop_is_refused_with_metas_code_and_so_is_a_cap_until_it_ends() {
        let capped = Marketing {
            capped_until_ms: 10,
            ..Marketing::default()
        };
        let stopped = Marketing {
            stopped: true,
            ..capped
        };
        let refusal = (131_049, Cause::MarketingCapped);
        assert_eq!(stopped.refusal(5), Some((131_050, Cause::OptedOut)));
        assert_eq!(capped.refusal(9), Some(refusal));
        assert_eq!(capped.refusal(10), None);
    }

    #[test]
    fn metas_refusals_teach() {
        let day_ms = 86_400_000;
        let capped = Learned::Capped {
            until_ms: 1234 + day_ms,
        };
        assert_eq!(learned(131_049, 1234), Some(capped));
        assert_eq!(
            learned(131_050, 1234),
            Some(Learned::Stopped { at_ms: 1000 })
        );
        assert_eq!(learned(131_047, 1234), None);
    }
}
