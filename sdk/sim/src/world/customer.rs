//! Customers, each known to one business number: window, names, choices.

use std::collections::{HashMap, VecDeque};

use serde_json::{Map, Value, json};

use crate::clock::DAY_MS;
use crate::config::Config;

#[derive(Clone, Debug, Default)]
pub(crate) struct Customer {
    /// Digits with country code.
    pub(crate) phone: String,
    pub(crate) name: String,
    pub(crate) user_id: String,
    pub(crate) username: Option<String>,
    /// Webhooks leave the phone out, as for a customer with a username and no recent contact.
    pub(crate) phone_hidden: bool,
    /// Webhooks leave the user id out, as before April 2026.
    pub(crate) user_id_hidden: bool,
    /// The id in the parent portfolio, which only enrolled managed businesses get.
    pub(crate) parent_user_id: Option<String>,
    pub(crate) wrote_last_ms: Option<u64>,
    pub(crate) got_last_id: Option<String>,
    pub(crate) marketing_stopped: bool,
}

pub(crate) struct Customers {
    names: HashMap<String, String>,
    known: HashMap<(String, String), Customer>,
    by_user_id: HashMap<(String, String), String>,
    /// In the order in which they came.
    arrivals: VecDeque<(String, String)>,
    max: usize,
}

impl Customers {
    pub(crate) fn new(config: &Config) -> Self {
        let names = config
            .customers
            .iter()
            .map(|customer| (digits(&customer.phone), customer.name.clone()))
            .collect();
        Self {
            names,
            known: HashMap::new(),
            by_user_id: HashMap::new(),
            arrivals: VecDeque::new(),
            max: config.limits.customers_max.max(1),
        }
    }

    /// The customer of `number` with this phone, if they ever wrote or were written to from the phone.
    pub(crate) fn get(&self, number: &str, phone: &str) -> Option<&Customer> {
        self.known.get(&(number.to_owned(), phone.to_owned()))
    }

    pub(crate) fn by_user_id(&self, number: &str, user_id: &str) -> Option<&Customer> {
        let phone = self
            .by_user_id
            .get(&(number.to_owned(), user_id.to_owned()))?;
        self.get(number, phone)
    }

    /// The customer, made known if need be.
    pub(crate) fn meet(&mut self, number: &str, waba: &str, phone: &str) -> &mut Customer {
        let key = (number.to_owned(), phone.to_owned());
        if !self.known.contains_key(&key) {
            if self.known.len() >= self.max
                && let Some(oldest) = self.arrivals.pop_front()
                && let Some(gone) = self.known.remove(&oldest)
            {
                self.by_user_id.remove(&(oldest.0, gone.user_id));
            }
            self.by_user_id
                .insert((number.to_owned(), user_id(waba, phone)), phone.to_owned());
            self.arrivals.push_back(key.clone());
        }
        let names = &self.names;
        self.known
            .entry(key)
            .or_insert_with(|| stranger(names, waba, phone))
    }

    /// What a webhook says about somebody who may be unknown.
    pub(crate) fn portrait(&self, number: &str, waba: &str, phone: &str) -> Customer {
        self.get(number, phone)
            .cloned()
            .unwrap_or_else(|| stranger(&self.names, waba, phone))
    }

    /// The customer takes another number, and with it another user id; both old and new are given back.
    pub(crate) fn renumber(
        &mut self,
        number: &str,
        waba: &str,
        from: &str,
        to: &str,
    ) -> [Customer; 2] {
        let old = self.meet(number, waba, from).clone();
        let new = self.meet(number, waba, to);
        *new = Customer {
            phone: to.to_owned(),
            user_id: user_id(waba, to),
            ..old.clone()
        };
        [old, new.clone()]
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }
}

impl Customer {
    pub(crate) fn window_open(&self, now_ms: u64) -> bool {
        self.wrote_last_ms
            .is_some_and(|at| now_ms.saturating_sub(at) < DAY_MS)
    }

    /// The user ids that a webhook names, under these names. Somebody without a phone always has one.
    pub(crate) fn user_ids(&self, user_ids: bool, names: [&str; 2]) -> Map<String, Value> {
        if !self.phone_hidden && (!user_ids || self.user_id_hidden) {
            return Map::new();
        }
        let [own, parent] = names;
        let parent_id = self.parent_user_id.as_ref();
        std::iter::once((own.to_owned(), json!(self.user_id)))
            .chain(parent_id.map(|id| (parent.to_owned(), json!(id))))
            .collect()
    }

    /// An element of `contacts`.
    pub(crate) fn contact(&self, user_ids: bool) -> Value {
        let mut profile = Map::from_iter([("name".to_owned(), json!(self.name))]);
        if let Some(username) = &self.username {
            profile.insert("username".into(), json!(username));
        }
        let mut contact = Map::from_iter([("profile".to_owned(), Value::Object(profile))]);
        if !self.phone_hidden {
            contact.insert("wa_id".into(), json!(self.phone));
        }
        contact.extend(self.user_ids(user_ids, ["user_id", "parent_user_id"]));
        Value::Object(contact)
    }
}

fn stranger(names: &HashMap<String, String>, waba: &str, phone: &str) -> Customer {
    let name = names.get(phone).cloned().unwrap_or_else(|| {
        format!(
            "Customer {}",
            phone.get(phone.len().saturating_sub(4)..).unwrap_or(phone)
        )
    });
    Customer {
        phone: phone.to_owned(),
        name,
        user_id: user_id(waba, phone),
        ..Customer::default()
    }
}

/// Only the digits of a phone number.
pub(crate) fn digits(phone: &str) -> String {
    phone.chars().filter(char::is_ascii_digit).collect()
}

/// The business-scoped user id of a phone: the same for every number of one WABA, another elsewhere.
pub(crate) fn user_id(waba: &str, phone: &str) -> String {
    let country = [
        ("91", "IN"),
        ("1", "US"),
        ("44", "GB"),
        ("49", "DE"),
        ("55", "BR"),
        ("62", "ID"),
    ]
    .into_iter()
    .find_map(|(prefix, country)| phone.starts_with(prefix).then_some(country))
    .unwrap_or("US");
    // FNV-1a: stable from run to run, which a test that stores ids needs.
    let hash = waba
        .bytes()
        .chain(*b"/")
        .chain(phone.bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("{country}.{hash:020}")
}
