/// An interface of `duet:plugin` that only works with a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    /// `messages` in `duet:plugin/messages` and in `[plugins.<name>.messages]`
    pub name: &'static str,
    /// What to write in `plugins.toml` to grant it.
    pub grant: &'static str,
}

/// Every interface that needs a grant, in the order of the documents.
pub const GRANTED: [Interface; 4] = [
    Interface {
        name: "messages",
        grant: "speak = [\"automation\"]",
    },
    Interface {
        name: "store",
        grant: "bytes_max = \"10MiB\"",
    },
    Interface {
        name: "conversations",
        grant: "handling = true (it may hand conversations over and give them back), or handling = false (it only reads them)",
    },
    Interface {
        name: "contacts",
        grant: "[plugins.<name>.contacts]",
    },
];

/// Interfaces of `duet:plugin` that every plugin has.
pub(super) const FREE: [&str; 4] = ["types", "log", "settings", "clock"];

/// The packages of the inert WASI 0.2 floor, which is linked since compilers import it unasked.
pub(super) const WASI: [&str; 6] = ["cli", "clocks", "filesystem", "io", "random", "sockets"];

pub fn granted_interface(name: &str) -> Option<&'static Interface> {
    GRANTED.iter().find(|interface| interface.name == name)
}
