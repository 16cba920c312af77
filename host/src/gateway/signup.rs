//! Connects the number that an owner has signed up on the page: the code becomes a token at once, the token shows whose
//! the account is, and from there on it is the way of every number.

use duet_rules::provider::Provider;
use duet_rules::readiness::obstacles;
use duet_rules::signup::{self, HandIn, Refusal};
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};

use super::operations::{GatewayOperations, refused};
use crate::admin::{OperationError, SignedUp};
use crate::config::Secret;
use crate::failpoint;
use crate::graph::{App, Client, Outcome, refusal};
use crate::keyring::Access;
use crate::store::businesses::BusinessError;

/// What the owner is told when Meta's code has become no token.
const AGAIN: &str =
    "Meta did not take the signup's code, which is good for 30 seconds; start again";
const LOST: &str = "Meta's answer was lost, and its code is good for one use only; start again";
/// What only the admin can mend. The log says what it is.
const ADMINS: &str = "the signup is not set up properly here; tell those who sent you the link";
const ELSEWHERE: &str =
    "this WhatsApp account is connected for somebody else here; tell those who sent you the link";
const HIDDEN: &str = "Meta does not show your WhatsApp account to us; start again, and confirm all that Meta asks for";
/// Meta's code for a code that is wrong, used or too old; the others are about the app.
const CODE_REFUSED: i64 = 100;
/// Accounts of one business that are looked at.
const ACCOUNTS_MAX: u32 = 1000;
/// Looks at them at once.
const LOOKS_MAX: usize = 8;

impl GatewayOperations {
    /// Why no owner can be asked to sign up a number for the business now, or nothing.
    pub(super) async fn obstacle(&self, business: &str) -> Option<String> {
        let client = self.connecting.clients.of_account(business);
        if let Some(partner) = client.filter(|client| client.provider() != Provider::Meta) {
            let partner = partner.provider().as_str();
            return Some(format!(
                "the business is at {partner}, which connects its numbers"
            ));
        }
        let fields = self.connecting.fields().await;
        obstacles(&[fields, self.connecting.can_keep(crate::now_ms()).await])
    }

    /// Makes a token of the code and connects the account's number. The token is kept only once it has shown the account
    /// and nobody else has that.
    pub(super) async fn finish_signup(
        &self,
        business: String,
        hand_in: HandIn,
    ) -> Result<SignedUp, OperationError> {
        let app = self.connecting.app.as_ref();
        let app = app.ok_or_else(|| told(ADMINS, "signup.app_id is not set"))?;
        let token = token(app.exchange(&hand_in.code).await)?;
        failpoint::hit("signup.exchanged");
        let waba = self.keep(app, token, &business, hand_in.waba).await?;
        failpoint::hit("signup.kept");
        let findings = self.connecting.look(&waba, None, &business).await;
        // Right after the signup Meta may not show yet that the number is in the app; the look-up asks again and again.
        let lasting: Vec<_> = findings
            .into_iter()
            .filter(|one| one.check != "number")
            .collect();
        let note = obstacles(&lasting);
        match &note {
            Some(obstacle) => tracing::warn!(
                waba,
                obstacle,
                "a number was signed up and cannot be connected; mend it, then within 24 hours: duet number add {waba} --signed-up"
            ),
            None => {
                let opened = self
                    .store
                    .open_connection(waba.clone(), None, true, crate::now_ms());
                opened.await.map_err(refused)?;
                tracing::info!(waba, business, "a number was signed up");
            }
        }
        Ok(SignedUp {
            waba,
            note: note.map(|_| "Your number is signed up, but something is missing here. Tell those who sent you the link today: it has to be mended within 24 hours."),
        })
    }

    /// Keeps the token for the business, if it is for the account that was signed up and for all others of it. The
    /// answer is that account.
    async fn keep(
        &self,
        app: &App,
        token: Secret,
        business: &str,
        said: Option<String>,
    ) -> Result<String, OperationError> {
        let visitor = self.keyring.visitor(&token);
        let visitor = visitor.map_err(|error| told(ADMINS, &error.to_string()))?;
        let _turn = self.signups.of(business).await;
        let waba = self.account(app, &visitor, business, said).await?;
        let claimed = self
            .store
            .claim_account(waba.clone(), business.to_owned())
            .await;
        claimed.map_err(not_claimed)?;
        let access = Access {
            token: Some(token),
            ..Access::default()
        };
        let freed = self.keyring.set(business, access).await;
        self.sends
            .wake(freed.map_err(|error| told(ADMINS, &error.to_string()))?);
        self.media.notify_one();
        Ok(waba)
    }

    /// The account that was signed up, as far as the token shows it.
    async fn account(
        &self,
        app: &App,
        visitor: &Client,
        business: &str,
        said: Option<String>,
    ) -> Result<String, OperationError> {
        let facts = visitor.debug_token(Some(app)).await;
        let granted = facts.map_err(OperationError::Unavailable)?.wabas;
        let others = self
            .store
            .accounts_of(business.to_owned(), ACCOUNTS_MAX)
            .await;
        let others = others.map_err(refused)?;
        let waba = signup::account(said.as_deref(), granted.as_deref(), &others);
        let waba = waba.map_err(|refusal| told(&refusal.to_string(), "not the account"))?;
        seen(visitor.sees(&waba).await, HIDDEN)?;
        let leaves_out = Refusal::LeavesOut.to_string();
        let looks: Vec<_> = signup::unconfirmed(&waba, granted.as_deref(), &others)
            .into_iter()
            .map(|other| {
                visitor
                    .sees(other)
                    .map(|outcome| seen(outcome, &leaves_out))
            })
            .collect();
        stream::iter(looks)
            .buffer_unordered(LOOKS_MAX)
            .try_collect::<()>()
            .await?;
        Ok(waba)
    }
}

/// Whether the token sees an account. What the owner is told when Meta hides it: `hidden`.
fn seen(outcome: Outcome<()>, hidden: &str) -> Result<(), OperationError> {
    match outcome {
        Outcome::Done(()) => Ok(()),
        Outcome::Refused(error) if error.hides() => Err(told(hidden, &refusal(&error))),
        Outcome::Refused(error) => Err(OperationError::Unavailable(refusal(&error))),
        Outcome::Turned { status } => {
            let cause = format!("an answer that is not Meta's, with status {status}");
            Err(OperationError::Unavailable(cause))
        }
        Outcome::NotSent { cause } | Outcome::Unsendable { cause } | Outcome::Lost { cause } => {
            Err(OperationError::Unavailable(cause))
        }
    }
}

fn token(exchanged: Outcome<Secret>) -> Result<Secret, OperationError> {
    match exchanged {
        Outcome::Done(token) => Ok(token),
        Outcome::Refused(error) if error.code == CODE_REFUSED => Err(told(AGAIN, &refusal(&error))),
        Outcome::Refused(error) => Err(told(ADMINS, &refusal(&error))),
        Outcome::Turned { status } => Err(told(LOST, &format!("an answer with status {status}"))),
        Outcome::NotSent { cause } | Outcome::Lost { cause } => Err(told(LOST, &cause)),
        Outcome::Unsendable { cause } => Err(told(ADMINS, &cause)),
    }
}

/// The owner reads `words`; the admin finds the cause in the log.
fn told(words: &str, cause: &str) -> OperationError {
    tracing::warn!(words, cause, "a signup could not be finished");
    OperationError::Refused {
        reason: words.to_owned(),
        code: None,
    }
}

fn not_claimed(error: BusinessError) -> OperationError {
    match error {
        BusinessError::Store(error) => refused(error),
        BusinessError::Taken(_) | BusinessError::HasConversations { .. } => {
            told(ELSEWHERE, &error.to_string())
        }
        error => told(ADMINS, &error.to_string()),
    }
}
