//! The body of a call as it leaves: bytes, and files that are read while they are sent.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use duet_rules::media::Digest;
use duet_rules::outbound::Piece;
use futures_util::{Stream, StreamExt, stream};
use ring::digest::{Context, SHA256};
use tokio::io::AsyncReadExt;

const CHUNK_BYTES: usize = 64 << 10;

/// Opens a file of the gateway's store, whose bytes are those of its name, and tells its length. Blocking.
pub type Files = Arc<dyn Fn(Digest) -> io::Result<(std::fs::File, u64)> + Send + Sync>;

/// A body that can be sent.
pub(super) enum Carried {
    Bytes(Vec<u8>),
    /// With its length.
    Stream(reqwest::Body, u64),
}

/// A file that is being sent.
struct Sending {
    file: tokio::fs::File,
    left: u64,
    hash: Context,
    digest: Digest,
}

enum Opened {
    Bytes(Vec<u8>),
    File(Box<Sending>),
}

impl Carried {
    /// # Errors
    /// When a file is not there any more.
    pub(super) async fn open(pieces: Vec<Piece>, files: &Files) -> io::Result<Carried> {
        let mut opened = Vec::new();
        let (mut length, mut is_plain) = (0_u64, true);
        for piece in pieces {
            let (piece, bytes) = match piece {
                Piece::Bytes(bytes) => {
                    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    (Opened::Bytes(bytes), length)
                }
                Piece::File(file) => {
                    is_plain = false;
                    let sending = Sending::open(file.digest, files.clone()).await?;
                    let bytes = sending.left;
                    (Opened::File(Box::new(sending)), bytes)
                }
            };
            length = length.saturating_add(bytes);
            opened.push(piece);
        }
        if is_plain {
            let all = opened.into_iter().filter_map(|piece| match piece {
                Opened::Bytes(bytes) => Some(bytes),
                Opened::File(_) => None,
            });
            return Ok(Carried::Bytes(all.flatten().collect()));
        }
        let body = stream::iter(opened).flat_map(|piece| match piece {
            Opened::Bytes(bytes) => stream::iter([Ok(Bytes::from(bytes))]).left_stream(),
            Opened::File(sending) => sending.stream().right_stream(),
        });
        Ok(Carried::Stream(reqwest::Body::wrap_stream(body), length))
    }
}

impl Sending {
    async fn open(digest: Digest, files: Files) -> io::Result<Sending> {
        let opened = tokio::task::spawn_blocking(move || files(digest)).await;
        let (file, left) = opened.map_err(io::Error::other)??;
        Ok(Sending {
            file: tokio::fs::File::from_std(file),
            left,
            hash: Context::new(&SHA256),
            digest,
        })
    }

    fn stream(self: Box<Self>) -> impl Stream<Item = io::Result<Bytes>> {
        stream::try_unfold(self, |mut sending| async move {
            let chunk = sending.next().await?;
            Ok(chunk.map(|chunk| (chunk, sending)))
        })
    }

    /// The last chunk leaves only when all were what they should be: a file that was wiped meanwhile does not arrive.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.left == 0 {
            return Ok(None);
        }
        let wanted = usize::try_from(self.left).unwrap_or(CHUNK_BYTES);
        let mut chunk = vec![0; wanted.min(CHUNK_BYTES)];
        self.file.read_exact(&mut chunk).await?;
        self.hash.update(&chunk);
        self.left = self
            .left
            .saturating_sub(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        if self.left == 0 && self.hash.clone().finish().as_ref() != self.digest.0.as_slice() {
            return Err(io::Error::other(
                "the file was taken away while it was sent",
            ));
        }
        Ok(Some(chunk.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use duet_rules::outbound::File;
    use ring::digest::digest;

    use super::*;

    #[tokio::test]
    async fn a_file_that_is_not_what_it_was_does_not_arrive() {
        let bytes = vec![7; CHUNK_BYTES + 10];
        let named = Digest(digest(&SHA256, &bytes).as_ref().try_into().unwrap());
        for (wiped, arrives) in [(false, true), (true, false)] {
            let mut on_disk = tempfile::NamedTempFile::new().unwrap();
            let written = if wiped {
                vec![0; bytes.len()]
            } else {
                bytes.clone()
            };
            on_disk.write_all(&written).unwrap();
            let length = u64::try_from(bytes.len()).unwrap();
            let path = on_disk.path().to_owned();
            let files: Files = Arc::new(move |_| Ok((std::fs::File::open(&path)?, length)));
            let sending = Sending::open(named, files).await.unwrap();
            let sent: Vec<_> = Box::new(sending).stream().collect().await;
            assert_eq!(sent.last().unwrap().is_ok(), arrives);
            let sent: Vec<u8> = sent.into_iter().flatten().flatten().collect();
            assert_eq!(sent == bytes, arrives);
        }
    }

    #[tokio::test]
    async fn pieces_leave_in_order_with_their_length() {
        let files: Files = Arc::new(|_| Err(io::Error::other("gone")));
        let piece = |text: &str| Piece::Bytes(text.into());
        let carried = Carried::open(vec![piece("a"), piece("b")], &files).await;
        assert!(matches!(carried, Ok(Carried::Bytes(bytes)) if bytes == b"ab"));
        let gone = Piece::File(File {
            digest: Digest([0; 32]),
            mime_type: String::new(),
            bytes: 1,
        });
        assert!(Carried::open(vec![piece("a"), gone], &files).await.is_err());
    }
}
