//! What agents do: they take conversations and give them back, write as a person, and advertise.

use duet::effect::Handling;
use duet::store::handling::Keeps;
use rusqlite::OptionalExtension;
use serde_json::{Value, json};

use crate::automation::template;
use crate::log::{Given, lock};
use crate::process::PERSON_MS;
use crate::story::{HOUR, Story};

/// Enough for a send that is tried again and again, and for those beside it.
const REFUSED_TIMES: u32 = 200;
const REFUSED_MS: u64 = 300_000;

impl Story {
    /// An agent writes to every customer of a number, mostly when none of them has written for a day.
    pub(crate) async fn campaign(&mut self) {
        let number = self.number();
        if self.dice.percent(70) {
            self.pass(HOUR * 25).await;
        }
        if self.dice.percent(40) {
            // The first of them teaches something for the second round.
            let code = *self.dice.pick(&[131_049, 131_050]);
            let refused = json!({"troubles": [{"do": "fail", "code": code, "times": 1}]});
            self.meta.mood(refused).await;
            self.advertise(&number).await;
            self.wait(5000).await;
        }
        self.advertise(&number).await;
    }

    pub(crate) async fn advertise(&mut self, number: &str) {
        for customer in 0..self.world.customers.len() {
            let token = self.mark("agent");
            let message = template("spring_tea", &token);
            self.agent_says(number, customer, &message).await;
        }
    }

    /// Meta takes nothing for longer than anything is tried, and much waits.
    pub(crate) async fn nothing_is_taken(&mut self) {
        let number = self.number();
        let code = *self.dice.pick(&[190, 131_000]);
        let refused = json!({"troubles": [{"do": "fail", "code": code, "times": REFUSED_TIMES}]});
        for customer in 0..self.world.customers.len() {
            self.customer_says("is anybody there", &number, customer)
                .await;
        }
        self.wait(2000).await;
        self.meta.mood(refused).await;
        for customer in 0..self.world.customers.len() {
            let token = self.mark("agent");
            let message = json!({"type": "text", "text": {"body": token}});
            self.agent_says(&number, customer, &message).await;
        }
        self.wait(REFUSED_MS).await;
        self.meta.mood(json!({"troubles": null})).await;
    }

    /// An agent gives a conversation to a person, or back, or speaks as a person.
    pub(crate) async fn agent_acts(&mut self) {
        let (number, customer) = (self.number(), self.customer());
        let token = self.mark("agent");
        match self.dice.below(3) {
            0 => self.agent_gives(&number, customer, Handling::Person).await,
            1 => {
                self.agent_gives(&number, customer, Handling::Automation)
                    .await;
            }
            _ => {
                let message = if self.dice.percent(50) {
                    json!({"type": "text", "text": {"body": token}})
                } else {
                    template("spring_tea", &token)
                };
                self.agent_says(&number, customer, &message).await;
            }
        }
    }

    pub(crate) async fn agent_gives(&self, number: &str, customer: usize, to: Handling) {
        let conversation = self.conversation(number, customer);
        let (Some(conversation), Some(process)) = (conversation, self.process()) else {
            return;
        };
        let begun_ms = duet::now_ms();
        let keeps = Keeps::AtLeast(begun_ms + PERSON_MS);
        let done = process
            .store
            .set_handling(conversation, to, keeps, begun_ms);
        if let Ok(Some(event)) = done.await {
            process.feed.publish(vec![event]);
        }
        lock(&self.log).tell(format_args!("agent: {conversation} goes to {to:?}"));
        self.given(number, customer, to == Handling::Person, begun_ms);
    }

    pub(crate) async fn agent_says(&self, number: &str, customer: usize, message: &Value) {
        let conversation = self.conversation(number, customer);
        let (Some(conversation), Some(process)) = (conversation, self.process()) else {
            return;
        };
        let begun_ms = duet::now_ms();
        let said = message.clone();
        let done = process
            .store
            .speak_as_person(conversation, said, PERSON_MS, begun_ms);
        if let Ok(Some((event, row))) = done.await {
            process.feed.publish(vec![event]);
            process.sends.wake([row]);
        }
        lock(&self.log).tell(format_args!("agent: in {conversation} {message}"));
        self.given(number, customer, true, begun_ms);
    }

    fn given(&self, number: &str, customer: usize, to_person: bool, begun_ms: i64) {
        lock(&self.log).given.push(Given {
            number: number.to_owned(),
            customer,
            to_person,
            begun_ms,
            at_ms: duet::now_ms(),
        });
    }

    fn conversation(&self, number: &str, customer: usize) -> Option<i64> {
        let sql = "SELECT c.id FROM conversations c JOIN contacts k ON k.id = c.contact WHERE c.number = ?1 AND k.wa_id = ?2";
        let phone = &self.world.customers[customer];
        self.books
            .look()
            .query_row(sql, [number, phone], |row| row.get(0))
            .optional()
            .ok()?
    }
}
