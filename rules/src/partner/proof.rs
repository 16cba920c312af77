use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::verification::same;

/// The header that is set at the partner, beside the address.
pub const AUTHORIZATION: &str = "Authorization";
/// A secret that an admin has chosen is at least so long, so that nobody guesses it.
pub const SECRET_BYTES_MIN: usize = 24;
/// The secret before the one that counts is taken for so long: until then it can be changed at the partner.
pub const PREVIOUS_MS: i64 = 24 * 3_600_000;

/// What the header has to hold.
#[must_use]
pub fn authorization(secret: &str) -> String {
    format!("Bearer {secret}")
}

/// Whether a header shows one of the secrets: behind `Bearer`, alone, or as the password of `Basic`. How long it takes
/// tells nothing about a secret; an empty one never fits.
#[must_use]
pub fn is_genuine<'a>(header: &[u8], secrets: impl IntoIterator<Item = &'a str>) -> bool {
    let shown = shown(header);
    // Each is compared, so that the time does not tell which one fits.
    secrets.into_iter().fold(false, |genuine, secret| {
        let fits = same(&shown, secret) && !secret.is_empty();
        fits || genuine
    })
}

/// The secret in a header's value; nothing when it is none.
fn shown(header: &[u8]) -> Cow<'_, str> {
    let Ok(header) = std::str::from_utf8(header) else {
        return Cow::Borrowed("");
    };
    let header = header.trim();
    match header.split_once(' ') {
        Some((scheme, secret)) if scheme.eq_ignore_ascii_case("bearer") => {
            Cow::Borrowed(secret.trim())
        }
        Some((scheme, pair)) if scheme.eq_ignore_ascii_case("basic") => {
            let pair = STANDARD.decode(pair.trim()).unwrap_or_default();
            let pair = String::from_utf8(pair).unwrap_or_default();
            let password = pair
                .split_once(':')
                .map(|(_, password)| password.to_owned());
            Cow::Owned(password.unwrap_or_default())
        }
        _ => Cow::Borrowed(header),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECRET: &str = "s3cret-of-the-tea-house";
    const BEFORE: &str = "the-one-before";

    #[test]
    fn a_secret_is_shown_in_any_of_three_ways() {
        let basic = format!("Basic {}", STANDARD.encode(format!("duet:{SECRET}")));
        let made = authorization(SECRET);
        let bearer = format!("bearer  {SECRET} ");
        for header in [SECRET, &made, &bearer, &basic, BEFORE] {
            assert!(is_genuine(header.as_bytes(), [SECRET, BEFORE]), "{header}");
        }
        let other = format!("Basic {}", STANDARD.encode("duet:other"));
        let bare = format!("Basic {}", STANDARD.encode(SECRET));
        for header in ["", "Bearer", "Bearer ", "Basic !", "s3cret", &other, &bare] {
            assert!(!is_genuine(header.as_bytes(), [SECRET, BEFORE]), "{header}");
        }
        assert!(!is_genuine(b"\xff", [SECRET]));
        assert!(!is_genuine(SECRET.as_bytes(), []), "none is set");
        assert!(!is_genuine(b"", [""]), "an empty secret is none");
        assert!(!is_genuine(b"Bearer ", [""]), "an empty secret is none");
    }

    proptest! {
        #[test]
        fn no_header_fits_by_luck(header in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assume!(memchr::memmem::find(&header, SECRET.as_bytes()).is_none());
            prop_assert!(!is_genuine(&header, [SECRET]));
        }
    }
}
