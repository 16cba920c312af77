//! Messages in every place where Meta puts them: live, echo, history, late media of history.

use super::Key;
use super::change::{Change, named};
use super::content::{media, text};
use super::element::{Edit, Meaning, Message, Origin, Revoke};
use super::history::Thread;
use super::json::Object;
use super::kinds::{message_kind, opens_window};
use super::rows::Draft;
use crate::identity::{Identity, digits};
use crate::wamid::{self, Wamid};

const FROM: [&str; 3] = ["from", "from_user_id", "from_parent_user_id"];
const TO: [&str; 3] = ["to", "to_user_id", "to_parent_user_id"];

/// Which array a message stands in; it decides who the user is and which keys it has.
pub(super) enum Place<'t> {
    Live,
    Echo,
    History(&'t Thread),
    /// `value.messages[]` below `history`: media that the user sent.
    FollowUp,
    /// `value.message_echoes[]` below `history`: media that the business sent.
    FollowUpEcho,
}

impl Place<'_> {
    fn origin(&self) -> Origin {
        match self {
            Place::Live => Origin::Live,
            Place::Echo => Origin::Echo,
            Place::History(_) | Place::FollowUp | Place::FollowUpEcho => Origin::History,
        }
    }

    fn is_follow_up(&self) -> bool {
        matches!(self, Place::FollowUp | Place::FollowUpEcho)
    }

    /// True when the business sent it. Only history needs to ask who wrote it.
    fn is_outgoing(&self, by_business: bool) -> bool {
        match self {
            Place::Live => false,
            Place::Echo | Place::FollowUpEcho => true,
            Place::History(_) | Place::FollowUp => by_business,
        }
    }

    /// The user as the place names them, without what `contacts[]` adds.
    fn user(&self, outgoing: bool, message: &Object<'_>) -> Identity {
        match self {
            Place::History(thread) => thread.user.clone(),
            _ if outgoing => named(message, TO),
            _ => named(message, FROM),
        }
    }
}

/// What is read once and needed twice.
struct Facts<'a> {
    type_: String,
    id: Option<String>,
    /// What the id says inside.
    inside: Option<Wamid>,
    /// `history_context`.
    past: Option<Object<'a>>,
    outgoing: bool,
    by_business: bool,
}

impl<'a> Facts<'a> {
    fn of(place: &Place<'_>, change: &Change<'_>, message: &Object<'a>) -> Self {
        let past = message.object("history_context");
        let from_me = past.as_ref().and_then(|past| past.flag("from_me"));
        let from = message.text("from").map(|from| digits(&from));
        let by_business = from_me == Some(true) || (from.is_some() && from == change.display);
        let id = message.string("id");
        Facts {
            type_: message.string("type").unwrap_or_default(),
            inside: id.as_deref().and_then(wamid::decode),
            id,
            past,
            outgoing: place.is_outgoing(by_business),
            by_business,
        }
    }
}

impl Facts<'_> {
    /// Whom the id of a sent message names, unless that is the business itself. An echo may say it nowhere else,
    /// and somebody must be taken over.
    fn peer(&self, change: &Change<'_>) -> Identity {
        let inside = self.inside.as_ref().filter(|inside| inside.from_business);
        let peer = inside.map(|inside| inside.peer.clone());
        let peer = peer.filter(|peer| change.display.as_ref() != Some(peer));
        let is_phone = |peer: &String| peer.bytes().all(|byte| byte.is_ascii_digit());
        let (wa_id, user_id) = match peer {
            Some(phone) if is_phone(&phone) => (Some(phone), None),
            user_id => (None, user_id),
        };
        Identity {
            wa_id,
            user_id,
            ..Identity::default()
        }
    }
}

pub(super) fn read<'c>(
    place: &Place<'_>,
    change: &'c Change<'_>,
    json: &str,
    message: &Object<'_>,
) -> Draft<'c> {
    let facts = Facts::of(place, change, message);
    let mut user = place.user(facts.outgoing, message);
    if matches!(place, Place::Echo) && user.is_nobody() && change.contact_of(&user).is_none() {
        user = facts.peer(change);
    }
    let keys = keys(place, change, json, &facts);
    Draft {
        kind: message_kind(place.origin(), &facts.type_),
        group: message.has("group_id"),
        meaning: meaning(place, facts, message),
        ..Draft::of_user(change, keys, user, message)
    }
}

fn keys(place: &Place<'_>, change: &Change<'_>, json: &str, facts: &Facts<'_>) -> Vec<Key> {
    let row = if place.is_follow_up() { "f" } else { "m" };
    let Some(id) = &facts.id else {
        return vec![change.key_of_body(row, json)];
    };
    let mut keys = vec![Key::of(&[row, change.number(), id])];
    let inside = facts.inside.as_ref().filter(|_| !place.is_follow_up());
    if let Some((inside, peer)) = inside.and_then(|inside| Some((inside, peer(place, inside)?))) {
        keys.push(Key::stanza(change.number(), peer, &inside.stanza));
    }
    keys
}

/// Whose chat it is. In history the id of a sent message holds the business's own number, so there
/// the thread decides, and a thread without a phone is only helped by the id of a received message.
fn peer<'p>(place: &'p Place<'_>, inside: &'p Wamid) -> Option<&'p str> {
    match place {
        Place::History(thread) => thread
            .user
            .wa_id
            .as_deref()
            .or_else(|| (!inside.from_business).then_some(inside.peer.as_str())),
        _ => Some(&inside.peer),
    }
}

fn meaning(place: &Place<'_>, facts: Facts<'_>, message: &Object<'_>) -> Meaning {
    match facts.type_.as_str() {
        "edit" => return edit(facts, message).map_or(Meaning::Nothing, Meaning::Edit),
        "revoke" => return revoke(facts, message).map_or(Meaning::Nothing, Meaning::Revoke),
        _ => {}
    }
    let text = text(&facts.type_, message);
    let group = message.has("group_id");
    let is_said = opens_window(&facts.type_) && (facts.type_ != "reaction" || text.is_some());
    let from_user = matches!(place, Place::Live) && !group && !facts.by_business;
    let inner = |member, name| message.object(member)?.string(name);
    Meaning::Message(Message {
        wamid: facts.id,
        stanza: facts.inside.map(|inside| inside.stanza),
        outgoing: facts.outgoing,
        origin: place.origin(),
        follow_up: place.is_follow_up(),
        reply_to: inner("context", "id"),
        media: media(&facts.type_, message),
        status: facts.past.and_then(|past| past.lower("status")),
        reaction_to: inner("reaction", "message_id"),
        group,
        referral: message.has("referral"),
        opens_window: from_user && is_said,
        phase: match place {
            Place::History(thread) => Some(thread.phase),
            _ => None,
        },
        text,
        type_: facts.type_,
    })
}

/// Whether Meta's own AI wrote an echo, so that no person has spoken: its `message_creation_type` says so, as in
/// `created_by_1p_bot` (the field is in Botpress's schema of echoes; ordinary ones have none).
#[must_use]
pub fn is_by_metas_bot(body: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Origin {
        message_creation_type: Option<String>,
    }
    let origin = serde_json::from_str::<Origin>(body).ok();
    let by = origin.and_then(|origin| origin.message_creation_type);
    by.is_some_and(|by| by.ends_with("_bot"))
}

fn edit(facts: Facts<'_>, message: &Object<'_>) -> Option<Edit> {
    let edit = message.object("edit")?;
    let new = edit.object("message");
    let type_ = new.as_ref().and_then(|new| new.string("type"));
    let new = new.zip(type_);
    Some(Edit {
        wamid: facts.id,
        original: edit.string("original_message_id")?,
        outgoing: facts.outgoing,
        text: new.as_ref().and_then(|(new, type_)| text(type_, new)),
        media: new.as_ref().and_then(|(new, type_)| media(type_, new)),
    })
}

fn revoke(facts: Facts<'_>, message: &Object<'_>) -> Option<Revoke> {
    let original = message.object("revoke")?.string("original_message_id")?;
    Some(Revoke {
        wamid: facts.id,
        original,
        outgoing: facts.outgoing,
    })
}
