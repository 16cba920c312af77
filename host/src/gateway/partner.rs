use std::time::Duration;

use duet_rules::partner::{AUTHORIZATION, WEBHOOK_PATH, authorization};
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, timeout_at};

use super::operations::{GatewayOperations, not_set};
use crate::admin::{OperationError, PartnerWebhook, SetThere};
use crate::config::Secret;

/// What no documented call of the partner's does for a business.
const OF_ACCOUNT: &str = "contacts and history come to the webhook address of the 360dialog partner account, not of the number: enter the same address and header there, in the Partner Hub, before the business signs up. Where one partner account serves several businesses, what that address gets about the others is kept apart and not taken in";
/// Numbers that are set at the partner at once.
const SETS_MAX: usize = 8;
/// All of them together: an admin waits for it.
const SETTING_MAX: Duration = Duration::from_secs(60);
const TOO_LATE: &str = "the partner did not answer in time; it may be set or not";
const NOT_ASKED: &str =
    "the time was over before the partner was asked; run duet business webhook again";
const NO_ADDRESS: &str = "nobody has said where this gateway is reached";

impl GatewayOperations {
    /// Makes a webhook secret and sets it at the partner for each number, if it is told where this gateway is. Of two at
    /// once the later secret is set last.
    pub(super) async fn renew_partner_webhook(
        &self,
        business: String,
        address: Option<String>,
    ) -> Result<PartnerWebhook, OperationError> {
        let _turn = self.renewals.of(&business).await;
        let renewed = self.keyring.renew_webhook_secret(&business).await;
        let value = Secret::new(authorization(renewed.map_err(not_set)?.expose()));
        let url = format!(
            "{}{WEBHOOK_PATH}{business}",
            address.as_deref().unwrap_or_default()
        );
        let clients = self.keyring.clients().all_of(&business);
        let numbers = match &address {
            Some(_) => {
                let header = (AUTHORIZATION, value.expose());
                let calls = clients
                    .iter()
                    .map(|client| (client.scope().to_owned(), client.set_webhook(&url, header)));
                set_all(calls.collect(), SETTING_MAX).await
            }
            None => clients
                .iter()
                .map(|client| SetThere {
                    number: client.scope().to_owned(),
                    cause: Some(NO_ADDRESS.to_owned()),
                })
                .collect(),
        };
        let mut remaining = Vec::new();
        if numbers.is_empty() {
            remaining.push(format!(
                "no number has a key yet: set one with duet business token {business} --number"
            ));
        }
        if numbers.iter().any(|there| there.cause.is_some()) {
            remaining.push("enter the address and the header of each number that is not set, in the 360dialog hub or with POST /v1/configs/webhook; what was set before is taken for a day more".to_owned());
        }
        remaining.push(OF_ACCOUNT.to_owned());
        Ok(PartnerWebhook {
            url,
            header: AUTHORIZATION,
            value,
            numbers,
            remaining,
        })
    }
}

/// Makes the call of each number, some at once, until the time for all is over. The answer is in their order.
async fn set_all<F: Future<Output = Result<(), String>>>(
    calls: Vec<(String, F)>,
    limit: Duration,
) -> Vec<SetThere> {
    let deadline = Instant::now() + limit;
    let set = calls.into_iter().map(|(number, call)| async move {
        let set = match Instant::now() < deadline {
            true => timeout_at(deadline, call).await,
            false => Ok(Err(NOT_ASKED.to_owned())),
        };
        let cause = set.unwrap_or_else(|_| Err(TOO_LATE.to_owned())).err();
        SetThere { number, cause }
    });
    stream::iter(set).buffered(SETS_MAX).collect().await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt;
    use tokio::sync::Barrier;

    use super::*;

    /// Each waits until as many are asked as may be: one after the other they would wait for ever.
    #[tokio::test]
    async fn numbers_are_set_some_at_once_and_told_in_their_order() {
        let gate = Barrier::new(SETS_MAX);
        let calls = (0..2 * SETS_MAX).map(|number| {
            let call = async {
                gate.wait().await;
                Ok(())
            };
            (number.to_string(), call)
        });
        let set = set_all(calls.collect(), SETTING_MAX).await;
        assert!(set.iter().all(|there| there.cause.is_none()));
        let numbers: Vec<_> = set.iter().map(|there| there.number.as_str()).collect();
        let expected: Vec<_> = (0..2 * SETS_MAX).map(|number| number.to_string()).collect();
        assert_eq!(numbers, expected);

        // One more would be one too many.
        let gate = Barrier::new(SETS_MAX + 1);
        let calls = (0..=SETS_MAX).map(|number| {
            let call = async {
                gate.wait().await;
                Ok(())
            };
            (number.to_string(), call)
        });
        assert!(
            set_all(calls.collect(), SETTING_MAX)
                .now_or_never()
                .is_none()
        );
    }

    #[tokio::test]
    async fn a_number_whose_turn_comes_after_the_time_is_told_that_nobody_was_asked() {
        let asked = AtomicUsize::new(0);
        let calls = (0..=SETS_MAX).map(|number| {
            let call = async {
                asked.fetch_add(1, Ordering::Relaxed);
                std::future::pending().await
            };
            (number.to_string(), call)
        });
        let set = set_all(calls.collect(), Duration::from_millis(20)).await;
        let causes: Vec<_> = set.iter().map(|there| there.cause.as_deref()).collect();
        let (last, first) = causes.split_last().unwrap();
        assert!(first.iter().all(|cause| *cause == Some(TOO_LATE)));
        assert_eq!(*last, Some(NOT_ASKED));
        assert_eq!(asked.into_inner(), SETS_MAX);
    }

    #[tokio::test]
    async fn a_number_without_an_answer_is_told_and_holds_nobody_up_for_long() {
        let call = |number: &str| {
            let hangs = number == "2";
            let call = async move {
                match hangs {
                    true => std::future::pending().await,
                    false => Err("no".to_owned()),
                }
            };
            (number.to_owned(), call)
        };
        let set = set_all(["1", "2", "3"].map(call).into(), Duration::from_millis(20)).await;
        let causes: Vec<_> = set.iter().map(|there| there.cause.as_deref()).collect();
        assert_eq!(causes, [Some("no"), Some(TOO_LATE), Some("no")]);
    }
}
