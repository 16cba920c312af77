//! The customer's side of an event.

use crate::bindings::duet::plugin::{contacts, types};

/// A customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// Duet's id.
    pub id: u64,
    /// As WhatsApp or the phone's address book gives it.
    pub name: Option<String>,
    /// Phone number in digits; absent for a customer known by username only.
    pub wa_id: Option<String>,
    /// Meta's business-scoped user id.
    pub user_id: Option<String>,
}

impl Contact {
    /// Looks a contact up by Duet's id. Needs the grant `contacts`.
    pub fn get(id: u64) -> Option<Contact> {
        contacts::get(id).map(Into::into)
    }
}

impl From<types::Contact> for Contact {
    fn from(contact: types::Contact) -> Self {
        Contact {
            id: contact.id,
            name: contact.name,
            wa_id: contact.wa_id,
            user_id: contact.user_id,
        }
    }
}
