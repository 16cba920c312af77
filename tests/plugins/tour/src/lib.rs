//! Goes through every function of the contract once, and keeps what it was told under the function's name.
//!
//! The one that was built for a released contract is kept below `tests/fixtures/released` and runs for as long as that
//! contract is served. It implements the contract itself, so that no SDK stands between the two.

use duet_sdk::bindings::duet::plugin::annotations::Note;
use duet_sdk::bindings::duet::plugin::cases::{Case, Entry};
use duet_sdk::bindings::duet::plugin::conversations::State;
use duet_sdk::bindings::duet::plugin::http::{
    Body, Content, Encoding, Error, Part, Place, Placement, Prefixed, Request, Response, Signed,
    Signing, Timed,
};
use duet_sdk::bindings::duet::plugin::log::Level;
use duet_sdk::bindings::duet::plugin::media::{Attachment, File};
use duet_sdk::bindings::duet::plugin::types::{Agent, Contact, Event, Failure, Handling, Speaker};
use duet_sdk::bindings::duet::plugin::{
    annotations, cases, clock, contacts, conversations, http, log, media, messages, settings,
    store, timers,
};
use duet_sdk::bindings::exports::duet::plugin::on_event::Guest;
use duet_sdk::hook_bindings::exports::duet::plugin::on_hook::{
    Guest as HookGuest, Response as Told,
};

#[cfg(target_arch = "wasm32")]
#[used]
#[unsafe(link_section = "duet:manifest")]
static MANIFEST: [u8; include_bytes!("../manifest.json").len()] =
    *include_bytes!("../manifest.json");

struct Tour;

impl Guest for Tour {
    fn handle(event: Event) -> Result<(), Failure> {
        match event.kind.as_str() {
            "message.text" => go(&event).map_err(Failure::Reject),
            "message.audio" => Err(Failure::Retry(Some(7))),
            "message.video" => Err(Failure::Retry(None)),
            kind => Err(Failure::Reject(format!("{kind} is not on the tour"))),
        }
    }
}

impl HookGuest for Tour {
    fn answer(event: Event) -> Result<Told, Failure> {
        keep("on-hook.answer", &event.kind).map_err(Failure::Reject)?;
        Ok(Told {
            status: 201,
            headers: vec![("content-type".into(), "text/plain".into())],
            body: b"Namaste".to_vec(),
        })
    }
}

#[cfg(target_arch = "wasm32")]
duet_sdk::bindings::export!(Tour with_types_in duet_sdk::bindings);
#[cfg(target_arch = "wasm32")]
duet_sdk::hook_bindings::export!(Tour with_types_in duet_sdk::hook_bindings);

fn go(event: &Event) -> Result<(), String> {
    keep_event(event)?;
    for level in [Level::Debug, Level::Info, Level::Warn, Level::Error] {
        log::write(level, "on tour");
    }
    keep("settings.get", &settings::get())?;
    keep("clock.now-ms", &clock::now_ms().to_string())?;
    use_store()?;
    let contact = event.contact.as_ref().ok_or("there is no contact")?;
    let found = contacts::get(contact.id).ok_or("the contact is not there")?;
    keep("contacts.get", &of_contact(&found))?;
    let conversation = event.conversation.ok_or("there is no conversation")?;
    use_messages(conversation)?;
    use_conversations(conversation)?;
    use_media(conversation)?;
    use_cases(conversation)?;
    use_annotations(conversation)?;
    use_http()?;
    timers::set(
        "tea",
        clock::now_ms() + 60_000,
        "two cups",
        Some(conversation),
    )?;
    timers::cancel("coffee");
    Ok(())
}

fn keep(name: &str, told: &str) -> Result<(), String> {
    store::set(name, told.as_bytes(), None)
}

fn keep_event(event: &Event) -> Result<(), String> {
    let Event {
        seq,
        id,
        kind,
        number,
        conversation,
        contact,
        at_ms,
        received_ms,
        attempt,
        body,
    } = event;
    let contact = contact.as_ref().map_or_else(String::new, of_contact);
    keep(
        "event",
        &format!(
            "{seq} {id} {kind} {number:?} {conversation:?} ({contact}) {at_ms:?} {received_ms} {attempt} {body}"
        ),
    )
}

fn of_contact(contact: &Contact) -> String {
    let Contact {
        id,
        name,
        wa_id,
        user_id,
    } = contact;
    format!("{id} {name:?} {wa_id:?} {user_id:?}")
}

fn use_store() -> Result<(), String> {
    store::set("a/kept", b"1", Some(60))?;
    store::set("a/gone", b"1", None)?;
    store::delete("a/gone");
    keep("store.get", &format!("{:?}", store::get("a/kept")))?;
    let swapped = store::compare_and_set("a/kept", Some(b"1"), Some(b"2"), Some(120));
    let missed = store::compare_and_set("a/kept", None, None, None);
    keep("store.compare-and-set", &format!("{swapped:?} {missed:?}"))?;
    let keys = store::list_keys("a/", Some("a/a"));
    keep("store.list-keys", &keys.join(" "))
}

fn use_messages(conversation: u64) -> Result<(), String> {
    let send = |speaker, message: &str| {
        let sent = messages::send(conversation, &speaker, message);
        sent.map_or_else(|refusal| refusal.code, |()| "sent".to_owned())
    };
    let told = [
        send(
            Speaker::Automation,
            r#"{"type":"text","text":{"body":"Namaste"}}"#,
        ),
        send(
            Speaker::Person(None),
            r#"{"type":"text","text":{"body":"Here I am"}}"#,
        ),
        send(
            Speaker::Person(Some(agent())),
            r#"{"type":"text","text":{"body":"Me too"}}"#,
        ),
        send(Speaker::Automation, "Namaste"),
    ];
    keep("messages.send", &told.join(" "))
}

fn use_conversations(conversation: u64) -> Result<(), String> {
    let before = of_state(conversations::get(conversation));
    conversations::hand_over(conversation, Some(&agent()), Some(60))?;
    let handed = of_state(conversations::get(conversation));
    conversations::give_back(conversation)?;
    let elsewhere = of_state(conversations::get(conversation + 1));
    keep(
        "conversations.get",
        &format!("{before}, {handed}, {elsewhere}"),
    )
}

fn of_state(state: Option<State>) -> String {
    let Some(state) = state else {
        return "none".to_owned();
    };
    let handling = match state.handling {
        Handling::Automation => "automation",
        Handling::Person => "person",
    };
    let agent = state.agent.as_ref().map(of_agent);
    format!(
        "{handling} {:?} {agent:?} {:?}",
        state.handling_until_ms, state.window_until_ms
    )
}

fn agent() -> Agent {
    Agent {
        id: "3".into(),
        name: Some("Bala".into()),
    }
}

fn of_agent(agent: &Agent) -> String {
    let Agent { id, name } = agent;
    format!("{id} {name:?}")
}

fn use_media(conversation: u64) -> Result<(), String> {
    let message = "wamid.file";
    let found = media::of_message(conversation, message).ok_or("the message has no file")?;
    let Attachment {
        state,
        file,
        mime_type,
        filename,
    } = found;
    let file = file.ok_or("the file is not stored")?;
    let told = of_file(&file);
    keep(
        "media.of-message",
        &format!("{state} ({told}) {mime_type:?} {filename:?}"),
    )?;
    media::await_file(conversation, message)?;
    let got = media::get(&file.handle).ok_or("the file has gone")?;
    let none = media::get("ab").is_none();
    keep("media.get", &format!("{} {none}", of_file(&got)))?;
    keep(
        "media.read",
        &format!(
            "{:?} {:?}",
            media::read(&file.handle, 2, 2),
            media::read(&file.handle, u64::MAX, 2)
        ),
    )?;
    let kept = media::keep(b"%PDF", "application/pdf");
    let refused = media::keep(b"MZ", "application/x-msdownload").is_err();
    keep("media.keep", &format!("{kept:?} {refused}"))
}

fn of_file(file: &File) -> String {
    let File {
        handle,
        mime_type,
        bytes,
    } = file;
    format!("{handle} {mime_type} {bytes}")
}

fn use_cases(conversation: u64) -> Result<(), String> {
    let mut case = Case {
        key: "42".into(),
        title: Some("Lost".into()),
        url: Some("https://desk.example.com/42".into()),
        status: Some("new".into()),
        assignee: Some(agent()),
    };
    cases::open(conversation, &case)?;
    case.assignee = None;
    cases::change(&case)?;
    cases::close("41")?;
    let got = cases::get("42").ok_or("the case is not there")?;
    keep("cases.get", &of_entry(&got))?;
    let all: Vec<String> = cases::of_conversation(conversation)
        .iter()
        .map(of_entry)
        .collect();
    keep("cases.of-conversation", &all.join(", "))
}

fn of_entry(entry: &Entry) -> String {
    let Entry {
        instance,
        conversation,
        case,
        opened_ms,
        closed_ms,
    } = entry;
    let Case {
        key,
        title,
        url,
        status,
        assignee,
    } = case;
    let assignee = assignee.as_ref().map(of_agent);
    format!(
        "{instance} {conversation} {key} {title:?} {url:?} {status:?} {assignee:?} {opened_ms} {closed_ms:?}"
    )
}

fn use_annotations(conversation: u64) -> Result<(), String> {
    annotations::add_note(conversation, Some("tea"), "Likes tea", Some(&agent()))?;
    // There is one under this key.
    annotations::add_note(conversation, Some("tea"), "Likes coffee", None)?;
    let notes: Vec<String> = annotations::notes(conversation)
        .iter()
        .map(of_note)
        .collect();
    keep("annotations.notes", &notes.join(", "))?;
    annotations::add_label(conversation, "new")?;
    annotations::remove_label(conversation, "old")?;
    let refused = annotations::add_label(conversation, " ").is_err();
    let labels = annotations::labels(conversation).join(" ");
    keep("annotations.labels", &format!("{labels} {refused}"))?;
    let before = annotations::assignee(conversation);
    annotations::assign(conversation, Some(&agent()))?;
    let after = annotations::assignee(conversation);
    let told = [before, after].map(|agent| format!("{:?}", agent.as_ref().map(of_agent)));
    keep("annotations.assignee", &told.join(" "))
}

fn of_note(note: &Note) -> String {
    let Note {
        author,
        key,
        text,
        agent,
        at_ms,
    } = note;
    let agent = agent.as_ref().map(of_agent);
    format!("{author} {key:?} {text} {agent:?} {at_ms}")
}

/// Nothing leaves: the host is none of those that are granted.
fn use_http() -> Result<(), String> {
    keep("http.send", &of_answer(http::send(&request())))?;
    let file = "07".repeat(32);
    let of_file = Request {
        body: Body::Media(file.clone()),
        ..request()
    };
    let part = |content| Part {
        name: "file".into(),
        filename: Some("cat.jpg".into()),
        content_type: Some("image/jpeg".into()),
        content,
    };
    let parts = vec![
        part(Content::Bytes(b"cat".to_vec())),
        part(Content::Media(file)),
    ];
    let of_form = Request {
        body: Body::FormData(parts),
        ..request()
    };
    let of_nothing = Request {
        body: Body::Media("ab".into()),
        ..request()
    };
    let answers = http::send_all(&[of_file, of_form, of_nothing]);
    let told: Vec<String> = answers.into_iter().map(of_answer).collect();
    keep("http.send-all", &told.join(" "))
}

/// Has something of everything in it.
fn request() -> Request {
    let prefixed = || Prefixed {
        name: "x-key".into(),
        prefix: "Key ".into(),
    };
    let places = [
        Place::Header(prefixed()),
        Place::Query("key".into()),
        Place::Json("/key".into()),
        Place::Form("key".into()),
        Place::Basic(Some("tour".into())),
    ];
    let timed = Timed {
        header: "x-time".into(),
        before: "v1:".into(),
        between: ".".into(),
    };
    let signed = [
        (Signed::Body, Encoding::Hex),
        (Signed::TimedBody(timed), Encoding::Base64),
    ];
    Request {
        method: "POST".into(),
        url: "https://elsewhere.example.com/".into(),
        headers: vec![("accept".into(), "text/plain".into())],
        body: Body::Bytes(b"{}".to_vec()),
        timeout_ms: Some(1_000),
        idempotency_key: Some("tour".into()),
        secrets: places
            .map(|place| Placement {
                secret: "token".into(),
                place,
            })
            .into(),
        signatures: signed
            .map(|(over, encoding)| Signing {
                secret: "token".into(),
                over,
                encoding,
                header: prefixed(),
            })
            .into(),
    }
}

fn of_answer(answer: Result<Response, Error>) -> String {
    answer.map_or_else(|error| error.code, |answer| answer.status.to_string())
}
