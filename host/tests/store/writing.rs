//! Callers that go away do not use the writer up.

use duet::store::lanes::From;

use super::house::House;

/// More writes than the queue has places are begun and given up while another tool holds the file.
#[tokio::test]
async fn writes_that_were_given_up_leave_their_places() {
    let house = House::new();
    let onlooker = rusqlite::Connection::open(house.folder.path().join("duet.db")).unwrap();
    onlooker.execute_batch("BEGIN IMMEDIATE").unwrap();
    for _ in 0..5000 {
        let write = house
            .store
            .place("given up".into(), String::new(), From::Now);
        tokio::select! {
            biased;
            result = write => panic!("the file is held, and still: {result:?}"),
            () = std::future::ready(()) => {}
        }
    }
    let last = house.store.clone();
    let last =
        tokio::spawn(async move { last.place("last".into(), String::new(), From::Now).await });
    tokio::task::yield_now().await;
    onlooker.execute_batch("ROLLBACK").unwrap();
    last.await.unwrap().unwrap();
}
