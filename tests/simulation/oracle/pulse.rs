//! A number whose app is silent is told of from the tenth day on, urgently from the thirteenth, and no longer once the
//! app shows life.

use std::time::Duration;

use super::rest::quiet;
use crate::log::lock;
use crate::story::{HOUR, Story};

const SILENT: &str = "app-silent";
const URGENT: &str = "app-silent-urgent";
/// The numbers are looked at every minute.
const LOOKED: Duration = Duration::from_secs(61);

/// All numbers are in the app again; from here on nothing else happens.
pub(super) async fn judge(story: &mut Story) {
    let numbers = story.world.numbers.clone();
    for number in &numbers {
        story.phone_says(number, 0).await;
    }
    quiet(story).await;
    let Some((first, others)) = numbers.split_first() else {
        return;
    };
    later(story, 10 * 24 - 1).await;
    expect(story, &numbers, &[]);
    later(story, 2).await;
    expect(story, &numbers, &[SILENT]);
    story.phone_says(first, 0).await;
    quiet(story).await;
    tokio::time::sleep(LOOKED).await;
    expect(story, &numbers[..1], &[]);
    later(story, 3 * 24).await;
    expect(story, &numbers[..1], &[]);
    expect(story, others, &[SILENT, URGENT]);
}

async fn later(story: &Story, hours: u32) {
    story.pass(HOUR * hours).await;
    tokio::time::sleep(LOOKED).await;
}

/// The open alarms about each number's silence are these.
fn expect(story: &Story, numbers: &[String], wanted: &[&str]) {
    for number in numbers {
        let open = open(story, number);
        if open != wanted {
            let words = format!("the alarms of number {number} are {open:?}, not {wanted:?}");
            lock(&story.log).wrong.push(words);
        }
    }
}

fn open(story: &Story, number: &str) -> Vec<String> {
    let books = story.books.look();
    let sql = "SELECT name FROM alarms WHERE number = ?1 AND name LIKE 'app-silent%' AND acknowledged_ms IS NULL ORDER BY name";
    let mut query = books.prepare_cached(sql).expect("alarms");
    let rows = query.query_map([number], |row| row.get(0)).expect("rows");
    rows.map(|row| row.expect("a row")).collect()
}
