//! What happens in a seed, step by step.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use duet::graph::Connections;
use duet::machine::Simulated;
use duet_rules::sending::Patience;
use serde_json::json;

use crate::books::Books;
use crate::dice::Dice;
use crate::log::{Shared, lock};
use crate::meta::Meta;
use crate::process::Process;
use crate::world::{BEGUN_MS, World};

/// Meta's codes of every class: throttles, hiccups, what is refused for good; and more often a cap for a day, and a token
/// that is void, which bear on what comes afterwards.
const CODES: [u64; 18] = [
    130_429, 131_056, 80_007, 131_000, 131_016, 131_057, 2, 131_026, 131_051, 368, 131_008,
    131_049, 131_049, 131_049, 131_050, 190, 190, 190,
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
/// A person answers from the phone so late at most: before the next word about the number.
const ANSWERS_MS: u64 = 2500;
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) struct Story {
    pub(crate) seed: u64,
    pub(crate) world: World,
    pub(crate) meta: Meta,
    pub(crate) log: Shared,
    pub(crate) books: Arc<Books>,
    folder: PathBuf,
    clock: Simulated,
    connections: Connections,
    pub(crate) dice: Dice,
    process: Option<Process>,
    life: u32,
    /// Numbers whose history was asked for.
    pub(crate) told: Vec<String>,
    /// Each mark once.
    marks: u64,
}

impl Story {
    pub(crate) fn begin(seed: u64, folder: &Path, connections: Connections, log: Shared) -> Story {
        let clock = Simulated::new(BEGUN_MS, seed);
        let mut dice = Dice::new(seed, "story");
        let world = World::draw(seed, &mut dice);
        let config = world.config(seed, &mut dice);
        let books = Arc::new(Books::open(folder));
        let meta = Meta::new(config, books.clone(), &log);
        Story {
            seed,
            world,
            meta,
            log,
            books,
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
        let mut held = Dice::new(self.seed, "nothing leaves");
        for _ in 0..self.world.steps {
            if self.world.held_hours > 0 && held.percent(4) {
                self.nothing_leaves().await;
            }
            self.step().await;
            self.pause().await;
        }
    }

    async fn step(&mut self) {
        match self.dice.below(100) {
            0..21 => self.customer_writes().await,
            21 => self.nothing_is_taken().await,
            22 => self.phone_cuts_in().await,
            23..26 => self.word_comes_late().await,
            26 | 27 => self.stranger_writes().await,
            28 => self.history_overtakes().await,
            29 => self.rush().await,
            30..33 => self.meta_rules().await,
            33 => self.campaign().await,
            34..44 => self.phone_writes().await,
            44..47 => self.phone_changes().await,
            47..53 => self.agent_acts().await,
            53..57 => self.customer_chooses().await,
            57..63 => self.number_moves().await,
            63..67 => self.address_book_changes().await,
            67 => self.history_comes().await,
            68..70 => self.history_repeats().await,
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

    pub(crate) fn dice_ms(&self, max_ms: u64) -> u64 {
        duet::random() % max_ms
    }

    pub(crate) async fn wait(&self, ms: u64) {
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

    pub(crate) fn number(&mut self) -> String {
        self.dice.pick(&self.world.numbers).clone()
    }

    pub(crate) fn customer(&mut self) -> usize {
        usize::try_from(self.dice.below(self.world.customers.len() as u64)).unwrap_or(0)
    }

    pub(crate) fn mark(&mut self, what: &str) -> String {
        self.marks += 1;
        format!("{what}-{}", self.marks)
    }

    /// Something goes wrong with the next sends.
    async fn trouble(&mut self) {
        let deed = *self.dice.pick(&DEEDS);
        let code = *self.dice.pick(&CODES);
        let times = match self.dice.below(8) {
            // More often than anything is tried.
            0 => 40,
            _ => 1 + self.dice.below(3),
        };
        let mut troubles = self.meta.sim.mood().troubles;
        troubles.truncate(5);
        let mut troubles = serde_json::to_value(troubles).unwrap_or_default();
        if let Some(troubles) = troubles.as_array_mut() {
            troubles.push(json!({"do": deed, "code": code, "times": times}));
        }
        let mood = json!({"troubles": troubles, "latency_ms": self.dice.below(400), "jitter_ms": self.dice.below(2000)});
        lock(&self.log).tell(format_args!("trouble: {deed} {code}, {times} times"));
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
        // The person at the phone may be quick, and automations still at work.
        let answers = self.dice.percent(40) && !self.any_removed();
        let answers_ms = answers.then(|| self.dice.below(ANSWERS_MS));
        let mood = json!({"webhook": webhook, "phone_answers_ms": answers_ms});
        lock(&self.log).tell(format_args!("weather: {mood}"));
        self.meta.mood(mood).await;
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
        // What is said now comes late, and perhaps crosses what is said afterwards.
        let missed = self.dice.percent(30);
        if missed {
            self.meta_speaks().await;
        }
        match self.dice.below(10) {
            0 => self.leap(HOUR, 40).await,
            1..4 => self.wait(self.dice_ms(20_000)).await,
            _ => {}
        }
        self.start().await;
        if missed {
            self.meta_speaks().await;
        }
    }

    async fn meta_speaks(&mut self) {
        if self.dice.percent(50) {
            self.number_moves().await;
        } else {
            self.meta_rules().await;
        }
    }

    pub(crate) async fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            lock(&self.log).tell("the gateway is killed");
            process.kill(&self.meta).await;
        }
    }

    pub(crate) async fn start(&mut self) {
        self.life += 1;
        let process = Process::start(
            &self.folder,
            &self.connections,
            &self.meta,
            self.seed,
            self.life,
            Patience::new(self.world.held_hours.into()),
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
