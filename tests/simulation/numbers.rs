//! What becomes of a number: in the app, moved to another phone, removed.

use serde_json::json;

use crate::log::{Standing, lock};
use crate::story::Story;

const BETWEEN_WORDS_MS: u64 = 3000;

impl Story {
    pub(crate) async fn number_moves(&mut self) {
        let number = self.number();
        let now = self.standing(&number);
        let event = match now.as_str() {
            "ACCOUNT_OFFBOARDED" => "ACCOUNT_RECONNECTED",
            "PARTNER_REMOVED" => "PARTNER_ADDED",
            // Meta speaks of the account, and of no number.
            _ if self.world.one_account && self.world.numbers.len() > 1 => "ACCOUNT_OFFBOARDED",
            _ => *self.dice.pick(&[
                "ACCOUNT_OFFBOARDED",
                "ACCOUNT_OFFBOARDED",
                "PARTNER_REMOVED",
            ]),
        };
        if event == "PARTNER_REMOVED" {
            self.meta.mood(json!({"phone_answers_ms": null})).await;
        }
        if event.starts_with("PARTNER") || now.starts_with("PARTNER") {
            // Meta tells seconds, and a person needs longer than that from one to the other.
            self.wait(BETWEEN_WORDS_MS).await;
        }
        self.account(&number, event).await;
        if event == "ACCOUNT_OFFBOARDED" && self.dice.percent(60) {
            self.wait(self.dice_ms(5000)).await;
            self.account(&number, "ACCOUNT_RECONNECTED").await;
        }
    }

    /// A number that can send can no longer.
    pub(crate) async fn number_leaves(&mut self, number: &str) {
        if self.is_away(number) {
            return;
        }
        let alone = self.world.numbers.len() == 1 || !self.world.one_account;
        let removed = alone && self.dice.percent(50);
        self.meta.mood(json!({"phone_answers_ms": null})).await;
        self.wait(BETWEEN_WORDS_MS).await;
        let event = if removed {
            "PARTNER_REMOVED"
        } else {
            "ACCOUNT_OFFBOARDED"
        };
        self.account(number, event).await;
    }

    pub(crate) async fn number_returns(&mut self, number: &str) {
        let event = match self.standing(number).as_str() {
            "PARTNER_REMOVED" => "PARTNER_ADDED",
            _ => "ACCOUNT_RECONNECTED",
        };
        self.account(number, event).await;
    }

    fn is_away(&self, number: &str) -> bool {
        let now = self.standing(number);
        ["ACCOUNT_OFFBOARDED", "PARTNER_REMOVED"].contains(&now.as_str())
    }

    /// Of such a number Meta mirrors nothing.
    pub(crate) fn any_removed(&self) -> bool {
        let mut numbers = self.world.numbers.iter();
        numbers.any(|number| self.standing(number) == "PARTNER_REMOVED")
    }

    /// Meta's last word about a number.
    pub(crate) fn standing(&self, number: &str) -> String {
        let log = lock(&self.log);
        let mut last = log
            .standings
            .iter()
            .rev()
            .filter(|word| word.number == number);
        last.next()
            .map_or_else(String::new, |word| word.event.clone())
    }

    /// Meta's own samples have the times of the two words about a move swapped.
    pub(crate) async fn account(&mut self, number: &str, event: &str) {
        let mut time = duet::now_ms() / 1000;
        let moves = matches!(event, "ACCOUNT_OFFBOARDED" | "ACCOUNT_RECONNECTED");
        if moves && self.dice.percent(50) {
            time += 1 - i64::try_from(self.dice.below(3)).unwrap_or(0);
        }
        // Two words of one second about two numbers of an account are the same bytes.
        while lock(&self.log)
            .standings
            .iter()
            .any(|word| word.event == event && word.time == time)
        {
            time += 1;
        }
        let body = json!({"number": number, "event": event, "time": time});
        self.meta.play("account", &body).await;
        let mut log = lock(&self.log);
        log.tell(format_args!("account: {body}"));
        log.standings.push(Standing {
            number: number.to_owned(),
            event: event.to_owned(),
            time,
            at_ms: duet::now_ms(),
        });
    }
}
