//! Whose numbers are whose, and that nothing goes from one business to another.

use duet::store::businesses::BusinessError;
use duet::store::secrets::NewAccess;
use serde_json::json;

use super::bodies::{ANA, NUMBER, change};
use super::house::{House, NOW_MS};

const WABA: &str = "102290129340398";

async fn make(house: &House, id: &str) {
    let name = format!("{id} & Co");
    let made = house.store.create_business(id.into(), name.clone(), NOW_MS);
    assert_eq!(made.await.unwrap().name, name);
}

async fn give(house: &House, business: &str) -> Result<(), BusinessError> {
    house.store.give_account(WABA.into(), business.into()).await
}

#[tokio::test]
async fn a_number_has_the_business_of_its_account_from_the_first_webhook_on() {
    let house = House::new();
    make(&house, "tea").await;
    make(&house, "books").await;
    give(&house, "tea").await.unwrap();
    give(&house, "books").await.unwrap();
    house.deliver(&ANA.writes("3A01", "hello")).await;
    assert_eq!(
        house.store.business_of(NUMBER).await.unwrap().as_deref(),
        Some("books")
    );
    assert_eq!(house.store.business_of("other").await.unwrap(), None);

    let refused = give(&house, "tea").await.unwrap_err();
    assert!(
        matches!(&refused, BusinessError::HasConversations { from, .. } if from.contains("books")),
        "{refused}"
    );
    give(&house, "books").await.unwrap();
    assert!(matches!(
        give(&house, "").await,
        Err(BusinessError::HasConversations { .. })
    ));
}

#[tokio::test]
async fn what_nobody_gave_away_is_the_gateways_own_and_stays_so_once_it_talks() {
    let house = House::new();
    make(&house, "tea").await;
    house.deliver(&ANA.writes("3A01", "hello")).await;
    assert_eq!(
        house.store.business_of(NUMBER).await.unwrap().as_deref(),
        Some("")
    );
    assert!(matches!(
        give(&house, "tea").await,
        Err(BusinessError::HasConversations { .. })
    ));
    assert!(matches!(
        give(&house, "nobody").await,
        Err(BusinessError::Unknown(_))
    ));
}

/// Nobody has said whose the account is, and its number was given away with a key of its own.
#[tokio::test]
async fn an_account_with_a_number_of_another_business_is_claimed_by_nobody_else() {
    let house = House::new();
    make(&house, "tea").await;
    make(&house, "books").await;
    let contact = json!({"state_sync": [{"type": "contact", "action": "add",
        "contact": {"full_name": "Asha", "phone_number": "919800000001"}}]});
    house.deliver(&change("smb_app_state_sync", contact)).await;
    let given = NewAccess {
        business: "books".into(),
        number: NUMBER.into(),
        route: None,
        token: None,
        webhook: None,
        webhook_before: None,
    };
    house.store.set_access(given, NOW_MS).await.unwrap();
    let claim = |business: &str| house.store.claim_account(WABA.into(), business.into());
    assert!(matches!(claim("tea").await, Err(BusinessError::Taken(_))));
    assert_eq!(
        house.store.business_of(NUMBER).await.unwrap().as_deref(),
        Some("books")
    );
    claim("books").await.unwrap();
}

#[tokio::test]
async fn a_business_goes_only_when_nothing_is_left_of_it() {
    let house = House::new();
    for id in ["", "Tea", "-tea", "../tea"] {
        let made = house.store.create_business(id.into(), "x".into(), NOW_MS);
        assert!(matches!(made.await, Err(BusinessError::Id(_))), "{id}");
    }
    make(&house, "tea").await;
    make(&house, "books").await;
    let again = house
        .store
        .create_business("tea".into(), "x".into(), NOW_MS);
    assert!(matches!(again.await, Err(BusinessError::Exists(_))));
    let of = |after: &str| house.store.businesses(after.into(), 10);
    let ids: Vec<_> = of("")
        .await
        .unwrap()
        .into_iter()
        .map(|row| row.id)
        .collect();
    assert_eq!(ids, ["books", "tea"]);
    assert_eq!(of("books").await.unwrap().len(), 1);

    give(&house, "tea").await.unwrap();
    let refused = house.store.remove_business("tea".into()).await.unwrap_err();
    assert!(matches!(refused, BusinessError::InUse { accounts: 1, .. }));
    give(&house, "books").await.unwrap();
    house.store.remove_business("tea".into()).await.unwrap();
    assert!(matches!(
        house.store.remove_business("tea".into()).await,
        Err(BusinessError::Unknown(_))
    ));
}
