//! Words of Meta's that come behind newer ones: what is newer holds.

use serde_json::{Value, json};

use crate::log::lock;
use crate::rulings::Rule;
use crate::story::Story;

/// Rules whose words say since when they hold.
const DATED: [Rule; 7] = [
    Rule::Quality,
    Rule::Alert,
    Rule::Restricted,
    Rule::Locked,
    Rule::Limit,
    Rule::Template("spring_tea"),
    Rule::Template("order_update"),
];
const DAY_MS: i64 = 24 * 3_600_000;
/// A word is told within this time, unless the gateway is down.
const TOLD_MS: u64 = 15_000;
const AHEAD_MAX_SECONDS: u64 = 7200;

impl Story {
    pub(crate) async fn word_comes_late(&mut self) {
        // So that the second before is free for the older word.
        self.wait(2000).await;
        match self.dice.below(8) {
            0..3 => self.ruling_comes_late().await,
            3 => self.clock_runs_ahead().await,
            4 | 5 => self.preference_comes_late().await,
            6 => self.entry_comes_late().await,
            _ => self.addition_comes_late().await,
        }
    }

    async fn ruling_comes_late(&mut self) {
        let (number, rule) = (self.number(), *self.dice.pick(&DATED));
        let measures = [Some(measure(rule)), None];
        let newer = *self.dice.pick(&[0, 0, 0, 1]);
        self.rule(rule, &number, measures[newer]).await;
        let time = duet::now_ms() / 1000 - 1;
        self.wait(self.dice_ms(3000)).await;
        self.tell_ruling(rule, &number, measures[1 - newer], (time, 0));
        self.wait(1000).await;
        self.advertise(&number).await;
    }

    /// What is said by such a clock holds from now on, and no longer than until the next word.
    async fn clock_runs_ahead(&mut self) {
        let (number, rule) = (self.number(), *self.dice.pick(&DATED));
        let ahead = i64::try_from(60 + self.dice.below(AHEAD_MAX_SECONDS)).unwrap_or(60);
        self.tell_ruling(rule, &number, None, (duet::now_ms() / 1000, ahead));
        self.wait(TOLD_MS).await;
        self.rule(rule, &number, Some(measure(rule))).await;
        self.wait(1000).await;
        self.advertise(&number).await;
    }

    async fn preference_comes_late(&mut self) {
        let (number, customer) = (self.number(), self.customer());
        let stop = self.dice.percent(70);
        self.prefers(&number, customer, stop).await;
        let time = duet::now_ms() / 1000 - 2;
        self.wait(self.dice_ms(3000)).await;
        let (phone, value) = (
            &self.world.customers[customer],
            if stop { "resume" } else { "stop" },
        );
        let preference = json!({"wa_id": phone, "detail": "User requested it", "category": "marketing_messages",
            "value": value, "timestamp": time});
        let value = json!({"contacts": [{"wa_id": phone}], "user_preferences": [preference]});
        self.raw(&number, (time, "user_preferences"), value);
        self.choose(
            &number,
            customer,
            !stop,
            (time * 1000, format!("preference {time}")),
        );
        self.wait(1000).await;
        self.advertise(&number).await;
    }

    async fn entry_comes_late(&mut self) {
        let (number, customer) = (self.number(), self.customer());
        if self.standing(&number) == "PARTNER_REMOVED" {
            return;
        }
        let phone = self.world.customers[customer].clone();
        let now = duet::now_ms() / 1000;
        for time in [now, now - 1] {
            let body = json!({"number": number, "action": "add", "phone": phone, "full_name": self.mark("Name"), "timestamp": time});
            self.meta.play("contact", &body).await;
            lock(&self.log).tell(format_args!("contact: {body}"));
            self.wait(self.dice_ms(3000)).await;
        }
    }

    /// A number was added and is removed again when the first of it is told.
    async fn addition_comes_late(&mut self) {
        let number = self.number();
        let alone = self.world.numbers.len() == 1 || !self.world.one_account;
        if !alone || self.standing(&number) == "ACCOUNT_OFFBOARDED" {
            return;
        }
        self.wait(3000).await;
        self.meta.mood(json!({"phone_answers_ms": null})).await;
        self.account(&number, "PARTNER_REMOVED").await;
        let time = duet::now_ms() / 1000 - 1;
        self.wait(self.dice_ms(3000)).await;
        let account = self.world.account(&number);
        let value = json!({"event": "PARTNER_ADDED", "waba_info": {"waba_id": account, "owner_business_id": "2329417887457253"}});
        self.raw(&number, (time, "account_update"), value);
        self.wait(3000).await;
    }

    /// A word of Meta's in its own bytes.
    pub(crate) fn raw(&self, number: &str, (time, field): (i64, &str), mut value: Value) {
        if field != "account_update" {
            value["messaging_product"] = json!("whatsapp");
            value["metadata"] = json!({"display_phone_number": self.world.digits(number), "phone_number_id": number});
        }
        let body = json!({"object": "whatsapp_business_account", "entry": [{"id": self.world.account(number),
            "time": time, "changes": [{"field": field, "value": value}]}]});
        lock(&self.log).tell(format_args!("Meta: {body}"));
        self.meta.sim.raw_webhook(body.to_string());
    }
}

fn measure(rule: Rule) -> i64 {
    match rule {
        Rule::Restricted => duet::now_ms() + DAY_MS,
        _ => 1,
    }
}
