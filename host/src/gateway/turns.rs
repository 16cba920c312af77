//! One at a time of a business, from what it finds until what it keeps. Of two signups each token would be kept for the
//! accounts that were there when it was looked at, and the one that comes last would serve its own alone; of two new
//! webhook secrets some numbers would get the one and some the other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// Whose turn it is, for each business that somebody is at just now.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<String, Weak<Turn<()>>>>);

impl Turns {
    /// Waits for those of the business that came before; its turn lasts as long as the answer.
    pub(super) async fn of(&self, business: &str) -> OwnedMutexGuard<()> {
        self.turn(business).lock_owned().await
    }

    fn turn(&self, business: &str) -> Arc<Turn<()>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = all.get(business).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::default();
        all.insert(business.to_owned(), Arc::downgrade(&turn));
        turn
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_business_has_one_turn_at_a_time_and_nobody_waits_for_another_business() {
        let turns = Turns::default();
        let first = turns.of("tea").now_or_never();
        assert!(first.is_some());
        assert!(turns.of("tea").now_or_never().is_none());
        assert!(turns.of("books").now_or_never().is_some());
        drop(first);
        assert!(turns.of("tea").now_or_never().is_some());
        assert!(turns.of("fish").now_or_never().is_some());
        let kept = turns.0.lock().unwrap().len();
        assert_eq!(kept, 1, "who has gone is forgotten");
    }
}
