//! Duet's version, and those of what decides how it behaves: the sandbox, the database and the contract.

use std::sync::LazyLock;

use duet_rules::contract::CONTRACT;

/// What the build was made of.
const LOCK: &str = include_str!("../../Cargo.lock");

pub struct Versions {
    pub duet: &'static str,
    pub wasmtime: &'static str,
    pub sqlite: &'static str,
    pub contract: &'static str,
}

pub fn versions() -> Versions {
    Versions {
        duet: env!("CARGO_PKG_VERSION"),
        wasmtime: locked("wasmtime"),
        sqlite: crate::store::views::engine_version(),
        contract: CONTRACT,
    }
}

/// All of them in a line.
pub fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let Versions {
            duet,
            wasmtime,
            sqlite,
            contract,
        } = versions();
        format!("{duet} (wasmtime {wasmtime} LTS, SQLite {sqlite}, contract {contract})")
    });
    &TEXT
}

fn locked(package: &str) -> &'static str {
    let before = format!("name = \"{package}\"\nversion = \"");
    let version = LOCK.split_once(&before).map(|(_, rest)| rest);
    version
        .and_then(|rest| rest.split('"').next())
        .unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sandbox_is_named_as_it_is_locked() {
        let found = versions().wasmtime;
        let parts: Vec<_> = found.split('.').map(str::parse::<u32>).collect();
        assert!(
            matches!(parts.as_slice(), [Ok(48..), Ok(_), Ok(_)]),
            "{found}"
        );
    }
}
