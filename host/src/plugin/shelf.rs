//! The components of the versions that were live last, in the data folder under their digests.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::Component;
use crate::file::replace;
use crate::store::make_folder;

const ENDING: &str = "wasm";

pub struct Shelf {
    folder: PathBuf,
}

impl Shelf {
    /// In this data folder; its own folder is made when the first component comes.
    pub fn new(data: &Path) -> Shelf {
        Shelf {
            folder: data.join("components"),
        }
    }

    /// Puts a component there, whole or not at all.
    pub fn put(&self, component: &Component) -> io::Result<()> {
        let path = self.path(&component.digest);
        let bytes = u64::try_from(component.bytes.len()).unwrap_or(u64::MAX);
        if path.metadata().is_ok_and(|there| there.len() == bytes) {
            return Ok(());
        }
        make_folder(&self.folder)?;
        replace(&path, &component.bytes)
    }

    /// The component of this digest.
    pub fn get(&self, digest: &str) -> io::Result<Component> {
        let component = Component::read(&self.path(digest))?;
        match component.digest == digest {
            true => Ok(component),
            false => Err(io::Error::other("it was changed")),
        }
    }

    /// Takes all others away.
    pub fn keep(&self, digests: &BTreeSet<String>) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let digest = path.file_stem().and_then(|name| name.to_str());
            if digest.is_none_or(|digest| !digests.contains(digest)) {
                std::fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// Where the component of this digest is, if it is there.
    pub fn path(&self, digest: &str) -> PathBuf {
        self.folder.join(digest).with_extension(ENDING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_and_the_rest_goes() {
        let data = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(data.path());
        let [one, other] = [b"one", b"two"].map(|bytes| Component::new(&bytes[..]));
        shelf.put(&one).unwrap();
        shelf.put(&one).unwrap();
        shelf.put(&other).unwrap();
        assert_eq!(shelf.get(&one.digest).unwrap().bytes, one.bytes);
        shelf.keep(&BTreeSet::from([other.digest.clone()])).unwrap();
        let gone = shelf.get(&one.digest).err().unwrap();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
        std::fs::write(shelf.path(&other.digest), b"six").unwrap();
        assert!(shelf.get(&other.digest).is_err());
    }
}
