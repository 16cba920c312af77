//! Splits a body into its documented layers in one pass, down to the leaves that become elements.
//!
//! A [`Shape`] says which layers to open. The fast way takes the whole text at once and gives up at
//! the first surprise. The patient way then opens one layer after the other and leaves whatever does
//! not fit closed, so that one odd item spoils none of its neighbours.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::json::Name;

pub(super) enum Shape {
    /// Kept as text.
    Leaf,
    List(&'static Shape),
    Object {
        /// Members to open; all others are leaves.
        open: &'static [(&'static str, Shape)],
        /// At least one of these must be there; none given means that anything will do.
        needs: &'static [&'static str],
    },
}

pub(super) enum Tree<'a> {
    /// A leaf, or something else than the shape says.
    Closed(&'a str),
    List(Vec<Tree<'a>>),
    Object(Branch<'a>),
}

pub(super) struct Branch<'a>(Vec<(Cow<'a, str>, Tree<'a>)>);

impl<'a> Branch<'a> {
    pub(super) fn get(&self, name: &str) -> Option<&Tree<'a>> {
        self.0
            .iter()
            .rfind(|(key, _)| key == name)
            .map(|(_, tree)| tree)
    }

    /// The text of a leaf, unless it is absent or null.
    pub(super) fn leaf(&self, name: &str) -> Option<&'a str> {
        match self.get(name)? {
            Tree::Closed(json) if *json != "null" => Some(json),
            _ => None,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Tree<'a>)> {
        self.0.iter().map(|(name, tree)| (name.as_ref(), tree))
    }
}

/// Opens `json` by its shape.
///
/// # Errors
/// When `json` is not JSON, or its outermost layer does not fit the shape.
pub(super) fn open<'a>(json: &'a str, shape: &'static Shape) -> serde_json::Result<Tree<'a>> {
    let layer = |patient| Layer(Seed { shape, patient });
    whole(json, layer(false)).or_else(|_| whole(json, layer(true)))
}

fn whole<'a, S: DeserializeSeed<'a>>(json: &'a str, seed: S) -> serde_json::Result<S::Value> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let tree = seed.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(tree)
}

#[derive(Clone, Copy)]
struct Seed {
    shape: &'static Shape,
    patient: bool,
}

impl<'de> DeserializeSeed<'de> for Seed {
    type Value = Tree<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree<'de>, D::Error> {
        if !self.patient && !matches!(self.shape, Shape::Leaf) {
            return deserializer.deserialize_any(Layer(self));
        }
        let raw: &'de RawValue = serde::Deserialize::deserialize(deserializer)?;
        let json = raw.get();
        let fits = match self.shape {
            Shape::Leaf => false,
            Shape::List(_) => json.starts_with('['),
            Shape::Object { .. } => json.starts_with('{'),
        };
        let open = || whole(json, Layer(self)).ok();
        Ok(fits.then(open).flatten().unwrap_or(Tree::Closed(json)))
    }
}

/// Opens exactly one layer; what is inside is up to the seed.
struct Layer(Seed);

impl<'de> DeserializeSeed<'de> for Layer {
    type Value = Tree<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Layer {
    type Value = Tree<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.shape {
            Shape::Leaf => "a value",
            Shape::List(_) => "an array",
            Shape::Object { .. } => "an object",
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree<'de>, A::Error> {
        let Shape::List(shape) = self.0.shape else {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self));
        };
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Seed { shape, ..self.0 })? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree<'de>, A::Error> {
        let Shape::Object { open, needs } = self.0.shape else {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Map, &self));
        };
        let mut members: Vec<(Cow<'de, str>, Tree<'de>)> = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            let shape = open.iter().find(|(key, _)| *key == name);
            let shape = shape.map_or(&Shape::Leaf, |(_, shape)| shape);
            let tree = map.next_value_seed(Seed { shape, ..self.0 })?;
            members.push((name, tree));
        }
        let satisfied = members
            .iter()
            .any(|(name, _)| needs.contains(&name.as_ref()));
        if !needs.is_empty() && !satisfied {
            return Err(A::Error::custom(format_args!(
                "none of {needs:?} is present"
            )));
        }
        Ok(Tree::Object(Branch(members)))
    }
}

impl Tree<'_> {
    /// Writes the JSON, without the white space between opened layers.
    pub(super) fn write(&self, json: &mut String) {
        match self {
            Tree::Closed(text) => json.push_str(text),
            Tree::List(items) => {
                json.push('[');
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        json.push(',');
                    }
                    item.write(json);
                }
                json.push(']');
            }
            Tree::Object(branch) => {
                json.push('{');
                for (place, (name, tree)) in branch.iter().enumerate() {
                    if place > 0 {
                        json.push(',');
                    }
                    json.push_str(&serde_json::Value::from(name).to_string());
                    json.push(':');
                    tree.write(json);
                }
                json.push('}');
            }
        }
    }
}
