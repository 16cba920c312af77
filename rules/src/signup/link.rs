use super::Refusal;

/// How long a link may be used.
const LINK_MS: i64 = 3_600_000;
/// How long a used one still shows how far it has come.
const LOOK_MS: i64 = 24 * 3_600_000;
/// Hand-ins of one link; what fails more often is no accident.
const TRIES_MAX: u32 = 5;

/// Where a link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The signup can begin.
    Open,
    /// A hand-in is being looked at.
    AtWork,
    /// One has succeeded.
    Used,
}

/// How a hand-in has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Succeeded,
    Failed,
    /// Nobody could look at it just now: it counts as no try.
    Unseen,
}

/// A link's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub stage: Stage,
    /// Until when it is good, ms since 1970.
    pub until_ms: i64,
    tries: u32,
}

impl Link {
    #[must_use]
    pub fn new(now_ms: i64) -> Link {
        Link {
            stage: Stage::Open,
            until_ms: now_ms.saturating_add(LINK_MS),
            tries: 0,
        }
    }

    /// Whether nothing can be done or seen with it any more. What is at work is waited for.
    #[must_use]
    pub fn is_over(&self, now_ms: i64) -> bool {
        self.stage != Stage::AtWork && now_ms >= self.until_ms
    }

    /// A hand-in begins.
    ///
    /// # Errors
    /// [`Refusal`] when it must not.
    pub fn take(&mut self, now_ms: i64) -> Result<(), Refusal> {
        match self.stage {
            Stage::AtWork => Err(Refusal::AtWork),
            _ if self.is_over(now_ms) => Err(Refusal::Over),
            Stage::Used => Err(Refusal::Used),
            Stage::Open if self.tries >= TRIES_MAX => Err(Refusal::TooOften),
            Stage::Open => {
                self.tries = self.tries.saturating_add(1);
                self.stage = Stage::AtWork;
                Ok(())
            }
        }
    }

    /// The hand-in has ended.
    pub fn end(&mut self, end: End, now_ms: i64) {
        self.stage = match end {
            End::Succeeded => Stage::Used,
            End::Failed | End::Unseen => Stage::Open,
        };
        match end {
            End::Succeeded => self.until_ms = now_ms.saturating_add(LOOK_MS),
            End::Failed => {}
            End::Unseen => self.tries = self.tries.saturating_sub(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_link_says_why_it_takes_nothing() {
        let mut link = Link::new(0);
        assert_eq!(link.take(LINK_MS), Err(Refusal::Over));
        for _ in 0..TRIES_MAX {
            assert_eq!(link.take(0), Ok(()));
            assert_eq!(link.take(0), Err(Refusal::AtWork));
            link.end(End::Unseen, 0);
            assert_eq!(link.take(0), Ok(()), "it was no try");
            link.end(End::Failed, 0);
        }
        assert_eq!(link.take(0), Err(Refusal::TooOften));
        let mut link = Link::new(0);
        link.take(LINK_MS - 1).unwrap();
        assert!(!link.is_over(LINK_MS), "what is at work is waited for");
        link.end(End::Succeeded, LINK_MS);
        assert_eq!(link.take(LINK_MS), Err(Refusal::Used));
        assert!(!link.is_over(LINK_MS + LOOK_MS - 1));
        assert_eq!(link.take(LINK_MS + LOOK_MS), Err(Refusal::Over));
    }

    proptest! {
        /// However it is used: one hand-in at a time, one that succeeds, and never too many.
        #[test]
        fn a_link_is_used_once(deeds in prop::collection::vec((0..4u8, 0..LINK_MS), 0..40)) {
            let (mut link, mut now_ms, mut begun, mut unseen) = (Link::new(0), 0, 0, 0);
            let (mut succeeded, mut at_work) = (0, false);
            for (deed, passed_ms) in deeds {
                now_ms += passed_ms / 8;
                if deed == 0 && link.take(now_ms).is_ok() {
                    prop_assert!(!at_work && succeeded == 0 && now_ms < LINK_MS);
                    at_work = true;
                    begun += 1;
                } else if deed > 0 && at_work {
                    let end = [End::Succeeded, End::Failed, End::Unseen][usize::from(deed) - 1];
                    link.end(end, now_ms);
                    succeeded += i32::from(end == End::Succeeded);
                    unseen += u32::from(end == End::Unseen);
                    at_work = false;
                }
            }
            prop_assert!(succeeded <= 1 && begun - unseen <= TRIES_MAX);
        }
    }
}
