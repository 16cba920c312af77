use proptest::prelude::*;
use serde_json::json;

use super::*;

/// An account in which everything is somewhere.
fn sound() -> Counts {
    let fates = [
        (("sent", ""), 5),
        (("refused", "window-closed"), 2),
        (("unknown", ""), 1),
    ];
    Counts {
        receipts: Receipts {
            accepted: 9,
            kept: 7,
            aged: 2,
            waiting: 0,
            unreadable: 0,
        },
        arrived: Arrived {
            receipts: 9,
            elements: 20,
            repeated: 4,
            ..Arrived::default()
        },
        events: Events {
            new: 16,
            own: 2,
            kept: 15,
            erased: 2,
            aged: 1,
            early: 3,
        },
        plugins: vec![Plugin {
            name: "crm".into(),
            before: 3,
            waiting: 2,
            done: 7,
            retried: 4,
            dead: 3,
            redriven: 1,
            redriven_waiting: 1,
            letters: 2,
            ..Plugin::default()
        }],
        sends: Sends {
            made: 9,
            erased: 1,
            fates: fates
                .map(|((state, cause), count)| ((state.into(), cause.into()), count))
                .into(),
            buried: 3,
            letters: 1,
            letters_withdrawn: 2,
            ..Sends::default()
        },
    }
}

#[test]
fn what_is_somewhere_adds_up_and_says_so() {
    let counts = sound();
    assert_eq!(differences(&counts), []);
    assert_eq!(
        summary(&counts, &[], None),
        "Nothing is missing: 18 events and 9 sends add up. \
         To look at: 1 sends have an unknown end, 2 events are dead letters."
    );
    // 18 events, 3 from before it came, 2 wait, 7 done, 3 dead of which 1 is at work again.
    assert_eq!(counts.plugins[0].skipped(&counts.events), 3);
}

#[test]
fn each_missing_row_is_named_by_its_place() {
    type Change = fn(&mut Counts);
    let cases: [(Change, &str); 8] = [
        (
            |c| c.receipts.kept -= 1,
            "receipts: 1 missing (8 where 9 were counted)",
        ),
        (
            |c| c.arrived.repeated -= 2,
            "elements: 2 missing (18 where 20 were counted)",
        ),
        (
            |c| c.events.kept -= 1,
            "events: 1 missing (17 where 18 were counted)",
        ),
        (
            |c| c.sends.made += 1,
            "sends: 1 missing (9 where 10 were counted)",
        ),
        (
            |c| c.sends.letters = 0,
            "dead letters of sends: 1 missing (2 where 3 were counted)",
        ),
        (
            |c| c.plugins[0].letters = 0,
            "plugin crm, dead letters: 2 missing (1 where 3 were counted)",
        ),
        (
            |c| c.plugins[0].moved = 5,
            "plugin crm, events passed over unseen: 5 too many (5 where 0 were counted)",
        ),
        (
            |c| c.plugins[0].done += 4,
            "plugin crm, events handled: 1 missing (-1 where 0 were counted)",
        ),
    ];
    for (change, told) in cases {
        let mut counts = sound();
        change(&mut counts);
        let text = summary(&counts, &[], None);
        assert!(
            text.starts_with(&format!("It does not add up: {told}.")),
            "{text}"
        );
    }
}

#[test]
fn metas_own_record_counts() {
    let page = json!([
        {"id": "1", "message_id": "wamid.A", "events": {"data": [
            {"id": "2", "delivery_status": "SENT", "webhook_update_state": "RETRYING"},
            {"id": "3", "delivery_status": "READ", "webhook_update_state": "FAILED"}]}},
        {"id": "4", "message_id": "wamid.B", "events": {"data": [{"id": "5", "webhook_update_state": "DELIVERED"}]}},
        {"id": "6", "message_id": "wamid.C"},
        {"id": "7"},
    ]);
    let entries: Vec<Entry> = page.as_array().unwrap().iter().filter_map(entry).collect();
    let compared = compare(&entries, &[true, true, false], true);
    let expected = Compared::Read {
        messages: 3,
        more: true,
        missing: vec!["wamid.C".into()],
        undelivered: vec![("wamid.A".into(), "failed")],
    };
    assert_eq!(compared, expected);
    assert_eq!(
        summary(&sound(), &[], Some(&compared)),
        "It does not add up: Meta knows of 1 messages of this number that are not here. To look at: 1 sends have \
         an unknown end, 2 events are dead letters, 1 webhooks Meta could not deliver so far."
    );
    let silent = Compared::NotOffered("no permission".into());
    assert!(summary(&sound(), &[], Some(&silent)).starts_with("Nothing is missing"));
}

proptest! {
    /// Whatever is counted: an account from which one row is taken never adds up, and says where.
    #[test]
    fn one_row_less_is_always_missed(
        (new, own, repeated) in (0i64..1000, 0i64..50, 0i64..1000),
        (erased, aged) in (0i64..100, 0i64..100),
        (made, gone) in (1i64..1000, 0i64..100),
    ) {
        let recorded = new + own;
        let (erased, aged) = (erased.min(recorded), aged.min(recorded - erased.min(recorded)));
        let mut counts = Counts {
            arrived: Arrived { elements: new + repeated, repeated, ..Arrived::default() },
            events: Events { new, own, kept: recorded - erased - aged, erased, aged, early: 0 },
            sends: Sends {
                made,
                erased: gone.min(made),
                fates: [(("sent".into(), String::new()), made - gone.min(made))].into(),
                ..Sends::default()
            },
            ..Counts::default()
        };
        prop_assert_eq!(differences(&counts), []);
        counts.events.kept -= 1;
        let found = differences(&counts);
        prop_assert_eq!(found.len(), 1);
        prop_assert_eq!(&found[0].place, "events");
        prop_assert_eq!(found[0].expected - found[0].found, 1);
    }
}
