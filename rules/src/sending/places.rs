//! How many of the places for requests an API may take. Meta's own may take all; a partner's that hangs must leave some
//! to everybody else.

/// What partners have on the way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OnTheWay {
    /// Requests to the same API.
    pub of_api: usize,
    /// Requests to all partners.
    pub of_partners: usize,
}

/// Whether one more request may go to a partner's API: a quarter of all places for each, three quarters for all of them,
/// and one in any case.
#[must_use]
pub fn may_call(taken: OnTheWay, places: usize) -> bool {
    let of_api_max = (places / 4).max(1);
    let of_partners_max = (places - places / 4).max(1);
    taken.of_api < of_api_max && taken.of_partners < of_partners_max
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_api_has_a_quarter_and_all_of_them_leave_one() {
        for (of_api, of_partners, places, may) in [
            (0, 0, 64, true),
            (15, 15, 64, true),
            (16, 16, 64, false),
            (0, 47, 64, true),
            (0, 48, 64, false),
            (0, 0, 1, true),
            (1, 1, 1, false),
            (0, 0, 0, true),
        ] {
            let taken = OnTheWay {
                of_api,
                of_partners,
            };
            assert_eq!(may_call(taken, places), may, "{taken:?} of {places}");
        }
    }

    proptest! {
        /// However many hang, Meta's own requests find a place.
        #[test]
        fn partners_never_take_all(places in 2_usize..500, apis in proptest::collection::vec(0_usize..6, 0..600)) {
            let mut of_api = [0_usize; 6];
            for api in apis {
                let taken = OnTheWay { of_api: of_api[api], of_partners: of_api.iter().sum() };
                if may_call(taken, places) {
                    of_api[api] += 1;
                }
            }
            let all: usize = of_api.iter().sum();
            prop_assert!(places < 4 || all < places);
            prop_assert!(of_api.iter().all(|taken| *taken <= (places / 4).max(1)));
        }
    }
}
