//! Files: uploaded by the gateway or sent by customers, each with the age at which its id dies.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

#[derive(Clone)]
pub(crate) struct MediaFile {
    pub(crate) mime_type: String,
    pub(crate) bytes: Bytes,
    pub(crate) sha256: [u8; 32],
    pub(crate) dies_ms: u64,
}

pub(crate) struct MediaShelf {
    files: HashMap<String, MediaFile>,
    arrivals: VecDeque<String>,
    bytes: usize,
    bytes_max: usize,
    last: u64,
}

/// Files at most, however small.
const FILES_MAX: usize = 100_000;

impl MediaShelf {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            files: HashMap::new(),
            arrivals: VecDeque::new(),
            bytes: 0,
            bytes_max,
            last: 0,
        }
    }

    /// Keeps a file and gives its id.
    pub(crate) fn add(&mut self, mime_type: &str, bytes: Bytes, dies_ms: u64) -> String {
        self.last += 1;
        let id = format!("{}", 4_490_709_327_000_000_u64 + self.last);
        let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
        let mut sha256 = [0; 32];
        sha256
            .iter_mut()
            .zip(digest.as_ref())
            .for_each(|(to, from)| *to = *from);
        self.bytes += bytes.len();
        self.arrivals.push_back(id.clone());
        self.files.insert(
            id.clone(),
            MediaFile {
                mime_type: mime_type.to_owned(),
                bytes,
                sha256,
                dies_ms,
            },
        );
        while (self.bytes > self.bytes_max || self.files.len() > FILES_MAX)
            && self.arrivals.len() > 1
        {
            let Some(oldest) = self.arrivals.pop_front() else {
                break;
            };
            self.remove(&oldest);
        }
        id
    }

    /// The file, unless its id has died.
    pub(crate) fn get(&self, id: &str, now_ms: u64) -> Option<&MediaFile> {
        self.files.get(id).filter(|file| now_ms < file.dies_ms)
    }

    pub(crate) fn remove(&mut self, id: &str) -> bool {
        let Some(file) = self.files.remove(id) else {
            return false;
        };
        self.bytes -= file.bytes.len();
        self.arrivals.retain(|kept| kept != id);
        true
    }
}
