//! The generated business: a pure plan that is what was asked for, and its delivery that says what was sent.

use std::collections::{BTreeMap, HashSet};

use duet_rules::webhook::{Element, Meaning, Origin, decode};
use duet_sim::business::{Business, Language, Options, Part, Report, Webhook};
use duet_sim::{Config, Number};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::scene::{NUMBER, Scene, quick};
use crate::webhooks::signature;

const NOW_MS: u64 = 1_790_000_000_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const BODY_BYTES_MAX: usize = 3_000_000;

fn plan(options: &Options, user_ids: bool) -> Business {
    Business::new(options.clone(), Number::default(), user_ids, NOW_MS).unwrap()
}

/// Address book, history, follow-ups, and the first live webhooks.
fn all(business: &Business, live: usize) -> impl Iterator<Item = Webhook> + '_ {
    business
        .contacts()
        .chain(business.history())
        .chain(business.follow_ups())
        .chain(business.live().take(live))
}

fn elements(webhook: &Webhook) -> Vec<Element> {
    read(&webhook.body())
}

fn read(body: &[u8]) -> Vec<Element> {
    assert!(body.len() <= BODY_BYTES_MAX, "{} bytes", body.len());
    let elements = decode(body, duet_rules::webhook::Part::All).unwrap();
    for element in &elements {
        assert_ne!(element.kind, "unknown", "{}", element.body);
        let somebody = element.contact.as_ref().is_some_and(|who| !who.is_nobody());
        assert!(
            somebody || element.kind == "coexistence.history_progress",
            "{}",
            element.body
        );
    }
    elements
}

fn options() -> impl Strategy<Value = Options> {
    let percents = (0..=100_u8, 0..=100_u8, 0..=100_u8);
    let sizes = (0..700_u32, 0..40_u32, 0..1500_u32, 1..=6_u8, 1..400_u32);
    let spoken = proptest::sample::subsequence(Options::default().languages, 1..=5);
    (any::<u64>(), sizes, percents, spoken).prop_map(|(seed, sizes, percents, languages)| {
        let (contacts, threads, more, months, chunk_messages) = sizes;
        let (media_percent, username_percent, user_id_only_percent) = percents;
        Options {
            seed,
            contacts,
            threads,
            messages: if threads == 0 { 0 } else { threads + more },
            media_percent,
            months,
            languages,
            username_percent,
            user_id_only_percent,
            chunk_messages,
        }
    })
}

/// What an oracle knows of the past, collected from the decoded bodies.
#[derive(Default)]
struct Past {
    placeholders: BTreeMap<String, i64>,
    ids: HashSet<String>,
    users: HashSet<String>,
    progress: Vec<(i64, i64, i64)>,
}

impl Past {
    fn read(&mut self, phase: u8, elements: &[Element], options: &Options) {
        for element in elements {
            let message = match &element.meaning {
                Meaning::HistoryProgress(at) => {
                    let parts = (at.phase, at.chunk_order, at.progress);
                    assert_eq!(parts.0, Some(i64::from(phase)));
                    let parts = (parts.0.unwrap(), parts.1.unwrap(), parts.2.unwrap());
                    self.progress.push(parts);
                    continue;
                }
                Meaning::Message(message) => message,
                other => panic!("{other:?}"),
            };
            assert_eq!(message.origin, Origin::History);
            let id = message.wamid.clone().unwrap();
            assert!(message.stanza.is_some(), "{id} can be taken apart");
            assert!(self.ids.insert(id.clone()), "{id} twice");
            let who = element.contact.clone().unwrap();
            self.users.insert(who.user_id.or(who.wa_id).unwrap());
            let at_ms = element.at_ms.unwrap();
            // Webhooks have whole seconds.
            let days = (NOW_MS as i64 - at_ms - 1000) / DAY_MS;
            let expected = if days < 1 {
                0
            } else if days < 90 {
                1
            } else {
                2
            };
            assert!(i64::from(phase) == expected || (NOW_MS as i64 - at_ms) / DAY_MS > days);
            assert!(days < i64::from(options.months) * 30);
            if message.type_ == "media_placeholder" {
                self.placeholders.insert(id, at_ms);
            } else {
                assert!(!message.text.as_deref().unwrap_or_default().is_empty());
            }
        }
    }

    /// Phases in Meta's order, chunks counted from 1, and 100 in the last and only there.
    fn check_progress(&self) {
        assert!(self.progress.is_sorted());
        for pair in self.progress.windows(2) {
            let next = if pair[0].0 == pair[1].0 {
                pair[0].1 + 1
            } else {
                1
            };
            assert_eq!(pair[1].1, next);
            assert!(pair[0].2 < 100);
        }
        assert!(self.progress.last().is_none_or(|last| last.2 == 100));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_seed_others(options in options(), user_ids: bool) {
        let (one, two) = (plan(&options, user_ids), plan(&options, user_ids));
        prop_assert!(all(&one, 60).map(|webhook| webhook.body()).eq(all(&two, 60).map(|webhook| webhook.body())));
        if options.threads > 0 {
            let other = plan(&Options { seed: options.seed ^ 1, ..options.clone() }, user_ids);
            prop_assert!(one.history().map(|webhook| webhook.body()).ne(other.history().map(|webhook| webhook.body())));
        }
    }

    #[test]
    fn the_plan_is_what_was_asked_for_and_decodes_to_the_last_element(options in options(), user_ids: bool) {
        let business = plan(&options, user_ids);
        let (mut past, mut report, mut followed, mut book) = (Past::default(), Report::default(), 0, 0);
        for webhook in all(&business, 60) {
            report.add(&webhook);
            let elements = elements(&webhook);
            match webhook.part {
                Part::Contacts => book += elements.iter().filter(|element| element.kind == "contact.added").count(),
                Part::History(phase) => past.read(phase, &elements, &options),
                Part::FollowUp => {
                    let Meaning::Message(message) = &elements[0].meaning else { panic!() };
                    prop_assert!(message.follow_up && message.media.is_some());
                    let at_ms = past.placeholders[message.wamid.as_ref().unwrap()];
                    prop_assert!(NOW_MS as i64 - at_ms < 14 * DAY_MS + 1000);
                    followed += 1;
                }
                Part::Message | Part::Echo => {
                    let Meaning::Message(message) = &elements[0].meaning else { panic!() };
                    prop_assert_eq!(message.outgoing, webhook.part == Part::Echo);
                    prop_assert!(past.ids.insert(message.wamid.clone().unwrap()));
                }
                Part::Status => prop_assert!(elements[0].kind.starts_with("status.")),
            }
        }
        past.check_progress();
        let young = past.placeholders.values().filter(|at_ms| NOW_MS as i64 - **at_ms < 14 * DAY_MS).count();
        prop_assert!(followed == young || followed == young + 1, "{followed} of {young}");
        prop_assert_eq!((book as u64, past.users.len() as u64), (report.contacts, report.threads));
        prop_assert_eq!((report.contacts, report.threads, report.messages), (options.contacts.into(), options.threads.into(), options.messages.into()));
        prop_assert_eq!(past.placeholders.len() as u64, report.media);
        prop_assert_eq!(past.progress.len() as u64, report.chunks.values().sum::<u64>());
        prop_assert_eq!(past.ids.len() as u64, report.messages + report.live_messages + report.echoes);
    }
}

#[test]
fn two_hundred_thousand_messages_come_chunk_by_chunk() {
    let options = Options {
        contacts: 3000,
        threads: 2000,
        messages: 200_000,
        chunk_messages: 90_000,
        ..Options::default()
    };
    let business = plan(&options, true);
    let (mut report, mut ids) = (Report::default(), HashSet::new());
    let mut largest = 0;
    for webhook in business.history() {
        report.add(&webhook);
        let body = webhook.body();
        largest = largest.max(body.len());
        for element in read(&body) {
            if let Meaning::Message(message) = element.meaning {
                assert!(ids.insert(message.wamid.unwrap()));
            }
        }
    }
    assert_eq!(
        (report.threads, report.messages, ids.len()),
        (2000, 200_000, 200_000)
    );
    assert!(
        largest > 2_900_000,
        "bytes and not the count close a chunk: {largest}"
    );
    assert_eq!(report.chunks.len(), 3);
}

#[test]
fn people_speak_their_languages_and_some_have_no_phone() {
    let options = |language| Options {
        languages: vec![language],
        threads: 60,
        messages: 600,
        media_percent: 0,
        user_id_only_percent: 50,
        ..Options::default()
    };
    let scripts = [
        (Language::English, 'a'..='z'),
        (Language::Hinglish, 'a'..='z'),
        (Language::Hindi, '\u{900}'..='\u{97f}'),
        (Language::Marathi, '\u{900}'..='\u{97f}'),
        (Language::Tamil, '\u{b80}'..='\u{bff}'),
    ];
    for (language, letters) in scripts {
        let business = plan(&options(language), true);
        let messages: Vec<_> = business
            .history()
            .flat_map(|webhook| elements(&webhook))
            .collect();
        let texts = messages
            .iter()
            .filter_map(|element| match &element.meaning {
                Meaning::Message(message) => message.text.clone(),
                _ => None,
            });
        let texts: Vec<_> = texts.collect();
        assert_eq!(texts.len(), 600);
        assert!(
            texts
                .iter()
                .all(|text| text.chars().any(|letter| letters.contains(&letter))),
            "{language:?}"
        );
        let hidden: HashSet<_> = messages
            .iter()
            .filter_map(|element| element.contact.clone())
            .filter(|who| who.wa_id.is_none())
            .map(|who| who.user_id.unwrap())
            .collect();
        assert!((15..45).contains(&hidden.len()), "{}", hidden.len());
    }
}

#[test]
fn options_that_contradict_each_other_are_refused_by_name() {
    let refused = |change: Value| {
        let mut options = json!(Options::default());
        options
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        let options = serde_json::from_value(options).unwrap();
        Business::new(options, Number::default(), true, NOW_MS).err()
    };
    let cases = [
        (json!({"months": 7}), "months"),
        (json!({"media_percent": 101}), "media_percent"),
        (json!({"messages": 3, "threads": 4}), "messages"),
        (json!({"languages": []}), "languages"),
        (json!({"threads": 2_000_000}), "threads"),
        (json!({"chunk_messages": 0}), "chunk_messages"),
    ];
    for (change, name) in cases {
        let said = refused(change.clone()).unwrap();
        assert!(said.contains(name), "{change}: {said}");
    }
}

#[tokio::test]
async fn both_syncs_bring_the_business_that_the_sim_was_started_with() {
    let scene = Scene::new(Config {
        business: Some(Options {
            messages: 500,
            ..Options::default()
        }),
        ..quick()
    })
    .await;
    for kind in ["smb_app_state_sync", "history"] {
        let body = json!({"messaging_product": "whatsapp", "sync_type": kind});
        let path = format!("v23.0/{NUMBER}/smb_app_data");
        assert_eq!(scene.post(&path, body).await.0, 200);
    }
    // The answer means accepted, nothing more: chunks come later, and progress 100 ends them.
    let mut count = 1;
    let elements = loop {
        let arrived = scene.wait_arrived(count).await;
        count = arrived.len() + 1;
        let elements: Vec<_> = arrived.iter().flat_map(|body| read(&body.bytes)).collect();
        let over = |element: &Element| matches!(&element.meaning, Meaning::HistoryProgress(at) if at.progress == Some(100));
        if elements.iter().any(over) {
            break elements;
        }
    };
    let count = |kinds: &[&str]| {
        elements
            .iter()
            .filter(|element| kinds.contains(&&*element.kind))
            .count() as u64
    };
    let report = &scene.sim.state()["numbers"][0]["business"];
    assert_eq!(
        (report["contacts"].as_u64(), report["messages"].as_u64()),
        (Some(60), Some(500))
    );
    assert_eq!(
        (
            count(&["contact.added"]),
            count(&["history.text", "history.media_placeholder"])
        ),
        (60, 500)
    );
}

#[tokio::test]
async fn a_business_is_delivered_signed_and_counted() {
    let scene = Scene::new(quick()).await;
    let options = json!({"seed": 7, "contacts": 600, "threads": 30, "messages": 900, "media_percent": 30, "chunk_messages": 100});
    let play = json!({"business": options, "live": 40, "webhooks_per_second": 2000});
    let said = scene.play("business", play).await;
    scene.changes().await;
    let arrived = scene.arrived();
    assert_eq!(arrived.len() as u64, said["webhooks"].as_u64().unwrap());
    assert!(
        arrived
            .iter()
            .all(|body| body.signature == Some(signature("sim-app-secret", &body.bytes)))
    );
    let decoded: Vec<Element> = arrived
        .iter()
        .flat_map(|body| decode(&body.bytes, duet_rules::webhook::Part::All).unwrap())
        .collect();
    let count = |wanted: &dyn Fn(&Element) -> bool| {
        decoded.iter().filter(|element| wanted(element)).count()
    };
    let follows = |element: &Element| matches!(&element.meaning, Meaning::Message(message) if message.follow_up);
    let is_old = |element: &Element| element.kind.starts_with("history.") && !follows(element);
    let expected = [
        (
            "contacts",
            count(&|element| element.kind == "contact.added"),
        ),
        ("messages", count(&is_old)),
        (
            "media",
            count(&|element| element.kind == "history.media_placeholder"),
        ),
        ("follow_ups", count(&follows)),
        (
            "live_messages",
            count(&|element| element.kind.starts_with("message.")),
        ),
        (
            "echoes",
            count(&|element| element.kind.starts_with("echo.")),
        ),
        (
            "statuses",
            count(&|element| element.kind.starts_with("status.")),
        ),
    ];
    for (name, count) in expected {
        assert_eq!(said[name], count, "{name}");
        assert!(count > 0, "{name}");
    }
    let files = decoded.iter().filter_map(|element| match &element.meaning {
        Meaning::Message(message) => message.media.clone()?.id,
        _ => None,
    });
    for file in files.take(5) {
        let (status, answer) = scene.get(&file).await;
        assert_eq!(
            (status, &answer["mime_type"]),
            (200, &json!("image/jpeg")),
            "{answer}"
        );
    }
    let known = scene.sim.state()["customers"].as_u64().unwrap();
    assert_eq!(known, 600, "people of the plan go on as customers");

    let refused = scene
        .http
        .post(scene.url("sim/business"))
        .json(&json!({"business": {"months": 9}}));
    assert_eq!(refused.send().await.unwrap().status(), 400);
    assert_eq!(scene.sim.state()["numbers"][0]["id"], NUMBER);
}
