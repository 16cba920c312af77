//! `timers`: when the plugin wants to be called.

use duet_rules::timers;
use wasmtime::Result;

use crate::effect::Effect;
use crate::plugin::bindings::duet::plugin::timers::Host;
use crate::plugin::running::Running;

impl Host for Running {
    async fn set(
        &mut self,
        name: String,
        at_ms: u64,
        payload: String,
        conversation: Option<u64>,
    ) -> Result<std::result::Result<(), String>> {
        self.count_call()?;
        let at_ms = match timers::check(&name, at_ms, &payload, self.now_ms) {
            Ok(at_ms) => at_ms,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let conversation = match conversation {
            Some(asked) => match self.known_conversation(asked).await? {
                Some(id) => Some(id),
                None => return Ok(Err(format!("no conversation {asked}"))),
            },
            None => None,
        };
        self.buffer.act(Effect::SetTimer {
            name,
            at_ms,
            payload,
            conversation,
        })?;
        Ok(Ok(()))
    }

    fn cancel(&mut self, name: String) -> Result<()> {
        self.count_call()?;
        // No other name can be set.
        if name.len() <= timers::NAME_BYTES_MAX {
            self.buffer.act(Effect::CancelTimer { name })?;
        }
        Ok(())
    }
}
