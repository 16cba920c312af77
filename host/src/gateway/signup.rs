//! Connects the number that an owner has signed up on the page: the code becomes a token at once, the token shows whose
//! the account is, and from there on it is the way of every number.

use duet_rules::provider::Provider;
use duet_rules::readiness::obstacles;
use duet_rules::signup::{self, HandIn};

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
const UNREACHED: &str = "Meta does not show your WhatsApp account to us; start again, and confirm all that Meta asks for";
/// Meta's code for a code that is wrong, used or too old; the others are about the app.
const CODE_REFUSED: i64 = 100;
/// Accounts of one business that are looked at.
const ACCOUNTS_MAX: u32 = 1000;

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
        let visitor = self.keyring.visitor(&token);
        let visitor = visitor.map_err(|error| told(ADMINS, &error.to_string()))?;
        let waba = self.account(app, &visitor, &business, hand_in.waba).await?;
        let claimed = self.store.claim_account(waba.clone(), business.clone());
        claimed.await.map_err(not_claimed)?;
        let access = Access {
            token: Some(token),
            ..Access::default()
        };
        let freed = self.keyring.set(&business, access).await;
        self.sends
            .wake(freed.map_err(|error| told(ADMINS, &error.to_string()))?);
        self.media.notify_one();
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

    /// The account that was signed up, as far as the token shows it.
    async fn account(
        &self,
        app: &App,
        visitor: &Client,
        business: &str,
        said: Option<String>,
    ) -> Result<String, OperationError> {
        let facts = visitor.debug_token(Some(app)).await;
        let granted = facts.map_err(|cause| told(UNREACHED, &cause))?.wabas;
        let others = self.store.accounts_of(business.to_owned(), ACCOUNTS_MAX);
        let others = others.await.map_err(refused)?;
        let waba = signup::account(said.as_deref(), granted.as_deref(), &others);
        let waba = waba.map_err(|refusal| told(&refusal.to_string(), "not the account"))?;
        let listed = visitor.phone_numbers(&waba).await;
        listed.map_err(|cause| told(UNREACHED, &cause))?;
        Ok(waba)
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
