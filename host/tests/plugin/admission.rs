//! What may not run is refused before it is compiled, with every reason at once.

use duet::plugin::secrets::Secrets;
use duet::plugin::{Admission, Compiler, Component, PluginEngine, outline};
use duet_rules::contract::CONTRACT;

use crate::fixture::{component, instance, threads, try_admit};

/// The problems as an admin reads them.
async fn refusal(bytes: Vec<u8>, toml: &str) -> String {
    match try_admit(bytes, toml).await {
        Ok(_) => panic!("admitted"),
        Err(problems) => problems
            .iter()
            .map(|problem| format!("{problem}\n"))
            .collect(),
    }
}

const FAQ: &str = r#"[plugins.faq]
component = "faq.wasm"
[plugins.faq.settings]
answers = []
[plugins.faq.messages]
[plugins.faq.conversations]
"#;

#[tokio::test]
async fn every_problem_is_told_at_once_with_its_line() {
    let toml = r#"[plugins.faq]
component = "faq.wasm"
[plugins.faq.settings]
mark_read = "yes"
answers = [{ words = [], reply = "10" }]
[plugins.faq.messages]
[plugins.faq.store]
"#;
    let told = refusal(component("faq"), toml).await;
    for words in [
        "plugins.toml:1: plugin \"faq\" imports duet:plugin/conversations but has no [plugins.faq.conversations] grant",
        "plugins.toml:4: settings of plugin \"faq\" at /mark_read",
        "plugins.toml:5: settings of plugin \"faq\" at /answers/0/words",
        "plugins.toml:7: unused grant: plugin \"faq\" does not import duet:plugin/store",
    ] {
        assert!(told.contains(words), "{words}\nis missing in\n{told}");
    }
    assert_eq!(told.lines().count(), 4, "{told}");
}

#[tokio::test]
async fn a_plugin_that_does_not_come_up_within_its_limits_replaces_none() {
    // A Rust guest has a stack of that size in its memory.
    let toml = format!("{FAQ}[plugins.faq.limits]\nmemory_bytes_max = \"1MiB\"\n");
    let told = refusal(component("faq"), &toml).await;
    for words in [
        "plugins.toml:1: plugin \"faq\" does not come up",
        "raise memory_bytes_max in [plugins.faq.limits]",
    ] {
        assert!(told.contains(words), "{words}\nis missing in\n{told}");
    }
}

/// Also where it has what this gateway has not: an interface, a word in its manifest.
#[tokio::test]
async fn another_contract_is_refused_naming_both_versions() {
    let of = |version: &str| replaced(component("faq"), CONTRACT.as_bytes(), version.as_bytes());
    let (newer, older) = (
        CONTRACT.replacen("0.1.", "0.2.", 1),
        CONTRACT.replacen("0.1.", "0.0.", 1),
    );
    let more = replaced(
        of(&newer),
        b"duet:plugin/settings@",
        b"duet:plugin/children@",
    );
    let said = replaced(of(&newer), b"\"permissions\"", b"\"permissionz\"");
    for (bytes, version, remedy) in [
        (of(&newer), &newer, "; update Duet, or build the plugin"),
        (more, &newer, "; update Duet, or build the plugin"),
        (said, &newer, "; update Duet, or build the plugin"),
        (of(&older), &older, "; build the plugin"),
    ] {
        let told = refusal(bytes, FAQ).await;
        let words = format!(
            "is built for contract {version}, this gateway speaks {CONTRACT}{remedy} against duet:plugin@{CONTRACT}\n"
        );
        assert!(told.ends_with(&words), "{words}\nis missing in\n{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[tokio::test]
async fn what_is_no_plugin_is_refused() {
    let faq = component("faq");
    let cases = [
        (Vec::new(), "not a WebAssembly component"),
        (b"\0asm\x01\0\0\0".to_vec(), "not a WebAssembly component"),
        (faq[..faq.len() / 2].to_vec(), "unexpected end"),
        (
            b"\0asm\x0d\0\x01\0".to_vec(),
            "0 sections called duet:manifest",
        ),
        (
            with_section(&faq, "duet:manifest", b"{}"),
            "2 sections called duet:manifest",
        ),
        (
            replaced(faq.clone(), b"\"#/$defs/words\"", b"\"#/$defs/nooo!\""),
            "schema that cannot be used: $ref \"#/$defs/nooo!\" points at nothing",
        ),
        (
            replaced(faq.clone(), b"wasi:cli/stdin@", b"wasx:cli/stdin@"),
            "wasx:cli/stdin@",
        ),
    ];
    for (bytes, words) in cases {
        let told = refusal(bytes, FAQ).await;
        assert!(told.contains(words), "{words}\nis missing in\n{told}");
    }
}

/// An interface that the code does not use is not imported, and so needs no grant.
#[test]
fn a_guest_of_the_sdk_imports_what_it_uses() {
    let imports_of = |name: &str| {
        let bytes = component(name);
        let imports = outline(&bytes).unwrap().imports;
        let names = imports
            .iter()
            .filter_map(|import| import.strip_prefix("duet:plugin/")?.split('@').next());
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        names.sort();
        assert!(
            imports
                .iter()
                .all(|import| import.starts_with("duet:plugin/") || import.starts_with("wasi:"))
        );
        names
    };
    assert_eq!(
        imports_of("faq"),
        ["conversations", "messages", "settings", "types"]
    );
    assert_eq!(
        imports_of("probe"),
        ["messages", "settings", "store", "types"]
    );
}

#[tokio::test]
async fn the_child_compiles_and_the_parent_finds_the_code() {
    let cache = tempfile::tempdir().unwrap();
    let engine = PluginEngine::new(cache.path()).unwrap();
    // A program of its own, so that it can be taken away.
    let programs = tempfile::tempdir().unwrap();
    let program = programs.path().join("duet-copy");
    std::fs::copy(env!("CARGO_BIN_EXE_duet"), &program).unwrap();
    let compiler = Compiler::new(engine.clone(), cache.path().into(), program.clone());
    let admission = Admission::new(compiler, threads());
    let faq = Component::new(component("faq"));

    let first = admission
        .admit(faq.clone(), instance(FAQ), Secrets::default())
        .await
        .unwrap();
    assert_eq!(engine.cache_misses(), 0, "the parent compiled it again");

    std::fs::remove_file(&program).unwrap();
    let second = admission
        .admit(faq.clone(), instance(FAQ), Secrets::default())
        .await
        .unwrap();
    assert_eq!(first.digest(), second.digest());

    drop((first, second));
    let told = admission
        .admit(faq, instance(FAQ), Secrets::default())
        .await
        .err()
        .unwrap();
    assert!(
        told[0].message.contains("duet-copy"),
        "code that nobody holds was kept: {told:?}"
    );
}

#[tokio::test]
async fn a_compiler_that_fails_is_a_problem_and_not_the_end() {
    let mut bytes = component("faq");
    let core_module = bytes
        .windows(8)
        .rposition(|window| window == b"\0asm\x01\0\0\0")
        .unwrap();
    bytes[core_module + 40] ^= 0xff;
    let told = refusal(bytes, FAQ).await;
    assert!(told.contains("plugins.toml:1: plugin \"faq\""), "{told}");
}

fn replaced(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut found = 0;
    for at in 0..=bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
            found += 1;
        }
    }
    assert!(found > 0, "{} is not there", String::from_utf8_lossy(from));
    bytes
}

fn with_section(component: &[u8], name: &str, data: &[u8]) -> Vec<u8> {
    crate::section::append(component, name, data)
}
