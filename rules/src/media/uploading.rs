//! How long an uploaded file is used again, how long an upload may take, and by which words of Meta's it is gone.

use crate::meta_error::MetaError;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Meta keeps what was uploaded for 30 days (WhatsApp Cloud API, "Media"). A message may wait at Meta's before its file
/// is looked at, so it is used for two days less.
pub const REUSE_MS: i64 = 28 * DAY_MS;

/// Whatever its size, an upload has so long.
const TIME_MS: u64 = 60_000;
/// Beyond that as long as a slow line needs, bytes per second.
const SLOW_BYTES: u64 = 128 << 10;

/// After so long without an answer an upload of so many bytes is given up, ms.
#[must_use]
pub fn upload_ms_max(bytes: u64) -> u64 {
    TIME_MS.saturating_add(bytes.saturating_mul(1000) / SLOW_BYTES)
}

/// "Media download error", "Media upload error".
const OF_MEDIA: [i64; 2] = [131_052, 131_053];
/// "Invalid parameter", "Parameter value is not valid": of media only if Meta's words say so.
const OF_A_PARAMETER: [i64; 2] = [100, 131_009];

/// Whether Meta says that an uploaded file is not there, or may mean that: after another upload the send may work.
#[must_use]
pub fn is_gone(error: &MetaError) -> bool {
    let words = || {
        let details = error.details.as_deref().unwrap_or_default();
        format!("{} {details}", error.message).to_ascii_lowercase()
    };
    OF_MEDIA.contains(&error.code)
        || (OF_A_PARAMETER.contains(&error.code) && words().contains("media"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_file_has_its_time() {
        assert_eq!(upload_ms_max(0), 60_000);
        assert_eq!(upload_ms_max(1 << 20), 68_000);
        assert_eq!(upload_ms_max(100 << 20), 860_000);
        assert!(upload_ms_max(u64::MAX) > 860_000);
    }

    #[test]
    fn what_meta_says_of_a_file_that_is_gone() {
        let error = |code, details: &str| MetaError {
            code,
            message: "(#100) Invalid parameter".into(),
            details: Some(details.into()),
            ..MetaError::default()
        };
        for (code, details, gone) in [
            (131_053, "", true),
            (131_052, "", true),
            (131_009, "Media ID 4490 does not exist", true),
            (100, "Invalid media id", true),
            (100, "text.body is too long", false),
            (131_009, "", false),
            (131_047, "the media", false),
        ] {
            assert_eq!(is_gone(&error(code, details)), gone, "{code} {details}");
        }
    }
}
