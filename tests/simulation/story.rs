//! What happens in a seed, step by step.

use std::path::{Path, PathBuf};
use std::time::Duration;

use duet::effect::Handling;
use duet::graph::Connections;
use duet::machine::Simulated;
use duet::store::handling::Keeps;
use rusqlite::{Connection, OptionalExtension};
use serde_json::{Value, json};

use crate::automation::template;
use crate::dice::Dice;
use crate::log::{Given, Said, Shared, Standing, Word, lock};
use crate::meta::Meta;
use crate::process::{PERSON_MS, Process};
use crate::world::{BEGUN_MS, World};

/// Meta's codes of every class: throttles, hiccups, what is refused for good, a cap for a day.
const CODES: [u64; 12] = [
    130_429, 131_056, 80_007, 131_000, 131_016, 131_057, 2, 131_026, 131_049, 131_051, 368, 131_008,
];
const DEEDS: [&str; 10] = [
    "fail",
    "fail",
    "fail_later",
    "lost",
    "lost_before_accept",
    "hang",
    "hang_after_accept",
    "no_statuses",
    "read_first",
    "skip_delivered",
];
const BETWEEN_WORDS_MS: u64 = 3000;
const HOUR: Duration = Duration::from_secs(3600);

pub(crate) struct Story {
    pub(crate) seed: u64,
    pub(crate) world: World,
    pub(crate) meta: Meta,
    pub(crate) log: Shared,
    pub(crate) folder: PathBuf,
    clock: Simulated,
    connections: Connections,
    dice: Dice,
    process: Option<Process>,
    life: u32,
    /// Numbers whose history was asked for.
    told: Vec<String>,
    /// Each mark once.
    marks: u64,
}

impl Story {
    pub(crate) fn begin(seed: u64, folder: &Path, connections: Connections, log: Shared) -> Story {
        let clock = Simulated::new(BEGUN_MS, seed);
        let mut dice = Dice::new(seed, "story");
        let world = World::draw(&mut dice);
        let config = world.config(seed, &mut dice);
        let meta = Meta::new(config, folder.to_owned(), &log);
        Story {
            seed,
            world,
            meta,
            log,
            folder: folder.to_owned(),
            clock,
            connections,
            dice,
            process: None,
            life: 0,
            told: Vec::new(),
            marks: 0,
        }
    }

    pub(crate) async fn run(&mut self) {
        self.start().await;
        // Who connects a number tells the gateway of it.
        for number in self.world.numbers.clone() {
            let body = json!({"number": number, "action": "add", "phone": self.world.customers[0], "full_name": "Asha"});
            self.meta.play("contact", &body).await;
        }
        self.wait(5000).await;
        for _ in 0..self.world.steps {
            self.step().await;
            self.pause().await;
        }
    }

    async fn step(&mut self) {
        match self.dice.below(100) {
            0..34 => self.customer_writes().await,
            34..44 => self.phone_writes().await,
            44..47 => self.phone_changes().await,
            47..53 => self.agent_acts().await,
            53..57 => self.customer_chooses().await,
            57..63 => self.number_moves().await,
            63..67 => self.address_book_changes().await,
            67..69 => self.history_comes().await,
            69 => self.history_repeats().await,
            70..73 => self.template_changes().await,
            73..81 => self.trouble().await,
            81..88 => self.weather().await,
            88..91 => self.replay().await,
            _ => self.crash().await,
        }
    }

    async fn pause(&mut self) {
        match self.dice.below(100) {
            0..45 => self.wait(self.dice_ms(20)).await,
            45..75 => self.wait(self.dice_ms(3_000)).await,
            75..92 => self.wait(self.dice_ms(20_000)).await,
            92..96 => self.leap(HOUR / 60, 120).await,
            96..98 => self.leap(HOUR, 30).await,
            _ => self.leap(HOUR, 24 * 12).await,
        }
    }

    fn dice_ms(&self, max_ms: u64) -> u64 {
        duet::random() % max_ms
    }

    async fn wait(&self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    /// The clocks go forward by up to `times` of `unit`.
    async fn leap(&mut self, unit: Duration, times: u64) {
        let by = unit * u32::try_from(1 + self.dice.below(times)).unwrap_or(1);
        self.pass(by).await;
    }

    pub(crate) async fn pass(&self, by: Duration) {
        lock(&self.log).passes(by);
        self.clock.leap(by);
        self.meta.leap(by);
        self.wait(1000).await;
    }

    fn number(&mut self) -> String {
        self.dice.pick(&self.world.numbers).clone()
    }

    fn customer(&mut self) -> usize {
        usize::try_from(self.dice.below(self.world.customers.len() as u64)).unwrap_or(0)
    }

    fn mark(&mut self, what: &str) -> String {
        self.marks += 1;
        format!("{what}-{}", self.marks)
    }

    async fn customer_writes(&mut self) {
        let (number, customer) = (self.number(), self.customer());
        let text = match self.dice.below(20) {
            0 => "STOP".to_owned(),
            1 => "start".to_owned(),
            2 if self.dice.percent(30) => "flood".to_owned(),
            _ => self.mark("hello"),
        };
        let mut body =
            json!({"number": number, "from": self.world.customers[customer], "text": text});
        if self.world.one_account && self.dice.percent(15) {
            body["hide_phone"] = json!(self.dice.percent(50));
        }
        if self.dice.percent(15) {
            body["hide_user_id"] = json!(self.dice.percent(50));
        }
        let id = self.say("customer", &body, &number, customer, false).await;
        if let "STOP" | "start" = text.as_str() {
            let stop = text == "STOP";
            self.choose(number, customer, stop, id);
        }
    }

    async fn phone_writes(&mut self) {
        let (number, customer) = (self.number(), self.customer());
        if self.standing(&number) == "PARTNER_REMOVED" {
            return; // Meta no longer mirrors it.
        }
        let text = self.mark("from the phone");
        let mut body =
            json!({"number": number, "to": self.world.customers[customer], "text": text});
        if self.world.one_account && self.dice.percent(15) {
            body["omit_to"] = json!(true);
        }
        self.say("phone", &body, &number, customer, true).await;
    }

    /// The person edits or takes back what was said from the phone, perhaps before Meta has told of it.
    async fn phone_changes(&mut self) {
        let mut ours: Vec<(String, Said)> = {
            let log = lock(&self.log);
            let ours = log
                .said
                .iter()
                .filter(|(id, said)| said.by_phone && !log.changed.contains_key(*id));
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
        log.tell(format!("phone: {body}"));
        log.changed.insert(id, text);
    }

    /// The history holds what came live as well, under ids that name another peer.
    async fn history_repeats(&mut self) {
        let number = self.number();
        let digits = self.world.digits(&number);
        let mut said: Vec<(String, Said)> = {
            let log = lock(&self.log);
            let here = log
                .said
                .iter()
                .filter(|(id, said)| said.number == number && !log.changed.contains_key(*id));
            here.map(|(id, said)| (id.clone(), said.clone())).collect()
        };
        said.sort_by(|(one, _), (other, _)| one.cmp(other));
        said.truncate(5);
        let mut threads = Vec::new();
        for (id, said) in said {
            let phone = &self.world.customers[said.customer];
            let peer = if said.by_phone { &digits } else { phone };
            let copy = duet_sim::rescoped(&id, peer).unwrap_or_default();
            let message = json!({
                "from": peer, "id": copy, "timestamp": (said.at_ms / 1000).to_string(), "type": "text",
                "text": {"body": "as it was"}, "history_context": {"status": "READ", "from_me": said.by_phone},
            });
            threads.push(json!({"id": phone, "messages": [message]}));
            lock(&self.log).copies.insert(copy, id);
        }
        let body = json!({"object": "whatsapp_business_account", "entry": [{"id": self.world.account(&number), "changes": [{"field": "history",
            "value": {"messaging_product": "whatsapp", "metadata": {"display_phone_number": digits, "phone_number_id": number},
            "history": [{"metadata": {"phase": 0, "chunk_order": 1, "progress": 50}, "threads": threads}]}}]}]});
        lock(&self.log).tell(format!("history repeats: {body}"));
        self.meta.sim.raw_webhook(body.to_string());
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
        log.tell(format!("{who}: {body} is {id}"));
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

    async fn customer_chooses(&mut self) {
        let (number, customer) = (self.number(), self.customer());
        let preference = *self.dice.pick(&["stop", "resume"]);
        let from = &self.world.customers[customer];
        let body = json!({"number": number, "from": from, "preference": preference});
        let mark = format!("preference {}", duet::now_ms() / 1000);
        self.meta.play("customer", &body).await;
        lock(&self.log).tell(format!("customer: {body}"));
        self.choose(number, customer, preference == "stop", mark);
        // Two words of one second could not be told apart.
        self.wait(1000).await;
    }

    /// An agent gives a conversation to a person, or back, or speaks as a person.
    async fn agent_acts(&mut self) {
        let (number, customer) = (self.number(), self.customer());
        let Some(conversation) = self.conversation(&number, customer) else {
            return;
        };
        let deed = self.dice.below(3);
        let token = self.mark("agent");
        let Some(process) = &self.process else {
            return;
        };
        let now_ms = duet::now_ms();
        let until_ms = now_ms + PERSON_MS;
        if deed == 2 {
            let message = if self.dice.percent(50) {
                json!({"type": "text", "text": {"body": token}})
            } else {
                template("spring_tea", &token)
            };
            let done =
                process
                    .store
                    .speak_as_person(conversation, message.to_string(), PERSON_MS, now_ms);
            if let Ok(Some((event, row))) = done.await {
                process.feed.publish(vec![event]);
                process.sends.wake([row]);
            }
        } else {
            let handling = [Handling::Person, Handling::Automation][usize::from(deed == 1)];
            let done = process.store.set_handling(
                conversation,
                handling,
                Keeps::AtLeast(until_ms),
                now_ms,
            );
            if let Ok(Some(event)) = done.await {
                process.feed.publish(vec![event]);
            }
        }
        let mut log = lock(&self.log);
        log.tell(format!("agent: {deed} in {conversation} ({token})"));
        log.given.push(Given {
            number,
            customer,
            to_person: deed != 1,
            begun_ms: now_ms,
            at_ms: duet::now_ms(),
        });
    }

    fn conversation(&self, number: &str, customer: usize) -> Option<i64> {
        let store = Connection::open(self.folder.join("duet.db")).ok()?;
        let sql = "SELECT c.id FROM conversations c JOIN contacts k ON k.id = c.contact WHERE c.number = ?1 AND k.wa_id = ?2";
        let phone = &self.world.customers[customer];
        store
            .query_row(sql, [number, phone], |row| row.get(0))
            .optional()
            .ok()?
    }

    async fn number_moves(&mut self) {
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
        if event.starts_with("PARTNER") {
            // Meta tells seconds, and a person needs longer than that from one to the other.
            self.wait(BETWEEN_WORDS_MS).await;
        }
        self.account(&number, event).await;
        if event == "ACCOUNT_OFFBOARDED" && self.dice.percent(60) {
            self.wait(self.dice_ms(5000)).await;
            self.account(&number, "ACCOUNT_RECONNECTED").await;
        }
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
        log.tell(format!("account: {body}"));
        log.standings.push(Standing {
            number: number.to_owned(),
            event: event.to_owned(),
            time,
            at_ms: duet::now_ms(),
        });
    }

    async fn address_book_changes(&mut self) {
        let (number, customer) = (self.number(), self.customer());
        if self.standing(&number) == "PARTNER_REMOVED" {
            return;
        }
        let action = *self.dice.pick(&["add", "remove"]);
        let name = self.mark("Name");
        let phone = &self.world.customers[customer];
        let body = json!({"number": number, "action": action, "phone": phone, "full_name": name});
        self.meta.play("contact", &body).await;
        lock(&self.log).tell(format!("contact: {body}"));
    }

    async fn history_comes(&mut self) {
        let number = self.number();
        if self.told.contains(&number) {
            return;
        }
        self.told.push(number.clone());
        let dice = &mut self.dice;
        let plan = json!({
            "number": number, "conversations": 1 + dice.below(3), "messages": 3 + dice.below(20),
            "chunk_messages": 1 + dice.below(8), "shuffled": dice.percent(50), "complete_first": dice.percent(30),
            "lower_case": dice.percent(50), "declined": dice.percent(10), "without_envelope": dice.percent(50),
        });
        self.meta.play("history", &plan).await;
        lock(&self.log).tell(format!("history: {plan}"));
    }

    async fn template_changes(&mut self) {
        let number = self.number();
        let event = *self
            .dice
            .pick(&["PAUSED", "APPROVED", "DISABLED", "APPROVED"]);
        let name = *self.dice.pick(&["spring_tea", "order_update"]);
        let body = json!({"number": number, "name": name, "language": "en_US", "event": event});
        self.meta.play("template", &body).await;
        lock(&self.log).tell(format!("template: {body}"));
    }

    /// Something goes wrong with the next sends.
    async fn trouble(&mut self) {
        let deed = *self.dice.pick(&DEEDS);
        let code = *self.dice.pick(&CODES);
        let times = 1 + self.dice.below(3);
        let mut troubles = self.meta.sim.mood().troubles;
        troubles.truncate(5);
        let mut troubles = serde_json::to_value(troubles).unwrap_or_default();
        if let Some(troubles) = troubles.as_array_mut() {
            troubles.push(json!({"do": deed, "code": code, "times": times}));
        }
        let mood = json!({"troubles": troubles, "latency_ms": self.dice.below(400), "jitter_ms": self.dice.below(2000)});
        lock(&self.log).tell(format!("trouble: {deed} {code}, {times} times"));
        self.meta.mood(mood).await;
    }

    /// How webhooks travel from now on.
    async fn weather(&mut self) {
        let dice = &mut self.dice;
        let late = |dice: &mut Dice| {
            let max_ms = if dice.percent(40) { 5000 } else { 1 };
            dice.below(max_ms)
        };
        let webhook = json!({
            "copies": 1 + dice.below(3), "resends": if dice.percent(20) { dice.below(3) } else { 0 },
            "reorder_ms": late(dice), "delay_ms": late(dice), "batch_max": 1 + dice.below(6),
            "batch_window_ms": late(dice) / 10, "merge": dice.percent(30), "entries": dice.percent(30),
            "unknown_field": dice.percent(20),
        });
        lock(&self.log).tell(format!("weather: {webhook}"));
        self.meta.mood(json!({"webhook": webhook})).await;
    }

    /// Meta says something again that it has said before.
    async fn replay(&mut self) {
        let count = self.meta.sim.deliveries().len() as u64;
        if count > 0 {
            let delivery = 1 + self.dice.below(count);
            self.meta
                .play("replay", &json!({"delivery": delivery}))
                .await;
        }
    }

    async fn crash(&mut self) {
        self.stop().await;
        match self.dice.below(10) {
            0 => self.leap(HOUR, 40).await,
            1..4 => self.wait(self.dice_ms(20_000)).await,
            _ => {}
        }
        self.start().await;
    }

    pub(crate) async fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            lock(&self.log).tell("the gateway is killed");
            process.kill(&self.meta).await;
        }
    }

    async fn start(&mut self) {
        self.life += 1;
        let process = Process::start(
            &self.folder,
            &self.connections,
            &self.meta,
            self.seed,
            self.life,
            &self.log,
        );
        self.process = Some(process.await);
        lock(&self.log).tell("the gateway is up");
    }

    /// The gateway, while it is up.
    pub(crate) fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }
}
