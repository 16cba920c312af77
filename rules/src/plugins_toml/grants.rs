use std::collections::BTreeMap;

use super::interface::GRANTED;
use crate::toml_file::{Findings, Section, quoted};

/// What `plugins.toml` lets an instance use, one table for each interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    pub messages: Option<MessagesGrant>,
    pub store: Option<StoreGrant>,
    pub conversations: Option<ConversationsGrant>,
    pub contacts: Option<ContactsGrant>,
    pub http: Option<HttpGrant>,
    pub timers: Option<TimersGrant>,
}

/// Who speaks in a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    Automation,
    /// Speaking as a person takes the conversation over.
    Person,
}

/// `duet:plugin/messages`: may send to customers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessagesGrant {
    /// As whom; never empty.
    pub speak: Vec<Speaker>,
}

/// `duet:plugin/store`: may keep keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreGrant {
    /// Keys and values of the instance, taken together.
    pub bytes_max: u64,
    pub keys_max: u64,
}

/// `duet:plugin/conversations`: may read the state of conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConversationsGrant {
    /// Whether it may also hand over and give back.
    pub handling: bool,
}

/// `duet:plugin/contacts`: may read contacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContactsGrant;

/// `duet:plugin/http`: may call these hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpGrant {
    /// Host names in lower case, each with a port if it is not 443; never empty.
    pub hosts: Vec<String>,
}

/// `duet:plugin/timers`: may set timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimersGrant {
    pub pending_max: u64,
}

impl Grants {
    /// Whether there is a grant for `messages`, `store`, …
    pub fn has(&self, interface: &str) -> bool {
        match interface {
            "messages" => self.messages.is_some(),
            "store" => self.store.is_some(),
            "conversations" => self.conversations.is_some(),
            "contacts" => self.contacts.is_some(),
            "http" => self.http.is_some(),
            "timers" => self.timers.is_some(),
            _ => false,
        }
    }
}

/// The grants of one instance and the lines of their tables.
pub(super) fn read(
    section: &mut Section<'_>,
    findings: &mut Findings<'_>,
) -> (Grants, BTreeMap<&'static str, usize>) {
    let mut grants = Grants::default();
    let mut lines = BTreeMap::new();
    for interface in GRANTED {
        let Some(mut table) = section.table(interface.name, findings) else {
            continue;
        };
        lines.insert(interface.name, findings.line(table.offset()));
        match interface.name {
            "messages" => grants.messages = Some(read_messages(&mut table, findings)),
            "store" => grants.store = Some(read_store(&mut table, findings)),
            "conversations" => {
                let handling = table.boolean("handling", findings).unwrap_or(false);
                grants.conversations = Some(ConversationsGrant { handling });
            }
            "contacts" => grants.contacts = Some(ContactsGrant),
            "http" => grants.http = read_http(&mut table, findings),
            _ => {
                let pending_max = table
                    .integer("pending_max", 1..=1_000_000, findings)
                    .unwrap_or(1000);
                grants.timers = Some(TimersGrant { pending_max });
            }
        }
        table.finish(findings);
    }
    (grants, lines)
}

fn read_messages(section: &mut Section<'_>, findings: &mut Findings<'_>) -> MessagesGrant {
    let Some(field) = section.field("speak") else {
        return MessagesGrant {
            speak: vec![Speaker::Automation],
        };
    };
    let mut speak = Vec::new();
    for (word, offset) in field.strings(2, findings).unwrap_or_default() {
        match word {
            "automation" => speak.push(Speaker::Automation),
            "person" => speak.push(Speaker::Person),
            _ => {
                let message = format!("{} in {} is no speaker", quoted(word), field.name());
                findings.add(offset, message, "write \"automation\", \"person\" or both");
            }
        }
    }
    MessagesGrant { speak }
}

fn read_store(section: &mut Section<'_>, findings: &mut Findings<'_>) -> StoreGrant {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    StoreGrant {
        bytes_max: section
            .bytes("bytes_max", KIB..=10 * KIB * MIB, findings)
            .unwrap_or(10 * MIB),
        keys_max: section
            .integer("keys_max", 1..=10_000_000, findings)
            .unwrap_or(10_000),
    }
}

fn read_http(section: &mut Section<'_>, findings: &mut Findings<'_>) -> Option<HttpGrant> {
    const HOSTS_MAX: usize = 100;
    let Some(field) = section.field("hosts") else {
        let message = format!("[{}] names no hosts", section.path());
        findings.add(
            section.offset(),
            message,
            "add: hosts = [\"api.example.com\"]",
        );
        return None;
    };
    let hosts = field.strings(HOSTS_MAX, findings)?;
    for (host, offset) in &hosts {
        if !host_is_valid(host) {
            let message = format!("{} in {} is no host name", quoted(host), field.name());
            findings.add(
                *offset,
                message,
                "give a name in lower case such as api.example.com, without scheme and path",
            );
        }
    }
    Some(HttpGrant {
        hosts: hosts.into_iter().map(|(host, _)| host.to_owned()).collect(),
    })
}

/// A host name in lower case (RFC 1123), perhaps with a port. No wildcards: each host is named.
fn host_is_valid(text: &str) -> bool {
    let (name, port) = text
        .split_once(':')
        .map_or((text, None), |(name, port)| (name, Some(port)));
    let port_is_valid = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|number| number > 0));
    let label_is_valid = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(allowed)
    };
    port_is_valid && name.len() <= 253 && name.split('.').all(label_is_valid)
}
