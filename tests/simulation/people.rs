//! What people do: customers, the person at the phone, agents.

use duet::effect::Handling;
use duet::store::handling::Keeps;
use rusqlite::OptionalExtension;
use serde_json::{Value, json};

use crate::automation::template;
use crate::log::{Given, Said, Word, lock};
use crate::process::PERSON_MS;
use crate::story::{HOUR, Story};

impl Story {
    pub(crate) async fn customer_writes(&mut self) {
        let (number, customer) = (self.number(), self.customer());
        let text = match self.dice.below(20) {
            0 => "STOP".to_owned(),
            1 => "start".to_owned(),
            2 if self.dice.percent(30) => "flood".to_owned(),
            _ => self.mark("hello"),
        };
        self.customer_says(&text, &number, customer).await;
    }

    async fn customer_says(&mut self, text: &str, number: &str, customer: usize) {
        let mut body =
            json!({"number": number, "from": self.world.customers[customer], "text": text});
        if self.world.one_account && self.dice.percent(25) {
            body["hide_phone"] = json!(self.dice.percent(50));
        }
        if self.dice.percent(25) {
            body["hide_user_id"] = json!(self.dice.percent(50));
        }
        let id = self.say("customer", &body, number, customer, false).await;
        if let "STOP" | "start" = text {
            let stop = text == "STOP";
            self.choose(number.to_owned(), customer, stop, id);
        }
    }

    pub(crate) async fn phone_writes(&mut self) {
        let (number, customer) = (self.number(), self.customer());
        self.phone_says(&number, customer).await;
    }

    pub(crate) async fn phone_says(&mut self, number: &str, customer: usize) {
        if self.standing(number) == "PARTNER_REMOVED" {
            return; // Meta no longer mirrors it.
        }
        let text = self.mark("from the phone");
        let mut body =
            json!({"number": number, "to": self.world.customers[customer], "text": text});
        if self.world.one_account && self.dice.percent(15) {
            body["omit_to"] = json!(true);
        }
        self.say("phone", &body, number, customer, true).await;
    }

    /// A number at its limits: a customer, the app and an agent all at once.
    pub(crate) async fn rush(&mut self) {
        let (number, customer) = (self.number(), self.customer());
        for _ in 0..self.dice.below(25) {
            let other = self.customer();
            self.customer_says("all at once", &number, other).await;
        }
        for _ in 0..self.dice.below(12) {
            self.phone_says(&number, customer).await;
        }
        for _ in 0..self.dice.below(50) {
            let token = self.mark("agent");
            let message = json!({"type": "text", "text": {"body": token}});
            self.agent_says(&number, customer, &message).await;
        }
    }

    /// An agent writes to every customer of a number, mostly when none of them has written for a day.
    pub(crate) async fn campaign(&mut self) {
        let number = self.number();
        if self.dice.percent(70) {
            self.pass(HOUR * 25).await;
        }
        for customer in 0..self.world.customers.len() {
            let token = self.mark("agent");
            let message = template("spring_tea", &token);
            self.agent_says(&number, customer, &message).await;
        }
    }

    /// The person edits or takes back what was said from the phone, perhaps before Meta has told of it.
    pub(crate) async fn phone_changes(&mut self) {
        let mut ours: Vec<(String, Said)> = {
            let log = lock(&self.log);
            // What was taken back cannot be edited.
            let ours = log.said.iter().filter(|(id, said)| {
                said.by_phone && !log.changed.get(*id).is_some_and(Option::is_none)
            });
            ours.map(|(id, said)| (id.clone(), said.clone())).collect()
        };
        ours.sort_by(|(one, _), (other, _)| one.cmp(other));
        if ours.is_empty() {
            return;
        }
        let (id, said) = self.dice.pick(&ours).clone();
        if self.standing(&said.number) == "PARTNER_REMOVED" {
            return;
        }
        // Two edits of one second could not be told apart.
        self.wait(1000).await;
        let mut body = json!({"number": said.number, "to": self.world.customers[said.customer]});
        let text = self.dice.percent(60).then(|| self.mark("edited"));
        match &text {
            Some(text) => {
                body["edit"] = json!(id);
                body["text"] = json!(text);
            }
            None => body["revoke"] = json!(id),
        }
        self.meta.play("phone", &body).await;
        let mut log = lock(&self.log);
        log.tell(format_args!("phone: {body}"));
        log.changed.insert(id, text);
    }

    async fn say(
        &mut self,
        who: &str,
        body: &Value,
        number: &str,
        customer: usize,
        by_phone: bool,
    ) -> String {
        let at_ms = duet::now_ms();
        let answer = self.meta.play(who, body).await;
        let id = answer["id"].as_str().unwrap_or_default().to_owned();
        let mut log = lock(&self.log);
        log.tell(format_args!("{who}: {body} is {id}"));
        let said = Said {
            number: number.to_owned(),
            customer,
            by_phone,
            at_ms,
        };
        log.said.insert(id.clone(), said);
        id
    }

    fn choose(&mut self, number: String, customer: usize, stop: bool, mark: String) {
        let at_ms = duet::now_ms();
        lock(&self.log).words.push(Word {
            number,
            customer,
            stop,
            at_ms,
            mark,
        });
    }

    pub(crate) async fn customer_chooses(&mut self) {
        let (number, customer) = (self.number(), self.customer());
        let preference = *self.dice.pick(&["stop", "resume"]);
        let from = &self.world.customers[customer];
        let body = json!({"number": number, "from": from, "preference": preference});
        let mark = format!("preference {}", duet::now_ms() / 1000);
        self.meta.play("customer", &body).await;
        lock(&self.log).tell(format_args!("customer: {body}"));
        self.choose(number, customer, preference == "stop", mark);
        // Two words of one second could not be told apart.
        self.wait(1000).await;
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

    async fn agent_gives(&self, number: &str, customer: usize, to: Handling) {
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

    async fn agent_says(&self, number: &str, customer: usize, message: &Value) {
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

    pub(crate) async fn address_book_changes(&mut self) {
        let (number, customer) = (self.number(), self.customer());
        if self.standing(&number) == "PARTNER_REMOVED" {
            return;
        }
        let action = *self.dice.pick(&["add", "remove"]);
        let name = self.mark("Name");
        // Two words of one second could not be told apart.
        self.wait(1000).await;
        let phone = &self.world.customers[customer];
        let body = json!({"number": number, "action": action, "phone": phone, "full_name": name});
        self.meta.play("contact", &body).await;
        lock(&self.log).tell(format_args!("contact: {body}"));
    }
}
