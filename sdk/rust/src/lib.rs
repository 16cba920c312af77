//! Write plugins for Duet in Rust.
//!
//! A plugin is a `manifest.json` and one function, built for `wasm32-wasip2`:
//!
//! ```no_run
//! use duet_sdk::{Event, Result, settings};
//!
//! duet_sdk::plugin!("tests/manifest.json", handle);
//!
//! #[derive(serde::Deserialize)]
//! struct Settings {
//!     greeting: String,
//! }
//!
//! fn handle(event: Event) -> Result {
//!     let settings: Settings = settings()?;
//!     if let (Some(text), Some(conversation)) = (event.text(), event.conversation()) {
//!         conversation.reply_text(&format!("{}, you wrote {text}", settings.greeting))?;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! The function is called once for each event, in a fresh instance: nothing stays in memory between two
//! events, so what must be remembered goes into [`store`]. Everything that the function does commits together
//! with "this event is done", or not at all. An interface that the plugin does not use is not imported, and
//! so needs no grant.

pub mod annotations;
pub mod cases;
mod contact;
mod conversation;
mod event;
mod failure;
mod hook;
pub mod http;
pub mod log;
pub mod media;
pub mod message;
pub mod store;
pub mod timers;

pub use contact::Contact;
pub use conversation::{Agent, Conversation, Handling, Refusal, Sent, State};
pub use event::{Choice, Erased, Event, Settled, Status, Timer};
pub use failure::{Failure, Result, reject, retry, retry_after};
pub use hook::{HookCall, Response};
pub use message::Message;

/// The contract itself, as generated from `wit/duet.wit`.
#[allow(missing_docs, reason = "the contract's own comments say what is said")]
#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "plugin",
        pub_export_macro: true,
        export_macro_name: "export",
        default_bindings_module: "duet_sdk::bindings",
    });
}

/// The handler of calls of hooks that are answered, as a world of its own: a plugin that has none does not export it.
#[allow(missing_docs, reason = "the contract's own comments say what is said")]
#[doc(hidden)]
pub mod hook_bindings {
    wit_bindgen::generate!({
        inline: "package duet:sdk; world hooks { export duet:plugin/on-hook@0.1.0-rc.2; }",
        path: "../../wit",
        world: "duet:sdk/hooks",
        with: { "duet:plugin/types@0.1.0-rc.2": crate::bindings::duet::plugin::types },
        pub_export_macro: true,
        export_macro_name: "export",
        default_bindings_module: "duet_sdk::hook_bindings",
    });
}

/// The instance's settings from `plugins.toml`, already checked against the manifest's schema.
pub fn settings<T: serde::de::DeserializeOwned>() -> Result<T> {
    Ok(serde_json::from_str(
        &bindings::duet::plugin::settings::get(),
    )?)
}

/// Ms since 1970. The same value when Duet repeats a run after a crash.
pub fn now_ms() -> u64 {
    bindings::duet::plugin::clock::now_ms()
}

/// Makes the crate a plugin: embeds the manifest (a path from the crate's `Cargo.toml`) and exports the handler,
/// a `fn(Event) -> Result`. A plugin that has hooks of the mode `answer` gives the function that answers their calls
/// as well, a `fn(Event) -> Result<Response>`.
#[macro_export]
macro_rules! plugin {
    ($manifest:literal, $handle:path, $answer:path) => {
        $crate::plugin!($manifest, $handle);

        const _: () = {
            #[allow(dead_code, reason = "outside wasm only the unit tests use the crate")]
            const ANSWER: fn($crate::Event) -> $crate::Result<$crate::Response> = $answer;

            struct Hooks;

            impl $crate::hook_bindings::exports::duet::plugin::on_hook::Guest for Hooks {
                fn answer(
                    event: $crate::bindings::duet::plugin::types::Event,
                ) -> ::core::result::Result<
                    $crate::hook_bindings::exports::duet::plugin::on_hook::Response,
                    $crate::bindings::duet::plugin::types::Failure,
                > {
                    ANSWER(event.into()).map(Into::into).map_err(Into::into)
                }
            }

            #[cfg(target_arch = "wasm32")]
    $crate::hook_bindings::export!(Hooks with_types_in $crate::hook_bindings);
        };
    };
    ($manifest:literal, $handle:path) => {
        const _: () = {
            #[allow(dead_code, reason = "outside wasm only the unit tests use the crate")]
            const HANDLE: fn($crate::Event) -> $crate::Result = $handle;

            #[cfg(target_arch = "wasm32")]
            #[used]
            #[unsafe(link_section = "duet:manifest")]
            static MANIFEST: [u8; include_bytes!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/",
                $manifest
            ))
            .len()] = *include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $manifest));

            struct Plugin;

            impl $crate::bindings::exports::duet::plugin::on_event::Guest for Plugin {
                fn handle(
                    event: $crate::bindings::duet::plugin::types::Event,
                ) -> ::core::result::Result<(), $crate::bindings::duet::plugin::types::Failure>
                {
                    HANDLE(event.into()).map_err(Into::into)
                }
            }

            #[cfg(target_arch = "wasm32")]
    $crate::bindings::export!(Plugin with_types_in $crate::bindings);
        };
    };
}
