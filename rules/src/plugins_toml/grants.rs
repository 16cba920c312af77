use std::collections::BTreeMap;

use super::hooks::{self, HookGrant};
use super::http::{self, HttpGrant};
use super::interface::GRANTED;
use crate::cases::OPEN_DEFAULT;
use crate::media::FILE_BYTES_MAX;
use crate::sending::Speaker;
use crate::timers::TIMERS_DEFAULT;
use crate::toml_file::{Findings, Section, quoted};

/// What `plugins.toml` lets an instance use, one table for each interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    pub messages: Option<MessagesGrant>,
    pub store: Option<StoreGrant>,
    pub http: Option<HttpGrant>,
    pub conversations: Option<ConversationsGrant>,
    pub contacts: Option<ContactsGrant>,
    pub timers: Option<TimersGrant>,
    pub media: Option<MediaGrant>,
    pub cases: Option<CasesGrant>,
    pub annotations: Option<AnnotationsGrant>,
    /// What may be called from outside, by its path.
    pub hooks: BTreeMap<String, HookGrant>,
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

/// `duet:plugin/timers`: may ask to be called at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimersGrant {
    /// So many timers at once.
    pub max: u64,
}

/// `duet:plugin/media`: may read files, and have calls carry them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaGrant {
    /// The largest file, and all files of one call.
    pub bytes_max: u64,
    /// Whether it may also bring files along.
    pub keep: bool,
}

/// `duet:plugin/cases`: may say which cases other systems keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CasesGrant {
    /// So many open ones at once.
    pub max: u64,
}

/// `duet:plugin/annotations`: may read the notes, labels and assignments of conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnotationsGrant {
    /// Whether it may also write them.
    pub write: bool,
}

impl Grants {
    /// Whether there is a grant for `messages`, `store`, …
    pub fn has(&self, interface: &str) -> bool {
        match interface {
            "messages" => self.messages.is_some(),
            "store" => self.store.is_some(),
            "http" => self.http.is_some(),
            "conversations" => self.conversations.is_some(),
            "contacts" => self.contacts.is_some(),
            "timers" => self.timers.is_some(),
            "media" => self.media.is_some(),
            "cases" => self.cases.is_some(),
            "annotations" => self.annotations.is_some(),
            _ => false,
        }
    }
}

/// The grants of one instance with the lines of their tables, and of the secrets and hooks among them.
pub(super) struct Read {
    pub(super) grants: Grants,
    pub(super) lines: BTreeMap<&'static str, usize>,
    pub(super) secret_lines: BTreeMap<String, usize>,
    pub(super) hook_lines: BTreeMap<String, usize>,
}

pub(super) fn read(section: &mut Section<'_>, findings: &mut Findings<'_>) -> Read {
    let mut grants = Grants::default();
    let mut lines = BTreeMap::new();
    let mut secret_lines = BTreeMap::new();
    for interface in GRANTED {
        let Some(mut table) = section.table(interface.name, findings) else {
            continue;
        };
        lines.insert(interface.name, findings.line(table.offset()));
        match interface.name {
            "messages" => grants.messages = Some(read_messages(&mut table, findings)),
            "store" => grants.store = Some(read_store(&mut table, findings)),
            "http" => {
                let (http, lines) = http::read(&mut table, findings);
                grants.http = Some(http);
                secret_lines = lines;
            }
            "conversations" => {
                let handling = table.boolean("handling", findings).unwrap_or(false);
                grants.conversations = Some(ConversationsGrant { handling });
            }
            "timers" => {
                let max = table.integer("max", 1..=100_000, findings);
                let max = max.unwrap_or(TIMERS_DEFAULT);
                grants.timers = Some(TimersGrant { max });
            }
            "media" => grants.media = Some(read_media(&mut table, findings)),
            "cases" => {
                let max = table.integer("max", 1..=100_000, findings);
                let max = max.unwrap_or(OPEN_DEFAULT);
                grants.cases = Some(CasesGrant { max });
            }
            "annotations" => {
                let write = table.boolean("write", findings).unwrap_or(false);
                grants.annotations = Some(AnnotationsGrant { write });
            }
            _ => grants.contacts = Some(ContactsGrant),
        }
        table.finish(findings);
    }
    let mut hook_lines = BTreeMap::new();
    if let Some(table) = section.table("hooks", findings) {
        (grants.hooks, hook_lines) = hooks::read(&table, findings);
    }
    Read {
        grants,
        lines,
        secret_lines,
        hook_lines,
    }
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

fn read_media(section: &mut Section<'_>, findings: &mut Findings<'_>) -> MediaGrant {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    MediaGrant {
        bytes_max: section
            .bytes("bytes_max", KIB..=FILE_BYTES_MAX, findings)
            .unwrap_or(16 * MIB),
        keep: section.boolean("keep", findings).unwrap_or(false),
    }
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
