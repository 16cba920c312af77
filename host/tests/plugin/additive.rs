//! Whether a contract only adds to another one, so that what was built for the one fits the other: by its shape, whatever
//! the versions and the comments say. What a function does, and what is `@unstable`, is not looked at.

use std::collections::{BTreeMap, BTreeSet};

use wit_parser::{
    Function, InterfaceId, Resolve, Type, TypeDefKind, TypeOwner, World, WorldItem, WorldKey,
};

/// A contract in pieces that can be compared.
#[derive(PartialEq)]
pub(crate) struct Contract {
    pub(crate) version: String,
    /// `function store.get` is `func(key: string) -> option<list<u8>>`, `interface store` just is.
    items: BTreeMap<String, String>,
    /// What a plugin has to bring, and the interface or world that asks for it.
    asked: BTreeMap<String, String>,
}

impl Contract {
    /// Reads the text of a `.wit` file.
    pub(crate) fn read(wit: &str) -> Contract {
        let mut resolve = Resolve::new();
        let package = resolve
            .push_source("duet.wit", wit)
            .unwrap_or_else(|error| panic!("{error:#} in\n{wit}"));
        let package = &resolve.packages[package];
        let mut contract = Contract {
            version: package.name.version.as_ref().unwrap().to_string(),
            items: BTreeMap::new(),
            asked: BTreeMap::new(),
        };
        for interface in package.interfaces.values() {
            contract.take_interface(&resolve, *interface);
        }
        for world in package.worlds.values() {
            contract.take_world(&resolve, &resolve.worlds[*world]);
        }
        contract
    }

    /// What keeps plugins that were built for this contract from running on another one, in a line each.
    pub(crate) fn broken_by(&self, new: &Contract) -> Vec<String> {
        let mut broken = Vec::new();
        for (item, was) in &self.items {
            match new.items.get(item) {
                None => broken.push(format!("{item} is gone")),
                Some(is) if is != was => broken.push(format!("{item} was {was}, is {is}")),
                Some(_) => {}
            }
        }
        for (item, by) in &new.asked {
            if self.items.contains_key(by) && !self.items.contains_key(item) {
                broken.push(format!("{item} is new, so no plugin has it"));
            }
        }
        broken
    }

    /// `store.get` for each function that a plugin may call.
    pub(crate) fn callable(&self) -> BTreeSet<String> {
        let offered = self
            .items
            .keys()
            .filter(|item| !self.asked.contains_key(*item));
        offered
            .filter_map(|item| item.strip_prefix("function "))
            .map(str::to_owned)
            .collect()
    }

    fn take_interface(&mut self, resolve: &Resolve, id: InterfaceId) {
        let name = interface_name(resolve, id);
        self.items
            .insert(format!("interface {name}"), String::new());
        for (kind, id) in &resolve.interfaces[id].types {
            let shape = shape(resolve, &resolve.types[*id].kind);
            self.items.insert(format!("type {name}.{kind}"), shape);
        }
        for function in resolve.interfaces[id].functions.values() {
            let item = format!("function {name}.{}", function.name);
            self.items.insert(item, signature(resolve, function));
        }
    }

    fn take_world(&mut self, resolve: &Resolve, world: &World) {
        let name = format!("world {}", world.name);
        for (key, item) in &world.imports {
            let import = format!("{name} imports {}", key_name(resolve, key));
            self.items.insert(import, item_shape(resolve, item));
        }
        for (key, item) in &world.exports {
            let export = format!("{name} exports {}", key_name(resolve, key));
            self.items.insert(export.clone(), item_shape(resolve, item));
            self.asked.insert(export, name.clone());
            if let WorldItem::Interface { id, .. } = item {
                let interface = interface_name(resolve, *id);
                for function in resolve.interfaces[*id].functions.keys() {
                    self.asked.insert(
                        format!("function {interface}.{function}"),
                        format!("interface {interface}"),
                    );
                }
            }
        }
        self.items.insert(name, String::new());
    }
}

fn interface_name(resolve: &Resolve, id: InterfaceId) -> &str {
    resolve.interfaces[id].name.as_deref().unwrap_or_default()
}

fn key_name<'a>(resolve: &'a Resolve, key: &'a WorldKey) -> &'a str {
    match key {
        WorldKey::Name(name) => name,
        WorldKey::Interface(id) => interface_name(resolve, *id),
    }
}

fn item_shape(resolve: &Resolve, item: &WorldItem) -> String {
    match item {
        WorldItem::Interface { .. } => String::new(),
        WorldItem::Function(function) => signature(resolve, function),
        WorldItem::Type { id, .. } => shape(resolve, &resolve.types[*id].kind),
    }
}

fn signature(resolve: &Resolve, function: &Function) -> String {
    let params = function.params.iter();
    let params = params.map(|param| format!("{}: {}", param.name, type_name(resolve, &param.ty)));
    let params: Vec<String> = params.collect();
    let word = if function.kind.is_async() {
        "async func"
    } else {
        "func"
    };
    let result = function.result.as_ref();
    let result = result.map_or_else(String::new, |result| {
        format!(" -> {}", type_name(resolve, result))
    });
    format!("{word}({}){result}", params.join(", "))
}

/// A type by its name, where it has one: what that means is an item of its own.
fn type_name(resolve: &Resolve, kind: &Type) -> String {
    let Type::Id(id) = kind else {
        return format!("{kind:?}").to_lowercase();
    };
    let definition = &resolve.types[*id];
    match (&definition.name, definition.owner) {
        (Some(name), TypeOwner::Interface(owner)) => {
            format!("{}.{name}", interface_name(resolve, owner))
        }
        _ => shape(resolve, &definition.kind),
    }
}

fn shape(resolve: &Resolve, kind: &TypeDefKind) -> String {
    let name = |kind: &Type| type_name(resolve, kind);
    let maybe = |kind: &Option<Type>| kind.as_ref().map_or_else(|| "_".to_owned(), name);
    match kind {
        TypeDefKind::Record(record) => {
            let fields = record.fields.iter();
            listed(
                "record",
                fields.map(|field| format!("{}: {}", field.name, name(&field.ty))),
            )
        }
        TypeDefKind::Variant(variant) => {
            let cases = variant.cases.iter();
            listed(
                "variant",
                cases.map(|case| format!("{}({})", case.name, maybe(&case.ty))),
            )
        }
        TypeDefKind::Enum(cases) => {
            listed("enum", cases.cases.iter().map(|case| case.name.clone()))
        }
        TypeDefKind::Flags(flags) => {
            listed("flags", flags.flags.iter().map(|flag| flag.name.clone()))
        }
        TypeDefKind::Tuple(tuple) => listed("tuple", tuple.types.iter().map(name)),
        TypeDefKind::Option(inner) => format!("option<{}>", name(inner)),
        TypeDefKind::List(inner) => format!("list<{}>", name(inner)),
        TypeDefKind::Result(result) => {
            format!("result<{}, {}>", maybe(&result.ok), maybe(&result.err))
        }
        TypeDefKind::Type(other) => name(other),
        // Better no answer than a wrong one.
        other => panic!("the contract has a {} now: compare it here", other.as_str()),
    }
}

fn listed(word: &str, parts: impl Iterator<Item = String>) -> String {
    format!("{word} {{ {} }}", parts.collect::<Vec<_>>().join(", "))
}

const OLD: &str = "
package duet:plugin@0.1.0-rc.1;

interface types {
    record item { id: u64, name: option<string> }
    variant failure { retry(option<u32>), reject(string) }
    enum speaker { automation, person }
}

interface on-item {
    use types.{item, failure};
    handle: func(item: item) -> result<_, failure>;
}

interface store {
    get: func(key: string) -> option<list<u8>>;
    /// Of no use.
    delete: func(key: string);
    pairs: func() -> list<tuple<string, u64>>;
}

world plugin {
    import store;
    export on-item;
}
";

/// Replaces each text of the first contract by another one, and compares what no longer fits.
fn check(changes: &[(&str, &str)], expect: &[&str]) {
    let mut new = OLD.to_owned();
    for (from, to) in changes {
        assert_eq!(new.matches(from).count(), 1, "{from}");
        new = new.replace(from, to);
    }
    let broken = Contract::read(OLD).broken_by(&Contract::read(&new));
    assert_eq!(broken, expect, "{changes:?}");
}

#[test]
fn what_is_added_breaks_nothing() {
    check(&[], &[]);
    check(
        &[("@0.1.0-rc.1", "@0.1.0-rc.2"), ("Of no use.", "Of some.")],
        &[],
    );
    check(
        &[("    pairs:", "    set: func(key: string);\n    pairs:")],
        &[],
    );
    check(
        &[(
            "interface store {",
            "interface store {\n    record page { keys: list<string> }",
        )],
        &[],
    );
    let clock = "interface clock { now-ms: func() -> u64; }\ninterface store {";
    check(
        &[
            ("interface store {", clock),
            ("import store;", "import store;\n    import clock;"),
        ],
        &[],
    );
    // A handler that only its plugins have, in a world of theirs.
    let hook = "interface on-hook { handle: func(body: string); }\nworld hooks { include plugin; export on-hook; }\nworld plugin {";
    check(&[("world plugin {", hook)], &[]);
    let unstable = "    @unstable(feature = pages)\n    pages: func() -> u32;\n    pairs:";
    check(&[("    pairs:", unstable)], &[]);
}

#[test]
fn what_is_taken_away_or_changed_is_told() {
    check(
        &[("    delete: func(key: string);", "")],
        &["function store.delete is gone"],
    );
    check(
        &[("delete: func(key: string)", "delete: func(name: string)")],
        &["function store.delete was func(key: string), is func(name: string)"],
    );
    check(
        &[(
            "delete: func(key: string)",
            "delete: async func(key: string)",
        )],
        &["function store.delete was func(key: string), is async func(key: string)"],
    );
    check(
        &[("tuple<string, u64>", "tuple<string, u32>")],
        &[
            "function store.pairs was func() -> list<tuple { string, u64 }>, is func() -> list<tuple { string, u32 }>",
        ],
    );
    check(
        &[(
            "name: option<string> }",
            "name: option<string>, at-ms: u64 }",
        )],
        &[
            "type types.item was record { id: u64, name: option<string> }, is record { id: u64, name: option<string>, at-ms: u64 }",
        ],
    );
    check(
        &[("automation, person", "person, automation")],
        &["type types.speaker was enum { automation, person }, is enum { person, automation }"],
    );
    check(
        &[("reject(string)", "reject(string), drop")],
        &[
            "type types.failure was variant { retry(option<u32>), reject(string) }, is variant { retry(option<u32>), reject(string), drop(_) }",
        ],
    );
    check(
        &[("    import store;\n", "")],
        &["world plugin imports store is gone"],
    );
    check(
        &[("    export on-item;\n", "")],
        &[
            "world plugin exports on-item is gone",
            "world plugin imports types is gone",
        ],
    );
}

#[test]
fn what_older_plugins_would_have_to_bring_is_told() {
    check(
        &[(
            "    handle:",
            "    describe: func() -> string;\n    handle:",
        )],
        &["function on-item.describe is new, so no plugin has it"],
    );
    let hook =
        "interface on-hook { handle: func(body: string); }\nworld plugin {\n    export on-hook;";
    check(
        &[("world plugin {", hook)],
        &["world plugin exports on-hook is new, so no plugin has it"],
    );
}
