//! What a component says of itself, read without compiling or running it: imports, exports and manifest.

use duet_rules::manifest::SECTION;
use wasmparser::{CustomSectionReader, KnownCustom, Name, Parser, Payload};

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

    fn has_room_for(&self, more: u32) -> Result<(), String> {
        let names = self.imports.len() + self.exports.len() + self.manifests.len();
        match usize::try_from(more) {
            Ok(more) if names + more <= NAMES_MAX => Ok(()),
            _ => Err(format!("more than {NAMES_MAX} imports and exports")),
        }
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
/// Modules and components inside it, as deep as they may be.
const MODULES_MAX: usize = 1_000;
/// A trap is told with the names of functions, once for each that was called.
const FUNCTION_NAME_BYTES_MAX: usize = 16 * 1024;

/// What cannot be read as names is none to wasmtime either.
fn check_names(section: &CustomSectionReader<'_>) -> Result<(), String> {
    let KnownCustom::Name(names) = section.as_known() else {
        return Ok(());
    };
    for names in names.into_iter().flatten() {
        let Name::Function(functions) = names else {
            continue;
        };
        for function in functions.into_iter().flatten() {
            if function.name.len() > FUNCTION_NAME_BYTES_MAX {
                return Err(format!(
                    "a function has a name of more than {FUNCTION_NAME_BYTES_MAX} bytes"
                ));
            }
        }
    }
    Ok(())
}

/// Reads the outside of a component. Nothing is validated: this says what a component asks for, not that it is sound.
pub fn outline(bytes: &[u8]) -> Result<Outline<'_>, String> {
    if !Parser::is_component(bytes) {
        return Err("not a WebAssembly component".into());
    }
    let mut outline = Outline::default();
    let (mut depth, mut modules) = (0_usize, 0_usize);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(|error| error.to_string())? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                depth += 1;
                modules += 1;
                if modules > MODULES_MAX {
                    return Err(format!("more than {MODULES_MAX} modules and components"));
                }
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(imports) if depth == 0 => {
                outline.has_room_for(imports.count())?;
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
                outline.has_room_for(exports.count())?;
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
                outline.has_room_for(1)?;
                outline.manifests.push(section.data());
            }
            Payload::CustomSection(section) => check_names(&section)?,
            _ => {}
        }
    }
    Ok(outline)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leb(number: usize) -> Vec<u8> {
        let (low, rest) = (u8::try_from(number & 0x7f).unwrap(), number >> 7);
        match rest {
            0 => vec![low],
            _ => [vec![low | 0x80], leb(rest)].concat(),
        }
    }

    fn counted(bytes: &[u8]) -> Vec<u8> {
        [leb(bytes.len()), bytes.to_vec()].concat()
    }

    fn section(id: u8, bytes: &[u8]) -> Vec<u8> {
        [vec![id], counted(bytes)].concat()
    }

    /// A component with a module in which a function has a name of so many bytes.
    fn named(bytes: usize) -> Vec<u8> {
        let name = [vec![1, 0], counted(&vec![b'n'; bytes])].concat();
        let names = [counted(b"name"), section(1, &name)].concat();
        let module = [b"\0asm\x01\0\0\0".to_vec(), section(0, &names)].concat();
        [b"\0asm\x0d\0\x01\0".to_vec(), section(1, &module)].concat()
    }

    /// wasmtime tells a trap with them, as long as they are.
    #[test]
    fn names_of_functions_have_an_end() {
        assert!(outline(&named(FUNCTION_NAME_BYTES_MAX)).is_ok());
        let told = outline(&named(FUNCTION_NAME_BYTES_MAX + 1)).unwrap_err();
        assert!(told.contains("a function has a name"), "{told}");
    }

    #[test]
    fn what_announces_more_imports_than_any_toolchain_makes_is_not_read() {
        let imports = section(10, &leb(60_000_000));
        let told = outline(&[b"\0asm\x0d\0\x01\0".to_vec(), imports].concat()).unwrap_err();
        assert!(told.contains("imports"), "{told}");
    }
}
