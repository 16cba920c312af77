//! Takes every event and does nothing, the least that a plugin can be and so the quickest to compile. It implements
//! the contract itself, since the SDK's `Event` brings a JSON parser.

use duet_sdk::bindings::duet::plugin::types::{Event, Failure};
use duet_sdk::bindings::exports::duet::plugin::on_event::Guest;

#[cfg(target_arch = "wasm32")]
#[used]
#[unsafe(link_section = "duet:manifest")]
static MANIFEST: [u8; include_bytes!("../manifest.json").len()] =
    *include_bytes!("../manifest.json");

struct Idle;

impl Guest for Idle {
    fn handle(_: Event) -> Result<(), Failure> {
        Ok(())
    }
}

#[cfg(target_arch = "wasm32")]
duet_sdk::bindings::export!(Idle with_types_in duet_sdk::bindings);
