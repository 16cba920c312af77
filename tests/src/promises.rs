//! `docs/plugin-host.md` names a test for each promise; each of them is there.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every `.rs` below, but what is built.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// The functions that stand right behind an attribute that makes them tests.
fn tests(source: &str) -> HashSet<&str> {
    let is_test = |line: &&str| line.starts_with("#[test]") || line.starts_with("#[tokio::test");
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let behind = lines.windows(2).filter(|pair| is_test(&pair[0]));
    let name = |line: &'_ str| -> Option<usize> { line.find("fn ").map(|at| at + 3) };
    behind
        .filter_map(|pair| pair[1].get(name(pair[1])?..)?.split('(').next())
        .collect()
}

#[test]
fn each_promise_names_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/plugin-host.md")).unwrap();
    let mut files = Vec::new();
    for folder in ["host", "rules", "tests"] {
        sources(&root.join(folder), &mut files);
    }
    let texts: Vec<String> = files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let known: HashSet<&str> = texts.iter().flat_map(|text| tests(text)).collect();
    let rows: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains('`'))
        .collect();
    assert!(rows.len() > 8, "{rows:?}");
    for row in rows {
        let cell = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let named: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test in {row}");
        for name in named {
            assert!(known.contains(name), "no test is called {name}");
        }
    }
}
