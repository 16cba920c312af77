//! A process that replaces a plugin again and again does not grow. A test target of its own, since it measures
//! the whole process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may stop at the first surprise"
)]

#[path = "plugin/fixture.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod fixture;
#[path = "plugin/section.rs"]
mod section;
#[path = "plugin/world.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod world;

use duet::plugin::secrets::Secrets;
use duet::plugin::{Component, Outcome};

const TOML: &str = r#"
    [plugins.idle]
    component = "idle.wasm"
"#;

/// Goal: code, stores and threads' leftovers of a replaced plugin are given back. Method: the same component with
/// another custom section is another digest and another compilation. Kept, each would cost 75 KiB (measured by
/// forgetting them), so 300 would be 22 MiB; the bound is a third of that. The first rounds fill allocators.
#[tokio::test]
async fn three_hundred_replacements_leave_memory_flat() {
    let component = fixture::component("idle");
    let admission = fixture::admission_on(fixture::threads());
    let mut settled_kib = 0;
    for round in 0..330_u32 {
        let bytes = section::append(&component, "round", &round.to_le_bytes());
        let plugin = admission
            .admit(
                Component::new(bytes),
                fixture::instance(TOML),
                Secrets::default(),
            )
            .await
            .unwrap();
        assert_eq!(fixture::run(&plugin, "hi").await.outcome, Outcome::Done);
        if round == 29 {
            settled_kib = rss_kib();
        }
    }
    let grown_kib = rss_kib().saturating_sub(settled_kib);
    println!(
        "measured: {settled_kib} KiB after 30 replacements, {grown_kib} KiB more after 300 more"
    );
    assert!(grown_kib < 8 * 1024, "{grown_kib} KiB more");
}

fn rss_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
