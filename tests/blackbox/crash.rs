//! The power is cut, again and again: at random moments and before and after every commit and call. What was
//! answered 200 is never lost, nothing happens twice, and every conversation stays in order.
//!
//! `DUET_CRASH_ROUNDS` (30 if absent, 500 with `DUET_TEST_FULL`), `DUET_CRASH_SEED` to repeat a run. Each round cuts the power twice: once
//! at a random moment, once at a failpoint, both times with more than a thousand deliveries unfinished.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use duet_sim::{Config, DeliveryRules, Limits, Sim, StatusDelays};
use duet_tests::checker::{Checker, Round};
use duet_tests::flood::{Amount, Flood};
use duet_tests::plugins_file::PluginsFile;
use duet_tests::{Admin, Gateway, Setup, gateway, webhook};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Every place that the gateway names, and the last pass that a round may ask for.
const FAILPOINTS: [(&str, u32); 11] = [
    ("receipts.before_commit", 40),
    ("receipts.after_commit", 40),
    ("intake.recorded", 10),
    ("store.before_commit", 40),
    ("store.after_commit", 40),
    ("dispatch.before_finish", 200),
    ("dispatch.in_finish", 200),
    ("dispatch.finished", 200),
    ("outbox.before_gate", 100),
    ("outbox.sending_committed", 100),
    ("outbox.answered_before_commit", 100),
];
/// Deliveries that are unfinished when the power is cut.
const UNFINISHED_MIN: usize = 1000;
const CONVERSATIONS: usize = 96;
/// What the machine gives, and no more than this.
const PER_SECOND: usize = 2000;
/// The plugin computes so long for each message, so that deliveries pile up.
const SPIN_MS: u64 = 25;
/// A fresh folder after so many rounds, so that a long run tests crashes and not a large database.
const ROUNDS_IN_A_FOLDER: usize = 30;
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_when_the_power_is_cut() -> anyhow::Result<()> {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|value| value.parse::<u64>().ok())
    };
    let usual = if std::env::var_os("DUET_TEST_FULL").is_some() {
        500
    } else {
        30
    };
    let rounds = usize::try_from(number("DUET_CRASH_ROUNDS").unwrap_or(usual))?;
    let seed = number("DUET_CRASH_SEED").unwrap_or_else(rand::random);
    println!("DUET_CRASH_SEED={seed} DUET_CRASH_ROUNDS={rounds}");
    let mut sum = Round::default();
    let mut least = [usize::MAX; 2];
    let mut dice = StdRng::seed_from_u64(seed);
    let mut reached: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    let mut run: Option<Run> = None;
    for round in 0..rounds {
        if round % ROUNDS_IN_A_FOLDER == 0 {
            if let Some(run) = run.take() {
                run.gateway.end().await?;
            }
            run = Some(Run::start(dice.random()).await?);
        }
        let Some(run) = run.as_mut() else { continue };
        let (failpoint, nth_max) = FAILPOINTS[round % FAILPOINTS.len()];
        let began = Instant::now();
        let report = run.round(failpoint, nth_max, &mut dice).await;
        let report = report
            .map_err(|error| error.context(format!("round {round} of seed {seed}, {failpoint}")))?;
        let count = reached.entry(failpoint).or_default();
        *count = (count.0 + u32::from(report.reached), count.1 + 1);
        sum += report.round;
        for (least, unfinished) in least.iter_mut().zip(report.unfinished) {
            *least = unfinished.min(*least);
        }
        println!(
            "round {round:3}  {:5.1} s  {report}",
            began.elapsed().as_secs_f64()
        );
    }
    if let Some(run) = run {
        run.gateway.end().await?;
    }
    for (failpoint, (reached, rounds)) in &reached {
        assert!(
            *reached > 0,
            "{failpoint} was not reached in {rounds} rounds: the gateway no longer passes it?"
        );
    }
    println!(
        "measured: {rounds} rounds of seed {seed}, each cut twice, with at least {} deliveries unfinished at the random moment and {} at the failpoint: {sum}",
        least[0], least[1]
    );
    Ok(())
}

/// One folder, one sim, many rounds.
struct Run {
    gateway: Gateway,
    sim: Sim,
    flood: Flood,
    checker: Checker,
}

struct Report {
    failpoint: String,
    reached: bool,
    /// Unfinished at the first and at the second cut.
    unfinished: [usize; 2],
    retried: usize,
    round: Round,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Report {
            failpoint,
            reached,
            unfinished: [first, second],
            retried,
            round,
        } = self;
        let what = if *reached {
            ""
        } else {
            " (not reached, killed)"
        };
        write!(
            f,
            "unfinished {first} at random, {second} at {failpoint}{what}; {retried} repeated, {round}"
        )
    }
}

impl Run {
    async fn start(seed: u64) -> anyhow::Result<Run> {
        let sim = Sim::start(Config {
            // One status settles what a cut has left open.
            statuses: StatusDelays::sent(20),
            delivery: DeliveryRules {
                retry_first_ms: 200,
                retry_max_ms: 500,
                ..DeliveryRules::default()
            },
            limits: Limits {
                kept_max: 1_000_000,
                kept_bytes_max: 1 << 30,
                ..Limits::default()
            },
            ..gateway::open_sim()
        })
        .await?;
        let setup = Setup::default()
            .graph(sim.url())
            .plugins(PluginsFile::probe("fast", 0))
            .env("DUET_UNKNOWN_HOLD_SECONDS", 2)
            // More goes through the one number than Meta would take.
            .env("DUET_SENDING_NUMBER_PER_SECOND", 100_000)
            .env("DUET_SENDING_PAIR_BURST", 100_000);
        // Compiles the plugin once; every later start finds it.
        let gateway = Gateway::start(setup).await?;
        gateway.admin()?.plugins_run(PATIENCE).await?;
        Ok(Run {
            gateway,
            sim,
            flood: Flood::new(seed >> 32, CONVERSATIONS),
            checker: Checker::default(),
        })
    }

    async fn round(
        &mut self,
        failpoint: &str,
        nth_max: u32,
        dice: &mut StdRng,
    ) -> anyhow::Result<Report> {
        // At a random moment, while the plugin is slow.
        self.gateway.kill9().await?;
        self.gateway
            .change_plugins(PluginsFile::probe("slow", SPIN_MS))?;
        self.gateway.restart().await?;
        self.sim.set_webhook(self.gateway.webhook()?);
        let enough = UNFINISHED_MIN + 250 + dice.random_range(0..200);
        self.flood_until(enough, dice).await?;
        self.gateway.kill9().await?;
        let (first_cut, first_texts) = (now_ms(), self.flood.acknowledged("message.text"));

        // At the failpoint, with all of that still to be done and more coming in.
        self.gateway.change_plugins(PluginsFile::probe("fast", 0))?;
        let nth = dice.random_range(1..=nth_max);
        let env = [("DUET_FAILPOINT".to_owned(), format!("{failpoint}:{nth}"))];
        // It may die before it is up: the backlog is large enough.
        let reached = match self.gateway.restart_with(&env).await? {
            false => true,
            true => {
                self.sim.set_webhook(self.gateway.webhook()?);
                let meta = self.gateway.meta()?;
                self.flood
                    .run(
                        &meta,
                        Amount {
                            bodies: 120,
                            per_second: PER_SECOND,
                        },
                    )
                    .await?;
                let died = self.gateway.died_within(Duration::from_secs(5)).await?;
                if !died {
                    self.gateway.kill9().await?;
                }
                died
            }
        };
        let (second_cut, second_texts) = (now_ms(), self.flood.acknowledged("message.text"));

        // Everything comes through in the end.
        self.gateway.restart().await?;
        self.sim.set_webhook(self.gateway.webhook()?);
        let (meta, admin) = (self.gateway.meta()?, self.gateway.admin()?);
        let retried = self.flood.retry(&meta).await?;
        let before = self.checker.last_outbox();
        let posted = self.flood.take();
        let round = self
            .checker
            .check(&posted, &admin, &self.sim, PATIENCE)
            .await?;
        let ledger = admin
            .get(&format!("/numbers/{}/ledger", webhook::NUMBER))
            .await?;
        anyhow::ensure!(ledger["adds_up"] == true, "{ledger}");
        let done = |cut: i64| committed(&admin, before, cut);
        let unfinished = [
            first_texts.saturating_sub(done(first_cut).await?),
            second_texts.saturating_sub(done(second_cut).await?),
        ];
        anyhow::ensure!(
            unfinished[0] >= UNFINISHED_MIN,
            "only {} unfinished at the cut",
            unfinished[0]
        );
        Ok(Report {
            failpoint: format!("{failpoint}:{nth}"),
            reached,
            unfinished,
            retried,
            round,
        })
    }

    /// Posts until so many texts were answered 200, then for a random moment more.
    async fn flood_until(&self, texts: usize, dice: &mut StdRng) -> anyhow::Result<()> {
        let meta = self.gateway.meta()?;
        let began = Instant::now();
        while self.flood.acknowledged("message.text") < texts {
            anyhow::ensure!(began.elapsed() < PATIENCE, "webhooks are taken too slowly");
            let missing = texts - self.flood.acknowledged("message.text");
            // A body has 1.6 texts in the mean.
            self.flood
                .run(
                    &meta,
                    Amount {
                        bodies: missing / 2 + 10,
                        per_second: PER_SECOND,
                    },
                )
                .await?;
        }
        let moment = Duration::from_millis(dice.random_range(5..60));
        // The cut comes in the middle of this.
        let more = self.flood.run(
            &meta,
            Amount {
                bodies: 1000,
                per_second: PER_SECOND,
            },
        );
        let _ = tokio::time::timeout(moment, more).await;
        Ok(())
    }
}

/// Effects that were committed before a moment.
async fn committed(admin: &Admin, after: i64, ms: i64) -> anyhow::Result<usize> {
    let rows = admin.rows_after("outbox", after).await?;
    let created =
        |row: &serde_json::Value| row["created_at"].as_str()?.parse::<jiff::Timestamp>().ok();
    Ok(rows
        .iter()
        .filter_map(created)
        .filter(|time| time.as_millisecond() <= ms)
        .count())
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
