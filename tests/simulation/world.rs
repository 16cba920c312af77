//! Who takes part in a seed: few enough that they get into each other's way.

use duet_sim::{Config, DeliveryRules, Number, StatusDelays};

use crate::dice::Dice;

/// What an admin may let sends wait for, in hours: less than a day, so that the customer's window is open still.
const HELD_HOURS: [u32; 4] = [2, 4, 8, 20];
/// The waking hour of every world.
pub(crate) const BEGUN_MS: i64 = 1_800_000_000_000;

pub(crate) struct World {
    pub(crate) numbers: Vec<String>,
    /// Digits of phones.
    pub(crate) customers: Vec<String>,
    pub(crate) steps: u64,
    /// All numbers belong to one account: user ids are the same at each of them.
    pub(crate) one_account: bool,
    /// `sending.held_hours`: so long a send waits for its number at most; 0 for ever.
    pub(crate) held_hours: u32,
}

impl World {
    pub(crate) fn draw(seed: u64, dice: &mut Dice) -> World {
        // Dice of their own, so that other seeds' stories stay as they are.
        let mut held = Dice::new(seed, "held");
        World {
            numbers: (0..1 + dice.below(3))
                .map(|n| format!("10654035224{n}"))
                .collect(),
            customers: (0..1 + dice.below(6))
                .map(|n| format!("91980000000{}", n + 1))
                .collect(),
            steps: 20 + dice.below(61),
            one_account: dice.percent(70),
            held_hours: if held.percent(30) {
                *held.pick(&HELD_HOURS)
            } else {
                0
            },
        }
    }

    pub(crate) fn held_ms(&self) -> i64 {
        i64::from(self.held_hours) * 3_600_000
    }

    /// A number's own phone.
    pub(crate) fn digits(&self, number: &str) -> String {
        let at = self.numbers.iter().position(|known| known == number);
        format!("91225550010{}", at.unwrap_or(0))
    }

    /// The account that a number belongs to.
    pub(crate) fn account(&self, number: &str) -> String {
        let first = &self.numbers[0];
        let named = if self.one_account { first } else { number };
        format!("10229012934{}", &named[named.len() - 1..])
    }

    pub(crate) fn config(&self, seed: u64, dice: &mut Dice) -> Config {
        let number = |(n, id): (usize, &String)| Number {
            id: id.clone(),
            digits: self.digits(id),
            display: format!("+91 22 5550 010{n}"),
            waba: self.account(id),
            ..Number::default()
        };
        let late = |dice: &mut Dice| {
            let max_ms = if dice.percent(20) { 90_000 } else { 500 };
            Some(dice.below(max_ms))
        };
        let mut config = Config {
            numbers: self.numbers.iter().enumerate().map(number).collect(),
            seed: Some(seed),
            begun_ms: u64::try_from(BEGUN_MS).ok(),
            statuses: StatusDelays {
                sent_ms: late(dice),
                delivered_ms: late(dice),
                read_ms: if dice.percent(70) { late(dice) } else { None },
            },
            delivery: DeliveryRules {
                retry_max_ms: 60_000,
                horizon_ms: DeliveryRules::HORIZON_7_D_MS,
                ..DeliveryRules::default()
            },
            ..Config::default()
        };
        config.mood.rate_limits = true;
        config
    }
}
