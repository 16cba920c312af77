//! What Meta says of a number and of its account: the newer word counts, in whatever order they come.

use duet::store::views::Page;
use duet::store::wall::Wall;
use serde_json::{Value, json};

use super::bodies::{ANA, DISPLAY, NUMBER};
use super::house::{House, NOW_MS};

/// A word, at this second.
fn word(field: &str, value: &Value, time: i64) -> Value {
    json!({"object": "whatsapp_business_account", "entry": [{"id": "102290129340398", "time": time,
        "changes": [{"field": field, "value": value}]}]})
}

/// A pair of words: the first raises this alarm, the second settles it.
fn pairs() -> [(&'static str, &'static str, Value, Value); 5] {
    let quality = |event| json!({"display_phone_number": DISPLAY, "event": event, "current_limit": "TIER_1K"});
    let alert = |severity, status| {
        json!({"entity_type": "PHONE_NUMBER", "entity_id": NUMBER, "alert_info": {
            "alert_severity": severity, "alert_status": status, "alert_type": "INCREASED_CAPABILITIES_ELIGIBILITY_FAILED"}})
    };
    let ban = |state| json!({"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": state}});
    let restriction =
        |standing: Value| json!({"event": "ACCOUNT_RESTRICTION", "restriction_info": standing});
    let restricted = json!([{"restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING", "expiration": NOW_MS / 1000 + 86_400}]);
    let quality_field = "phone_number_quality_update";
    let none = alert("CRITICAL", "NONE");
    [
        (
            "quality-low",
            quality_field,
            quality("FLAGGED"),
            quality("UNFLAGGED"),
        ),
        (
            "account-alert",
            "account_alerts",
            alert("WARNING", "ACTIVE"),
            none.clone(),
        ),
        (
            "account-alert-critical",
            "account_alerts",
            alert("CRITICAL", "ACTIVE"),
            none,
        ),
        (
            "account-restricted",
            "account_update",
            ban("DISABLE"),
            ban("REINSTATE"),
        ),
        (
            "account-restricted",
            "account_update",
            restriction(restricted),
            restriction(json!([])),
        ),
    ]
}

async fn connected() -> House {
    let house = House::new();
    house.deliver(&ANA.writes("3A01", "hello")).await;
    house
}

async fn open_alarms(house: &House) -> Vec<String> {
    let page = Page {
        after: 0,
        limit: 10,
    };
    let rows = house.store.alarms(Wall::none(), page, Some(true), None);
    rows.await
        .unwrap()
        .into_iter()
        .map(|row| row.name)
        .collect()
}

#[tokio::test]
async fn of_two_words_the_newer_counts_in_whatever_order_they_come() {
    let early = NOW_MS / 1000 - 60;
    for (alarm, field, raises, settles) in pairs() {
        for (first, second, expect) in [(&raises, &settles, None), (&settles, &raises, Some(alarm))]
        {
            let (first, second) = (word(field, first, early), word(field, second, early + 17));
            for bodies in [[&first, &second], [&second, &first]] {
                let house = connected().await;
                for body in bodies {
                    house.deliver(body).await;
                }
                let open = open_alarms(&house).await;
                assert_eq!(open, expect.as_slice(), "{bodies:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_restriction_that_ends_settles_nothing_while_the_account_is_disabled() {
    let [.., (_, field, ban, reinstated), (_, _, restriction, over)] = pairs();
    let house = connected().await;
    let mut time = NOW_MS / 1000 - 60;
    for (told, open) in [(ban, 1), (restriction, 1), (over, 1), (reinstated, 0)] {
        time += 1;
        house.deliver(&word(field, &told, time)).await;
        assert_eq!(open_alarms(&house).await.len(), open, "{told}");
    }
}
