use std::borrow::Cow;

use duet_rules::sending::Agent;
use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use utoipa::openapi::schema::{KnownFormat, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A time in ms since 1970, written as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time(i64);

impl Time {
    pub(super) fn new(ms: i64) -> Time {
        Time(ms)
    }

    /// Absent where there is no time.
    pub(super) fn maybe(ms: Option<i64>) -> Option<Time> {
        ms.map(Time)
    }
}

impl Serialize for Time {
    /// A time beyond the year 9999 is written as its end: Meta's numbers are not ours to refuse here.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let end = if self.0 < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        };
        serializer.collect_str(&Timestamp::from_millisecond(self.0).unwrap_or(end))
    }
}

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .into()
    }
}

impl ToSchema for Time {
    fn name() -> Cow<'static, str> {
        "Time".into()
    }
}

/// One of the business's own people, as the system that they work in knows them: an id of 1 to 128 bytes, and a name to be
/// shown.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Agent)]
pub(super) struct AgentShape {
    id: String,
    name: Option<String>,
}

impl From<AgentShape> for Agent {
    fn from(agent: AgentShape) -> Agent {
        Agent {
            id: agent.id,
            name: agent.name,
        }
    }
}

impl From<Agent> for AgentShape {
    fn from(agent: Agent) -> AgentShape {
        AgentShape {
            id: agent.id,
            name: agent.name,
        }
    }
}

/// JSON as it was kept, not a byte changed; a text that is none after all, as a JSON string.
pub(super) fn raw(text: &str) -> Option<Box<RawValue>> {
    match serde_json::from_str::<&RawValue>(text) {
        Ok(value) => Some(value.to_owned()),
        Err(_) => to_raw_value(text).ok(),
    }
}

/// For `skip_serializing_if`.
pub(super) fn is_false(value: &bool) -> bool {
    !*value
}
