use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use url::form_urlencoded::byte_serialize;

/// What stands in place of a secret.
pub const MASKED: &str = "[secret]";

/// A shorter secret would be found in what has nothing to do with it, and guessed from the places.
pub const SECRET_BYTES_MIN: usize = 8;

/// Finds secrets in what comes back: as they are, and as URLs, forms, JSON, hex and base64 write them. Whoever
/// answers in another way of its own shows them; so they go to no host but theirs.
#[derive(Default)]
pub struct Mask {
    /// The longest first: one secret may be the beginning of another.
    needles: Vec<Vec<u8>>,
}

impl Mask {
    pub fn new<'s>(secrets: impl IntoIterator<Item = &'s str>) -> Mask {
        let mut needles: Vec<_> = secrets.into_iter().flat_map(spellings).collect();
        needles.retain(|needle| needle.len() >= SECRET_BYTES_MIN);
        needles.sort_by(|one, other| other.len().cmp(&one.len()).then(one.cmp(other)));
        needles.dedup();
        Mask { needles }
    }

    #[must_use]
    pub fn bytes(&self, mut bytes: Vec<u8>) -> Vec<u8> {
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
}

fn spellings(secret: &str) -> Vec<Vec<u8>> {
    let json = in_json(secret);
    let form: String = byte_serialize(secret.as_bytes()).collect();
    let percent = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
    let mut texts = vec![
        secret.to_owned(),
        // JSON that stands as text in JSON.
        in_json(&json),
        json.replace('/', "\\/"),
        json,
        lower_escapes(&form),
        lower_escapes(&percent),
        form,
        percent,
        hex::encode(secret),
        hex::encode_upper(secret),
    ];
    for offset in 0..3 {
        texts.extend(in_base64(secret, offset));
    }
    texts.into_iter().map(String::into_bytes).collect()
}

fn in_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    let text = quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    text.unwrap_or_default().to_owned()
}

/// `%2f` for `%2F`.
fn lower_escapes(text: &str) -> String {
    let mut parts = text.split('%');
    let mut lower = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (escape, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        lower.push('%');
        lower.push_str(&escape.to_ascii_lowercase());
        lower.push_str(rest);
    }
    lower
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
    use proptest::prelude::*;

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

    proptest! {
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
