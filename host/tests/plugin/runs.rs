//! Outcomes, effects and reads of runs.

use std::sync::Arc;

use duet::effect::{Effect, Handling, Reads};
use duet::plugin::{Call, FaultKind, Outcome, Run};

use crate::fixture::{admit, call, run, text_event};
use crate::world::MemoryWorld;

const PROBE: &str = r#"
    [plugins.probe]
    component = "probe.wasm"
    [plugins.probe.settings]
    label = "blue"
    [plugins.probe.messages]
    [plugins.probe.store]
"#;

const FAQ: &str = r#"
    [plugins.faq]
    component = "faq.wasm"
    [plugins.faq.settings]
    answers = [{ words = ["price"], reply = "10" }]
    hand_over_words = ["human"]
    hand_over_reply = "One moment"
    mark_read = true
    [plugins.faq.messages]
    [plugins.faq.conversations]
    handling = true
"#;

const MISBEHAVE: &str = r#"
    [plugins.misbehave]
    component = "misbehave.wasm"
    [plugins.misbehave.messages]
    [plugins.misbehave.contacts]
    [plugins.misbehave.conversations]
    [plugins.misbehave.store]
"#;

/// Sends as `automation: {…}`, handovers as `7 to person`.
fn told(run: &Run) -> Vec<String> {
    let tell = |effect: &Effect| match effect {
        Effect::Send(send) => format!(
            "{} {}: {}",
            send.conversation,
            send.speaker.as_str(),
            send.message
        ),
        Effect::Handle {
            conversation,
            handling: Handling::Person,
            ..
        } => format!("{conversation} to person"),
        other => format!("{other:?}"),
    };
    run.effects.iter().map(tell).collect()
}

#[tokio::test]
async fn faq_answers_and_hands_over() {
    let faq = admit("faq", FAQ).await;
    let read = r#"7 automation: {"message_id":"wamid.1","status":"read"}"#;
    let text = |body: &str| {
        format!(r#"7 automation: {{"text":{{"body":"{body}","preview_url":true}},"type":"text"}}"#)
    };
    assert_eq!(
        told(&run(&faq, "The PRICE?").await),
        [read.to_owned(), text("10")]
    );
    assert_eq!(
        told(&run(&faq, "a human please").await),
        [read.to_owned(), text("One moment"), "7 to person".into()]
    );
    assert_eq!(told(&run(&faq, "hello").await), [""; 0]);
}

#[tokio::test]
async fn a_refused_reply_is_no_failure() {
    let faq = admit("faq", FAQ).await;
    let world = Arc::new(MemoryWorld {
        person_has_conversation: true,
        ..MemoryWorld::default()
    });
    let run = faq.run(call("price", &world)).await;
    assert_eq!((run.outcome, run.effects), (Outcome::Done, vec![]));
}

#[tokio::test]
async fn a_plugin_without_the_grant_cannot_hand_over() {
    let faq = admit("faq", &FAQ.replace("handling = true", "")).await;
    let Outcome::Reject(reason) = run(&faq, "human").await.outcome else {
        panic!("handed over without a grant")
    };
    assert!(reason.contains("handling = true"), "{reason}");
}

/// Its reason stands in tables and pages.
#[tokio::test]
async fn a_long_reason_is_cut() {
    let plugin = admit("misbehave", MISBEHAVE).await;
    let Outcome::Reject(reason) = run(&plugin, "bulky-end 100000").await.outcome else {
        panic!("it did not reject")
    };
    assert_eq!(reason.chars().last(), Some('…'));
    assert!(reason.len() < 3000, "{}", reason.len());
}

#[tokio::test]
async fn failures_are_outcomes_and_leave_no_effects() {
    let plugin = admit("misbehave", MISBEHAVE).await;
    let cases = [
        ("retry", Outcome::Retry(None)),
        ("retry-after 30", Outcome::Retry(Some(30))),
        ("reject", Outcome::Reject("as told".into())),
        ("fail-late", Outcome::Reject("after a send".into())),
    ];
    for (mode, outcome) in cases {
        let run = run(&plugin, mode).await;
        assert_eq!((run.outcome, run.effects.len()), (outcome, 0), "{mode}");
    }
}

/// Each run reports what it read, so that two that overlap cannot both commit.
#[tokio::test]
async fn the_probe_counts_and_its_reads_are_known() {
    let probe = admit("probe", PROBE).await;
    let world = Arc::new(MemoryWorld::default());
    let mut seen = None;
    for (seq, chain) in [(1, "d7f792878ac765f0"), (2, "a01defb713af8367")] {
        let run = probe
            .run(Call {
                event: text_event(seq, "hi"),
                ..call("", &world)
            })
            .await;
        assert_eq!(run.outcome, Outcome::Done);
        assert_eq!(run.reads.keys.get("n:7"), Some(&seen));
        let reply = told(&run).pop().unwrap();
        assert!(
            reply.contains(&format!("probe blue event-{seq} {seq} {chain}")),
            "{reply}"
        );
        world.commit(&run.effects);
        seen = Reads::seen(world.values.lock().unwrap().get("n:7").map(Vec::as_slice));
        assert!(seen.is_some());
    }
}

#[tokio::test]
async fn the_hosts_own_troubles_are_not_the_plugins_failures() {
    let probe = admit("probe", PROBE).await;
    let down = Arc::new(MemoryWorld {
        store_is_down: true,
        ..MemoryWorld::default()
    });
    assert_eq!(
        probe.run(call("hi", &down)).await.outcome,
        Outcome::Unavailable("the store is down".into())
    );

    let panics = Arc::new(MemoryWorld {
        panics: true,
        ..MemoryWorld::default()
    });
    let Outcome::Fault(fault) = probe.run(call("hi", &panics)).await.outcome else {
        panic!("the panic was lost")
    };
    assert_eq!(fault.kind, FaultKind::Panic);
    assert_eq!(
        probe.run(call("hi", &Arc::default())).await.outcome,
        Outcome::Done
    );
}
