use serde::{Deserialize, Serialize};

/// What is said of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said {
    #[serde(rename = "alarm.raised")]
    Raised,
    /// Nobody has acknowledged it.
    #[serde(rename = "alarm.repeated")]
    Repeated,
    /// It is well again.
    #[serde(rename = "alarm.settled")]
    Settled,
}

/// What leaves, as it is kept until it has left: the body of a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    #[serde(rename = "type")]
    pub said: Said,
    /// When it was said, RFC 3339.
    pub timestamp: String,
    pub data: About,
}

/// The alarm, without anything personal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    pub alarm: i64,
    /// Such as `number-disconnected`.
    pub name: String,
    /// Meta's phone_number_id.
    pub number: Option<String>,
    /// The plugin's name in plugins.toml.
    pub plugin: Option<String>,
    /// `notice`, `warning` or `urgent`.
    pub urgency: String,
    pub detail: String,
    /// When it was raised first, RFC 3339, and how often since.
    pub since: String,
    pub times: i64,
}

impl Notice {
    /// One line: the subject of a mail.
    #[must_use]
    pub fn title(&self) -> String {
        let what = match self.said {
            Said::Raised => "alarm",
            Said::Repeated => "still",
            Said::Settled => "settled",
        };
        let of = match (&self.data.number, &self.data.plugin) {
            (Some(number), _) => format!(" of number {number}"),
            (None, Some(plugin)) => format!(" of plugin {plugin}"),
            (None, None) => String::new(),
        };
        let mark = match (self.said, self.data.urgency.as_str()) {
            (Said::Settled, _) | (_, "notice") => String::new(),
            (_, urgency) => format!(" ({urgency})"),
        };
        format!("Duet {what}: {}{of}{mark}", self.data.name)
    }

    /// The whole of it for people.
    #[must_use]
    pub fn text(&self) -> String {
        let About {
            alarm,
            detail,
            since,
            times,
            ..
        } = &self.data;
        let rest = match self.said {
            Said::Settled => format!("It began at {since} and is well again."),
            Said::Raised | Said::Repeated => format!(
                "Since {since}, {times} times. Acknowledge it with POST /api/v1/alarms/{alarm}/acknowledge; until then it \
                 is told again."
            ),
        };
        format!("{}\r\n\r\n{detail}\r\n\r\n{rest}\r\n", self.title())
    }

    /// In one short line, for a template's parameter: Meta refuses line breaks and long runs of spaces there.
    #[must_use]
    pub fn line(&self) -> String {
        let line = format!("{}: {}", self.title(), self.data.detail);
        let words: Vec<&str> = line.split_whitespace().collect();
        words.join(" ").chars().take(LINE_CHARS_MAX).collect()
    }
}

/// Meta takes 1024 characters in a body, template and all.
const LINE_CHARS_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(said: Said, urgency: &str) -> Notice {
        Notice {
            said,
            timestamp: "2026-01-01T00:00:00Z".into(),
            data: About {
                alarm: 7,
                name: "app-silent".into(),
                number: Some("1001".into()),
                plugin: None,
                urgency: urgency.into(),
                detail: "open the\n app".into(),
                since: "2025-12-31T00:00:00Z".into(),
                times: 2,
            },
        }
    }

    #[test]
    fn a_notice_is_told_in_a_line_or_whole() {
        let raised = notice(Said::Raised, "notice");
        assert_eq!(raised.title(), "Duet alarm: app-silent of number 1001");
        assert!(raised.text().contains("/alarms/7/acknowledge"));
        let still = notice(Said::Repeated, "urgent");
        assert_eq!(
            still.line(),
            "Duet still: app-silent of number 1001 (urgent): open the app"
        );
        let settled = notice(Said::Settled, "urgent");
        assert_eq!(settled.title(), "Duet settled: app-silent of number 1001");
        assert!(settled.text().ends_with("is well again.\r\n"));
    }
}
