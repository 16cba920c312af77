//! JSON bytes as Meta writes them: non-ASCII characters as lower-case `\uXXXX`, slashes escaped.
//! A gateway that verifies a re-serialised body instead of the raw one fails here as it would there.

use std::io::{self, Write};

use serde_json::ser::{CharEscape, Formatter, Serializer};

struct Meta;

impl Formatter for Meta {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut plain = 0;
        for (at, character) in fragment
            .char_indices()
            .filter(|(_, c)| !c.is_ascii() || *c == '/')
        {
            writer.write_all(fragment.get(plain..at).unwrap_or_default().as_bytes())?;
            if character == '/' {
                writer.write_all(b"\\/")?;
            } else {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
            plain = at + character.len_utf8();
        }
        writer.write_all(fragment.get(plain..).unwrap_or_default().as_bytes())
    }

    fn write_char_escape<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        let byte = match escape {
            CharEscape::Quote => b'"',
            CharEscape::ReverseSolidus => b'\\',
            CharEscape::Solidus => b'/',
            CharEscape::Backspace => b'b',
            CharEscape::FormFeed => b'f',
            CharEscape::LineFeed => b'n',
            CharEscape::CarriageReturn => b'r',
            CharEscape::Tab => b't',
            CharEscape::AsciiControl(byte) => return write!(writer, "\\u{byte:04x}"),
        };
        writer.write_all(&[b'\\', byte])
    }
}

pub(crate) fn to_bytes(value: &impl serde::Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    // Writing JSON to memory cannot fail: keys are strings and a `Vec` takes every byte.
    let _ = value.serialize(&mut Serializer::with_formatter(&mut bytes, Meta));
    bytes
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn bytes_are_ascii_lower_case_and_mean_the_same() {
        let value = serde_json::json!({"a": "Gr\u{fc}\u{df}e \u{1f600} \"\\\n\u{1} image/jpeg"});
        let bytes = to_bytes(&value);
        assert_eq!(
            String::from_utf8(bytes.clone()).unwrap(),
            r#"{"a":"Gr\u00fc\u00dfe \ud83d\ude00 \"\\\n\u0001 image\/jpeg"}"#
        );
        assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), value);
    }
}
