//! The files on disk: `media/ab/<SHA-256 in hex>`, and beside them `media/new` for what is still arriving.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use duet_rules::media::Digest;
use ring::digest::{Context, SHA256};

use crate::failpoint::hit;

const NEW: &str = "new";
const READ_BYTES: usize = 64 << 10;

/// Where the files are. Blocking; cheap to clone.
#[derive(Debug, Clone)]
pub struct MediaFolder {
    path: PathBuf,
}

/// A file that is arriving. Dropped before it is placed, it leaves nothing.
pub struct Arrival {
    file: File,
    path: PathBuf,
    hash: Context,
    bytes: u64,
    placed: bool,
}

impl MediaFolder {
    pub(super) fn new(path: PathBuf) -> MediaFolder {
        MediaFolder { path }
    }

    /// Begins a file for a message.
    pub fn arrival(&self, message: i64) -> io::Result<Arrival> {
        self.begin(self.arriving(message))
    }

    /// Begins a file that is handed over; `nth` tells it from others that arrive.
    pub fn deposit(&self, nth: u64) -> io::Result<Arrival> {
        self.begin(self.path.join(NEW).join(format!("given-{nth}")))
    }

    fn begin(&self, path: PathBuf) -> io::Result<Arrival> {
        super::super::make_folder(&self.path.join(NEW))?;
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)?;
        Ok(Arrival {
            file,
            path,
            hash: Context::new(&SHA256),
            bytes: 0,
            placed: false,
        })
    }

    /// Gives a whole file its name. After a power cut it is there, or nothing is.
    pub fn place(&self, arrival: Arrival) -> io::Result<(Digest, u64)> {
        let mut arrival = arrival;
        arrival.file.sync_all()?;
        let digest = digest(arrival.hash.clone())?;
        let path = self.path_of(digest);
        let folder = path.parent().unwrap_or(&self.path);
        super::super::make_folder(folder)?;
        hit("media.before_place");
        fs::rename(&arrival.path, &path)?;
        arrival.placed = true;
        for folder in path.ancestors().skip(1).take(3) {
            File::open(folder)?.sync_all()?;
        }
        hit("media.placed");
        Ok((digest, arrival.bytes))
    }

    /// Opens a file whose bytes are still those of its name; the answer is its length as well. It stands at its
    /// beginning.
    pub fn open(&self, digest: Digest) -> io::Result<(File, u64)> {
        let mut file = File::open(self.path_of(digest))?;
        let (found, bytes) = read_digest(&mut file)?;
        if found != digest {
            return Err(io::Error::other(
                "the bytes on disk are not those that were stored",
            ));
        }
        file.seek(SeekFrom::Start(0))?;
        Ok((file, bytes))
    }

    /// The same for one that was looked at just before: its bytes are not read again.
    pub fn open_again(&self, digest: Digest) -> io::Result<File> {
        File::open(self.path_of(digest))
    }

    /// Whether a file that was opened before still has the bytes of its name: one that was wiped meanwhile has not, and
    /// whoever has read it since may have got zeros.
    pub fn is_whole(file: &mut File, digest: Digest) -> io::Result<bool> {
        file.seek(SeekFrom::Start(0))?;
        Ok(read_digest(file)?.0 == digest)
    }

    pub(super) fn holds(&self, digest: Digest) -> bool {
        self.path_of(digest).is_file()
    }

    /// Takes a file's name away; what is left has to be wiped.
    pub(super) fn retire(&self, digest: Digest) -> io::Result<Option<PathBuf>> {
        super::super::make_folder(&self.path.join(NEW))?;
        let retired = self.path.join(NEW).join(format!("gone-{digest}"));
        match fs::rename(self.path_of(digest), &retired) {
            Ok(()) => Ok(Some(retired)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Wipes what is arriving for a message; whoever is still writing to it writes into nothing.
    pub(super) fn drop_arrival(&self, message: i64) -> io::Result<()> {
        wipe(&self.arriving(message))
    }

    /// Wipes what an earlier process left on its way in or out.
    pub(super) fn clear_new(&self) -> io::Result<usize> {
        let mut count = 0;
        for entry in entries(&self.path.join(NEW))? {
            wipe(&entry)?;
            count += 1;
        }
        Ok(count)
    }

    /// The digests of all files.
    pub(super) fn digests(&self) -> io::Result<Vec<Digest>> {
        let mut found = Vec::new();
        for folder in entries(&self.path)? {
            if folder.is_dir() && !folder.ends_with(NEW) {
                let names = entries(&folder)?;
                let names = names.iter().filter_map(|path| path.file_name()?.to_str());
                found.extend(names.filter_map(Digest::read));
            }
        }
        Ok(found)
    }

    fn arriving(&self, message: i64) -> PathBuf {
        self.path.join(NEW).join(message.to_string())
    }

    fn path_of(&self, digest: Digest) -> PathBuf {
        let name = digest.to_string();
        let folder: String = name.chars().take(2).collect();
        self.path.join(folder).join(name)
    }
}

impl Arrival {
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        self.bytes = self
            .bytes
            .saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        hit("media.written");
        Ok(())
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The digest of the bytes so far.
    pub fn digest(&self) -> io::Result<Digest> {
        digest(self.hash.clone())
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if !self.placed {
            // What stays is swept at the next start.
            let _ = wipe(&self.path);
        }
    }
}

/// Overwrites a file and unlinks it; what is not there need not go. A disk that writes elsewhere than it is told
/// keeps old bytes all the same.
pub(super) fn wipe(path: &Path) -> io::Result<()> {
    match overwrite(path).and_then(|()| fs::remove_file(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn overwrite(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    let mut left = file.metadata()?.len();
    let zeros = [0; READ_BYTES];
    while left > 0 {
        let count = usize::try_from(left).unwrap_or(READ_BYTES).min(READ_BYTES);
        file.write_all(zeros.get(..count).unwrap_or(&zeros))?;
        left = left.saturating_sub(u64::try_from(count).unwrap_or(left));
    }
    file.sync_all()
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn read_digest(file: &mut File) -> io::Result<(Digest, u64)> {
    let mut hash = Context::new(&SHA256);
    let mut buffer = vec![0; READ_BYTES];
    let mut bytes = 0_u64;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok((digest(hash)?, bytes));
        }
        hash.update(buffer.get(..count).unwrap_or_default());
        bytes = bytes.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
    }
}

fn digest(hash: Context) -> io::Result<Digest> {
    let bytes = hash.finish();
    let bytes = bytes.as_ref().try_into().map_err(io::Error::other)?;
    Ok(Digest(bytes))
}
