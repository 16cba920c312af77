use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use duet_rules::oauth::{Granted, Life, Step, Trouble};

use super::exchange::{Denied, exchange};
use super::{Keeper, Terms, Whose};
use crate::config::Secret;
use crate::outbound::CallError;
use crate::outbound::egress::Ways;

/// Tokens that were good once and are still masked.
const KNOWN_MAX: usize = 16;

/// An access token, and how there is another one.
pub(in crate::outbound) struct Bearer {
    whose: Whose,
    ways: Arc<Ways>,
    keeper: Option<Arc<dyn Keeper>>,
    /// Held by whoever asks the token URL: all others wait for what comes of it.
    asking: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

struct State {
    terms: Terms,
    life: Life,
    access: Option<Secret>,
    /// As it is good now; `None` until the store was asked.
    refresh: Option<Secret>,
    /// What came and could not be kept.
    unkept: Option<Granted>,
    /// Why there was no token when it was asked for last.
    denied: Option<(Trouble, CallError)>,
    known: VecDeque<Secret>,
    /// How often what has to be masked has changed.
    changes: u64,
}

/// As it is now.
#[derive(Clone)]
pub(in crate::outbound) struct Token {
    pub(in crate::outbound) text: Secret,
    generation: u64,
}

impl Bearer {
    pub(super) fn new(
        whose: Whose,
        ways: Arc<Ways>,
        keeper: Option<Arc<dyn Keeper>>,
        terms: Terms,
    ) -> Bearer {
        let state = State {
            terms,
            life: Life::default(),
            access: None,
            refresh: None,
            unkept: None,
            denied: None,
            known: VecDeque::new(),
            changes: 0,
        };
        Bearer {
            whose,
            ways,
            keeper,
            asking: tokio::sync::Mutex::default(),
            state: Mutex::new(state),
        }
    }

    /// From now on on these terms.
    pub(super) fn change(&self, terms: Terms) {
        let mut state = self.state();
        if state.terms != terms {
            let before = std::mem::replace(&mut state.terms, terms);
            state.know(before.client_secret);
            state.life.begin_anew();
            state.denied = None;
        }
    }

    /// Why no token is given before somebody does something.
    pub(in crate::outbound) fn refusal(&self) -> Option<String> {
        match &self.state().denied {
            Some((Trouble::Refused, error)) => Some(error.detail.clone()),
            Some((Trouble::Failed, _)) | None => None,
        }
    }

    /// A token to call with.
    pub(in crate::outbound) async fn token(self: &Arc<Self>) -> Result<Token, CallError> {
        let generation = {
            let state = self.state();
            match state.life.step(crate::now_ms()) {
                Step::Use => return state.token(),
                Step::Pause => return Err(state.error()),
                Step::Ask => state.life.generation(),
            }
        };
        self.newer(generation).await
    }

    /// Another token than one that a call was refused under; nothing where that would be in vain.
    pub(in crate::outbound) async fn another(
        self: &Arc<Self>,
        than: &Token,
    ) -> Result<Option<Token>, CallError> {
        let doubted = self.state().life.doubted(than.generation, crate::now_ms());
        if !doubted {
            return Ok(None);
        }
        self.newer(than.generation).await.map(Some)
    }

    /// What came of the call under another token.
    pub(in crate::outbound) fn repeated(&self, refused: bool) {
        let mut state = self.state();
        state
            .life
            .repeated(refused, crate::now_ms(), crate::random());
    }

    /// Everything that no answer may show, and how often that has changed.
    pub(in crate::outbound) fn known(&self) -> (u64, Vec<Secret>) {
        let state = self.state();
        let given = state.terms.refresh_token.iter();
        let given = given.chain([&state.terms.client_secret]);
        (state.changes, given.chain(&state.known).cloned().collect())
    }

    pub(in crate::outbound) fn changes(&self) -> u64 {
        self.state().changes
    }

    /// In a task of its own: a call that is broken off must not break this off, since the refresh token may be another
    /// one by then.
    async fn newer(self: &Arc<Self>, generation: u64) -> Result<Token, CallError> {
        let own = Arc::clone(self);
        let task = tokio::spawn(async move { own.ask(generation).await });
        task.await
            .unwrap_or_else(|_| Err(Denied::failed(&self.whose, "the gateway is ending").error))
    }

    async fn ask(&self, generation: u64) -> Result<Token, CallError> {
        let _asking = self.asking.lock().await;
        let terms = {
            let state = self.state();
            // Somebody has asked meanwhile.
            if state.life.generation() > generation {
                return state.token();
            }
            if state.life.pauses(crate::now_ms()) {
                return Err(state.error());
            }
            state.terms.clone()
        };
        let got = self.get(&terms).await;
        let mut state = self.state();
        match got {
            Ok(granted) => {
                let access = Secret::new(granted.access_token);
                state.know(access.clone());
                state.access = Some(access);
                state.life.granted(granted.expires_s, crate::now_ms());
                if state.denied.take().is_some() {
                    self.tell_good();
                }
                let token = state.token();
                if state.terms != terms {
                    // It is good for this call, and no longer what is wanted.
                    state.life.begin_anew();
                }
                token
            }
            Err(Denied { trouble, error }) => {
                self.tell(trouble, &error);
                state.denied = Some((trouble, error));
                if state.terms == terms {
                    state.life.denied(trouble, crate::now_ms(), crate::random());
                }
                Err(state.error())
            }
        }
    }

    /// What the token URL grants; a refresh token that came along is on disk by then.
    async fn get(&self, terms: &Terms) -> Result<Granted, Denied> {
        let unkept = self.state().unkept.take();
        let granted = match unkept {
            Some(granted) => granted,
            None => {
                let refresh = self.refresh_token(terms).await?;
                exchange(&self.ways, &self.whose, terms, refresh.as_ref()).await?
            }
        };
        crate::failpoint::hit("token.granted");
        if let Err(why) = self.keep(&granted).await {
            self.state().unkept = Some(granted);
            return Err(Denied::failed(&self.whose, &why));
        }
        crate::failpoint::hit("token.kept");
        Ok(granted)
    }

    async fn refresh_token(&self, terms: &Terms) -> Result<Option<Secret>, Denied> {
        let Some(first) = &terms.refresh_token else {
            return Ok(None);
        };
        if let Some(refresh) = &self.state().refresh {
            return Ok(Some(refresh.clone()));
        }
        let kept = match &self.keeper {
            Some(keeper) => keeper.kept(&self.whose).await,
            None => Ok(None),
        };
        let kept = kept.map_err(|why| Denied::failed(&self.whose, &why))?;
        let refresh = kept.unwrap_or_else(|| first.clone());
        let mut state = self.state();
        state.know(refresh.clone());
        state.refresh = Some(refresh.clone());
        Ok(Some(refresh))
    }

    async fn keep(&self, granted: &Granted) -> Result<(), String> {
        let new = {
            let mut state = self.state();
            // A client that asks for itself needs none (RFC 6749, 4.4.3).
            let before = state.refresh.as_ref();
            let new = granted.refresh_token.as_ref().zip(before);
            let new = new.filter(|(new, before)| *new != before.expose());
            let Some(new) = new.map(|(new, _)| Secret::new(new)) else {
                return Ok(());
            };
            state.know(new.clone());
            new
        };
        let keeper = self.keeper.as_ref().ok_or("nobody keeps refresh tokens")?;
        keeper.keep(&self.whose, &new).await?;
        self.state().refresh = Some(new);
        Ok(())
    }

    fn tell(&self, trouble: Trouble, error: &CallError) {
        let Whose {
            instance, secret, ..
        } = &self.whose;
        let cause = &error.detail;
        match trouble {
            Trouble::Refused => tracing::error!(instance, secret, cause, "a token is refused"),
            Trouble::Failed => tracing::warn!(instance, secret, cause, "a token is not there yet"),
        }
    }

    fn tell_good(&self) {
        let Whose {
            instance, secret, ..
        } = &self.whose;
        tracing::info!(instance, secret, "the token is there again");
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn token(&self) -> Result<Token, CallError> {
        let text = self.access.clone().ok_or_else(|| self.error())?;
        Ok(Token {
            text,
            generation: self.life.generation(),
        })
    }

    fn error(&self) -> CallError {
        match &self.denied {
            Some((_, error)) => error.clone(),
            None => CallError::new("token-unavailable", "there is no token yet"),
        }
    }

    fn know(&mut self, secret: Secret) {
        if self.known.contains(&secret) {
            return;
        }
        self.known.push_back(secret);
        if self.known.len() > KNOWN_MAX {
            self.known.pop_front();
        }
        self.changes = self.changes.saturating_add(1);
    }
}
