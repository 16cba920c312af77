//! Reading a TOML file of the admin's so that every problem in it is told at once, each with its line.
//!
//! The parser gives a tree with the place of every key; a `Section` asks one table for its keys,
//! checks types and ranges, and at the end reports the keys that nobody asked for. Nothing here reads a
//! file or panics: bytes in, value and problems out.

mod bytes;
mod findings;
mod problem;
mod section;

pub use problem::{Outcome, Problem};

pub(crate) use bytes::{bytes_from_text, bytes_text};
pub(crate) use findings::{Findings, document, nearest, quoted};
pub(crate) use section::{Field, Section, type_words};

/// The largest file that is read. A thousand plugins with long settings stay far below it.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;

/// So many problems are told; whoever has more corrects these first.
pub const PROBLEMS_MAX: usize = 100;
