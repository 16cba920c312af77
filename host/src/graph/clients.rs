//! Which client calls for whom: the one of a number's key, else the one of its business.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use duet_rules::provider::Provider;

use super::Client;

/// Why nothing is asked for a business without one.
pub const NO_TOKEN: &str = "there is no access token that can be used";

/// The clients of all businesses. Cheap to clone; a change is seen by every clone at once.
#[derive(Clone, Default)]
pub struct Clients {
    inner: Arc<RwLock<HashMap<Holder, Client>>>,
}

/// Whose token a client has: a business, and a number or `""` for all of them.
type Holder = (String, String);

impl Clients {
    /// The client that calls for a number of a business; none while there is no token that can be used.
    pub fn of(&self, business: &str, number: &str) -> Option<Client> {
        let clients = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        [number, ""]
            .into_iter()
            .find_map(|number| clients.get(&(business.to_owned(), number.to_owned())))
            .cloned()
    }

    /// Whether any of them calls a partner.
    pub fn have_a_partner(&self) -> bool {
        let clients = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let is_partners = |client: &Client| client.provider() != Provider::Meta;
        clients.values().any(is_partners)
    }

    /// The businesses that call an API at an address like this.
    pub fn of_apis(&self, is_one: impl Fn(&str) -> bool) -> BTreeSet<String> {
        let clients = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let of_apis = clients.iter().filter(|(_, client)| {
            client.provider() != Provider::Meta && is_one(client.base().as_str())
        });
        of_apis.map(|((business, _), _)| business.clone()).collect()
    }

    /// The clients of a business, in the order of their numbers.
    pub fn all_of(&self, business: &str) -> Vec<Client> {
        let clients = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let mut of_business: Vec<_> = clients
            .iter()
            .filter(|((owner, _), _)| owner == business)
            .collect();
        of_business.sort_by_key(|(holder, _)| *holder);
        let clients = of_business.into_iter().map(|(_, client)| client.clone());
        clients.collect()
    }

    /// A client for what is about no number: the account's own, else that of any of its business's numbers.
    pub fn of_account(&self, business: &str) -> Option<Client> {
        self.all_of(business).into_iter().next()
    }

    /// Makes `client` that of a business, or of the number that its token is for.
    pub fn put(&self, business: &str, client: Client) {
        let mut all = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        all.insert((business.to_owned(), client.scope().to_owned()), client);
    }

    /// From now on these are the clients of all businesses but one, which keeps its own.
    pub fn replace_all_but(&self, business: &str, clients: HashMap<String, Vec<Client>>) {
        let mut all = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(owner, _), _| owner == business);
        for (owner, clients) in clients {
            for client in clients {
                all.insert((owner.clone(), client.scope().to_owned()), client);
            }
        }
    }
}
