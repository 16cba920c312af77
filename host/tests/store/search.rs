//! Words of messages are found as the messages stand now, in every script, and an erased one leaves none behind.

use duet::store::views::{MessagePlace, Search, Wanted};
use duet::store::wall::Wall;
use duet_rules::search::query;
use serde_json::json;

use super::bodies::{ANA, BEN, NUMBER, Person, write};
use super::house::House;

/// What the messages that hold `text` say, newest first.
async fn found(house: &House, text: &str) -> Vec<String> {
    let wanted = Wanted {
        query: query(text).unwrap(),
        number: Some(NUMBER.into()),
        limit: 1000,
        ..Wanted::default()
    };
    match house
        .store
        .search_messages(Wall::none(), wanted)
        .await
        .unwrap()
    {
        Search::Found(rows) => rows
            .into_iter()
            .filter_map(|row| row.message.text)
            .collect(),
        Search::TooBroad => panic!("{text} is too broad"),
    }
}

/// Says whether the index holds exactly what the messages say.
fn check(house: &House) {
    let onlooker = rusqlite::Connection::open(house.folder.path().join("duet.db")).unwrap();
    onlooker
        .execute(
            "INSERT INTO messages_words (messages_words, rank) VALUES ('integrity-check', 1)",
            [],
        )
        .unwrap();
}

fn edit(person: &Person, stanza: &str, text: &str) -> serde_json::Value {
    let edit = json!({"from": person.phone, "from_user_id": person.user_id, "id": person.id("3AE1"),
        "timestamp": "1789999996", "type": "edit", "edit": {"original_message_id": person.id(stanza),
            "message": {"type": "text", "text": {"body": text}}}});
    write([(person, edit)])
}

#[tokio::test]
async fn words_are_found_in_the_scripts_that_customers_write() {
    let house = House::new();
    let texts = [
        "Good morning, is the Café open? ORDER-4711",
        "नमस्ते, मुझे दुकान का समय बताइए",
        "माझी ऑर्डर कधी येईल?",
        "வணக்கம், கடை திறந்திருக்கிறதா?",
        "bhaiya kal kitne baje dukaan khulegi",
        "स\u{921}\u{93c}क पर हूँ",
        "पे\u{95c} के पास",
    ];
    for (at, text) in texts.iter().enumerate() {
        house.deliver(&ANA.writes(&format!("3A{at}"), text)).await;
    }
    for (words, at) in [
        ("morning", 0),
        ("MORNING good", 0),
        ("cafe", 0),
        ("CAFÉ", 0),
        ("\"is the cafe\"", 0),
        ("order-4711", 0),
        ("नमस्ते", 1),
        ("दुकान समय", 1),
        ("ऑर्डर", 2),
        ("येई*", 2),
        ("வணக்கம்", 3),
        ("திறந்திருக்கி*", 3),
        ("khul*", 4),
        ("\"kitne baje\"", 4),
        // One letter, written as one character or as two.
        ("स\u{95c}क", 5),
        ("\"स\u{95c}क पर\"", 5),
        ("पे\u{921}\u{93c}* पास", 6),
    ] {
        assert_eq!(found(&house, words).await, [texts[at]], "{words}");
    }
    // A part of a word without its vowel signs is another word; order counts in a phrase; nothing is an operator.
    for words in [
        "नमस",
        "வணக",
        "\"cafe is\"",
        "morning OR kitne",
        "-morning zebra",
        "mornin",
    ] {
        assert_eq!(found(&house, words).await, [""; 0], "{words}");
    }
    check(&house);
}

#[tokio::test]
async fn pages_are_newest_first_and_only_of_the_number_and_conversation_asked_for() {
    let house = House::new();
    for at in 0..5 {
        house
            .deliver(&ANA.writes(&format!("3A{at}"), &format!("parcel {at}")))
            .await;
    }
    house.deliver(&BEN.writes("3B1", "parcel of Ben")).await;
    let ask = |before, number: &str, conversation| {
        let number = Some(number.to_owned());
        house.store.search_messages(
            Wall::none(),
            Wanted {
                query: query("parcel").unwrap(),
                number,
                conversation,
                before,
                limit: 2,
            },
        )
    };
    let (mut before, mut all) = (None, Vec::new());
    while let Search::Found(rows) = ask(before, NUMBER, None).await.unwrap()
        && let Some(last) = rows.last()
    {
        before = Some(MessagePlace {
            at_ms: last.message.at_ms,
            id: last.message.id,
        });
        assert!(rows.iter().all(|row| row.snippet.contains("[parcel]")));
        all.extend(rows);
    }
    assert_eq!(all.len(), 6);
    let place = |row: &duet::store::views::FoundRow| (row.message.at_ms, row.message.id);
    assert!(all.windows(2).all(|two| place(&two[0]) > place(&two[1])));
    let of_ben = all
        .iter()
        .find(|row| row.message.text.as_deref() == Some("parcel of Ben"));
    let of_ben = of_ben.map(|row| row.conversation);
    let Search::Found(rows) = ask(None, NUMBER, of_ben).await.unwrap() else {
        panic!("too broad");
    };
    assert_eq!(rows.len(), 1);
    let Search::Found(rows) = ask(None, "another", None).await.unwrap() else {
        panic!("too broad");
    };
    assert!(rows.is_empty());
}

#[tokio::test]
async fn an_edit_and_an_erasure_are_honoured_by_the_index_at_once() {
    let house = House::new();
    house.deliver(&ANA.writes("3A01", "the old wording")).await;
    house.deliver(&BEN.writes("3B01", "wording stays")).await;
    house.deliver(&edit(&ANA, "3A01", "the new phrase")).await;
    assert_eq!(found(&house, "phrase").await, ["the new phrase"]);
    assert_eq!(found(&house, "wording").await, ["wording stays"]);
    check(&house);
    let ana = house.contact(ANA.phone).await.unwrap();
    house.store.erase_contact(&house.log, ana).await.unwrap();
    assert_eq!(found(&house, "phrase").await, [""; 0]);
    assert_eq!(found(&house, "wording").await, ["wording stays"]);
    check(&house);
}

/// Where a page of the index begins, it keeps the beginning of a word: enough of them are written for many pages.
#[tokio::test]
async fn an_erased_word_is_in_no_page_of_the_index() {
    let house = House::new();
    for at in 0..60 {
        let words: Vec<String> = (0..40)
            .map(|word| format!("q{:05x}zylophon", (at * 40 + word) * 7919 % 1_048_573))
            .collect();
        house
            .deliver(&ANA.writes(&format!("3A{at:02}"), &words.join(" ")))
            .await;
    }
    house.deliver(&BEN.writes("3B01", "stays here")).await;
    let index =
        "SELECT count(*) FROM messages_words_idx WHERE instr(term, CAST('zylo' AS BLOB)) > 0";
    let path = house.folder.path().join("duet.db");
    let count = |sql: &str| -> i64 {
        let onlooker = rusqlite::Connection::open(&path).unwrap();
        onlooker.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert!(
        house.holds(b"zylophon").is_some() && count("SELECT count(*) FROM messages_words_idx") > 2
    );
    let ana = house.contact(ANA.phone).await.unwrap();
    house.store.erase_contact(&house.log, ana).await.unwrap();
    assert_eq!((house.holds(b"zylophon"), count(index)), (None, 0));
    assert_eq!(found(&house, "stays").await, ["stays here"]);
}

/// As in a folder from before there was an index: its messages are found once they are in it, and not before.
#[tokio::test]
async fn older_messages_come_into_the_index_afterwards_from_the_newest_on() {
    let house = House::new();
    for at in 0..700 {
        let person = if at % 2 == 0 { &ANA } else { &BEN };
        house
            .deliver(&person.writes(&format!("3A{at:04}"), &format!("old {at}")))
            .await;
    }
    rusqlite::Connection::open(house.folder.path().join("duet.db"))
        .unwrap()
        .execute_batch(
            "INSERT INTO messages_words (messages_words) VALUES ('delete-all');
             UPDATE messages_unindexed SET until = (SELECT max(id) FROM messages);",
        )
        .unwrap();
    let house = house.reopen();
    assert_eq!(found(&house, "old").await, [""; 0]);
    // What changes meanwhile is neither lost nor taken out of an index that it is not in.
    house
        .deliver(&edit(&ANA, "3A0010", "edited meanwhile"))
        .await;
    house.deliver(&BEN.writes("3A9999", "new meanwhile")).await;
    assert_eq!(found(&house, "meanwhile").await, ["new meanwhile"]);
    assert!(house.store.index_messages().await.unwrap());
    let some = found(&house, "old").await;
    assert!(
        some.len() == 500 && some.contains(&"old 699".to_owned()),
        "{}",
        some.len()
    );
    let house = house.reopen();
    while house.store.index_messages().await.unwrap() {}
    assert_eq!(found(&house, "old").await.len(), 699);
    assert_eq!(found(&house, "meanwhile").await.len(), 2);
    assert!(!house.store.index_messages().await.unwrap());
    check(&house);
}
