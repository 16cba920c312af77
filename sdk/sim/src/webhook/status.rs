//! The statuses that follow an accepted send.

use serde_json::{Map, Value, json};

use super::envelope::Change;
use crate::error::GraphError;
use crate::state::{Sent, State, lock};
use crate::world::{Customer, NumberState};

/// What a status is about.
pub(crate) struct Subject {
    pub(crate) number: NumberState,
    pub(crate) customer: Customer,
    pub(crate) id: String,
    pub(crate) opaque: Option<String>,
    /// `service`, or the template's category in lower case.
    pub(crate) category: String,
    pub(crate) window_open: bool,
    /// The send named a user id, not a phone.
    pub(crate) by_user_id: bool,
}

impl Subject {
    /// What is left to say about a send from the record.
    pub(crate) fn of_sent(state: &State, sent: &Sent) -> Option<Self> {
        let world = lock(&state.world);
        let number = world.numbers.get(&sent.number)?.clone();
        let customer = world
            .customers
            .portrait(&sent.number, &number.number.waba, &sent.to);
        let window_open = customer.window_open(state.clock.now_ms());
        let (id, opaque) = (sent.id.clone(), sent.opaque.clone());
        Some(Self {
            number,
            customer,
            id,
            opaque,
            category: "service".into(),
            window_open,
            by_user_id: false,
        })
    }

    /// The change for one status: `sent`, `delivered`, `read`, `played`.
    pub(crate) fn status(&self, user_ids: bool, now_ms: u64, status: &str) -> Change {
        let mut fields = self.fields(user_ids, now_ms, status);
        if matches!(status, "sent" | "delivered") {
            fields.insert("pricing".into(), self.pricing());
        }
        let contacts = json!([self.customer.contact(user_ids)]);
        self.change(
            now_ms,
            [
                ("contacts".to_owned(), contacts),
                ("statuses".to_owned(), json!([fields])),
            ],
        )
    }

    /// The change for `failed`; in the time of user ids it has no `contacts`.
    pub(crate) fn failed(&self, user_ids: bool, now_ms: u64, code: u32, details: &str) -> Change {
        let mut fields = self.fields(user_ids, now_ms, "failed");
        if !self.by_user_id {
            fields.remove("recipient_user_id");
            fields.remove("recipient_parent_user_id");
        }
        fields.insert(
            "errors".into(),
            json!([GraphError::in_webhook(code, details)]),
        );
        let statuses = ("statuses".to_owned(), json!([fields]));
        if user_ids {
            return self.change(now_ms, [statuses]);
        }
        self.change(
            now_ms,
            [
                ("contacts".to_owned(), json!([self.customer.contact(false)])),
                statuses,
            ],
        )
    }

    fn fields(&self, user_ids: bool, now_ms: u64, status: &str) -> Map<String, Value> {
        let seconds = now_ms / 1000;
        let mut fields = Map::from_iter([
            ("id".to_owned(), json!(self.id)),
            ("status".to_owned(), json!(status)),
            ("timestamp".to_owned(), json!(seconds.to_string())),
        ]);
        if !self.customer.phone_hidden && !self.customer.phone.is_empty() {
            fields.insert("recipient_id".into(), json!(self.customer.phone));
        }
        let names = ["recipient_user_id", "recipient_parent_user_id"];
        fields.extend(self.customer.user_ids(user_ids || self.by_user_id, names));
        if let Some(opaque) = &self.opaque {
            fields.insert("biz_opaque_callback_data".into(), json!(opaque));
        }
        fields
    }

    fn pricing(&self) -> Value {
        let free = self.window_open && matches!(self.category.as_str(), "service" | "utility");
        let kind = if free {
            "free_customer_service"
        } else {
            "regular"
        };
        json!({"billable": !free, "pricing_model": "PMP", "type": kind, "category": self.category})
    }

    fn change(&self, now_ms: u64, value: impl IntoIterator<Item = (String, Value)>) -> Change {
        let peer = if self.customer.phone.is_empty() {
            &self.customer.user_id
        } else {
            &self.customer.phone
        };
        Change::of(
            &self.number,
            "messages",
            peer,
            now_ms,
            value.into_iter().collect(),
        )
    }
}
