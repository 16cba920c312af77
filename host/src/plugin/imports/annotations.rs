//! `annotations`: notes, labels and assignments of conversations.

use duet_rules::annotations::{Annotation, Marks, NewNote};
use wasmtime::Result;

use super::{agent, time_ms};
use crate::effect::{Agent, Effect};
use crate::plugin::bindings::duet::plugin::annotations::{self, Host};
use crate::plugin::bindings::duet::plugin::types;
use crate::plugin::fault::Stop;
use crate::plugin::running::Running;

type Told = std::result::Result<(), String>;

impl Host for Running {
    async fn add_note(
        &mut self,
        conversation: u64,
        key: Option<String>,
        text: String,
        agent: Option<types::Agent>,
    ) -> Result<Told> {
        let agent = agent.map(Agent::from);
        let note = NewNote { key, text, agent };
        self.annotate(conversation, Annotation::Note(note)).await
    }

    async fn notes(&mut self, conversation: u64) -> Result<Vec<annotations::Note>> {
        self.count_call()?;
        let Some(id) = self.known_conversation(conversation).await? else {
            return Ok(Vec::new());
        };
        let stored = self.world.notes(id).await.map_err(Stop::from)?;
        let author = &self.facts.name;
        let notes = self.buffer.notes(author, id, stored, self.now_ms);
        Ok(notes
            .into_iter()
            .map(|note| annotations::Note {
                author: note.author,
                key: note.note.key,
                text: note.note.text,
                agent: note.note.agent.map(super::agent),
                at_ms: time_ms(note.at_ms),
            })
            .collect())
    }

    async fn add_label(&mut self, conversation: u64, label: String) -> Result<Told> {
        self.annotate(conversation, Annotation::AddLabel(label))
            .await
    }

    async fn remove_label(&mut self, conversation: u64, label: String) -> Result<Told> {
        self.annotate(conversation, Annotation::RemoveLabel(label))
            .await
    }

    async fn labels(&mut self, conversation: u64) -> Result<Vec<String>> {
        self.count_call()?;
        let Some(id) = self.known_conversation(conversation).await? else {
            return Ok(Vec::new());
        };
        let marks = self.marks(id).await?;
        Ok(marks.labels.into_iter().collect())
    }

    async fn assign(&mut self, conversation: u64, agent: Option<types::Agent>) -> Result<Told> {
        self.annotate(conversation, Annotation::Assign(agent.map(Agent::from)))
            .await
    }

    async fn assignee(&mut self, conversation: u64) -> Result<Option<types::Agent>> {
        self.count_call()?;
        let Some(id) = self.known_conversation(conversation).await? else {
            return Ok(None);
        };
        let marks = self.marks(id).await?;
        Ok(marks.assignee.map(agent))
    }
}

impl Running {
    /// Refuses what the store would refuse, as far as it can be seen now.
    async fn annotate(&mut self, conversation: u64, annotation: Annotation) -> Result<Told> {
        self.count_call()?;
        if !self.facts.annotates {
            return Ok(Err(format!(
                "not granted; add write = true to [plugins.{}.annotations]",
                self.facts.name
            )));
        }
        if let Err(refusal) = annotation.check() {
            return Ok(Err(refusal));
        }
        let Some(id) = self.known_conversation(conversation).await? else {
            return Ok(Err(format!("no conversation {conversation}")));
        };
        if let Annotation::AddLabel(_) = &annotation
            && let Err(refusal) = self.marks(id).await?.apply(&annotation)
        {
            return Ok(Err(refusal));
        }
        self.buffer.act(Effect::Annotate {
            conversation: id,
            annotation,
        })?;
        Ok(Ok(()))
    }

    /// As this run has left them.
    async fn marks(&mut self, id: i64) -> std::result::Result<Marks, Stop> {
        let stored = self.world.marks(id).await?;
        Ok(self.buffer.marks(id, stored))
    }
}
