//! What a component says of itself, read without compiling or running it: imports, exports and manifest.

use duet_rules::manifest::SECTION;
use wasmparser::{Parser, Payload};

/// The handlers' names up to their versions.
const HANDLER: &str = "duet:plugin/on-event@";
const HOOK_HANDLER: &str = "duet:plugin/on-hook@";

/// A component's outside.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outline<'a> {
    /// `duet:plugin/log@0.1.0`, `wasi:io/error@0.2.6`, …
    pub imports: Vec<String>,
    pub exports: Vec<String>,
    /// The bytes of each manifest section, wherever a toolchain has put it.
    pub manifests: Vec<&'a [u8]>,
    /// What its memories begin with, over all of its modules.
    pub data_bytes: usize,
}

impl Outline<'_> {
    /// The export that is called for events, `duet:plugin/on-event@0.1.0`.
    pub(super) fn handler(&self) -> Option<&str> {
        self.export(HANDLER)
    }

    /// The export that is called for calls of hooks that are answered, `duet:plugin/on-hook@0.1.0`.
    pub(super) fn hook_handler(&self) -> Option<&str> {
        self.export(HOOK_HANDLER)
    }

    fn export(&self, begins: &str) -> Option<&str> {
        let mut exports = self.exports.iter().map(String::as_str);
        exports.find(|name| name.starts_with(begins))
    }

    /// The imports, and what each handler takes: a plugin that imports nothing has a contract, too.
    #[must_use]
    pub fn uses(&self) -> Vec<String> {
        let handlers = self.exports.iter().filter_map(|name| {
            name.strip_prefix(HANDLER)
                .or_else(|| name.strip_prefix(HOOK_HANDLER))
        });
        let taken = handlers.map(|version| format!("duet:plugin/types@{version}"));
        self.imports.iter().cloned().chain(taken).collect()
    }
}

/// Names that a component may import or export; a thousand is far more than any toolchain makes.
const NAMES_MAX: usize = 1_000;

/// Reads the outside of a component. Nothing is validated: this says what a component asks for, not that it is sound.
pub fn outline(bytes: &[u8]) -> Result<Outline<'_>, String> {
    if !Parser::is_component(bytes) {
        return Err("not a WebAssembly component".into());
    }
    let mut outline = Outline::default();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(|error| error.to_string())? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(imports) if depth == 0 => {
                for import in imports {
                    outline.imports.push(
                        import
                            .map_err(|error| error.to_string())?
                            .name
                            .name
                            .to_owned(),
                    );
                }
            }
            Payload::ComponentExportSection(exports) if depth == 0 => {
                for export in exports {
                    outline.exports.push(
                        export
                            .map_err(|error| error.to_string())?
                            .name
                            .name
                            .to_owned(),
                    );
                }
            }
            Payload::DataSection(segments) => {
                for segment in segments {
                    let data = segment.map_err(|error| error.to_string())?.data;
                    outline.data_bytes = outline.data_bytes.saturating_add(data.len());
                }
            }
            Payload::CustomSection(section) if section.name() == SECTION => {
                outline.manifests.push(section.data())
            }
            _ => {}
        }
        if outline.imports.len() + outline.exports.len() + outline.manifests.len() > NAMES_MAX {
            return Err(format!("more than {NAMES_MAX} imports and exports"));
        }
    }
    Ok(outline)
}
