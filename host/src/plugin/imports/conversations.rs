//! `conversations`: who has one, handing it over, giving it back.

use wasmtime::Result;

use super::{after_seconds, agent, time_ms};
use crate::effect::{Agent, Effect, Handling};
use crate::plugin::bindings::duet::plugin::conversations::{Host, State};
use crate::plugin::bindings::duet::plugin::types;
use crate::plugin::fault::Stop;
use crate::plugin::running::Running;

type Told = std::result::Result<(), String>;

impl Host for Running {
    async fn get(&mut self, conversation: u64) -> Result<Option<State>> {
        self.count_call()?;
        let Ok(id) = i64::try_from(conversation) else {
            return Ok(None);
        };
        let Some(mut state) = self.world.conversation(id).await.map_err(Stop::from)? else {
            return Ok(None);
        };
        if let Some((handling, agent, until_ms)) = self.buffer.handling(id) {
            state.handling = handling;
            state.agent = agent.cloned();
            state.handling_until_ms = until_ms;
        }
        Ok(Some(State {
            handling: match state.handling {
                Handling::Automation => types::Handling::Automation,
                Handling::Person => types::Handling::Person,
            },
            handling_until_ms: state.handling_until_ms.map(time_ms),
            agent: state.agent.map(agent),
            window_until_ms: state.window_until_ms.map(time_ms),
        }))
    }

    async fn hand_over(
        &mut self,
        conversation: u64,
        agent: Option<types::Agent>,
        seconds: Option<u32>,
    ) -> Result<Told> {
        let until_ms = seconds.map(|seconds| after_seconds(self.now_ms, seconds));
        let agent = agent.map(Agent::from);
        if let Some(Err(refusal)) = agent.as_ref().map(Agent::check) {
            self.count_call()?;
            return Ok(Err(refusal));
        }
        self.handle(conversation, Handling::Person, agent, until_ms)
            .await
    }

    async fn give_back(&mut self, conversation: u64) -> Result<Told> {
        self.handle(conversation, Handling::Automation, None, None)
            .await
    }
}

impl Running {
    async fn handle(
        &mut self,
        conversation: u64,
        handling: Handling,
        agent: Option<Agent>,
        until_ms: Option<i64>,
    ) -> Result<Told> {
        self.count_call()?;
        if !self.facts.handles {
            return Ok(Err(format!(
                "not granted; add handling = true to [plugins.{}.conversations]",
                self.facts.name
            )));
        }
        let Some(conversation) = self.known_conversation(conversation).await? else {
            return Ok(Err(format!("no conversation {conversation}")));
        };
        self.buffer.act(Effect::Handle {
            conversation,
            handling,
            agent,
            until_ms,
        })?;
        Ok(Ok(()))
    }

    /// The id of a conversation that the plugin may know of, if there is one.
    pub(super) async fn known_conversation(
        &mut self,
        id: u64,
    ) -> std::result::Result<Option<i64>, Stop> {
        let Ok(id) = i64::try_from(id) else {
            return Ok(None);
        };
        Ok(self.world.conversation(id).await?.map(|_| id))
    }
}
