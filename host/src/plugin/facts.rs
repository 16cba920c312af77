//! What all runs of a plugin share, and what none may change.

use std::sync::Arc;

use duet_rules::plugins_toml::{Grants, Instance, Limits, MediaGrant};
use duet_rules::sending::Speaker;

use super::log_book::LogBook;
use crate::outbound::Egress;

#[derive(Debug)]
pub(super) struct Facts {
    pub(super) name: String,
    /// A JSON object.
    pub(super) settings: String,
    pub(super) limits: Limits,
    /// Where the plugin's lines are kept.
    pub(super) book: Arc<LogBook>,
    /// Whether a send may say that a person speaks.
    pub(super) speaks_as_person: bool,
    /// Whether a send may say that an automation speaks.
    pub(super) speaks_as_automation: bool,
    /// Whether it may hand conversations over and give them back.
    pub(super) handles: bool,
    /// Whether it may write notes, label and assign.
    pub(super) annotates: bool,
    /// Which files it may touch, if any.
    pub(super) media: Option<MediaGrant>,
    /// Where it may call, if anywhere.
    pub(super) egress: Option<Arc<Egress>>,
}

impl Facts {
    pub(super) fn new(
        instance: &Instance,
        book: Arc<LogBook>,
        egress: Option<Arc<Egress>>,
    ) -> Facts {
        let Grants {
            messages,
            conversations,
            media,
            annotations,
            ..
        } = &instance.grants;
        let speaks = |speaker| {
            messages
                .as_ref()
                .is_some_and(|grant| grant.speak.contains(&speaker))
        };
        Facts {
            name: instance.name.clone(),
            settings: instance.settings.to_string(),
            limits: instance.limits,
            book,
            speaks_as_person: speaks(Speaker::Person),
            speaks_as_automation: speaks(Speaker::Automation),
            handles: conversations.is_some_and(|grant| grant.handling),
            annotates: annotations.is_some_and(|grant| grant.write),
            media: *media,
            egress,
        }
    }
}
