//! Files: those of messages, and those that the plugin brings along. Needs the grant `media`.
//!
//! A handle names a file: in a call ([`Request::file`](crate::http::Request::file), [`Part::file`](crate::http::Part::file))
//! and in a message ([`Message::file`](crate::Message::file)).
//!
//! ```no_run
//! # fn handler(event: duet_sdk::Event) -> duet_sdk::Result {
//! use duet_sdk::{http::{Part, Request}, media};
//!
//! let (Some(conversation), Some(id)) = (event.conversation(), event.message_id()) else { return Ok(()) };
//! match media::of_message(conversation, id) {
//!     Some(media::Attachment { file: Some(file), .. }) => {
//!         let photo = Part::file("attachments[]", "photo.jpg", &file.handle);
//!         Request::post("https://desk.example.com/api/v2/tickets/7/notes").form_data(vec![photo]).send()?.ok()?;
//!     }
//!     // Duet still fetches it: an event `media.settled` comes once it is here.
//!     Some(_) => media::await_file(conversation, id)?,
//!     None => {}
//! }
//! # Ok(()) }
//! ```

use crate::bindings::duet::plugin::media as host;
use crate::{Conversation, Result, reject};

pub use host::{Attachment, File};

/// So much is read at once.
const READ_BYTES_MAX: u32 = 1 << 20;

/// The file of a message, by Meta's id of the message; nothing when it has none.
pub fn of_message(conversation: Conversation, message_id: &str) -> Option<Attachment> {
    host::of_message(conversation.id, message_id)
}

/// Asks for an event `media.settled`, which [`Event::settled`](crate::Event::settled) reads, once the file of a message is
/// here or will not come.
pub fn await_file(conversation: Conversation, message_id: &str) -> Result {
    host::await_file(conversation.id, message_id).map_err(reject)
}

/// A file that the business has.
pub fn get(handle: &str) -> Option<File> {
    host::get(handle)
}

/// All of a file's bytes. It must fit into the plugin's memory; a call can carry it without that.
pub fn read(handle: &str) -> Result<Vec<u8>> {
    let mut bytes: Vec<u8> = Vec::new();
    loop {
        let offset = u64::try_from(bytes.len())?;
        let part = host::read(handle, offset, READ_BYTES_MAX).map_err(reject)?;
        let is_last = part.len() < usize::try_from(READ_BYTES_MAX)?;
        bytes.extend(part);
        if is_last {
            return Ok(bytes);
        }
    }
}

/// Keeps a file of a type that WhatsApp takes; the answer is its handle. Needs `keep = true` in the grant.
pub fn keep(bytes: &[u8], mime_type: &str) -> Result<String> {
    host::keep(bytes, mime_type).map_err(reject)
}
