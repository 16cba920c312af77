//! Finds the elements of one change: Meta mixes arrays of every kind in one value.

use super::Unreadable;
use super::change::Change;
use super::fields::{self, Rule};
use super::history;
use super::outline::Outline;
use super::rows::Row;
use super::tree::{self, Branch, Shape, Tree};

const LEAVES: Shape = Shape::List(&Shape::Leaf);

const VALUE: Shape = Shape::Object {
    open: &[
        ("errors", LEAVES),
        ("messages", LEAVES),
        ("statuses", LEAVES),
        ("message_echoes", LEAVES),
        ("state_sync", LEAVES),
        ("calls", LEAVES),
        ("user_preferences", LEAVES),
        ("user_id_update", LEAVES),
        ("user_id_updates", LEAVES),
        ("groups", LEAVES),
        ("automatic_events", LEAVES),
        ("history", Shape::List(&history::ITEM)),
    ],
    needs: &[],
};

/// Members that describe the others.
const FRAME: [&str; 3] = ["messaging_product", "metadata", "contacts"];

/// The arrays that may stand in a value of any field, in the order of their elements.
fn arrays(history: bool) -> [(&'static str, Row); 8] {
    let (messages, echoes) = if history {
        (Row::FollowUp, Row::FollowUpEcho)
    } else {
        (Row::Message, Row::Echo)
    };
    [
        ("errors", Row::Error),
        ("messages", messages),
        ("statuses", Row::Status),
        ("message_echoes", echoes),
        ("history", Row::HistoryItem),
        ("state_sync", Row::Contact),
        ("calls", Row::Call),
        ("user_preferences", Row::Preference),
    ]
}

impl<'a> Outline<'a> {
    /// Adds the elements of a change whose part is asked for.
    pub(super) fn add_wanted(
        &mut self,
        mut change: Change<'a>,
        json: &'a str,
    ) -> Result<(), Unreadable> {
        let tree = tree::open(json, &VALUE);
        let Ok(Tree::Object(value)) = tree else {
            self.changes.push(change);
            return self.add(Row::Unknown, json);
        };
        change.read_value(&value);
        let history = change.field == fields::HISTORY;
        let rule = fields::rule(&change.field);
        self.changes.push(change);
        let before = self.len();
        let mut taken: Vec<&str> = FRAME.to_vec();
        for (member, row) in arrays(history) {
            if member != "history" || history {
                self.add_array(&value, member, row)?;
                taken.push(member);
            }
        }
        for member in ["user_id_update", "user_id_updates"] {
            self.add_one_or_many(&value, member, Row::UserId)?;
            taken.push(member);
        }
        self.add_rest(rule, &value, json, before, taken)
    }

    /// What is left after the arrays: the field's own rule, lonely contacts, and the unheard-of.
    fn add_rest(
        &mut self,
        rule: Option<Rule>,
        value: &Branch<'a>,
        json: &'a str,
        before: usize,
        mut taken: Vec<&str>,
    ) -> Result<(), Unreadable> {
        match rule {
            Some(Rule::Whole) => return self.add(Row::Field, json),
            Some(Rule::UserId) if self.len() == before => return self.add(Row::UserId, json),
            Some(Rule::Groups) => {
                if value.get("groups").is_none() {
                    return self.add(Row::Group, json);
                }
                self.add_array(value, "groups", Row::Group)?;
                taken.push("groups");
            }
            Some(Rule::AutomaticEvents) => {
                self.add_array(value, "automatic_events", Row::AutomaticEvent)?;
                taken.push("automatic_events");
            }
            None if self.len() == before => return self.add(Row::Unknown, json),
            Some(Rule::Arrays | Rule::UserId) | None => {}
        }
        if self.len() == before {
            self.add_contacts(value)?;
        }
        match left_over(value, &taken) {
            Some(json) => self.add(Row::Unknown, json),
            None => Ok(()),
        }
    }

    fn add_array(&mut self, value: &Branch<'a>, member: &str, row: Row) -> Result<(), Unreadable> {
        match value.get(member) {
            Some(Tree::List(items)) => items.iter().try_for_each(|item| match row {
                Row::HistoryItem => self.add_history_item(item),
                _ => self.add_item(item, row),
            }),
            Some(Tree::Closed("null")) | None => Ok(()),
            Some(stray) => self.add_item(stray, Row::Unknown),
        }
    }

    fn add_one_or_many(
        &mut self,
        value: &Branch<'a>,
        member: &str,
        row: Row,
    ) -> Result<(), Unreadable> {
        match value.get(member) {
            Some(Tree::Closed(json)) if json.starts_with('{') => self.add(row, *json),
            _ => self.add_array(value, member, row),
        }
    }

    /// An item that is no object keeps its JSON as `unknown`.
    pub(super) fn add_item(&mut self, item: &Tree<'a>, row: Row) -> Result<(), Unreadable> {
        match item {
            Tree::Closed(json) if json.starts_with('{') => self.add(row, *json),
            Tree::Closed(json) => self.add(Row::Unknown, *json),
            Tree::List(_) | Tree::Object(_) => Ok(()),
        }
    }

    fn add_contacts(&mut self, value: &Branch<'a>) -> Result<(), Unreadable> {
        let contacts = value.leaf("contacts");
        match contacts.and_then(super::json::list) {
            Some(items) => items
                .into_iter()
                .try_for_each(|json| self.add_item(&Tree::Closed(json), Row::Profile)),
            None => contacts.map_or(Ok(()), |json| self.add(Row::Unknown, json)),
        }
    }
}

/// An object of the members that no row took, or nothing if all were taken.
fn left_over(value: &Branch<'_>, taken: &[&str]) -> Option<String> {
    let mut json = String::new();
    for (name, tree) in value.iter() {
        if taken.contains(&name) {
            continue;
        }
        json.push(if json.is_empty() { '{' } else { ',' });
        json.push_str(&serde_json::to_string(name).ok()?);
        json.push(':');
        tree.write(&mut json);
    }
    if json.is_empty() {
        return None;
    }
    json.push('}');
    Some(json)
}
