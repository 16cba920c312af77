//! The free entry point: a customer who came through an advertisement or a page's button and is answered within a day
//! costs nothing for three days from that answer (Meta, "Pricing on the WhatsApp Business Platform").
//!
//! It says what Meta charges, and deliberately not what may be sent: a free-form message needs the 24 hours after the
//! customer's last message also then, and Meta refuses it with 131047 after them.

const ANSWERED_WITHIN_MS: i64 = 24 * 60 * 60 * 1000;
const FREE_MS: i64 = 72 * 60 * 60 * 1000;

/// Until when messages are free, when the first answer to a customer who entered at `entry_ms` left at `answered_ms`;
/// all ms since 1970. `None` when it came too late.
#[must_use]
pub fn free_until_ms(entry_ms: i64, answered_ms: i64) -> Option<i64> {
    let in_time = answered_ms.saturating_sub(entry_ms) <= ANSWERED_WITHIN_MS;
    in_time.then(|| answered_ms.saturating_add(FREE_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_days_from_an_answer_within_one() {
        let (hour, entry) = (3_600_000, 1_000);
        for (answered, free) in [
            (entry, Some(entry + 72 * hour)),
            (entry + 24 * hour, Some(entry + 96 * hour)),
            (entry + 24 * hour + 1, None),
            // A clock that runs behind.
            (entry - 5, Some(entry - 5 + 72 * hour)),
        ] {
            assert_eq!(free_until_ms(entry, answered), free);
        }
    }
}
