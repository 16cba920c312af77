//! Stand-ins for plugins: what each does about an event is drawn from the seed, so that a repeated attempt decides the
//! same again, and a new one anew.

use std::collections::BTreeMap;
use std::time::Duration;

use duet::effect::{Effect, Handling, Reads, Send, Speaker};
use duet::plugin::{Call, Fault, FaultKind, Handler, Outcome, Run};
use duet_rules::plugins_toml::{Instance, parse};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::dice::Dice;
use crate::log::{self, Shared, lock};

/// Two that answer, in this order, and one that only counts.
const FILE: &str = r#"
[plugins.faq]
component = "faq"
from = "beginning"
retry = { attempts = 3, first_seconds = 1, max_seconds = 60 }
[plugins.faq.messages]
speak = ["automation"]
[plugins.faq.conversations]
handling = true
[plugins.faq.store]

[plugins.crm]
component = "crm"
from = "beginning"
retry = { attempts = 3, first_seconds = 1, max_seconds = 60 }
[plugins.crm.messages]
speak = ["automation"]
[plugins.crm.conversations]
handling = true
[plugins.crm.store]

[plugins.mirror]
component = "mirror"
from = "beginning"
retry = { attempts = 50, first_seconds = 1, max_seconds = 60 }
[plugins.mirror.store]
"#;

/// Under this key each keeps how many events it has done.
pub(crate) const COUNT: &str = "count";

pub(crate) struct Automation {
    instance: Instance,
    seed: u64,
    life: u32,
    log: Shared,
}

pub(crate) fn all(seed: u64, life: u32, log: &Shared) -> Vec<Automation> {
    let file = parse("plugins.toml", FILE).into_result();
    let file = file.unwrap_or_else(|problems| panic!("{problems:?}"));
    let one = |instance| Automation {
        instance,
        seed,
        life,
        log: log.clone(),
    };
    file.plugins.into_iter().map(one).collect()
}

impl Handler for Automation {
    fn instance(&self) -> &Instance {
        &self.instance
    }

    fn digest(&self) -> &str {
        "simulated"
    }

    fn run(&self, call: Call) -> BoxFuture<'_, Run> {
        async move {
            let at = self.begin(&call);
            let run = self.handle(&call).await;
            lock(&self.log).runs[at].ended = true;
            run
        }
        .boxed()
    }
}

impl Automation {
    fn begin(&self, call: &Call) -> usize {
        let mut log = lock(&self.log);
        let event = &call.event;
        log.tell(format_args!(
            "{} runs {} ({}), attempt {}",
            self.instance.name, event.seq, event.kind, call.attempt
        ));
        let (instance, lane) = (&self.instance.name, event.lane().to_string());
        let mut beside = log
            .runs
            .iter()
            .rev()
            .take_while(|run| run.life == self.life);
        let at_work = |run: &log::Run| !run.ended && run.instance == *instance && run.lane == lane;
        if let Some(other) = beside.find(|run| at_work(run)).map(|run| run.seq) {
            let words = format!("{instance} runs {} beside {other} in {lane}", event.seq);
            log.wrong.push(words);
        }
        log.runs.push(log::Run {
            life: self.life,
            instance: self.instance.name.clone(),
            lane,
            seq: event.seq,
            attempt: call.attempt,
            ended: false,
        });
        log.runs.len() - 1
    }

    async fn handle(&self, call: &Call) -> Run {
        let what = format!("{}/{}/{}", self.instance.name, call.event.id, call.attempt);
        let mut dice = Dice::new(self.seed, &what);
        let think_ms = match dice.below(4) {
            0 => dice.below(3000),
            1 => dice.below(100),
            _ => 0,
        };
        tokio::time::sleep(Duration::from_millis(think_ms)).await;
        match dice.below(100) {
            0..6 => return ended(Outcome::Retry(None)),
            6..9 if self.speaks() => return ended(Outcome::Reject("as the dice fell".into())),
            9..13 => {
                return ended(Outcome::Fault(Fault {
                    kind: FaultKind::Trap,
                    message: "as the dice fell".into(),
                }));
            }
            _ => {}
        }
        let mut run = ended(Outcome::Done);
        if let Err(why) = self.count(call, &mut run).await {
            return ended(Outcome::Unavailable(why));
        }
        // What it has read may have changed before it is done.
        let ponder_ms = if dice.percent(25) { dice.below(200) } else { 0 };
        tokio::time::sleep(Duration::from_millis(ponder_ms)).await;
        if self.speaks() && call.event.kind.starts_with("message.") {
            self.speak(call, &mut dice, &mut run).await;
        }
        run
    }

    fn speaks(&self) -> bool {
        self.instance.grants.messages.is_some()
    }

    /// Reads how many there were and writes one more: a run that did not see the last one must not commit.
    async fn count(&self, call: &Call, run: &mut Run) -> Result<(), String> {
        let seen = call.world.kv_get(COUNT).await.map_err(|why| why.0)?;
        let count: u64 = seen
            .as_deref()
            .and_then(|bytes| std::str::from_utf8(bytes).ok()?.parse().ok())
            .unwrap_or(0);
        let hash = Reads::seen(seen.as_deref());
        run.reads.keys = BTreeMap::from([(COUNT.to_owned(), hash)]);
        run.effects.push(Effect::Set {
            key: COUNT.into(),
            value: (count + 1).to_string().into_bytes(),
            expires_ms: None,
        });
        Ok(())
    }

    async fn speak(&self, call: &Call, dice: &mut Dice, run: &mut Run) {
        let Some(conversation) = call.event.conversation else {
            return;
        };
        let body: Value = serde_json::from_str(&call.event.body).unwrap_or_default();
        let text = body.pointer("/text/body").and_then(Value::as_str);
        let count = match (text, dice.below(100)) {
            (Some("flood"), _) => 50,
            (_, 0..20) => 0,
            (_, 20..85) => 1,
            _ => 2,
        };
        if dice.percent(8) {
            run.effects.push(Effect::Handle {
                conversation,
                handling: Handling::Person,
                agent: None,
                until_ms: None,
            });
        }
        if dice.percent(10) {
            let id = body.get("id").cloned().unwrap_or_default();
            let message = json!({"status": "read", "message_id": id});
            self.send(call, conversation, message, dice, run).await;
        }
        for n in 0..count {
            let token = format!("{}/{}/{n}", self.instance.name, call.event.id);
            let message = match dice.below(10) {
                0 | 1 => template("spring_tea", &token),
                2 => template("order_update", &token),
                _ => json!({"type": "text", "text": {"body": token}}),
            };
            self.send(call, conversation, message, dice, run).await;
        }
    }

    /// Sometimes without asking first, so that only the last gate is between a slip and the customer.
    async fn send(
        &self,
        call: &Call,
        conversation: i64,
        message: Value,
        dice: &mut Dice,
        run: &mut Run,
    ) {
        let send = Send {
            conversation,
            speaker: Speaker::Automation,
            agent: None,
            message,
        };
        if dice.percent(50) && !matches!(call.world.refuse(&send, None).await, Ok(None)) {
            return;
        }
        run.effects.push(Effect::Send(send));
    }
}

/// A template that carries `token`.
pub(crate) fn template(name: &str, token: &str) -> Value {
    let count = if name == "order_update" { 2 } else { 1 };
    let parameters = vec![json!({"type": "text", "text": token}); count];
    json!({"type": "template", "template": {
        "name": name, "language": {"code": "en_US"},
        "components": [{"type": "body", "parameters": parameters}],
    }})
}

fn ended(outcome: Outcome) -> Run {
    Run {
        outcome,
        effects: Vec::new(),
        reads: Reads::default(),
        cpu_us: 0,
        wall_us: 0,
        memory_peak_bytes: 0,
        host_calls: 0,
        http_calls: 0,
        failed_call: None,
    }
}
