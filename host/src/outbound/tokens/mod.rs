//! OAuth 2 access tokens that plugins' calls carry: got when a call needs one, renewed once for all calls that wait,
//! and again when the other side has refused one. Nobody else sees them.
//!
//! A refresh token that came in place of another one is on disk before anything is done with what came beside it: many
//! providers take the old one back only until then, and without either somebody has to give consent anew.
//!
//! - `bearer`: one token and its life
//! - `exchange`: the request to the token URL

mod bearer;
mod exchange;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use duet_rules::plugins_toml::OAuthGrant;
use futures_util::future::BoxFuture;
use ring::digest::{Context, SHA256};

use super::egress::Ways;
use crate::config::Secret;
pub(super) use bearer::{Bearer, Token};

/// Whose a token is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Whose {
    pub business: String,
    /// The plugin's name in `plugins.toml`, and the secret's in its grant.
    pub instance: String,
    pub secret: String,
    /// SHA-256 of the first refresh token and of where it is good: another one has nothing to do with what came of it.
    pub origin: [u8; 32],
}

/// Keeps refresh tokens that came in place of the first ones.
pub trait Keeper: Send + Sync {
    /// The newest one; `None` as long as the first one is good.
    fn kept<'a>(&'a self, whose: &'a Whose) -> BoxFuture<'a, Result<Option<Secret>, String>>;

    /// When it returns, a power cut takes nothing.
    fn keep<'a>(&'a self, whose: &'a Whose, token: &'a Secret)
    -> BoxFuture<'a, Result<(), String>>;
}

/// What a token is got with.
#[derive(Clone, PartialEq)]
pub(super) struct Terms {
    pub(super) grant: OAuthGrant,
    pub(super) client_secret: Secret,
    pub(super) refresh_token: Option<Secret>,
}

impl Terms {
    pub(super) fn origin(&self) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        let refresh_token = self.refresh_token.as_ref().map_or("", Secret::expose);
        for part in [
            self.grant.token_url.as_str(),
            &self.grant.client_id,
            refresh_token,
        ] {
            // No two lists of parts are the same bytes.
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part.as_bytes());
        }
        context.finish().as_ref().try_into().unwrap_or_default()
    }
}

/// The tokens of all plugins. They outlive a plugin that is replaced.
#[derive(Default)]
pub struct Tokens {
    /// Without one, tokens that rotate are not used.
    keeper: Option<Arc<dyn Keeper>>,
    bearers: Mutex<HashMap<Whose, Weak<Bearer>>>,
}

impl Tokens {
    #[must_use]
    pub fn new(keeper: Arc<dyn Keeper>) -> Tokens {
        Tokens {
            keeper: Some(keeper),
            ..Tokens::default()
        }
    }

    /// The one token of its kind, on these terms from now on.
    pub(super) fn bearer(&self, ways: &Arc<Ways>, whose: Whose, terms: Terms) -> Arc<Bearer> {
        let mut bearers = self.bearers.lock().unwrap_or_else(PoisonError::into_inner);
        bearers.retain(|_, bearer| bearer.strong_count() > 0);
        if let Some(bearer) = bearers.get(&whose).and_then(Weak::upgrade) {
            bearer.change(terms);
            return bearer;
        }
        let (ways, keeper) = (Arc::clone(ways), self.keeper.clone());
        let bearer = Arc::new(Bearer::new(whose.clone(), ways, keeper, terms));
        bearers.insert(whose, Arc::downgrade(&bearer));
        bearer
    }
}
