//! `payloads/elements.tsv`: what each public webhook body must become, written independently of the decoder.
//! Its README tells the columns.

use std::path::PathBuf;

use anyhow::Context;
use duet_rules::webhook::Key;
use serde_json::{Map, Value};

/// Bodies in the folder: 170 of public sources, 17 written by hand.
pub const BODIES: usize = 187;

/// One element of one body.
#[derive(Clone, Debug)]
pub struct Row {
    /// Line in the table, for messages.
    pub line: usize,
    pub file: String,
    pub index: usize,
    pub kind: String,
    pub waba: Option<String>,
    pub number: Option<String>,
    pub wa_id: Option<String>,
    pub user_id: Option<String>,
    pub name: Option<String>,
    pub at_ms: Option<i64>,
    pub history: bool,
    key_parts: String,
    second_key: Option<String>,
    body_pointer: String,
}

impl Row {
    /// The first dedupe key; `None` where it is a hash of the body and its place.
    #[must_use]
    pub fn key(&self) -> Option<Key> {
        let (row, rest) = self.key_parts.split_once(':')?;
        let (number, rest) = rest.split_once(':')?;
        if row != "t" {
            return Some(Key::of(&[row, number, rest]));
        }
        let (rest, at) = rest.rsplit_once(':')?;
        let (id, status) = rest.rsplit_once(':')?;
        Some(Key::of(&["t", number, id, status, at]))
    }

    /// The key on the stanza, where the message id can be decoded.
    #[must_use]
    pub fn second_key(&self) -> Option<Key> {
        let parts: Vec<_> = self.second_key.as_deref()?.split(':').collect();
        Some(Key::of(&parts))
    }

    /// The element's own JSON, found in the whole body.
    ///
    /// # Errors
    /// When the pointer leads nowhere.
    pub fn body(&self, whole: &Value) -> anyhow::Result<Value> {
        let found = match self.body_pointer.strip_prefix("leftover:") {
            None => whole.pointer(&self.body_pointer).cloned(),
            Some(names) => whole.pointer("/entry/0/changes/0/value").map(|value| {
                let left = names
                    .split(',')
                    .filter_map(|name| Some((name.to_owned(), value.get(name)?.clone())));
                Value::Object(left.collect::<Map<_, _>>())
            }),
        };
        found.with_context(|| format!("{self}: {} leads nowhere", self.body_pointer))
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "elements.tsv:{} {} [{}] {}",
            self.line, self.file, self.index, self.kind
        )
    }
}

/// The folder of the bodies.
#[must_use]
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("payloads")
}

/// All rows, in the order of the table.
///
/// # Errors
/// When the table is not as its README says.
pub fn rows() -> anyhow::Result<Vec<Row>> {
    let text = std::fs::read_to_string(folder().join("elements.tsv"))?;
    text.lines()
        .enumerate()
        .skip(1)
        .map(|(at, line)| read(at + 1, line))
        .collect()
}

fn read(line: usize, text: &str) -> anyhow::Result<Row> {
    let cells: Vec<&str> = text.split('\t').collect();
    let &[
        file,
        index,
        kind,
        waba,
        number,
        wa_id,
        user_id,
        name,
        at_ms,
        history,
        key_parts,
        second_key,
        body_pointer,
    ] = cells.as_slice()
    else {
        anyhow::bail!("elements.tsv:{line}: {} cells, not 13", cells.len())
    };
    let some = |cell: &str| (cell != "-").then(|| cell.replace("\\t", "\t").replace("\\n", "\n"));
    let at_ms = some(at_ms).map(|ms| ms.parse()).transpose();
    Ok(Row {
        line,
        file: file.into(),
        index: index
            .parse()
            .with_context(|| format!("elements.tsv:{line}: index"))?,
        kind: kind.into(),
        waba: some(waba),
        number: some(number),
        wa_id: some(wa_id),
        user_id: some(user_id),
        name: some(name),
        at_ms: at_ms.with_context(|| format!("elements.tsv:{line}: at_ms"))?,
        history: history == "true",
        key_parts: key_parts.into(),
        second_key: some(second_key),
        body_pointer: body_pointer.into(),
    })
}

/// The files of all bodies, as the table names them, sorted.
///
/// # Errors
/// When the folder cannot be read.
pub fn files() -> anyhow::Result<Vec<String>> {
    let mut files = Vec::new();
    for source in std::fs::read_dir(folder())? {
        let source = source?;
        if !source.file_type()?.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(source.path())? {
            let name = file?.file_name();
            files.push(format!(
                "{}/{}",
                source.file_name().to_string_lossy(),
                name.to_string_lossy()
            ));
        }
    }
    files.sort();
    Ok(files)
}

/// A body, byte for byte.
///
/// # Errors
/// When it cannot be read.
pub fn bytes(file: &str) -> anyhow::Result<Vec<u8>> {
    std::fs::read(folder().join(file)).with_context(|| file.to_owned())
}
