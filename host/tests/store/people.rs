//! One person is one contact, by whatever Meta names them; and two are never one for good by mistake.

use duet::store::views::{ContactRow, Page};
use duet::store::wall::Wall;
use serde_json::json;

use super::bodies::{ANA, change};
use super::house::House;

async fn contacts(house: &House) -> Vec<ContactRow> {
    let page = Page {
        after: 0,
        limit: 10,
    };
    house.store.contacts(Wall::none(), page).await.unwrap()
}

/// Ana writes; Meta names her by what is given.
async fn writes(house: &House, id: &str, phone: Option<&str>, user_id: Option<&str>) -> i64 {
    let body = change(
        "messages",
        json!({"contacts": [{"profile": {"name": ANA.name}, "wa_id": phone, "user_id": user_id}],
            "messages": [{"from": phone, "from_user_id": user_id, "id": id, "timestamp": "1789999990",
                "type": "text", "text": {"body": "hello"}}]}),
    );
    let events = house.deliver(&body).await;
    assert_eq!(events.len(), 1);
    events[0].contact.unwrap()
}

#[tokio::test]
async fn two_contacts_that_prove_to_be_one_person_are_joined_and_an_admin_can_undo_it() {
    let house = House::new();
    let by_phone = writes(&house, "wamid.1", Some(ANA.phone), None).await;
    let by_user_id = writes(&house, "wamid.2", None, Some(ANA.user_id)).await;
    assert_ne!(by_phone, by_user_id, "nothing says yet that they are one");
    let both = writes(&house, "wamid.3", Some(ANA.phone), Some(ANA.user_id)).await;
    assert_eq!(both, by_phone);
    assert_eq!(contacts(&house).await[1].same_as, Some(by_phone));
    assert_eq!(
        writes(&house, "wamid.4", None, Some(ANA.user_id)).await,
        by_phone
    );

    assert!(
        house
            .store
            .separate_contact(Wall::none(), by_user_id)
            .await
            .unwrap()
    );
    assert_eq!(contacts(&house).await[1].same_as, None);
    for (id, phone) in [
        ("wamid.5", None),
        ("wamid.6", Some(ANA.phone)),
        ("wamid.7", None),
    ] {
        let whom = writes(&house, id, phone, Some(ANA.user_id)).await;
        let expected = if phone.is_some() {
            by_phone
        } else {
            by_user_id
        };
        assert_eq!(whom, expected, "{id}: not joined again");
    }
    assert!(
        !house
            .store
            .separate_contact(Wall::none(), 99)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn taking_apart_whom_others_were_joined_with_frees_those() {
    let house = House::new();
    let head = writes(&house, "wamid.1", Some(ANA.phone), None).await;
    writes(&house, "wamid.2", None, Some(ANA.user_id)).await;
    writes(&house, "wamid.3", Some(ANA.phone), Some(ANA.user_id)).await;
    assert!(
        house
            .store
            .separate_contact(Wall::none(), head)
            .await
            .unwrap()
    );
    assert!(
        contacts(&house)
            .await
            .iter()
            .all(|contact| contact.same_as.is_none())
    );
}

/// Meta names one Brazilian with the ninth digit here and without it there.
#[tokio::test]
async fn brazils_ninth_digit_makes_no_second_contact() {
    let house = House::new();
    let (long, short) = ("5511987654321", "551187654321");
    let first = writes(&house, "wamid.1", Some(short), None).await;
    assert_eq!(writes(&house, "wamid.2", Some(long), None).await, first);
    assert_eq!(contacts(&house).await.len(), 1);
    assert_eq!(house.contact(long).await, Some(first));
    let erased = house.store.erase_contact(&house.log, first).await.unwrap();
    assert_eq!((erased.contacts, erased.messages), (1, 2));
    for spelling in [long, short] {
        assert_eq!(house.holds(spelling.as_bytes()), None, "{spelling}");
    }
}
