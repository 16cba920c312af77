//! What people do: customers and the person at the phone.

use serde_json::{Value, json};

use crate::log::{Said, Word, lock};
use crate::story::Story;

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

    pub(crate) async fn customer_says(&mut self, text: &str, number: &str, customer: usize) {
        let mut body =
            json!({"number": number, "from": self.world.customers[customer], "text": text});
        if self.world.one_account && self.dice.percent(25) {
            body["hide_phone"] = json!(self.dice.percent(50));
        }
        if self.dice.percent(25) {
            body["hide_user_id"] = json!(self.dice.percent(50));
        }
        self.customer_posts(&body, text, number, customer).await;
    }

    pub(crate) async fn customer_posts(
        &mut self,
        body: &Value,
        text: &str,
        number: &str,
        customer: usize,
    ) {
        let id = self.say("customer", body, number, customer, false).await;
        if let "STOP" | "start" = text {
            let stop = text == "STOP";
            self.choose(number, customer, stop, (duet::now_ms(), id));
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

    /// The person writes while automations send one after the other, and all at once much else is told.
    pub(crate) async fn phone_cuts_in(&mut self) {
        let (number, customer) = (self.number(), self.customer());
        self.customer_says("flood", &number, customer).await;
        self.wait(self.dice_ms(1500)).await;
        let noise = 5 + self.dice.below(20);
        for n in 0..2 * noise {
            if n == noise {
                self.phone_says(&number, customer).await;
            }
            let unheard_of = json!({"mark": self.mark("noise")});
            self.raw(&number, (duet::now_ms() / 1000, "unheard_of"), unheard_of);
            self.wait(self.dice_ms(20)).await;
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
        // More than once, so that the words about it may cross.
        for _ in 0..1 + self.dice.below(3) {
            if !self.phone_changes_one(&id, &said).await {
                return;
            }
        }
    }

    /// False when it cannot be changed any more.
    async fn phone_changes_one(&mut self, id: &str, said: &Said) -> bool {
        if self.standing(&said.number) == "PARTNER_REMOVED" {
            return false;
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
        let lives = text.is_some();
        log.changed.insert(id.to_owned(), text);
        lives
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

    /// `mark` is what the webhook that tells of it holds.
    pub(crate) fn choose(
        &self,
        number: &str,
        customer: usize,
        stop: bool,
        (at_ms, mark): (i64, String),
    ) {
        lock(&self.log).words.push(Word {
            number: number.to_owned(),
            customer,
            stop,
            at_ms,
            mark,
        });
    }

    pub(crate) async fn customer_chooses(&mut self) {
        let (number, customer) = (self.number(), self.customer());
        let stop = self.dice.percent(50);
        self.prefers(&number, customer, stop).await;
    }

    pub(crate) async fn prefers(&mut self, number: &str, customer: usize, stop: bool) {
        let preference = if stop { "stop" } else { "resume" };
        let from = &self.world.customers[customer];
        let body = json!({"number": number, "from": from, "preference": preference});
        let at_ms = duet::now_ms();
        let mark = format!("preference {}", at_ms / 1000);
        self.meta.play("customer", &body).await;
        lock(&self.log).tell(format_args!("customer: {body}"));
        self.choose(number, customer, stop, (at_ms, mark));
        // Two words of one second could not be told apart.
        self.wait(1000).await;
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
