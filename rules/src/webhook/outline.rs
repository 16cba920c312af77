//! Where the elements of a body are: found in one pass, read one by one.
//!
//! A chunk of history holds thousands of messages and intake takes them in slices; the outline
//! makes the n-th element reachable without reading those before it.

use std::borrow::Cow;

use super::change::Change;
use super::element::Element;
use super::history::Thread;
use super::json::{Object, deeper_than, text};
use super::rows::{self, Row};
use super::tree::{self, Branch, Shape, Tree};
use super::{Part, Unreadable, fields};

/// More than any body of at most 3 MB can sensibly hold.
const ELEMENTS_MAX: usize = 100_000;

/// Leaves room below the 128 levels of serde_json for whoever wraps an element in JSON again.
const DEPTH_MAX: usize = 100;

const CHANGE: Shape = Shape::Object {
    open: &[],
    needs: &["value"],
};
const ENTRY: Shape = Shape::Object {
    open: &[("changes", Shape::List(&CHANGE))],
    needs: &["changes"],
};
pub(super) const BODY: Shape = Shape::Object {
    open: &[("entry", Shape::List(&ENTRY))],
    needs: &[],
};

/// The elements of one part of a body. The order, and so every index, is a function of the body and
/// the part alone.
pub struct Outline<'a> {
    part: Part,
    pub(super) changes: Vec<Change<'a>>,
    pub(super) threads: Vec<Thread>,
    spots: Vec<Spot<'a>>,
}

/// One element, not yet read.
struct Spot<'a> {
    row: Row,
    /// Index of its change; always the change that was added last.
    change: usize,
    json: Cow<'a, str>,
}

impl<'a> Outline<'a> {
    /// Finds the elements of `part`.
    ///
    /// # Errors
    /// [`Unreadable`] when the body is not UTF-8, not JSON, no webhook, or beyond a limit.
    pub fn open(body: &'a [u8], part: Part) -> Result<Self, Unreadable> {
        let body = std::str::from_utf8(body).map_err(|error| {
            Unreadable::new(format!("not UTF-8 at byte {}", error.valid_up_to()))
        })?;
        let tree = tree::open(body, &BODY)
            .map_err(|error| Unreadable::new(format!("not a JSON object: {error}")))?;
        let mut outline = Outline {
            part,
            changes: Vec::new(),
            threads: Vec::new(),
            spots: Vec::new(),
        };
        match tree {
            Tree::Object(root) => outline.add_root(body, &root)?,
            Tree::Closed(_) | Tree::List(_) => {
                return Err(Unreadable::new("not a JSON object".into()));
            }
        }
        Ok(outline)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.spots.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spots.is_empty()
    }

    /// Reads the element at `index`.
    #[must_use]
    pub fn element(&self, index: usize) -> Option<Element> {
        self.spots.get(index).and_then(|spot| self.read(spot))
    }

    /// Reads at most `take` elements from index `skip` on.
    pub fn elements(&self, skip: usize, take: usize) -> impl Iterator<Item = Element> {
        self.spots
            .iter()
            .skip(skip)
            .take(take)
            .filter_map(|spot| self.read(spot))
    }

    /// Always `Some`: a spot's change was added before the spot.
    fn read(&self, spot: &Spot<'a>) -> Option<Element> {
        let change = self.changes.get(spot.change)?;
        Some(rows::read(spot.row, change, &self.threads, &spot.json))
    }

    pub(super) fn add(
        &mut self,
        row: Row,
        json: impl Into<Cow<'a, str>>,
    ) -> Result<(), Unreadable> {
        let json = json.into();
        if self.spots.len() >= ELEMENTS_MAX {
            return Err(Unreadable::new(format!(
                "more than {ELEMENTS_MAX} elements"
            )));
        }
        if deeper_than(&json, DEPTH_MAX) {
            return Err(Unreadable::new(format!(
                "nested deeper than {DEPTH_MAX} levels in an element"
            )));
        }
        let change = self.changes.len().saturating_sub(1);
        self.spots.push(Spot { row, change, json });
        Ok(())
    }

    fn add_root(&mut self, body: &'a str, root: &Branch<'a>) -> Result<(), Unreadable> {
        match root.get("entry") {
            Some(Tree::List(entries)) => entries.iter().try_for_each(|entry| self.add_entry(entry)),
            // Some of Meta's pages print a change or a value without its envelope.
            _ if root.leaf("field").is_some() && root.leaf("value").is_some() => {
                self.add_change(None, None, root)
            }
            _ => match inferred_field(body) {
                Some(field) => self.add_value(Change::new(None, None, field.into()), body),
                None => Err(Unreadable::new(
                    "neither entry[] nor a change nor a value of Meta's".into(),
                )),
            },
        }
    }

    fn add_entry(&mut self, entry: &Tree<'a>) -> Result<(), Unreadable> {
        let branch = match entry {
            Tree::Object(branch) => branch,
            Tree::Closed(json) => return self.add_stray(None, None, json),
            Tree::List(_) => return Ok(()),
        };
        let (waba, time) = (branch.leaf("id"), branch.leaf("time"));
        match branch.get("changes") {
            Some(Tree::List(changes)) => changes.iter().try_for_each(|change| match change {
                Tree::Object(branch) => self.add_change(waba, time, branch),
                Tree::Closed(json) => self.add_stray(waba, time, json),
                Tree::List(_) => Ok(()),
            }),
            Some(Tree::Closed(json)) => self.add_stray(waba, time, json),
            Some(Tree::Object(_)) | None => Ok(()),
        }
    }

    /// Something that stands where an entry or a change belongs.
    fn add_stray(
        &mut self,
        waba: Option<&'a str>,
        time: Option<&'a str>,
        json: &'a str,
    ) -> Result<(), Unreadable> {
        if self.part == Part::History {
            return Ok(());
        }
        self.changes
            .push(Change::new(waba, time, Cow::Borrowed("")));
        self.add(Row::Unknown, json)
    }

    fn add_change(
        &mut self,
        waba: Option<&'a str>,
        time: Option<&'a str>,
        change: &Branch<'a>,
    ) -> Result<(), Unreadable> {
        let Some(value) = change.leaf("value") else {
            return self.add_stray(waba, time, "null");
        };
        let field = change.leaf("field").and_then(text);
        let field = field
            .or_else(|| inferred_field(value).map(Cow::Borrowed))
            .unwrap_or_default();
        self.add_value(Change::new(waba, time, field), value)
    }

    fn add_value(&mut self, change: Change<'a>, value: &'a str) -> Result<(), Unreadable> {
        let wanted = match self.part {
            Part::All => true,
            Part::Live => change.field != fields::HISTORY,
            Part::History => change.field == fields::HISTORY,
        };
        if wanted {
            self.add_wanted(change, value)
        } else {
            Ok(())
        }
    }
}

/// The field that a value without one must belong to.
fn inferred_field(value: &str) -> Option<&'static str> {
    const BY_MEMBER: [(&str, &str); 5] = [
        ("history", fields::HISTORY),
        ("message_echoes", "smb_message_echoes"),
        ("state_sync", "smb_app_state_sync"),
        ("messages", "messages"),
        ("statuses", "messages"),
    ];
    let value = Object::read(value)?;
    BY_MEMBER
        .iter()
        .find(|(member, _)| value.has(member))
        .map(|(_, field)| *field)
}
