//! The ladder of a message's status, so that a late or repeated webhook never takes it down a step.
//!
//! Meta promises no order, and skips `delivered` when `read` comes. `failed` wins over every step
//! that only tells where the message was, and `read` wins over `failed`: it was seen after all.

/// The step of a status word, case-insensitive; `None` for a word that nobody has heard of.
#[must_use]
pub fn rank(status: &str) -> Option<u8> {
    const LADDER: [(&str, u8); 12] = [
        ("pending", 0),
        ("accepted", 1),
        ("held_for_quality_assessment", 1),
        ("paused", 1),
        ("warning", 1),
        ("sent", 2),
        ("delivered", 3),
        ("failed", 4),
        ("error", 4),
        ("read", 5),
        ("played", 6),
        ("deleted", 7),
    ];
    LADDER
        .iter()
        .find(|(word, _)| word.eq_ignore_ascii_case(status))
        .map(|(_, rank)| *rank)
}

/// True when `new` replaces `current`. A repeated word replaces nothing; an unknown word only
/// takes the place of nothing or of another unknown word.
#[must_use]
pub fn advance(current: Option<&str>, new: &str) -> bool {
    let Some(current) = current else {
        return true;
    };
    match (rank(current), rank(new)) {
        (Some(current), Some(new)) => new > current,
        (None, Some(_)) => true,
        (Some(_), None) => false,
        (None, None) => !current.eq_ignore_ascii_case(new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_status_only_climbs() {
        let ladder = [
            "pending",
            "accepted",
            "sent",
            "delivered",
            "failed",
            "read",
            "played",
        ];
        for (low, lower) in ladder.iter().enumerate() {
            for (high, higher) in ladder.iter().enumerate() {
                assert_eq!(
                    advance(Some(lower), higher),
                    high > low,
                    "{lower} then {higher}"
                );
                assert_eq!(advance(Some(&lower.to_uppercase()), higher), high > low);
            }
        }
    }

    #[test]
    fn an_unknown_word_displaces_no_known_one() {
        assert!(advance(None, "in_orbit"));
        assert!(!advance(Some("pending"), "in_orbit"));
        assert!(advance(Some("in_orbit"), "sent"));
        assert!(advance(Some("in_orbit"), "landed"));
        assert!(!advance(Some("in_orbit"), "IN_ORBIT"));
    }

    proptest! {
        /// However the webhooks are shuffled, the highest known step is what stays.
        #[test]
        fn the_order_of_arrival_does_not_matter(
            words in prop::collection::vec(
                prop::sample::select(vec!["sent", "delivered", "read", "failed", "played", "accepted"]), 1..12),
        ) {
            let last = words.iter().fold(None, |current: Option<&str>, new| {
                if advance(current, new) { Some(new) } else { current }
            });
            prop_assert_eq!(last.and_then(rank), words.iter().filter_map(|word| rank(word)).max());
        }
    }
}
