//! Whether what was seen from outside is as it should be. Written from what Meta documents and Duet promises, with
//! nothing of Duet's own rules.
//!
//! - `rest`: everything comes to its end; `numbers`: every number where Meta has put it; `pulse`: silent apps are told of
//! - `wire`: what the acknowledged webhooks say
//! - `sends`: nothing twice, and the books are right; `order`: events and sends in their order
//! - `takeover`: never two voices; `policy`: never against Meta's rules, `rate`: nor faster than it takes them, and
//!   `rulings`: nor against what it has decided
//! - `waits`: nothing leaves that has waited for too long, and nothing is given up before
//! - `ledger`: nothing lost, nothing double; `contacts`: the address book as the phone has it

mod contacts;
mod ledger;
mod numbers;
mod order;
mod policy;
mod pulse;
mod rate;
mod rest;
mod rulings;
mod sends;
mod takeover;
mod waits;
mod wire;

use crate::log::lock;
use crate::story::Story;
use wire::Wire;

pub(crate) async fn judge(story: &mut Story) {
    rest::come_to_rest(story).await;
    pulse::judge(story).await;
    story.stop().await;
    let wrong = {
        let log = lock(&story.log);
        let wire = Wire::of(&log);
        let mut wrong = sends::judge(story, &wire);
        wrong.extend(takeover::judge(story, &log, &wire));
        wrong.extend(policy::judge(story, &log, &wire));
        wrong.extend(rate::judge(&log, &wire));
        wrong.extend(rulings::judge(story, &log, &wire));
        wrong.extend(waits::judge(story, &log));
        wrong.extend(ledger::judge(story, &log, &wire));
        wrong.extend(contacts::judge(story, &log, &wire));
        wrong.extend(order::judge(story, &log));
        wrong
    };
    lock(&story.log).wrong.extend(wrong);
}
