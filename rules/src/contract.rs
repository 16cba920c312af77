//! The versions of the contract between Duet and a plugin, and which of them this gateway serves.
//!
//! `wit/VERSIONING.md` says how the contract may change. Deliberately absent: matching by semantic versions alone, as
//! WIT's tools do it. To them a release candidate is compatible with nothing but itself.

use semver::Version;

use crate::toml_file::quoted;

/// The version of `duet:plugin` that this gateway speaks, as `wit/duet.wit` has it.
pub const CONTRACT: &str = "0.1.0-rc.2";

/// The versions that a component may be built for, the newest last. Each only adds to the one before, so that a
/// component of any of them finds its functions among today's.
pub const SERVED: [&str; 2] = ["0.1.0-rc.1", CONTRACT];

/// Why a component cannot run here because of its contract, to be put after its name, and the remedy. `None` if it can.
///
/// `contract` is what its manifest says; `imports` are the names of what it imports, `duet:plugin/log@0.1.0` among them.
#[must_use]
pub fn refusal(contract: &str, imports: &[String]) -> Option<(String, String)> {
    let of_duet = imports
        .iter()
        .filter(|import| import.starts_with("duet:plugin/"));
    let imported = of_duet.map(|import| {
        let version = import.split_once('@').map(|(_, version)| version);
        version.unwrap_or("of no version")
    });
    let other = std::iter::once(contract)
        .chain(imported)
        .find(|version| !SERVED.contains(version))?;
    let message = format!(
        "is built for contract {}, this gateway speaks {CONTRACT}",
        quoted(other).trim_matches('"')
    );
    let build = format!("build the plugin against duet:plugin@{CONTRACT}");
    let remedy = if is_newer(other) {
        format!("update Duet, or {build}")
    } else {
        build
    };
    Some((message, remedy))
}

fn is_newer(version: &str) -> bool {
    match (Version::parse(version), Version::parse(CONTRACT)) {
        (Ok(version), Ok(ours)) => version > ours,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_served_is_told_with_both_versions() {
        let build = format!("build the plugin against duet:plugin@{CONTRACT}");
        let newer = format!("update Duet, or {build}");
        let log = |version: &str| format!("duet:plugin/log{version}");
        let wasi = "wasi:io/error@0.2.6".to_owned();
        assert_eq!(
            refusal(CONTRACT, &[log(&format!("@{CONTRACT}")), wasi]),
            None
        );
        let cases = [
            ("0.1.0-draft", "@0.1.0-draft", "0.1.0-draft", &build),
            ("0.1.0-rc.99", "@0.1.0-rc.99", "0.1.0-rc.99", &newer),
            ("0.1.0", "@0.1.0", "0.1.0", &newer),
            ("9.0.0", "@9.0.0", "9.0.0", &newer),
            ("0.0.9", "@0.0.9", "0.0.9", &build),
            // What a manifest says is no more than words.
            (CONTRACT, "@0.2.0", "0.2.0", &newer),
            (CONTRACT, "", "of no version", &build),
            (CONTRACT, "@\n", "\\n", &build),
        ];
        for (contract, version, told, remedy) in cases {
            let message = format!("is built for contract {told}, this gateway speaks {CONTRACT}");
            assert_eq!(
                refusal(contract, &[log(version)]),
                Some((message, remedy.clone())),
                "{contract} with {version}"
            );
        }
    }

    #[test]
    fn the_newest_that_is_served_is_the_gateways_own() {
        assert_eq!(SERVED.last(), Some(&CONTRACT));
        assert!(SERVED.iter().all(|version| Version::parse(version).is_ok()));
    }
}
