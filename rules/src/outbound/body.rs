//! What a call carries. Files stand in it by their digests; whoever makes the call has their bytes.

use crate::media::Digest;

/// A form has at most so many parts.
pub const PARTS_MAX: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    Bytes(Vec<u8>),
    File(File),
    /// `multipart/form-data` (RFC 7578).
    Form(Vec<Part>),
}

/// A file of the gateway's store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub digest: Digest,
    pub mime_type: String,
    pub bytes: u64,
}

/// A field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub name: String,
    pub filename: Option<String>,
    /// A file's own where it is absent.
    pub content_type: Option<String>,
    pub content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Bytes(Vec<u8>),
    File(File),
}

/// A part of a body as it leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Bytes(Vec<u8>),
    File(File),
}

impl Body {
    /// Bytes that it has without its files.
    #[must_use]
    pub fn own_bytes(&self) -> usize {
        match self {
            Body::Bytes(bytes) => bytes.len(),
            Body::File(_) => 0,
            Body::Form(parts) => parts.iter().map(Part::own_bytes).sum(),
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Body::Bytes(bytes) if bytes.is_empty())
    }

    /// Bytes of its files, taken together.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        match self {
            Body::Bytes(_) => 0,
            Body::File(file) => file.bytes,
            Body::Form(parts) => {
                let files = parts.iter().filter_map(|part| match &part.content {
                    Content::File(file) => Some(file.bytes),
                    Content::Bytes(_) => None,
                });
                files.fold(0, u64::saturating_add)
            }
        }
    }

    pub(super) fn content_type(&self, boundary: &str) -> Option<String> {
        match self {
            Body::Bytes(_) => None,
            Body::File(file) => Some(file.mime_type.clone()),
            Body::Form(_) => Some(format!("multipart/form-data; boundary={boundary}")),
        }
    }

    /// What leaves, one after the other.
    pub(super) fn pieces(self, boundary: &str) -> Result<Vec<Piece>, String> {
        let parts = match self {
            Body::Bytes(bytes) if bytes.is_empty() => return Ok(Vec::new()),
            Body::Bytes(bytes) => return Ok(vec![Piece::Bytes(bytes)]),
            Body::File(file) => return Ok(vec![Piece::File(file)]),
            Body::Form(parts) => parts,
        };
        let (mut pieces, mut text) = (Vec::new(), Vec::new());
        for part in parts {
            text.extend(part.head(boundary)?.into_bytes());
            match part.content {
                Content::Bytes(bytes) => text.extend(bytes),
                Content::File(file) => {
                    pieces.push(Piece::Bytes(std::mem::take(&mut text)));
                    pieces.push(Piece::File(file));
                }
            }
            text.extend_from_slice(b"\r\n");
        }
        text.extend(format!("--{boundary}--\r\n").into_bytes());
        pieces.push(Piece::Bytes(text));
        Ok(pieces)
    }
}

impl Part {
    fn own_bytes(&self) -> usize {
        let texts = [self.filename.as_ref(), self.content_type.as_ref()];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        let content = match &self.content {
            Content::Bytes(bytes) => bytes.len(),
            Content::File(_) => 0,
        };
        self.name.len() + texts + content
    }

    fn head(&self, boundary: &str) -> Result<String, String> {
        let filename = self.filename.as_deref().map_or_else(String::new, |name| {
            format!("; filename=\"{}\"", escaped(name))
        });
        let own = match &self.content {
            Content::File(file) => Some(&file.mime_type),
            Content::Bytes(_) => None,
        };
        let content_type = match self.content_type.as_ref().or(own) {
            Some(odd) if odd.chars().any(char::is_control) => {
                return Err(format!(
                    "the part {:?} has no content-type that can be sent",
                    self.name
                ));
            }
            Some(known) => format!("content-type: {known}\r\n"),
            None => String::new(),
        };
        let name = escaped(&self.name);
        Ok(format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"{filename}\r\n{content_type}\r\n"
        ))
    }
}

/// As the HTML standard's "multipart/form-data encoding algorithm" has it.
fn escaped(name: &str) -> String {
    name.replace('"', "%22")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}
