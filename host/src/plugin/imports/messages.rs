//! `messages`: sends become effects, after a first look by policy.

use duet_rules::sending::{self, Refusal};
use wasmtime::Result;

use crate::effect::{Agent, Effect, Send, Speaker};
use crate::plugin::bindings::duet::plugin::{messages, types};
use crate::plugin::fault::Stop;
use crate::plugin::guest_log::Level;
use crate::plugin::running::Running;

impl messages::Host for Running {
    async fn send(
        &mut self,
        conversation: u64,
        speaker: types::Speaker,
        message: String,
    ) -> Result<std::result::Result<(), messages::Refusal>> {
        self.count_call()?;
        let send = match parse(conversation, speaker, &message) {
            Ok(send) => send,
            Err(detail) => return Ok(Err(refusal("invalid", detail).into())),
        };
        let granted = match send.speaker {
            Speaker::Automation => self.facts.speaks_as_automation,
            Speaker::Person => self.facts.speaks_as_person,
        };
        if !granted {
            let speaker = send.speaker.as_str();
            let detail = format!(
                r#"add "{speaker}" to speak in [plugins.{}.messages]"#,
                self.facts.name
            );
            return Ok(Err(refusal("not-granted", detail).into()));
        }
        let handling = self
            .buffer
            .handling(send.conversation)
            .map(|(handling, ..)| handling);
        if let Some(refusal) = self
            .world
            .refuse(&send, handling)
            .await
            .map_err(Stop::from)?
        {
            self.log.write(
                Level::Info,
                &format!("send refused: {}: {}", refusal.code, refusal.detail),
            );
            return Ok(Err(refusal.into()));
        }
        self.buffer.act(Effect::Send(send))?;
        Ok(Ok(()))
    }
}

/// What Meta takes; whether it may leave now is for policy to say.
fn parse(
    conversation: u64,
    speaker: types::Speaker,
    message: &str,
) -> std::result::Result<Send, String> {
    let (message, _) = sending::parse(message).map_err(|invalid| invalid.to_string())?;
    let conversation =
        i64::try_from(conversation).map_err(|_| "no such conversation".to_owned())?;
    let (speaker, agent) = match speaker {
        types::Speaker::Automation => (Speaker::Automation, None),
        types::Speaker::Person(agent) => (Speaker::Person, agent.map(Agent::from)),
    };
    agent.as_ref().map_or(Ok(()), Agent::check)?;
    Ok(Send {
        conversation,
        speaker,
        agent,
        message,
    })
}

fn refusal(code: &'static str, detail: String) -> Refusal {
    Refusal {
        code: code.into(),
        detail,
        meta_code: None,
    }
}

impl From<Refusal> for messages::Refusal {
    fn from(refusal: Refusal) -> Self {
        messages::Refusal {
            code: refusal.code.into_owned(),
            detail: refusal.detail,
            meta_code: refusal.meta_code.and_then(|code| u32::try_from(code).ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_cannot_name_the_addressee() {
        for name in sending::RESERVED {
            let message = format!(r#"{{"type":"text","text":{{"body":"Hi"}},"{name}":"x"}}"#);
            assert!(
                parse(1, types::Speaker::Automation, &message)
                    .unwrap_err()
                    .contains(name)
            );
        }
        assert!(
            parse(
                1,
                types::Speaker::Automation,
                r#"{"status":"read","message_id":"wamid.A"}"#
            )
            .is_ok()
        );
    }

    #[test]
    fn a_person_who_speaks_has_an_id() {
        let agent = |id: &str| {
            let (id, name) = (id.to_owned(), None);
            types::Speaker::Person(Some(types::Agent { id, name }))
        };
        let message = r#"{"type":"text","text":{"body":"Hi"}}"#;
        assert!(parse(1, agent("7"), message).is_ok());
        assert!(parse(1, agent(""), message).unwrap_err().contains("id"));
    }
}
