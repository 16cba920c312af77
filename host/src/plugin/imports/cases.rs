//! `cases`: what other systems keep of conversations.

use duet_rules::cases::{Case, CaseEntry, KEY_BYTES_MAX};
use wasmtime::Result;

use super::{agent, time_ms};
use crate::effect::Effect;
use crate::plugin::bindings::duet::plugin::cases::{self, Host};
use crate::plugin::fault::Stop;
use crate::plugin::running::Running;

type Told = std::result::Result<(), String>;

impl Host for Running {
    async fn open(&mut self, conversation: u64, case: cases::Case) -> Result<Told> {
        self.count_call()?;
        let case = match checked(case) {
            Ok(case) => case,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Some(id) = self.known_conversation(conversation).await? else {
            return Ok(Err(format!("no conversation {conversation}")));
        };
        if let Some(was) = self.case(&case.key).await?
            && was.conversation != id
        {
            let there = was.conversation;
            return Ok(Err(format!("the case is in conversation {there}")));
        }
        self.buffer.act(Effect::OpenCase {
            conversation: id,
            case,
        })?;
        Ok(Ok(()))
    }

    async fn change(&mut self, case: cases::Case) -> Result<Told> {
        self.count_call()?;
        let case = match checked(case) {
            Ok(case) => case,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if self.case(&case.key).await?.is_none() {
            return Ok(Err(NO_SUCH_CASE.to_owned()));
        }
        self.buffer.act(Effect::ChangeCase { case })?;
        Ok(Ok(()))
    }

    async fn close(&mut self, key: String) -> Result<Told> {
        self.count_call()?;
        if self.case(&key).await?.is_none() {
            return Ok(Err(NO_SUCH_CASE.to_owned()));
        }
        self.buffer.act(Effect::CloseCase { key })?;
        Ok(Ok(()))
    }

    async fn get(&mut self, key: String) -> Result<Option<cases::Entry>> {
        self.count_call()?;
        Ok(self.case(&key).await?.map(Into::into))
    }

    async fn of_conversation(&mut self, conversation: u64) -> Result<Vec<cases::Entry>> {
        self.count_call()?;
        let Some(id) = self.known_conversation(conversation).await? else {
            return Ok(Vec::new());
        };
        let stored = self.world.cases(id).await.map_err(Stop::from)?;
        let own = &self.facts.name;
        let found = self.buffer.cases(own, id, stored, self.now_ms);
        Ok(found.into_iter().map(Into::into).collect())
    }
}

const NO_SUCH_CASE: &str = "this plugin has no such case";

impl Running {
    /// A case of the instance's own, as this run has left it.
    async fn case(&mut self, key: &str) -> std::result::Result<Option<CaseEntry>, Stop> {
        // No other key can be there.
        if key.len() > KEY_BYTES_MAX {
            return Ok(None);
        }
        let stored = self.world.case(key).await?;
        Ok(self.buffer.case(&self.facts.name, key, stored, self.now_ms))
    }
}

fn checked(case: cases::Case) -> std::result::Result<Case, String> {
    let case = Case {
        key: case.key,
        title: case.title,
        url: case.url,
        status: case.status,
        assignee: case.assignee.map(Into::into),
    };
    case.check().map(|()| case)
}

impl From<CaseEntry> for cases::Entry {
    fn from(entry: CaseEntry) -> Self {
        let case = entry.case;
        cases::Entry {
            instance: entry.instance,
            conversation: u64::try_from(entry.conversation).unwrap_or(0),
            case: cases::Case {
                key: case.key,
                title: case.title,
                url: case.url,
                status: case.status,
                assignee: case.assignee.map(agent),
            },
            opened_ms: time_ms(entry.opened_ms),
            closed_ms: entry.closed_ms.map(time_ms),
        }
    }
}
