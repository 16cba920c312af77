//! The admin's side: `plugins.toml` and the components beside it.

use std::path::{Path, PathBuf};

use anyhow::bail;
use duet_rules::contract::CONTRACT;

use crate::gateway::target_folder;

/// The text of a `plugins.toml` and the guests that it names, as `<guest>.wasm` in the same folder.
#[derive(Clone, Debug, Default)]
pub struct PluginsFile {
    pub text: String,
    pub guests: Vec<&'static str>,
}

impl PluginsFile {
    /// One `probe` that sees everything from the beginning, computing `spin_ms` for each message.
    #[must_use]
    pub fn probe(label: &str, spin_ms: u64) -> PluginsFile {
        PluginsFile::default().and("probe", &Self::probe_table("probe", label, spin_ms))
    }

    /// The table of an instance of `probe`.
    #[must_use]
    pub fn probe_table(name: &str, label: &str, spin_ms: u64) -> String {
        Self::probe_of(&["message.text"], name, label, spin_ms)
    }

    /// The same for an instance that gets these kinds of events.
    #[must_use]
    pub fn probe_of(events: &[&str], name: &str, label: &str, spin_ms: u64) -> String {
        format!(
            "[plugins.{name}]\ncomponent = \"probe.wasm\"\nfrom = \"beginning\"\nevents = {events:?}\n\
             [plugins.{name}.settings]\nlabel = \"{label}\"\nspin_ms = {spin_ms}\n\
             [plugins.{name}.limits]\ncpu_ms_max = 10000\nwall_ms_max = 60000\n\
             [plugins.{name}.messages]\nspeak = [\"automation\"]\n\
             [plugins.{name}.store]\nbytes_max = \"64MiB\"\nkeys_max = 100000\n"
        )
    }

    /// With one more table and its guest.
    #[must_use]
    pub fn and(mut self, guest: &'static str, table: &str) -> PluginsFile {
        self.text.push_str(table);
        self.text.push('\n');
        if !self.guests.contains(&guest) {
            self.guests.push(guest);
        }
        self
    }

    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        for guest in &self.guests {
            std::fs::copy(guest_file(guest)?, folder.join(format!("{guest}.wasm")))?;
        }
        replace(&folder.join("plugins.toml"), self.text.as_bytes())
    }
}

/// Puts a file in its place in one step, as an editor or a deployment does.
///
/// # Errors
/// When the folder cannot be written.
pub fn replace(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let aside = file.with_extension("aside");
    std::fs::write(&aside, bytes)?;
    std::fs::rename(&aside, file)?;
    Ok(())
}

/// A built guest: from `DUET_TEST_PLUGINS`, else from the target folder.
///
/// # Errors
/// When it is not built; names the command.
pub fn guest_file(guest: &str) -> anyhow::Result<PathBuf> {
    let folder = match std::env::var_os("DUET_TEST_PLUGINS") {
        Some(folder) => PathBuf::from(folder),
        None => target_folder()?.join("wasm32-wasip2").join("release"),
    };
    let file = folder.join(format!("{guest}.wasm"));
    if !file.exists() {
        bail!(
            "{} is missing; run: cargo build -p {guest} --target wasm32-wasip2 --release",
            file.display()
        );
    }
    Ok(file)
}

/// The same component with other words wherever these stand in it; spaces fill what is left.
///
/// # Errors
/// When they stand nowhere, or the others have no room.
pub fn with_words(component: &[u8], words: &[u8], others: &[u8]) -> anyhow::Result<Vec<u8>> {
    let places: Vec<usize> = memchr::memmem::find_iter(component, words).collect();
    if places.is_empty() || others.len() > words.len() {
        bail!("the words stand {} times in the component", places.len());
    }
    let mut bytes = component.to_vec();
    for at in places {
        let filled = others.iter().chain(std::iter::repeat(&b' '));
        bytes.splice(at..at + words.len(), filled.copied().take(words.len()));
    }
    Ok(bytes)
}

/// The same component built for another version of the contract, which has as many letters as today's.
#[must_use]
pub fn with_contract(component: &[u8], version: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(component.len());
    let mut rest = component;
    while let Some((first, behind)) = rest.split_first() {
        if let Some(behind) = rest.strip_prefix(CONTRACT.as_bytes()) {
            bytes.extend_from_slice(version.as_bytes());
            rest = behind;
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    bytes
}

/// The same component with a custom section of this content at its end: another digest, the same behaviour.
#[must_use]
pub fn with_custom_section(component: &[u8], content: &str) -> Vec<u8> {
    const NAME: &[u8] = b"build";
    let mut section = Vec::new();
    push_leb(&mut section, NAME.len());
    section.extend_from_slice(NAME);
    section.extend_from_slice(content.as_bytes());
    let mut bytes = component.to_vec();
    bytes.push(0);
    push_leb(&mut bytes, section.len());
    bytes.extend_from_slice(&section);
    bytes
}

/// Unsigned LEB128, as WebAssembly writes lengths.
fn push_leb(bytes: &mut Vec<u8>, mut value: usize) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            return bytes.push(low);
        }
        bytes.push(low | 0x80);
    }
}
