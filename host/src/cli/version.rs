use std::sync::LazyLock;

/// As the workspace pins it.
const WASMTIME: &str = "48";

/// Duet's version and those of what decides how it behaves: the sandbox and the database.
pub(super) fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        format!(
            "{} (wasmtime {} LTS, SQLite {})",
            env!("CARGO_PKG_VERSION"),
            WASMTIME,
            crate::store::views::engine_version()
        )
    });
    &TEXT
}
