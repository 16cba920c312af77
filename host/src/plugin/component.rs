//! A component's bytes, read from where `plugins.toml` says.

use std::io;
use std::path::Path;
use std::sync::Arc;

use duet_rules::plugins_toml::Instance;
use duet_rules::toml_file::Problem;

use crate::file::read_at_most;

/// The largest component that is read.
pub const COMPONENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A component as it stands on disk.
#[derive(Clone)]
pub struct Component {
    pub bytes: Arc<[u8]>,
    /// SHA-256, hex.
    pub digest: String,
}

impl Component {
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Component {
        let bytes = bytes.into();
        let digest = hex::encode(ring::digest::digest(&ring::digest::SHA256, &bytes));
        Component { bytes, digest }
    }

    /// The component of an instance; `folder` is where relative paths start.
    pub fn of(instance: &Instance, folder: &Path) -> Result<Component, Problem> {
        let path = folder.join(&instance.component);
        Component::read(&path).map_err(|error| Problem {
            file: instance.file.clone(),
            line: instance.line,
            column: 1,
            message: format!("plugin {:?}: cannot read {}: {error}", instance.name, path.display()),
            remedy: "build it (`cargo xtask guests` builds those that come with Duet) or correct `component`".into(),
        })
    }

    /// The component in a file.
    pub fn read(path: &Path) -> io::Result<Component> {
        // A pipe would be waited for, a device never ends.
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        let bytes = read_at_most(path, COMPONENT_BYTES_MAX + 1)?;
        if bytes.len() > COMPONENT_BYTES_MAX {
            let message = format!(
                "it has more than {COMPONENT_BYTES_MAX} bytes; build it for release, without debug information"
            );
            return Err(io::Error::other(message));
        }
        Ok(Component::new(bytes))
    }
}
