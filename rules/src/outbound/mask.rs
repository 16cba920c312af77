use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem;

/// So often a text stands in another one that escapes it: more is nobody's habit, and would be somebody's trick.
const ESCAPES_MAX: usize = 16;

/// What stands in place of a secret.
pub const MASKED: &str = "[secret]";

/// A shorter secret would be found in what has nothing to do with it, and guessed from the places.
pub const SECRET_BYTES_MIN: usize = 8;

/// Finds secrets in what comes back: as they are, and as URLs, forms, JSON, HTML, hex and base64 write them, each
/// character as it likes and one of these within another. Whoever answers in another way of its own shows them; so
/// they go to no host but theirs.
#[derive(Default)]
pub struct Mask {
    /// The longest first: one secret may be the beginning of another.
    secrets: Vec<String>,
    /// The bytes with which any of them may begin.
    beginnings: Vec<u8>,
    /// In hex and base64; the longest first.
    needles: Vec<Vec<u8>>,
}

impl Mask {
    pub fn new<'s>(secrets: impl IntoIterator<Item = &'s str>) -> Mask {
        let secrets = secrets.into_iter().filter(|secret| !secret.is_empty());
        let mut secrets: Vec<String> = secrets.map(str::to_owned).collect();
        let mut needles: Vec<_> = secrets
            .iter()
            .flat_map(|secret| encodings(secret))
            .collect();
        needles.retain(|needle| needle.len() >= SECRET_BYTES_MIN);
        needles.sort_by(|one, other| other.len().cmp(&one.len()).then(one.cmp(other)));
        needles.dedup();
        secrets.retain(|secret| secret.len() >= SECRET_BYTES_MIN);
        secrets.sort_by(|one, other| other.len().cmp(&one.len()).then(one.cmp(other)));
        secrets.dedup();
        let raw = secrets.iter().filter_map(|secret| secret.bytes().next());
        let mut beginnings: Vec<u8> = raw.chain(*b"%\\&+").collect();
        beginnings.sort_unstable();
        beginnings.dedup();
        Mask {
            secrets,
            beginnings,
            needles,
        }
    }

    #[must_use]
    pub fn bytes(&self, bytes: Vec<u8>) -> Vec<u8> {
        let mut bytes = self.spelled(bytes);
        for needle in &self.needles {
            let mut found = memmem::find_iter(&bytes, needle).peekable();
            if found.peek().is_none() {
                continue;
            }
            let mut masked = Vec::with_capacity(bytes.len());
            let mut rest = 0;
            for at in found {
                masked.extend_from_slice(bytes.get(rest..at).unwrap_or_default());
                masked.extend_from_slice(MASKED.as_bytes());
                rest = at + needle.len();
            }
            masked.extend_from_slice(bytes.get(rest..).unwrap_or_default());
            bytes = masked;
        }
        bytes
    }

    #[must_use]
    pub fn text(&self, text: String) -> String {
        String::from_utf8_lossy(&self.bytes(text.into_bytes())).into_owned()
    }

    /// Without the secrets whose characters are all there, one after the other, in whatever spelling.
    fn spelled(&self, bytes: Vec<u8>) -> Vec<u8> {
        let mut begins = [false; 256];
        for byte in &self.beginnings {
            if let Some(begins) = begins.get_mut(usize::from(*byte)) {
                *begins = true;
            }
        }
        let (mut masked, mut rest, mut at) = (Vec::new(), 0, 0);
        while let Some(byte) = bytes.get(at) {
            let begins = begins.get(usize::from(*byte)).copied().unwrap_or(true);
            let end = if begins {
                let mut ends = self
                    .secrets
                    .iter()
                    .filter_map(|secret| end(&bytes, at, secret));
                ends.next()
            } else {
                None
            };
            match end {
                Some(end) => {
                    masked.extend_from_slice(bytes.get(rest..at).unwrap_or_default());
                    masked.extend_from_slice(MASKED.as_bytes());
                    (rest, at) = (end, end);
                }
                None => at += 1,
            }
        }
        if rest == 0 {
            return bytes;
        }
        masked.extend_from_slice(bytes.get(rest..).unwrap_or_default());
        masked
    }
}

/// Where a secret ends that begins here, if it does.
fn end(bytes: &[u8], at: usize, secret: &str) -> Option<usize> {
    let mut places = vec![at];
    for char in secret.chars() {
        let mut next = Vec::new();
        for place in places {
            behind(bytes, place, char, &mut next);
        }
        next.sort_unstable();
        next.dedup();
        if next.is_empty() {
            return None;
        }
        places = next;
    }
    places.pop()
}

/// The places behind a character that stands here, in each of its spellings.
fn behind(bytes: &[u8], at: usize, char: char, places: &mut Vec<usize>) {
    let mut utf8 = [0; 4];
    let raw = char.encode_utf8(&mut utf8).as_bytes();
    let here = |at: usize| bytes.get(at..).unwrap_or_default();
    if here(at).starts_with(raw) {
        places.push(at + raw.len());
    }
    match bytes.get(at) {
        Some(b'+') if char == ' ' => places.push(at + 1),
        Some(b'%') => places.extend(behind_percent(bytes, at, raw)),
        Some(b'&') => places.extend(behind_entity(here(at), char).map(|length| at + length)),
        Some(b'\\') => {
            // Text in JSON in JSON has several.
            let escapes = escapes(here(at));
            for at in at + 1..=at + escapes {
                if here(at).starts_with(raw) {
                    places.push(at + raw.len());
                }
            }
            let at = at + escapes;
            let short = match char {
                '\n' => Some(b'n'),
                '\t' => Some(b't'),
                '\r' => Some(b'r'),
                _ => None,
            };
            if short.is_some() && bytes.get(at).copied() == short {
                places.push(at + 1);
            }
            places.extend(behind_units(bytes, at, char));
        }
        _ => {}
    }
}

/// How many backslashes stand here.
fn escapes(bytes: &[u8]) -> usize {
    let escapes = bytes.iter().take(ESCAPES_MAX);
    escapes.take_while(|byte| **byte == b'\\').count()
}

/// Behind `%C3%BC`, also as `%25c3%25bc`.
fn behind_percent(bytes: &[u8], mut at: usize, raw: &[u8]) -> Option<usize> {
    for byte in raw {
        if bytes.get(at) != Some(&b'%') {
            return None;
        }
        at += 1;
        // A % that is itself written so; %25 is also the end of one.
        for _ in 0..ESCAPES_MAX {
            if bytes.get(at..at + 2) != Some(b"25") || hex_at(bytes, at + 2, 2).is_none() {
                break;
            }
            at += 2;
        }
        if hex_at(bytes, at, 2)? != u32::from(*byte) {
            return None;
        }
        at += 2;
    }
    Some(at)
}

/// Behind `uD83D\uDE00`, whose first backslashes stand before it.
fn behind_units(bytes: &[u8], mut at: usize, char: char) -> Option<usize> {
    let mut units = [0; 2];
    for (number, unit) in char.encode_utf16(&mut units).iter().enumerate() {
        if number > 0 {
            at += escapes(bytes.get(at..)?);
        }
        if !bytes.get(at).is_some_and(|byte| b"uU".contains(byte)) {
            return None;
        }
        if hex_at(bytes, at + 1, 4)? != u32::from(*unit) {
            return None;
        }
        at += 5;
    }
    Some(at)
}

/// How long `&amp;`, `&#38;` or `&#x26;` is, if it is the character.
fn behind_entity(bytes: &[u8], char: char) -> Option<usize> {
    const BYTES_MAX: usize = 12;
    let length = bytes
        .iter()
        .take(BYTES_MAX)
        .position(|byte| *byte == b';')?
        + 1;
    let name = std::str::from_utf8(bytes.get(1..length - 1)?).ok()?;
    let is = match name.strip_prefix('#') {
        Some(number) => {
            let hex = number.strip_prefix(['x', 'X']);
            let code = hex.map_or_else(|| number.parse(), |hex| u32::from_str_radix(hex, 16));
            code == Ok(u32::from(char))
        }
        None => matches!(
            (name, char),
            ("amp", '&') | ("lt", '<') | ("gt", '>') | ("quot", '"') | ("apos", '\'')
        ),
    };
    is.then_some(length)
}

fn hex_at(bytes: &[u8], at: usize, digits: usize) -> Option<u32> {
    let text = std::str::from_utf8(bytes.get(at..at + digits)?).ok()?;
    let all = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    all.then(|| u32::from_str_radix(text, 16).ok())?
}

fn encodings(secret: &str) -> Vec<Vec<u8>> {
    let mut texts = vec![hex::encode(secret), hex::encode_upper(secret)];
    for offset in 0..3 {
        texts.extend(in_base64(secret, offset));
    }
    texts.into_iter().map(String::into_bytes).collect()
}

/// The characters that stand in base64 whatever comes before and after, when `offset` bytes of a group of three came
/// before; in both alphabets.
fn in_base64(secret: &str, offset: usize) -> [String; 2] {
    let bytes = [vec![0; offset].as_slice(), secret.as_bytes()].concat();
    // The first character that holds nothing of what came before, and behind the last that holds nothing of what follows.
    let (from, to) = ((offset * 8).div_ceil(6), bytes.len() * 8 / 6);
    [
        STANDARD_NO_PAD.encode(&bytes),
        URL_SAFE_NO_PAD.encode(&bytes),
    ]
    .map(|text| text.get(from..to).unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;
    use url::form_urlencoded::byte_serialize;

    use super::*;

    const SECRET: &str = "pa/ss \"word\"+1\u{fc}";

    fn masked(text: &str) -> String {
        Mask::new([SECRET, "another-secret"]).text(text.to_owned())
    }

    #[test]
    fn a_secret_is_found_as_it_comes_back() {
        for text in [
            SECRET.to_owned(),
            serde_json::json!({ "echo": SECRET }).to_string(),
            serde_json::json!({ "echo": SECRET })
                .to_string()
                .replace('/', "\\/"),
            serde_json::json!({ "data": serde_json::json!([SECRET]).to_string() }).to_string(),
            byte_serialize(SECRET.as_bytes()).collect(),
            utf8_percent_encode(SECRET, NON_ALPHANUMERIC).to_string(),
            utf8_percent_encode(SECRET, NON_ALPHANUMERIC)
                .to_string()
                .to_lowercase(),
            format!("Basic {}", STANDARD.encode(format!("me:{SECRET}"))),
            format!("Basic {}", STANDARD.encode(format!("you:{SECRET}"))),
            format!("Basic {}", STANDARD.encode(format!("{SECRET}:"))),
            hex::encode(SECRET),
            // As Go writes JSON, as pages write it, as URLs keep what they may keep, and one within another.
            "pa/ss \\u0022word\\u0022\\u002b1\\u00fc".to_owned(),
            "pa/ss &quot;word&#34;&#x2b;1&#xfc;".to_owned(),
            "pa/ss+%22word\"+1%c3%BC".to_owned(),
            "pa%252Fss%2520%2522word%2522%252B1%25C3%25BC".to_owned(),
            "pa\\\\\\/ss \\\\\\\"word\\\\\\\"+1\\\\u00FC".to_owned(),
        ] {
            let told = masked(&format!("before {text} after"));
            assert!(told.contains(MASKED), "{text} became {told}");
            assert!(
                told.starts_with("before ") && told.ends_with(" after"),
                "{told}"
            );
        }
        assert_eq!(
            masked(&format!("{SECRET}{SECRET}another-secret")),
            MASKED.repeat(3)
        );
        for text in ["", "pa/ss", "another"] {
            assert_eq!(masked(text), text);
        }
    }

    #[test]
    fn the_longer_of_two_secrets_goes_whole() {
        let mask = Mask::new(["secret-one", "secret-one-and-more"]);
        assert_eq!(
            mask.text("secret-one-and-more secret-one".into()),
            "[secret] [secret]"
        );
    }

    /// One character in one of the ways in which it may come back.
    fn spelled(char: char, way: usize) -> String {
        let mut units = [0; 2];
        let units = char.encode_utf16(&mut units).iter();
        match way {
            0 => char.to_string(),
            1 => utf8_percent_encode(&char.to_string(), NON_ALPHANUMERIC).to_string(),
            2 => char
                .to_string()
                .bytes()
                .map(|byte| format!("%{byte:02x}"))
                .collect(),
            3 => units.map(|unit| format!("\\u{unit:04x}")).collect(),
            4 => units.map(|unit| format!("\\\\u{unit:04X}")).collect(),
            5 => format!("&#{};", u32::from(char)),
            _ => format!("&#x{:X};", u32::from(char)),
        }
    }

    proptest! {
        #[test]
        fn each_character_may_come_back_as_it_likes(
            secret in "\\PC{8,20}", ways in prop::collection::vec(0_usize..7, 20), end in "[a-z]{0,9}",
        ) {
            let mask = Mask::new([secret.as_str()]);
            let spelled: String = secret.chars().zip(ways).map(|(char, way)| spelled(char, way)).collect();
            prop_assert_eq!(mask.text(format!("<{spelled} {end}")), format!("<{MASKED} {end}"));
        }

        #[test]
        fn whatever_comes_is_looked_through(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mask = Mask::new(["\\%&+u0025 \u{fc}", "another-secret"]);
            let told = mask.bytes(bytes.clone());
            prop_assert!(told == bytes || told.len() >= MASKED.len());
        }

        #[test]
        fn no_secret_stays_wherever_it_stands(before in ".{0,20}", secret in "[!-~]{8,40}", after in ".{0,20}") {
            let mask = Mask::new([secret.as_str()]);
            let text = format!("{before}{secret}{after}");
            prop_assert!(!mask.text(text.clone()).replace(MASKED, "").contains(&secret));
            let encoded = STANDARD.encode(&text);
            prop_assert!(mask.text(encoded).contains(MASKED));
        }
    }
}
