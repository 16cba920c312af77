//! The contract as generated from `wit/duet.wit`.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "plugin-with-hooks",
    imports: {
        "duet:plugin/store.get": async | trappable,
        "duet:plugin/store.list-keys": async | trappable,
        "duet:plugin/store.compare-and-set": async | trappable,
        "duet:plugin/http": async | trappable,
        "duet:plugin/messages.send": async | trappable,
        "duet:plugin/conversations": async | trappable,
        "duet:plugin/contacts": async | trappable,
        "duet:plugin/timers.set": async | trappable,
        "duet:plugin/media": async | trappable,
        "duet:plugin/cases": async | trappable,
        "duet:plugin/annotations": async | trappable,
        default: trappable,
    },
    exports: { default: async },
});
