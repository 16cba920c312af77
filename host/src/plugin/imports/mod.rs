//! The host's side of the contract, one file for each interface that needs more than a line.
//!
//! Nothing here changes anything: writes and sends are buffered, and become effects when the run ends well. Only a file
//! that the plugin brings along is kept at once, since its next host call may name it.

mod annotations;
mod cases;
mod conversations;
mod http;
mod media;
mod messages;
mod store;
mod timers;

use wasmtime::Result;
use wasmtime::component::{HasSelf, Linker};

use super::bindings::duet::plugin as contract;
use super::fault::Stop;
use super::guest_log::Level;
use super::running::Running;
use super::world::Unavailable;
use crate::effect::Agent;
use crate::event::ContactView;

/// Links an import of the contract's under the name that the component has for it, in whatever version.
pub(super) fn link(linker: &mut Linker<Running>, import: &str) -> Result<()> {
    let Some(interface) = import.strip_prefix("duet:plugin/") else {
        return Ok(());
    };
    macro_rules! link {
        ($($name:literal => $module:ident),* $(,)?) => {
            match interface.split('@').next().unwrap_or_default() {
                $($name => contract::$module::add_to_linker_instance::<_, HasSelf<_>>(
                    &mut linker.instance(import)?,
                    |running| running,
                ),)*
                _ => Ok(()),
            }
        };
    }
    link! {
        "types" => types,
        "log" => log,
        "settings" => settings,
        "clock" => clock,
        "store" => store,
        "http" => http,
        "messages" => messages,
        "conversations" => conversations,
        "contacts" => contacts,
        "timers" => timers,
        "media" => media,
        "cases" => cases,
        "annotations" => annotations,
    }
}

impl contract::types::Host for Running {}

impl contract::log::Host for Running {
    fn write(&mut self, level: contract::log::Level, message: String) -> Result<()> {
        self.count_call()?;
        let level = match level {
            contract::log::Level::Debug => Level::Debug,
            contract::log::Level::Info => Level::Info,
            contract::log::Level::Warn => Level::Warn,
            contract::log::Level::Error => Level::Error,
        };
        self.log.write(level, &message);
        Ok(())
    }
}

impl contract::settings::Host for Running {
    fn get(&mut self) -> Result<String> {
        self.count_call()?;
        Ok(self.facts.settings.clone())
    }
}

impl contract::clock::Host for Running {
    fn now_ms(&mut self) -> Result<u64> {
        self.count_call()?;
        Ok(u64::try_from(self.now_ms).unwrap_or(0))
    }
}

impl contract::contacts::Host for Running {
    async fn get(&mut self, id: u64) -> Result<Option<contract::types::Contact>> {
        self.count_call()?;
        let Ok(id) = i64::try_from(id) else {
            return Ok(None);
        };
        Ok(self
            .world
            .contact(id)
            .await
            .map_err(Stop::from)?
            .map(Into::into))
    }
}

impl From<ContactView> for contract::types::Contact {
    fn from(contact: ContactView) -> Self {
        contract::types::Contact {
            id: u64::try_from(contact.id).unwrap_or(0),
            name: contact.name,
            wa_id: contact.wa_id,
            user_id: contact.user_id,
        }
    }
}

impl From<contract::types::Agent> for Agent {
    fn from(agent: contract::types::Agent) -> Self {
        Agent {
            id: agent.id,
            name: agent.name,
        }
    }
}

/// As the contract has it.
fn agent(agent: Agent) -> contract::types::Agent {
    contract::types::Agent {
        id: agent.id,
        name: agent.name,
    }
}

impl From<Unavailable> for Stop {
    fn from(unavailable: Unavailable) -> Self {
        Stop::Unavailable(unavailable.0)
    }
}

/// `now` and so many seconds, ms since 1970.
fn after_seconds(now_ms: i64, seconds: u32) -> i64 {
    now_ms.saturating_add(i64::from(seconds).saturating_mul(1_000))
}

fn time_ms(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}
