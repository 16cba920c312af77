//! Whether what was seen from outside is as it should be. Written from what Meta documents and Duet promises, with
//! nothing of Duet's own rules.
//!
//! - `rest`: everything comes to its end; `numbers`: every number where Meta has put it
//! - `wire`: what the acknowledged webhooks say
//! - `sends`: nothing twice, and the books are right; `order`: events and sends in their order
//! - `takeover`: never two voices; `policy`: never against Meta's rules
//! - `ledger`: nothing lost, nothing double

mod ledger;
mod numbers;
mod order;
mod policy;
mod rest;
mod sends;
mod takeover;
mod wire;

use rusqlite::Connection;

use crate::log::lock;
use crate::story::Story;
use wire::Wire;

pub(crate) async fn judge(story: &mut Story) {
    rest::come_to_rest(story).await;
    story.stop().await;
    let wrong = {
        let log = lock(&story.log);
        let wire = Wire::of(&log);
        let mut wrong = sends::judge(story);
        wrong.extend(takeover::judge(story, &log, &wire));
        wrong.extend(policy::judge(story, &log, &wire));
        wrong.extend(ledger::judge(story, &log, &wire));
        wrong.extend(order::judge(story, &log));
        wrong
    };
    lock(&story.log).wrong.extend(wrong);
}

/// What Duet has written down, to be held against what was seen.
fn store(story: &Story) -> Connection {
    Connection::open(story.folder.join("duet.db")).expect("a store")
}
