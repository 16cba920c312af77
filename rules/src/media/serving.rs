//! How a stranger's file is handed out: never as something that a browser would run.

use std::ops::RangeInclusive;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

const UNKNOWN: &str = "application/octet-stream";
const TYPE_BYTES_MAX: usize = 100;
const NAME_CHARS_MAX: usize = 100;
/// What RFC 8187 lets stand in `filename*`, and a little less.
const PLAIN: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// The `Content-Type` for a file that Meta calls `mime_type`.
#[must_use]
pub fn content_type(mime_type: Option<&str>) -> String {
    let given = mime_type.unwrap_or_default().trim();
    let essence = given
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let safe = |char: char| char.is_ascii_alphanumeric() || "/;=.+-_ ".contains(char);
    let harmless = match essence.split_once('/') {
        Some(("image", kind)) => !kind.contains("svg") && !kind.contains("xml"),
        Some(("audio" | "video", kind)) => !kind.contains("xml"),
        Some(("text", kind)) => matches!(kind, "plain" | "csv" | "vcard"),
        Some(("application", kind)) => {
            matches!(kind, "pdf" | "msword" | "zip")
                || (kind.starts_with("vnd.") && !kind.contains("xml") && !kind.contains("html"))
                || kind.starts_with("vnd.openxmlformats-officedocument.")
        }
        _ => false,
    };
    if harmless && given.len() <= TYPE_BYTES_MAX && given.chars().all(safe) {
        given.to_owned()
    } else {
        UNKNOWN.to_owned()
    }
}

/// The `Content-Disposition` for a file that its sender has named `name`.
#[must_use]
pub fn attachment(name: Option<&str>) -> String {
    let visible = |char: &char| !char.is_control() && !matches!(char, '/' | '\\' | ':');
    let name: String = name
        .unwrap_or_default()
        .chars()
        .filter(visible)
        .take(NAME_CHARS_MAX)
        .collect();
    match name.trim().trim_start_matches('.') {
        "" => "attachment".to_owned(),
        name => format!(
            "attachment; filename*=UTF-8''{}",
            utf8_percent_encode(name, &PLAIN)
        ),
    }
}

/// What a request wants of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Whole,
    Bytes(RangeInclusive<u64>),
    /// A range beyond its end: 416.
    Beyond,
}

/// What a `Range` header means for a file of so many bytes. Several ranges, or what is no range, mean the whole
/// file, as RFC 9110 14.2 lets a server choose.
#[must_use]
pub fn part(range: Option<&str>, bytes: u64) -> Part {
    let Some((first, last)) = range
        .and_then(|range| range.trim().strip_prefix("bytes="))
        .and_then(|range| range.split_once('-'))
    else {
        return Part::Whole;
    };
    let end = bytes.saturating_sub(1);
    let range = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..=last.min(end),
        (Ok(first), Err(_)) if last.is_empty() => first..=end,
        (Err(_), Ok(0)) if first.is_empty() => return Part::Beyond,
        (Err(_), Ok(count)) if first.is_empty() => bytes.saturating_sub(count)..=end,
        _ => return Part::Whole,
    };
    if *range.start() >= bytes {
        return Part::Beyond;
    }
    Part::Bytes(range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_no_browser_runs_keeps_its_type() {
        for kept in [
            "image/jpeg",
            "audio/ogg; codecs=opus",
            "video/mp4",
            "application/pdf",
            "text/plain",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ] {
            assert_eq!(content_type(Some(kept)), kept);
        }
        for changed in [
            "text/html",
            "image/svg+xml",
            "IMAGE/SVG+XML; x=y",
            "application/xhtml+xml",
            "application/javascript",
            "text/javascript",
            "application/vnd.mozilla.xul+xml",
            "image/png\r\nX-Evil: 1",
            "image/png, text/html",
            "image",
            "",
        ] {
            assert_eq!(content_type(Some(changed)), UNKNOWN, "{changed}");
        }
        assert_eq!(content_type(None), UNKNOWN);
    }

    #[test]
    fn a_name_cannot_leave_its_header_or_its_folder() {
        for (name, header) in [
            (
                Some("Rechnung Mai.pdf"),
                "attachment; filename*=UTF-8''Rechnung%20Mai.pdf",
            ),
            (
                Some("../../etc/passwd"),
                "attachment; filename*=UTF-8''etcpasswd",
            ),
            (
                Some("a\"b\r\nSet-Cookie: x"),
                "attachment; filename*=UTF-8''a%22bSet-Cookie%20x",
            ),
            (
                Some("चाय.jpg"),
                "attachment; filename*=UTF-8''%E0%A4%9A%E0%A4%BE%E0%A4%AF.jpg",
            ),
            (Some(" .. "), "attachment"),
            (None, "attachment"),
        ] {
            assert_eq!(attachment(name), header);
        }
    }

    #[test]
    fn one_range_is_understood() {
        for (range, wanted) in [
            ("bytes=0-3", Part::Bytes(0..=3)),
            ("bytes=4-", Part::Bytes(4..=9)),
            ("bytes=-3", Part::Bytes(7..=9)),
            ("bytes=-30", Part::Bytes(0..=9)),
            ("bytes=8-30", Part::Bytes(8..=9)),
            ("bytes=10-", Part::Beyond),
            ("bytes=-0", Part::Beyond),
            ("bytes=3-2", Part::Whole),
            ("bytes=0-1,4-5", Part::Whole),
            ("lines=0-1", Part::Whole),
            ("bytes=-", Part::Whole),
        ] {
            assert_eq!(part(Some(range), 10), wanted, "{range}");
        }
        assert_eq!(part(None, 10), Part::Whole);
        assert_eq!(part(Some("bytes=0-"), 0), Part::Beyond);
    }

    proptest! {
        #[test]
        fn a_range_lies_within_the_file(range in "bytes=[0-9]{0,20}-[0-9]{0,20}", bytes: u64) {
            if let Part::Bytes(range) = part(Some(&range), bytes) {
                prop_assert!(range.start() <= range.end() && *range.end() < bytes);
            }
        }

        #[test]
        fn headers_hold_only_what_a_header_may(text in any::<String>()) {
            for header in [content_type(Some(&text)), attachment(Some(&text))] {
                prop_assert!(header.chars().all(|char| char.is_ascii() && !char.is_ascii_control()));
            }
        }
    }
}
