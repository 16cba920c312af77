//! Everything that a seed draws comes from here.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

pub(crate) struct Dice(StdRng);

impl Dice {
    /// `what` keeps the draws of one part apart from those of another.
    pub(crate) fn new(seed: u64, what: &str) -> Dice {
        let mixed = what.bytes().fold(seed, |mixed, byte| {
            (mixed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Dice(StdRng::seed_from_u64(mixed))
    }

    /// 0 to `bound` - 1.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0.random_range(0..bound.max(1))
    }

    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let at = usize::try_from(self.below(of.len() as u64)).unwrap_or(0);
        &of[at]
    }
}
