//! Reading files that others write.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// At most the first `bytes_max` bytes, whatever the path leads to.
pub fn read_at_most(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}
