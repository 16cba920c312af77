//! Every number ends where Meta's words put it.

use std::time::Duration;

use crate::log::lock;
use crate::story::Story;

/// Meta is asked with growing pauses, up to five minutes.
const ASKED_MAX: u32 = 60;

pub(super) async fn judge(story: &Story) {
    for _ in 0..ASKED_MAX {
        if misplaced(story).is_empty() {
            return;
        }
        story.pass(Duration::from_secs(60)).await;
        tokio::time::sleep(Duration::from_secs(15)).await;
    }
    let misplaced = misplaced(story);
    lock(&story.log).wrong.extend(misplaced);
}

fn misplaced(story: &Story) -> Vec<String> {
    let store = story.books.look();
    let mut wrong = Vec::new();
    for number in &story.world.numbers {
        let wanted = match story.standing(number).as_str() {
            "ACCOUNT_OFFBOARDED" => "offboarded",
            "PARTNER_REMOVED" => "disconnected",
            _ => "live",
        };
        let sql = "SELECT state FROM numbers WHERE id = ?1";
        let state = store.query_row(sql, [number], |row| row.get::<_, String>(0));
        // A number that nothing was ever said of is not known.
        if let Ok(state) = state
            && state != wanted
        {
            wrong.push(format!(
                "number {number} is {state}, and Meta has it {wanted}"
            ));
        }
    }
    wrong
}
