//! A number's contacts and history are asked for once; what comes, and what does not, is told.

use duet::store::syncs::Answer;
use duet_rules::coexistence::{Kind, Outcome, SILENT_MAX_MS, Sync, WINDOW_MS};
use serde_json::json;

use crate::house::{House, NOW_MS};

const NUMBER: &str = "106540352242922";
const WABA: &str = "102290129340398";

async fn connected() -> House {
    let house = House::new();
    let store = &house.store;
    let opened = store.open_connection(WABA.into(), None, true, NOW_MS);
    opened.await.unwrap();
    let found = vec![(NUMBER.to_owned(), Some("912255500100".to_owned()))];
    let found = store.connection_found(WABA.into(), found, NOW_MS);
    found.await.unwrap();
    house
}

async fn history(house: &House, now_ms: i64) -> Sync {
    let rows = house.store.syncs(NUMBER.into(), now_ms).await.unwrap();
    rows.unwrap()[1].state
}

async fn begin(house: &House, again: bool, now_ms: i64) -> Result<i64, String> {
    let begun = house
        .store
        .begin_sync(NUMBER.into(), Kind::History, again, now_ms);
    begun.await.unwrap().unwrap()
}

#[tokio::test]
async fn a_request_that_brings_nothing_is_told_after_a_while_and_raises_one_alarm() {
    let house = connected().await;
    let request = begin(&house, false, NOW_MS).await.unwrap();
    let accepted = Answer {
        outcome: Outcome::Accepted,
        request_id: Some("7".into()),
        cause: None,
    };
    house
        .store
        .end_sync(request, accepted, NOW_MS)
        .await
        .unwrap();
    let late_ms = NOW_MS + SILENT_MAX_MS;
    for (now_ms, state, alarms) in [
        (NOW_MS, Sync::Awaited, 0),
        (late_ms, Sync::Silent, 1),
        (late_ms + 1, Sync::Silent, 0),
    ] {
        assert_eq!(history(&house, now_ms).await, state);
        let raised = house.store.watch_syncs(now_ms).await.unwrap();
        assert_eq!(raised.len(), alarms, "{raised:?}");
    }
    assert!(begin(&house, false, late_ms).await.is_err());
    assert!(begin(&house, true, late_ms).await.is_ok());
}

#[tokio::test]
async fn a_request_that_a_crash_has_cut_is_unknown_and_not_made_again() {
    let house = connected().await;
    begin(&house, false, NOW_MS).await.unwrap();
    let house = house.reopen();
    house.store.resume_syncs().await.unwrap();
    assert_eq!(history(&house, NOW_MS).await, Sync::Unknown);
    assert!(begin(&house, false, NOW_MS).await.is_err());
}

#[tokio::test]
async fn a_number_that_is_connected_anew_asks_anew() {
    let house = connected().await;
    let request = begin(&house, false, NOW_MS).await.unwrap();
    let spent = Answer {
        outcome: Outcome::Refused(2_593_107),
        request_id: None,
        cause: None,
    };
    house.store.end_sync(request, spent, NOW_MS).await.unwrap();
    let update = |event: &str, at_ms: i64| {
        json!({"object": "whatsapp_business_account", "entry": [{"id": WABA, "time": at_ms / 1000,
            "changes": [{"field": "account_update", "value": {"event": event, "waba_info": {"waba_id": WABA}}}]}]})
    };
    let later_ms = NOW_MS + 3_600_000;
    house
        .deliver_at(&update("PARTNER_REMOVED", later_ms), later_ms)
        .await;
    let anew_ms = later_ms + 3_600_000;
    house
        .deliver_at(&update("PARTNER_ADDED", anew_ms), anew_ms)
        .await;
    assert_eq!(history(&house, anew_ms).await, Sync::None);
    assert!(begin(&house, false, anew_ms + WINDOW_MS).await.is_err());
    assert!(begin(&house, false, anew_ms + WINDOW_MS - 1).await.is_ok());
}
