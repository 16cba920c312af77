/// An interface of `duet:plugin` that only works with a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    /// `messages` in `duet:plugin/messages` and in `[plugins.<name>.messages]`
    pub name: &'static str,
    /// What to write in `plugins.toml` to grant it.
    pub grant: &'static str,
    /// The lines of its table that a draft begins with: as little as a plugin runs with.
    pub(super) draft: &'static str,
}

/// A host for examples; nobody has it.
pub(super) const EXAMPLE: &str = "https://api.example.com";

/// Every interface that needs a grant, in the order of the documents.
pub const GRANTED: [Interface; 9] = [
    Interface {
        name: "messages",
        grant: "speak = [\"automation\"]",
        draft: "speak = [\"automation\"] # \"person\" as well: what it says then takes the conversation over\n",
    },
    Interface {
        name: "store",
        grant: "bytes_max = \"10MiB\"",
        draft: "bytes_max = \"10MiB\"\n",
    },
    Interface {
        name: "http",
        grant: "allow = [\"https://api.example.com\"] (where it may call)",
        draft: "allow = [\"https://api.example.com\"] # where it may call\n",
    },
    Interface {
        name: "conversations",
        grant: "handling = true (it may hand conversations over and give them back), or handling = false (it only reads them)",
        draft: "handling = false # true: it may hand conversations over and give them back\n",
    },
    Interface {
        name: "contacts",
        grant: "[plugins.<name>.contacts]",
        draft: "",
    },
    Interface {
        name: "timers",
        grant: "max = 1000",
        draft: "max = 1000\n",
    },
    Interface {
        name: "media",
        grant: "keep = true (it reads files and brings some along), or keep = false (it only reads them)",
        draft: "keep = false # true: it may bring files along, to be sent\n",
    },
    Interface {
        name: "cases",
        grant: "max = 10000",
        draft: "max = 10000\n",
    },
    Interface {
        name: "annotations",
        grant: "write = true (it writes notes, labels and assigns), or write = false (it only reads that)",
        draft: "write = false # true: it may write notes, label and assign\n",
    },
];

/// Interfaces of `duet:plugin` that every plugin has.
pub(super) const FREE: [&str; 4] = ["types", "log", "settings", "clock"];

/// The packages of the inert WASI 0.2 floor, which is linked since compilers import it unasked.
pub(super) const WASI: [&str; 6] = ["cli", "clocks", "filesystem", "io", "random", "sockets"];

pub fn granted_interface(name: &str) -> Option<&'static Interface> {
    GRANTED.iter().find(|interface| interface.name == name)
}
