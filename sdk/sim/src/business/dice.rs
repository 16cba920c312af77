//! Chance as a function of a seed and a place: any part of a plan can be made without the parts before it, and
//! is the same with every release of any library.

/// A number for a place; `salt` tells the purposes of one place apart. One to one in `place` for a fixed seed
/// and salt, by the finalizer of SplitMix64.
pub(super) fn roll(seed: u64, salt: u64, place: u64) -> u64 {
    finalize(place ^ finalize(seed.wrapping_add(salt.wrapping_mul(0x9e37_79b9_7f4a_7c15))))
}

fn finalize(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// True for `percent` of all rolls.
pub(super) fn strikes(roll: u64, percent: u8) -> bool {
    roll % 100 < u64::from(percent)
}

/// One of `all`.
pub(super) fn pick<'a, T: ?Sized>(all: &[&'a T], roll: u64) -> Option<&'a T> {
    let length = all.len() as u64;
    all.get(usize::try_from(roll.checked_rem(length)?).ok()?)
        .copied()
}
