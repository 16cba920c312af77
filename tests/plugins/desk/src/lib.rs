//! A bridge to a help desk, in small. A customer's file goes to the desk at the address in the settings, as a ticket's
//! attachment, as soon as it is here. A text message is a word with what it needs:
//!
//! - `open <key> <title>`, `assign <key> <agent>`, `status <key> <word>`, `close <key>`: a case; `cases`: tells all
//! - `case <key>`: tells of one
//! - `agent <id> <text>`: replies as this agent; `give <id>`: gives the conversation to this agent; `who`: tells who has it
//! - `bring <text>`: keeps a file with this text and sends it; `show <handle>`: tells of a file and what stands in it
//! - `forward <handle>`: sends a file of the business's; `post <handle>`: takes one to the desk as it is
//! - `note <text>`, `once <key> <text>`: a note; `notes`: tells all, the newest first
//! - `label <words>`, `unlabel <words>`; `labels`: tells all
//! - `take <id>`, `drop`: assigns the conversation to this agent, to nobody; `whose`: tells to whom
//! - `triage <agent> <words>`: notes the words, labels with them, assigns, and says so
//! - `in <conversation> …`: the same for another conversation
//!
//! Of other plugins' cases it says `heard <kind> <key>`, of notes, labels and assignments `heard <kind> <by> <what>`. What is
//! refused is told with the reason.

use duet_sdk::cases::{self, Case, Entry};
use duet_sdk::http::{Part, Request};
use duet_sdk::{
    Agent, Conversation, Event, Failure, Message, Result, Sent, annotations, media, reject,
    settings,
};
use serde::Deserialize;

duet_sdk::plugin!("manifest.json", handle);

#[derive(Deserialize)]
struct Settings {
    /// Where the desk is.
    #[serde(default)]
    url: String,
}

fn handle(event: Event) -> Result {
    let conversation = event
        .conversation()
        .ok_or_else(|| reject("no conversation"))?;
    if let Some(settled) = event.settled() {
        let id = settled.message_id;
        return match settled.handle {
            Some(handle) => attach(conversation, handle, settled.filename),
            None => say(conversation, &format!("{id} {}", settled.state)),
        };
    }
    if event.kind.starts_with("case.") {
        let key = event.json()["key"].as_str().unwrap_or_default();
        return say(conversation, &format!("heard {} {key}", event.kind));
    }
    if event.kind.starts_with("conversation.") {
        let body = event.json();
        let by = body["by"].as_str().unwrap_or_default();
        let what = match event.kind.as_str() {
            "conversation.noted" => body["text"].as_str().unwrap_or_default().to_owned(),
            "conversation.labelled" => format!("{} {}", body["label"], body["set"]),
            _ => body["agent"]["id"].as_str().unwrap_or("nobody").to_owned(),
        };
        return say(conversation, &format!("heard {} {by} {what}", event.kind));
    }
    let Some(text) = event.text() else {
        return take(&event, conversation);
    };
    match run(text, conversation) {
        Ok(Some(told)) => say(conversation, &told),
        Ok(None) => Ok(()),
        Err(Failure::Reject(reason)) => say(conversation, &format!("refused: {reason}")),
        Err(retry) => Err(retry),
    }
}

/// A customer's file: to the desk now, or once it is here.
fn take(event: &Event, conversation: Conversation) -> Result {
    let Some(id) = event.message_id() else {
        return Ok(());
    };
    match media::of_message(conversation, id) {
        Some(found) => match found.file {
            Some(file) => attach(conversation, &file.handle, found.filename.as_deref()),
            None => media::await_file(conversation, id),
        },
        None => Ok(()),
    }
}

fn attach(conversation: Conversation, handle: &str, filename: Option<&str>) -> Result {
    let settings: Settings = settings()?;
    let parts = vec![
        Part::text("conversation", &conversation.id.to_string()),
        Part::file("attachments[]", filename.unwrap_or("file"), handle),
    ];
    let request = Request::post(&settings.url)
        .form_data(parts)
        .bearer("token");
    let answer = request.send();
    say(conversation, &told(answer))
}

fn told(answer: std::result::Result<duet_sdk::http::Response, duet_sdk::http::Error>) -> String {
    match answer {
        Ok(answer) => format!("the desk says {}", answer.status),
        Err(error) => format!("the desk is not asked: {error}"),
    }
}

fn run(text: &str, conversation: Conversation) -> Result<Option<String>> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
    match word {
        "in" => {
            let id = first.parse()?;
            return run(second, Conversation { id });
        }
        "open" => {
            let mut case = cases::case(first, second);
            case.url = Some(format!("https://desk.example.com/{first}"));
            cases::open(conversation, &case)?;
        }
        "assign" => cases::change(&Case {
            assignee: Some(agent(second)),
            ..known(first)?
        })?,
        "status" => cases::change(&Case {
            status: Some(second.into()),
            ..known(first)?
        })?,
        "close" => cases::close(first)?,
        "case" => {
            let entry = cases::get(first);
            return Ok(Some(entry.map_or("no case".into(), |entry| shown(&entry))));
        }
        "cases" => {
            let all: Vec<_> = cases::of_conversation(conversation)
                .iter()
                .map(shown)
                .collect();
            return Ok(Some(format!("cases: {}", all.join(", "))));
        }
        "note" => annotations::add_note(conversation, rest, None)?,
        "once" => annotations::add_note_once(conversation, first, second, Some(&agent("3")))?,
        "notes" => {
            let all = annotations::notes(conversation);
            let all: Vec<_> = all.into_iter().map(|note| note.text).collect();
            return Ok(Some(format!("notes: {}", all.join(", "))));
        }
        "label" => annotations::add_label(conversation, rest)?,
        "unlabel" => annotations::remove_label(conversation, rest)?,
        "labels" => {
            let all = annotations::labels(conversation);
            return Ok(Some(format!("labels: {}", all.join(", "))));
        }
        "take" => annotations::assign(conversation, Some(&agent(first)))?,
        "drop" => annotations::assign(conversation, None)?,
        "whose" => {
            let agent = annotations::assignee(conversation);
            return Ok(Some(agent.map_or("nobody's".into(), |agent| agent.id)));
        }
        "triage" => {
            annotations::add_note(conversation, second, None)?;
            annotations::add_label(conversation, second)?;
            annotations::assign(conversation, Some(&agent(first)))?;
            return Ok(Some(format!("triaged {second}")));
        }
        "agent" => return sent(conversation.send_as(agent(first), Message::text(second))?),
        "give" => conversation.hand_over_to(&agent(first), None)?,
        "who" => {
            let agent = conversation.state().map(|state| state.agent);
            return Ok(Some(match agent {
                Some(Some(agent)) => format!("{} has it", agent.name.unwrap_or(agent.id)),
                Some(None) => "nobody is known to have it".into(),
                None => "no conversation".into(),
            }));
        }
        "bring" => {
            let handle = media::keep(rest.as_bytes(), "text/plain")?;
            return sent(conversation.send(Message::file("document", &handle, None))?);
        }
        "show" => {
            let Some(file) = media::get(first) else {
                return Ok(Some("no file".into()));
            };
            let bytes = media::read(first)?;
            let text = String::from_utf8_lossy(&bytes);
            return Ok(Some(format!("{} {} {text}", file.mime_type, file.bytes)));
        }
        "forward" => return sent(conversation.send(Message::file("document", first, None))?),
        "post" => {
            let settings: Settings = settings()?;
            let request = Request::post(&settings.url).file(first);
            return Ok(Some(told(request.send())));
        }
        _ => return Err(reject(format_args!("no such word: {word}"))),
    }
    Ok(None)
}

fn known(key: &str) -> Result<Case> {
    let entry = cases::get(key).ok_or_else(|| reject("no case"))?;
    Ok(entry.case)
}

fn agent(id: &str) -> Agent {
    Agent {
        id: id.into(),
        name: Some(format!("Agent {id}")),
    }
}

fn shown(entry: &Entry) -> String {
    let open = if entry.closed_ms.is_none() {
        "open"
    } else {
        "closed"
    };
    let case = &entry.case;
    let assignee = case.assignee.as_ref();
    let assignee = assignee.map_or("nobody", |agent| agent.id.as_str());
    let status = case.status.as_deref().unwrap_or("-");
    format!(
        "{} {} in {} {open} {status} {assignee}",
        entry.instance, case.key, entry.conversation
    )
}

fn say(conversation: Conversation, text: &str) -> Result {
    conversation.reply_text(text).map(|_| ())
}

fn sent(sent: Sent) -> Result<Option<String>> {
    Ok(match sent {
        Sent::Queued => None,
        Sent::Refused(refusal) => Some(format!("refused: {}", refusal.code)),
    })
}
