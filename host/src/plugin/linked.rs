//! A component that is linked to what it was granted, and where its handler is.
//!
//! Everything goes by the names that the component has: a contract only grows, so those of an older one that is served
//! lead to today's functions. wasmtime compares the types, and would match no release candidate with another by name.

use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker};
use wasmtime::{Engine, Store};

use super::bindings::duet::plugin::types;
use super::bindings::exports::duet::plugin::on_hook::Response;
use super::outline::Outline;
use super::running::Running;
use super::{imports, wasi};

pub(super) struct Linked {
    pre: InstancePre<Running>,
    handle: ComponentExportIndex,
    /// Where it answers calls of hooks.
    answer: Option<ComponentExportIndex>,
}

impl Linked {
    /// Links the WASI floor and exactly the interfaces that the component imports, which were all granted.
    pub(super) fn new(outline: &Outline<'_>, component: &Component) -> wasmtime::Result<Linked> {
        let mut linker = Linker::new(component.engine());
        wasi::link(&mut linker)?;
        for import in &outline.imports {
            imports::link(&mut linker, import)?;
        }
        let find = |handler: Option<&str>, function: &str| {
            let handler = component.get_export_index(None, handler?)?;
            component.get_export_index(Some(&handler), function)
        };
        let handle = find(outline.handler(), "handle")
            .ok_or_else(|| wasmtime::format_err!("it has no handler"))?;
        Ok(Linked {
            pre: linker.instantiate_pre(component)?,
            handle,
            answer: find(outline.hook_handler(), "answer"),
        })
    }

    pub(super) fn engine(&self) -> &Engine {
        self.pre.engine()
    }

    /// Brings up a fresh instance.
    pub(super) async fn begin(&self, store: &mut Store<Running>) -> wasmtime::Result<()> {
        self.pre.instantiate_async(store).await.map(drop)
    }

    /// Hands one event to a fresh instance.
    pub(super) async fn call(
        &self,
        store: &mut Store<Running>,
        event: &types::Event,
    ) -> wasmtime::Result<Result<(), types::Failure>> {
        let instance = self.pre.instantiate_async(&mut *store).await?;
        let handle = instance.get_typed_func::<(&types::Event,), (Result<(), types::Failure>,)>(
            &mut *store,
            &self.handle,
        )?;
        let (ended,) = handle.call_async(&mut *store, (event,)).await?;
        Ok(ended)
    }

    /// Hands a call of a hook to a fresh instance, which answers it.
    pub(super) async fn answer(
        &self,
        store: &mut Store<Running>,
        event: &types::Event,
    ) -> wasmtime::Result<Result<Response, types::Failure>> {
        let answer = self
            .answer
            .as_ref()
            .ok_or_else(|| wasmtime::format_err!("it has no handler for hooks"))?;
        let instance = self.pre.instantiate_async(&mut *store).await?;
        let answer = instance
            .get_typed_func::<(&types::Event,), (Result<Response, types::Failure>,)>(
                &mut *store,
                answer,
            )?;
        let (ended,) = answer.call_async(&mut *store, (event,)).await?;
        Ok(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::engine::PluginEngine;
    use crate::plugin::outline::outline;

    /// A plugin that uses every function of its contract.
    const TOUR: &str = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/fixtures/released/0.1.0-rc.1/tour.wasm"
    );

    /// The same length, so that nothing else of the component changes.
    fn replaced(component: &[u8], from: &str, to: &str) -> Vec<u8> {
        assert_eq!(from.len(), to.len());
        let mut bytes = component.to_vec();
        let places: Vec<usize> = (0..bytes.len())
            .filter(|at| bytes[*at..].starts_with(from.as_bytes()))
            .collect();
        assert!(!places.is_empty(), "{from} is not there");
        for at in places {
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        }
        bytes
    }

    #[test]
    fn the_names_of_an_older_contract_lead_to_todays_functions() {
        let cache = tempfile::tempdir().unwrap();
        let engine = PluginEngine::new(cache.path()).unwrap();
        let link = |bytes: &[u8]| {
            let component = engine.compile(bytes).unwrap();
            let linked = Linked::new(&outline(bytes).unwrap(), &component);
            linked.map(drop).map_err(|error| format!("{error:#}"))
        };
        let older = replaced(&std::fs::read(TOUR).unwrap(), "0.1.0-rc.1", "0.1.0-rc.0");
        assert_eq!(link(&older), Ok(()));
        let other = replaced(&older, "now-ms", "now-us");
        let told = link(&other).unwrap_err();
        assert!(told.contains("now-us"), "{told}");
    }
}
