//! What Meta decides about numbers and accounts, beside whether they are in the app.

use std::time::Duration;

use serde_json::{Value, json};

use crate::log::{Log, lock};
use crate::story::Story;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The number's quality is low.
    Quality,
    /// A critical alert that nobody has looked at.
    Alert,
    /// The account may not begin conversations, until then.
    Restricted,
    /// The account is disabled.
    Locked,
    /// To so many customers an account may write first in a day.
    Limit,
    /// The template of this name is paused or disabled.
    Template(&'static str),
}

/// Rules that a story makes and lifts.
const RULES: [Rule; 5] = [
    Rule::Quality,
    Rule::Alert,
    Rule::Restricted,
    Rule::Locked,
    Rule::Limit,
];
const HOUR_MS: i64 = 3_600_000;

/// A word of Meta's.
pub(crate) struct Ruling {
    pub(crate) rule: Rule,
    pub(crate) number: String,
    pub(crate) account: String,
    /// None: lifted. Else how much, where the rule has a measure.
    pub(crate) on: Option<i64>,
    /// By Meta's clock, in seconds.
    pub(crate) time: i64,
    /// What the body that tells of it holds.
    pub(crate) marks: Vec<String>,
}

impl Ruling {
    /// When the gateway could have known it at the earliest, and when it had it for sure.
    pub(crate) fn told_ms(&self, log: &Log) -> (i64, i64) {
        let mut told = log.posts.iter().filter(|post| {
            post.acked_ms.is_some() && self.marks.iter().all(|mark| post.text.contains(mark))
        });
        let never = (i64::MAX, i64::MAX);
        told.next().map_or(never, |post| {
            (post.begun_ms, post.acked_ms.unwrap_or(i64::MAX))
        })
    }

    /// Whether it is about this number.
    pub(crate) fn binds(&self, number: &str, account: &str) -> bool {
        match self.rule {
            Rule::Quality | Rule::Alert => self.number == number,
            _ => self.account == account,
        }
    }
}

impl Story {
    /// Meta makes a rule, or lifts it.
    pub(crate) async fn meta_rules(&mut self) {
        let (number, rule) = (self.number(), *self.dice.pick(&RULES));
        let on = self.dice.percent(65).then(|| match rule {
            Rule::Restricted => {
                let hours = 1 + self.dice.below(40);
                duet::now_ms() + i64::try_from(hours).unwrap_or(1) * HOUR_MS
            }
            _ => 1,
        });
        self.rule(rule, &number, on).await;
    }

    /// Nothing is forbidden any more.
    pub(crate) async fn lift_all(&mut self) {
        for number in self.world.numbers.clone() {
            for rule in RULES {
                self.rule(rule, &number, None).await;
            }
        }
    }

    pub(crate) async fn template_changes(&mut self) {
        let number = self.number();
        let event = *self
            .dice
            .pick(&["PAUSED", "APPROVED", "DISABLED", "APPROVED"]);
        let name = *self.dice.pick(&["spring_tea", "order_update"]);
        self.wait(1000).await;
        self.template_turns(name, &number, event).await;
    }

    /// In Meta's list as well.
    async fn template_turns(&mut self, name: &'static str, number: &str, event: &str) {
        let time = duet::now_ms() / 1000;
        let body = json!({"number": number, "name": name, "language": "en_US", "event": event});
        self.meta.play("template", &body).await;
        let mut log = lock(&self.log);
        log.tell(format_args!("template: {body}"));
        let marks = [event, name, &format!("\"time\":{time}")].map(str::to_owned);
        log.rulings.push(Ruling {
            rule: Rule::Template(name),
            account: self.world.account(number),
            number: number.to_owned(),
            on: (event != "APPROVED").then_some(1),
            time,
            marks: marks.into(),
        });
    }

    pub(crate) async fn rule(&mut self, rule: Rule, number: &str, on: Option<i64>) {
        // Two words of one second could not be told apart.
        tokio::time::sleep(Duration::from_secs(1)).await;
        if let Rule::Template(name) = rule {
            let event = if on.is_some() { "PAUSED" } else { "APPROVED" };
            return self.template_turns(name, number, event).await;
        }
        self.tell_ruling(rule, number, on, (duet::now_ms() / 1000, 0));
    }

    /// It holds since `time`; Meta's clock runs `ahead` of it, both in seconds.
    pub(crate) fn tell_ruling(
        &self,
        rule: Rule,
        number: &str,
        on: Option<i64>,
        (time, ahead): (i64, i64),
    ) {
        let account = self.world.account(number);
        let (field, value) = words(rule, number, &self.world.digits(number), on);
        let body = json!({"object": "whatsapp_business_account", "entry": [
            {"id": account, "time": time + ahead, "changes": [{"field": field, "value": value}]}]});
        let body = body.to_string();
        {
            let mut log = lock(&self.log);
            log.tell(format_args!("Meta rules: {body}"));
            log.rulings.push(Ruling {
                rule,
                number: number.to_owned(),
                account,
                on,
                time,
                marks: vec![body.clone()],
            });
        }
        self.meta.sim.raw_webhook(body);
    }
}

/// Meta's field and value for it.
fn words(rule: Rule, number: &str, digits: &str, on: Option<i64>) -> (&'static str, Value) {
    let pick = |made, lifted| if on.is_some() { made } else { lifted };
    match rule {
        Rule::Quality => {
            let event = pick("FLAGGED", "UNFLAGGED");
            let value =
                json!({"display_phone_number": digits, "event": event, "current_limit": "TIER_1K"});
            ("phone_number_quality_update", value)
        }
        Rule::Alert => {
            let info = json!({"alert_severity": "CRITICAL", "alert_status": pick("ACTIVE", "NONE"),
                "alert_type": "INCREASED_CAPABILITIES_ELIGIBILITY_FAILED"});
            let value =
                json!({"entity_type": "PHONE_NUMBER", "entity_id": number, "alert_info": info});
            ("account_alerts", value)
        }
        Rule::Restricted => {
            let one = |until_ms: i64| json!({"restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING", "expiration": until_ms / 1000});
            let restrictions: Vec<Value> = on.map(one).into_iter().collect();
            let value = json!({"event": "ACCOUNT_RESTRICTION", "restriction_info": restrictions});
            ("account_update", value)
        }
        Rule::Locked => {
            let ban = json!({"waba_ban_state": pick("DISABLE", "REINSTATE")});
            (
                "account_update",
                json!({"event": "DISABLED_UPDATE", "ban_info": ban}),
            )
        }
        Rule::Limit => {
            let max = json!({"max_daily_conversations_per_business": on.unwrap_or(-1)});
            ("business_capability_update", max)
        }
        Rule::Template(name) => {
            let value = json!({"event": pick("PAUSED", "APPROVED"), "message_template_id": 1,
                "message_template_name": name, "message_template_language": "en_US", "reason": "NONE"});
            ("message_template_status_update", value)
        }
    }
}
