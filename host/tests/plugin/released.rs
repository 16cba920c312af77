//! What was released stays: each contract that was still has all that it had, and the plugin that was built for it runs
//! and does what it did. `wit/VERSIONING.md` says how a contract becomes a released one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use duet::effect::{Agent, Effect};
use duet::event::{ContactView, Event};
use duet::plugin::{Call, Outcome, Plugin, Run, outline};
use duet_rules::annotations::Annotation;
use duet_rules::cases::Case;
use duet_rules::contract::{CONTRACT, SERVED};
use wasmparser::Validator;
use wasmparser::component_types::ComponentEntityType;

use crate::additive::Contract;
use crate::fixture::{call, component, text_event, try_admit};
use crate::world::MemoryWorld;

const TOUR: &str = r#"
    [plugins.tour]
    component = "tour.wasm"
    [plugins.tour.settings]
    greeting = "Namaste"
    [plugins.tour.messages]
    speak = ["automation", "person"]
    [plugins.tour.store]
    [plugins.tour.http]
    allow = ["GET https://api.example.com"]
    [plugins.tour.http.secrets.token]
    env = "TOUR_TOKEN"
    hosts = ["https://api.example.com"]
    [plugins.tour.conversations]
    handling = true
    [plugins.tour.contacts]
    [plugins.tour.timers]
    [plugins.tour.media]
    keep = true
    [plugins.tour.cases]
    [plugins.tour.hooks]
    question.unsigned = true
"#;

/// What came with later contracts: what was built before does not import it, and an unused grant is refused.
const LATER: [(&str, &str); 1] = [("annotations", "[plugins.tour.annotations]\nwrite = true\n")];

/// The table that a tour runs with.
fn table(component: &[u8]) -> String {
    let called = called(component);
    let later = LATER.iter().filter(|(interface, _)| {
        let within = format!("{interface}.");
        called.iter().any(|function| function.starts_with(&within))
    });
    later.fold(TOUR.to_owned(), |text, (_, table)| text + table)
}

fn house(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn text(path: &Path) -> String {
    String::from_utf8(read(path)).unwrap()
}

fn contract(folder: &Path) -> Contract {
    Contract::read(&text(&folder.join("duet.wit")))
}

/// The folders in a folder, by their names: a version each.
fn versions(path: &str) -> BTreeMap<String, PathBuf> {
    let folders = std::fs::read_dir(house(path)).unwrap();
    folders
        .map(|folder| {
            let folder = folder.unwrap();
            (folder.file_name().into_string().unwrap(), folder.path())
        })
        .collect()
}

#[test]
fn todays_contract_only_adds_to_each_that_was_released() {
    let today = contract(&house("wit"));
    assert_eq!(today.version, CONTRACT, "rules/src/contract.rs has another");
    for (version, folder) in versions("wit/released") {
        let released = contract(&folder);
        assert_eq!(released.version, version, "{}", folder.display());
        let broken = released.broken_by(&today);
        assert!(
            broken.is_empty(),
            "plugins that were built for {version} would not run, see wit/VERSIONING.md: {broken:#?}"
        );
        if version == CONTRACT {
            assert!(
                today == released,
                "{version} is released and wit/duet.wit has changed: give it the next version, see wit/VERSIONING.md"
            );
        }
    }
}

#[test]
fn each_released_contract_is_served_and_has_its_plugin() {
    let released: BTreeSet<String> = versions("wit/released").into_keys().collect();
    let kept: BTreeSet<String> = versions("tests/fixtures/released").into_keys().collect();
    assert_eq!(released, kept);
    let mut served: BTreeSet<String> = SERVED.map(str::to_owned).into();
    if !released.contains(CONTRACT) {
        served.remove(CONTRACT);
    }
    assert_eq!(released, served, "what rules/src/contract.rs serves");
}

#[test]
fn the_tour_leaves_nothing_out() {
    assert_eq!(
        called(&component("tour")),
        contract(&house("wit")).callable()
    );
    for (version, folder) in versions("tests/fixtures/released") {
        let released = contract(&house("wit/released").join(&version));
        let called = called(&read(&folder.join("tour.wasm")));
        assert_eq!(called, released.callable(), "{version}");
    }
}

#[tokio::test]
async fn plugins_of_every_released_contract_do_what_they_did() {
    // The binary installs one, for the plugins' calls among others.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let today = (component("tour"), house("tests/plugins/tour"));
    let kept = versions("tests/fixtures/released").into_values();
    let kept = kept.map(|folder| (read(&folder.join("tour.wasm")), folder));
    for (bytes, folder) in std::iter::once(today).chain(kept) {
        let table = table(&bytes);
        let plugin = try_admit(bytes, &table)
            .await
            .unwrap_or_else(|problems| panic!("{}: {problems:#?}", folder.display()));
        let toured = run(&plugin, "message.text").await;
        assert_eq!(toured.outcome, Outcome::Done, "{}", folder.display());
        let told: Vec<String> = toured.effects.iter().map(line).collect();
        let told = told.join("\n");
        assert_eq!(
            told,
            text(&folder.join("tour.txt")).trim_end(),
            "{} did:\n{told}",
            folder.display()
        );
        let answered = run(&plugin, "hook.question").await;
        assert_eq!(answered.outcome, Outcome::Done, "{}", folder.display());
        let told: Vec<String> = answered.effects.iter().map(line).collect();
        assert_eq!(
            told,
            [
                "keep on-hook.answer: hook.question",
                r#"answer 201 [("content-type", "text/plain")]: Namaste"#
            ],
            "{}",
            folder.display()
        );
        for (kind, outcome) in [
            ("message.audio", Outcome::Retry(Some(7))),
            ("message.video", Outcome::Retry(None)),
            (
                "message.image",
                Outcome::Reject("message.image is not on the tour".into()),
            ),
        ] {
            assert_eq!(run(&plugin, kind).await.outcome, outcome, "{kind}");
        }
    }
}

async fn run(plugin: &Arc<Plugin>, kind: &str) -> Run {
    let event = Event {
        kind: kind.into(),
        instance: kind.starts_with("hook.").then(|| "tour".into()),
        ..Event::clone(&text_event(1, "tour"))
    };
    let contact = ContactView {
        id: 5,
        name: Some("Asha".into()),
        wa_id: Some("919800000001".into()),
        user_id: Some("IN.1".into()),
    };
    let world = Arc::new(MemoryWorld::default());
    plugin
        .run(Call {
            event: Arc::new(event),
            contact: Some(contact),
            ..call("", &world)
        })
        .await
}

/// What a plugin did, in words that outlive the gateway's own names for it.
fn line(effect: &Effect) -> String {
    match effect {
        Effect::Set {
            key,
            value,
            expires_ms,
        } => {
            let value = String::from_utf8_lossy(value);
            let until = expires_ms.map_or_else(String::new, |ms| format!(" until {ms}"));
            format!("keep {key}{until}: {value}")
        }
        Effect::Delete { key } => format!("delete {key}"),
        Effect::Send(send) => format!(
            "send in {} as {}{}: {}",
            send.conversation,
            send.speaker.as_str(),
            of(send.agent.as_ref()),
            send.message
        ),
        Effect::Handle {
            conversation,
            handling,
            agent,
            until_ms,
        } => format!(
            "{conversation} goes to {}{} until {until_ms:?}",
            handling.as_str(),
            of(agent.as_ref())
        ),
        Effect::SetTimer {
            name,
            at_ms,
            payload,
            conversation,
        } => format!("timer {name} at {at_ms} in {conversation:?}: {payload}"),
        Effect::CancelTimer { name } => format!("no timer {name}"),
        Effect::AwaitFile {
            conversation,
            message,
        } => format!("await the file of {message} in {conversation}"),
        Effect::OpenCase { conversation, case } => {
            format!("open in {conversation}: {}", about(case))
        }
        Effect::ChangeCase { case } => format!("change: {}", about(case)),
        Effect::CloseCase { key } => format!("close {key}"),
        Effect::Annotate {
            conversation,
            annotation,
        } => match annotation {
            Annotation::Note(note) => format!(
                "note on {conversation} under {:?}{}: {}",
                note.key,
                of(note.agent.as_ref()),
                note.text
            ),
            Annotation::AddLabel(label) => format!("label on {conversation}: {label}"),
            Annotation::RemoveLabel(label) => format!("no label on {conversation}: {label}"),
            Annotation::Assign(agent) => {
                format!("{conversation} is assigned to{}", of(agent.as_ref()))
            }
        },
        Effect::Answer(answer) => format!(
            "answer {} {:?}: {}",
            answer.status,
            answer.headers,
            String::from_utf8_lossy(&answer.body)
        ),
    }
}

fn about(case: &Case) -> String {
    let Case {
        key,
        title,
        url,
        status,
        assignee,
    } = case;
    format!(
        "{key} {title:?} {url:?} {status:?}{}",
        of(assignee.as_ref())
    )
}

fn of(agent: Option<&Agent>) -> String {
    agent.map_or_else(String::new, |agent| {
        format!(" {} {:?}", agent.id, agent.name)
    })
}

/// `store.get` for each function of the contract that a component imports.
fn called(component: &[u8]) -> BTreeSet<String> {
    let types = Validator::new().validate_all(component).unwrap();
    let types = types.as_ref();
    let mut called = BTreeSet::new();
    for import in outline(component).unwrap().imports {
        let Some(name) = import.strip_prefix("duet:plugin/") else {
            continue;
        };
        let interface = name.split('@').next().unwrap();
        let item = types.component_item_for_import(&import).unwrap();
        let ComponentEntityType::Instance(instance) = item.ty else {
            panic!("{import} is no interface");
        };
        let exports = types[instance].exports.iter();
        let functions = exports.filter(|(_, item)| matches!(item.ty, ComponentEntityType::Func(_)));
        called.extend(functions.map(|(function, _)| format!("{interface}.{function}")));
    }
    called
}
