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

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    let mut sha256 = [0; 32];
    sha256
        .iter_mut()
        .zip(digest.as_ref())
        .for_each(|(to, from)| *to = *from);
    sha256
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
        self.keep(&id, mime_type, bytes, dies_ms);
        id
    }

    /// Keeps a file under an id of the caller's choice, in place of one that has it already.
    pub(crate) fn keep(&mut self, id: &str, mime_type: &str, bytes: Bytes, dies_ms: u64) {
        self.remove(id);
        let file = MediaFile {
            mime_type: mime_type.to_owned(),
            sha256: sha256(&bytes),
            bytes,
            dies_ms,
        };
        self.bytes += file.bytes.len();
        self.arrivals.push_back(id.to_owned());
        self.files.insert(id.to_owned(), file);
        while (self.bytes > self.bytes_max || self.files.len() > FILES_MAX)
            && self.arrivals.len() > 1
        {
            let Some(oldest) = self.arrivals.pop_front() else {
                break;
            };
            self.remove(&oldest);
        }
    }

    /// The file, unless its id has died.
    pub(crate) fn get(&self, id: &str, now_ms: u64) -> Option<&MediaFile> {
        self.files.get(id).filter(|file| now_ms < file.dies_ms)
    }

    /// Loses every file that it has; no id is given twice.
    pub(crate) fn clear(&mut self) {
        self.files.clear();
        self.arrivals.clear();
        self.bytes = 0;
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
