//! Faults: traps and broken limits, told so that an author knows what happened and an admin what to raise.

use std::fmt;

use duet_rules::plugins_toml::Limits;
use wasmtime::Trap;

use super::running::KEYS_LISTED_MAX;

/// A trap or a broken limit; never what a plugin returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    /// What happened, which limit it was, and the setting that raises it.
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The guest ended itself, or did what wasm forbids.
    Trap,
    Cpu,
    Wall,
    Memory,
    HostCalls,
    Effects,
    /// Bytes written to the store.
    Store,
    /// Calls to outside systems.
    HttpCalls,
    /// Bytes that those calls carry.
    HttpBytes,
    /// One call handed the host more bytes than any grant allows.
    Transfer,
    /// The gateway's own mistake.
    Panic,
}

impl FaultKind {
    /// The word in metrics and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            FaultKind::Trap => "trap",
            FaultKind::Cpu => "cpu",
            FaultKind::Wall => "wall",
            FaultKind::Memory => "memory",
            FaultKind::HostCalls => "host-calls",
            FaultKind::Effects => "effects",
            FaultKind::Store => "store",
            FaultKind::HttpCalls => "http-calls",
            FaultKind::HttpBytes => "http-bytes",
            FaultKind::Transfer => "transfer",
            FaultKind::Panic => "panic",
        }
    }
}

impl Fault {
    /// The message where it is the host's own; a trap's quotes the guest, which may quote a customer.
    pub fn own_words(&self) -> Option<&str> {
        (self.kind != FaultKind::Trap).then_some(self.message.as_str())
    }

    /// Its kind, and the message where it is the host's own.
    pub fn for_admins(&self) -> String {
        let words = self
            .own_words()
            .unwrap_or("after its last attempt the event becomes a dead letter, which tells more");
        format!("{}: {words}", self.kind.as_str())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.as_str(), self.message)
    }
}

/// A text that a guest had a hand in, at a length for tables and pages.
pub(in crate::plugin) fn shortened(mut text: String) -> String {
    const BYTES_MAX: usize = 2 * 1024;
    if text.len() > BYTES_MAX {
        text.truncate(text.floor_char_boundary(BYTES_MAX));
        text.push('…');
    }
    text
}

/// Why a host function, or the limiter, ended a run.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stop {
    #[error("memory limit")]
    Memory,
    #[error("table limit")]
    Tables,
    #[error("host call limit")]
    HostCalls,
    #[error("effect limit")]
    Effects,
    #[error("store limit")]
    StoreBytes,
    #[error("limit of keys listed")]
    KeysListed,
    #[error("limit of calls")]
    HttpCalls,
    #[error("limit of what calls carry")]
    HttpBytes,
    /// Not the plugin's doing: what it asked for could not be read.
    #[error("{0}")]
    Unavailable(String),
}

/// Names the limits of one instance.
pub(super) struct Teller<'a> {
    pub(super) instance: &'a str,
    pub(super) limits: &'a Limits,
}

impl Teller<'_> {
    pub(super) fn cpu(&self) -> Fault {
        let what = format!("used more than {} ms of CPU", self.limits.cpu_ms_max);
        self.limit(FaultKind::Cpu, &what, "cpu_ms_max")
    }

    pub(super) fn wall(&self) -> Fault {
        let what = format!("took longer than {} ms", self.limits.wall_ms_max);
        self.limit(FaultKind::Wall, &what, "wall_ms_max")
    }

    pub(super) fn stop(&self, stop: &Stop) -> Fault {
        let limits = self.limits;
        match stop {
            Stop::Memory => {
                let what = format!(
                    "asked for more than {} bytes of memory",
                    limits.memory_bytes_max
                );
                self.limit(FaultKind::Memory, &what, "memory_bytes_max")
            }
            Stop::Tables => Fault {
                kind: FaultKind::Memory,
                message: "grew its tables beyond what any plugin needs; this bound is fixed".into(),
            },
            Stop::HostCalls => {
                let what = format!("called the host more than {} times", limits.host_calls_max);
                self.limit(FaultKind::HostCalls, &what, "host_calls_max")
            }
            Stop::Effects => {
                let what = format!("made more than {} effects", limits.effects_max);
                self.limit(FaultKind::Effects, &what, "effects_max")
            }
            Stop::StoreBytes => {
                let what = format!(
                    "wrote more than {} bytes to its store",
                    limits.store_bytes_max
                );
                self.limit(FaultKind::Store, &what, "store_bytes_max")
            }
            Stop::KeysListed => Fault {
                kind: FaultKind::Store,
                message: format!(
                    "listed more than {KEYS_LISTED_MAX} keys of its store at one event; this bound is fixed, so list fewer, or the rest at another event"
                ),
            },
            Stop::HttpCalls => {
                let what = format!("made more than {} calls", limits.http_calls_max);
                self.limit(FaultKind::HttpCalls, &what, "http_calls_max")
            }
            Stop::HttpBytes => {
                let what = format!(
                    "put more than {} bytes into its calls",
                    limits.http_request_bytes_max
                );
                self.limit(FaultKind::HttpBytes, &what, "http_request_bytes_max")
            }
            Stop::Unavailable(message) => Fault {
                kind: FaultKind::Panic,
                message: message.clone(),
            },
        }
    }

    /// A trap, with the last lines that the guest wrote to stderr: that is where languages put their panics.
    pub(super) fn trap(&self, error: &wasmtime::Error, last_words: &str) -> Fault {
        let text = format!("{error:#}");
        // wasmtime has no type for this error, only words.
        if text.contains("too much data is being copied between the host and the guest") {
            let message = "handed more bytes to the host in one call than any grant allows; pass less at once";
            return Fault {
                kind: FaultKind::Transfer,
                message: message.into(),
            };
        }
        let mut message = match error.downcast_ref::<Trap>() {
            Some(Trap::StackOverflow) => "recursed too deeply: the stack is exhausted".to_owned(),
            Some(Trap::MemoryOutOfBounds) => {
                "left its own memory; in Rust and C also a sign of deep recursion".to_owned()
            }
            Some(trap) => trap.to_string(),
            None if error.is::<std::str::Utf8Error>() => {
                "handed the host a text that is no UTF-8".to_owned()
            }
            None => match error.downcast_ref::<wasmtime_wasi::I32Exit>() {
                Some(exit) => format!("ended itself with exit status {}", exit.0),
                None => text,
            },
        };
        if !last_words.is_empty() {
            message.push_str("; its last words on stderr: ");
            message.push_str(last_words);
        }
        let message = shortened(message);
        Fault {
            kind: FaultKind::Trap,
            message,
        }
    }

    fn limit(&self, kind: FaultKind, what: &str, setting: &str) -> Fault {
        let message = format!(
            "{what}; if that is honest work, raise {setting} in [plugins.{}.limits]",
            self.instance
        );
        Fault { kind, message }
    }
}
