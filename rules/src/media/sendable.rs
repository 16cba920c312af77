//! Which files Meta takes, and as what ("Supported media types" of the WhatsApp Cloud API, "Media"). The list of types
//! is the one that its upload names when it refuses one; a type with parameters is refused, too.

/// Meta writes MB and KB, and nowhere how many bytes they have. Here they are the larger ones: what Meta might take is
/// refused by Meta alone (131053).
const MIB: u64 = 1 << 20;
const KIB: u64 = 1 << 10;
/// The largest file that Meta takes, bytes: a document.
pub const FILE_BYTES_MAX: u64 = 100 * MIB;
const STICKER_BYTES_MAX: u64 = 100 * KIB;
const ANIMATED_BYTES_MAX: u64 = 500 * KIB;

/// Every type that can be uploaded, and what such a file is sent as besides a document.
const TYPES: [(&str, Option<SentAs>); 19] = [
    ("audio/aac", Some(SentAs::Audio)),
    ("audio/amr", Some(SentAs::Audio)),
    ("audio/mp4", Some(SentAs::Audio)),
    ("audio/mpeg", Some(SentAs::Audio)),
    ("audio/ogg", Some(SentAs::Audio)),
    ("audio/opus", Some(SentAs::Audio)),
    ("application/msword", None),
    ("application/pdf", None),
    ("application/vnd.ms-excel", None),
    ("application/vnd.ms-powerpoint", None),
    (
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        None,
    ),
    (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        None,
    ),
    (
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        None,
    ),
    ("image/jpeg", Some(SentAs::Image)),
    ("image/png", Some(SentAs::Image)),
    ("image/webp", Some(SentAs::Sticker)),
    ("text/plain", None),
    ("video/3gpp", Some(SentAs::Video)),
    ("video/mp4", Some(SentAs::Video)),
];
/// What programs call some of them.
const ALIASES: [(&str, &str); 5] = [
    ("image/jpg", "image/jpeg"),
    ("audio/mp3", "audio/mpeg"),
    ("audio/x-m4a", "audio/mp4"),
    ("audio/m4a", "audio/mp4"),
    ("video/3gp", "video/3gpp"),
];

/// What a file is sent as: the message's or the header's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentAs {
    Image,
    Video,
    Audio,
    Document,
    Sticker,
}

/// A file, as far as Meta looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sendable {
    /// As [`upload_type`] gives it.
    pub mime_type: String,
    pub bytes: u64,
    /// Of a WebP: whether it moves. `None` when nobody has looked.
    pub animated: Option<bool>,
}

/// The type under which Meta takes a file that is called `given`, without parameters.
///
/// # Errors
/// What is wrong with it, and what may stand there.
pub fn upload_type(given: &str) -> Result<&'static str, String> {
    let essence = given.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    let alias = ALIASES.iter().find(|(alias, _)| *alias == essence);
    let name = alias.map_or(essence.as_str(), |(_, name)| *name);
    let known = TYPES.iter().find(|(known, _)| *known == name);
    known.map(|(known, _)| *known).ok_or_else(|| {
        let found = if essence.is_empty() {
            "is missing; give it".to_owned()
        } else {
            // Nobody needs more of it to find the place.
            let shown: String = essence.chars().take(100).collect();
            format!("is {shown}, which WhatsApp does not take; convert the file")
        };
        let types = TYPES.map(|(name, _)| name).join(", ");
        format!("{found}: one of {types}")
    })
}

impl SentAs {
    pub const ALL: [SentAs; 5] = [
        SentAs::Image,
        SentAs::Video,
        SentAs::Audio,
        SentAs::Document,
        SentAs::Sticker,
    ];

    /// As Meta names it in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SentAs::Image => "image",
            SentAs::Video => "video",
            SentAs::Audio => "audio",
            SentAs::Document => "document",
            SentAs::Sticker => "sticker",
        }
    }

    /// What [`SentAs::as_str`] wrote.
    #[must_use]
    pub fn from_word(word: &str) -> Option<SentAs> {
        SentAs::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    fn types(self) -> Vec<&'static str> {
        let is_one = |sent_as| self == SentAs::Document || sent_as == Some(self);
        let types = TYPES.into_iter().filter(|(_, sent_as)| is_one(*sent_as));
        types.map(|(name, _)| name).collect()
    }

    fn bytes_max(self, animated: Option<bool>) -> u64 {
        match self {
            SentAs::Image => 5 * MIB,
            SentAs::Video | SentAs::Audio => 16 * MIB,
            SentAs::Document => FILE_BYTES_MAX,
            SentAs::Sticker if animated == Some(false) => STICKER_BYTES_MAX,
            SentAs::Sticker => ANIMATED_BYTES_MAX,
        }
    }

    /// Whether Meta takes the file as this.
    ///
    /// # Errors
    /// What speaks against it, and what can be done.
    pub fn takes(self, file: &Sendable) -> Result<(), String> {
        let (kind, types) = (self.as_str(), self.types());
        let otherwise = if self != SentAs::Document && SentAs::Document.takes(file).is_ok() {
            ", or send it as a document"
        } else {
            ""
        };
        if !types.contains(&file.mime_type.as_str()) {
            let types = types.join(", ");
            return Err(format!(
                "is {}, and WhatsApp takes as {kind} only {types}; convert it{otherwise}",
                file.mime_type
            ));
        }
        let bytes_max = self.bytes_max(file.animated);
        if file.bytes > bytes_max {
            return Err(format!(
                "has {} bytes, and WhatsApp takes as {kind} at most {bytes_max}; make it smaller{otherwise}",
                file.bytes
            ));
        }
        Ok(())
    }
}

/// Bytes from the beginning of a file that [`is_animated`] looks at.
pub const HEAD_BYTES: usize = 21;

/// Whether a WebP moves: the flag in its extended header ("WebP Container Specification", Google); `None` when it is
/// no WebP.
#[must_use]
pub fn is_animated(head: &[u8]) -> Option<bool> {
    const ANIMATION: u8 = 0b10;
    if head.get(..4)? != b"RIFF" || head.get(8..12)? != b"WEBP" {
        return None;
    }
    let extended = head.get(12..16)? == b"VP8X";
    Some(extended && head.get(20)? & ANIMATION != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(mime_type: &str, bytes: u64, animated: Option<bool>) -> Sendable {
        Sendable {
            mime_type: mime_type.to_owned(),
            bytes,
            animated,
        }
    }

    #[test]
    fn metas_limits_for_each_type() {
        use SentAs::{Audio, Document, Image, Sticker, Video};
        for (kind, mime_type, animated, bytes_max) in [
            (Image, "image/jpeg", None, 5_242_880),
            (Image, "image/png", None, 5_242_880),
            (Video, "video/mp4", None, 16_777_216),
            (Video, "video/3gpp", None, 16_777_216),
            (Audio, "audio/aac", None, 16_777_216),
            (Audio, "audio/amr", None, 16_777_216),
            (Audio, "audio/mpeg", None, 16_777_216),
            (Audio, "audio/mp4", None, 16_777_216),
            (Audio, "audio/ogg", None, 16_777_216),
            (Document, "application/pdf", None, 104_857_600),
            (Document, "image/jpeg", None, 104_857_600),
            (Sticker, "image/webp", Some(false), 102_400),
            (Sticker, "image/webp", Some(true), 512_000),
            (Sticker, "image/webp", None, 512_000),
        ] {
            assert_eq!(
                kind.takes(&file(mime_type, bytes_max, animated)),
                Ok(()),
                "{mime_type}"
            );
            let refused = kind.takes(&file(mime_type, bytes_max + 1, animated));
            assert!(
                refused.is_err_and(
                    |words| words.contains(&bytes_max.to_string()) && words.contains("smaller")
                ),
                "{mime_type}"
            );
        }
    }

    #[test]
    fn a_wrong_type_is_told_with_the_way_out() {
        for (kind, mime_type, words) in [
            (
                SentAs::Image,
                "image/webp",
                "is image/webp, and WhatsApp takes as image only image/jpeg, image/png; convert it, or send it as a document",
            ),
            (
                SentAs::Sticker,
                "image/png",
                "is image/png, and WhatsApp takes as sticker only image/webp; convert it, or send it as a document",
            ),
        ] {
            assert_eq!(kind.takes(&file(mime_type, 1, None)), Err(words.to_owned()));
        }
        let refused = SentAs::Document.takes(&file("application/zip", 1, None));
        assert!(refused.is_err_and(|words| words.contains("application/zip") && !words.contains("or send")));
    }

    #[test]
    fn a_type_stands_bare_and_by_its_right_name() {
        for (given, name) in [
            ("image/jpeg", "image/jpeg"),
            ("IMAGE/JPG", "image/jpeg"),
            ("audio/ogg; codecs=opus", "audio/ogg"),
            (" text/plain;charset=utf-8", "text/plain"),
            ("audio/mp3", "audio/mpeg"),
        ] {
            assert_eq!(upload_type(given), Ok(name), "{given}");
        }
        for given in ["", "image", "application/zip", "text/html", "image/svg+xml"] {
            let refused = upload_type(given);
            assert!(
                refused.is_err_and(|words| words.contains("application/pdf")),
                "{given}"
            );
        }
    }

    #[test]
    fn a_moving_sticker_is_known_by_its_header() {
        let head = |chunk: &[u8], flags: u8| {
            [
                b"RIFF\0\0\0\0WEBP".as_slice(),
                chunk,
                b"\x0a\0\0\0",
                &[flags],
            ]
            .concat()
        };
        assert_eq!(is_animated(&head(b"VP8X", 0b0001_0010)), Some(true));
        assert_eq!(is_animated(&head(b"VP8X", 0b0001_0000)), Some(false));
        assert_eq!(is_animated(&head(b"VP8L", 0b10)), Some(false));
        assert_eq!(is_animated(b"\x89PNG\r\n\x1a\n0123456789abcdef"), None);
        assert_eq!(is_animated(b"RIFF"), None);
    }

    proptest! {
        /// What is taken as anything is taken as a document, so that the way out holds.
        #[test]
        fn a_document_is_the_widest(at in 0..TYPES.len(), bytes in 0..200 * MIB, animated: Option<bool>) {
            let (mime_type, _) = TYPES[at];
            let file = file(mime_type, bytes, animated);
            for kind in SentAs::ALL {
                prop_assert!(kind.takes(&file).is_err() || SentAs::Document.takes(&file).is_ok());
            }
        }

        #[test]
        fn no_head_is_too_odd(head in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = is_animated(&head);
        }
    }
}
