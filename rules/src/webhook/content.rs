//! What a person would read in a message, and which file comes with it.

use super::element::Media;
use super::json::Object;
use super::kinds::is_unshown;

const MEDIA: [&str; 6] = ["image", "video", "audio", "voice", "document", "sticker"];

/// The words of a message of this type: text, caption, title of a choice, emoji, name of a place …
pub(super) fn text(type_: &str, message: &Object<'_>) -> Option<String> {
    let inner = || message.object(type_);
    match type_ {
        "text" => inner()?.string("body"),
        "image" | "video" | "audio" | "voice" | "sticker" => inner()?.string("caption"),
        "document" => {
            let document = inner()?;
            document
                .string("caption")
                .or_else(|| document.string("filename"))
        }
        "button" => inner()?
            .string("text")
            .or_else(|| inner()?.string("payload")),
        "interactive" => interactive(&inner()?),
        "reaction" => inner()?.string("emoji"),
        "location" => location(&inner()?),
        "contacts" => contacts(message),
        "order" => inner()?.string("text"),
        "system" => inner()?.string("body"),
        "template" => template(&inner()?),
        "poll" | "event" => inner()?.string("name").or_else(|| inner()?.string("title")),
        unshown if is_unshown(unshown) => first_error(message).map(|(_, words)| words),
        _ => None,
    }
}

/// The file of a message of this type.
pub(super) fn media(type_: &str, message: &Object<'_>) -> Option<Media> {
    if !MEDIA.contains(&type_) {
        return None;
    }
    let file = message.object(type_)?;
    let media = Media {
        id: file.string("id"),
        mime_type: file.string("mime_type"),
        sha256: file.string("sha256"),
        filename: file.string("filename"),
        caption: file.string("caption"),
        url: file.string("url"),
    };
    (media.id.is_some() || media.url.is_some()).then_some(media)
}

/// Code and words of the first of `errors[]`.
pub(super) fn first_error(element: &Object<'_>) -> Option<(i64, String)> {
    let errors = element.list("errors")?;
    let error = Object::read(errors.first()?)?;
    let details = || {
        error
            .object("error_data")
            .and_then(|data| data.string("details"))
    };
    let words = error
        .string("title")
        .or_else(|| error.string("message"))
        .or_else(details)
        .or_else(|| error.string("details"))
        .unwrap_or_default();
    Some((error.integer("code")?, words))
}

fn interactive(interactive: &Object<'_>) -> Option<String> {
    let choice = ["button_reply", "list_reply"]
        .iter()
        .find_map(|reply| interactive.object(reply)?.string("title"));
    choice
        .or_else(|| interactive.object("nfm_reply")?.string("body"))
        .or_else(|| {
            interactive
                .object("call_permission_reply")?
                .string("response")
        })
        // What the business sent has a body instead of a reply.
        .or_else(|| interactive.object("body")?.string("text"))
}

fn location(location: &Object<'_>) -> Option<String> {
    let parts: Vec<String> = ["name", "address"]
        .iter()
        .filter_map(|part| location.string(part))
        .collect();
    if !parts.is_empty() {
        return Some(parts.join(", "));
    }
    let (latitude, longitude) = (location.text("latitude")?, location.text("longitude")?);
    Some(format!("{latitude}, {longitude}"))
}

fn contacts(message: &Object<'_>) -> Option<String> {
    let cards = message.list("contacts")?;
    let names: Vec<String> = cards.iter().filter_map(|card| card_name(card)).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn card_name(card: &str) -> Option<String> {
    let card = Object::read(card)?;
    let name = card.object("name").and_then(|name| {
        name.string("formatted_name")
            .or_else(|| name.string("first_name"))
    });
    // A tapped "share my number" button sends a phone without a card.
    name.or_else(|| {
        let phones = card.list("phones")?;
        let phone = Object::read(phones.first()?)?;
        phone.string("phone").or_else(|| phone.string("wa_id"))
    })
}

fn template(template: &Object<'_>) -> Option<String> {
    let body = template.object("body").and_then(|body| body.string("text"));
    body.or_else(|| template.string("text"))
        .or_else(|| template.string("name"))
}
