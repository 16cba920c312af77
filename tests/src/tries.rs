//! What the gateway has tried to send: the sim's requests without those that only ask.

use std::time::Duration;

use duet_sim::{SeenRequest, Sim};

use crate::wait::{Seen, until};

/// Every attempt to send so far, in order, taken or not.
#[must_use]
pub fn tries(sim: &Sim) -> Vec<SeenRequest> {
    let mut requests = sim.requests();
    requests.retain(|request| request.method == "POST");
    requests
}

/// Waits until there were so many, and gives them.
///
/// # Errors
/// When there are fewer in the end.
pub async fn wait_tries(
    sim: &Sim,
    count: usize,
    at_most: Duration,
) -> anyhow::Result<Vec<SeenRequest>> {
    until("something is tried at Meta", at_most, || async {
        let tries = tries(sim);
        let seen = format!("{} attempts", tries.len());
        Ok(Seen::when(tries.len() >= count, tries, || seen))
    })
    .await
}
