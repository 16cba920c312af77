use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use duet_rules::signup::{Link, Refusal, Stage};

use crate::admin::access::{hash, make};
use crate::admin::error::ApiError;
use crate::admin::operations::SignedUp;

/// Links at once. Who needs more can wait until some are used or over.
const LINKS_MAX: usize = 100;
/// What the secret of a link begins with.
const PREFIX: &str = "signup_";

/// The links by the hash of their secret: a lookup takes as long whatever somebody guesses.
#[derive(Default)]
pub struct SignupLinks(Mutex<HashMap<[u8; 32], Entry>>);

struct Entry {
    link: Link,
    business: String,
    /// What people call the business.
    name: String,
    signed_up: Option<SignedUp>,
    /// What the last hand-in failed by, in the owner's words.
    failed: Option<String>,
}

/// What the holder of a link may see.
pub(in crate::admin) struct Seen {
    pub(in crate::admin) stage: Stage,
    pub(in crate::admin) until_ms: i64,
    pub(in crate::admin) name: String,
    pub(in crate::admin) signed_up: Option<SignedUp>,
    pub(in crate::admin) failed: Option<String>,
}

impl SignupLinks {
    /// A new link: its secret, and until when it is good.
    pub(in crate::admin) fn make(
        &self,
        business: String,
        name: String,
        now_ms: i64,
    ) -> Result<(String, i64), ApiError> {
        let (secret, hash) = make(PREFIX)?;
        let mut all = self.all();
        all.retain(|_, entry| !entry.link.is_over(now_ms));
        if all.len() >= LINKS_MAX {
            let message = format!(
                "{LINKS_MAX} links are open or were used today; each is over an hour after it was made, or a day after its use"
            );
            return Err(ApiError::refused(message, None));
        }
        let link = Link::new(now_ms);
        let until_ms = link.until_ms;
        let entry = Entry {
            link,
            business,
            name,
            signed_up: None,
            failed: None,
        };
        all.insert(hash, entry);
        Ok((secret, until_ms))
    }

    pub(in crate::admin) fn see(&self, secret: &str, now_ms: i64) -> Result<Seen, Refusal> {
        let all = self.all();
        let entry = all.get(&hash(secret)).ok_or(Refusal::Over)?;
        if entry.link.is_over(now_ms) {
            return Err(Refusal::Over);
        }
        Ok(Seen {
            stage: entry.link.stage,
            until_ms: entry.link.until_ms,
            name: entry.name.clone(),
            signed_up: entry.signed_up.clone(),
            failed: entry.failed.clone(),
        })
    }

    /// A hand-in begins; the answer is the business that it is for. [`SignupLinks::end`] has to follow.
    pub(in crate::admin) fn take(&self, secret: &str, now_ms: i64) -> Result<String, Refusal> {
        let mut all = self.all();
        let entry = all.get_mut(&hash(secret)).ok_or(Refusal::Over)?;
        entry.link.take(now_ms)?;
        entry.failed = None;
        Ok(entry.business.clone())
    }

    pub(in crate::admin) fn end(&self, secret: &str, ended: Result<SignedUp, String>, now_ms: i64) {
        let mut all = self.all();
        let Some(entry) = all.get_mut(&hash(secret)) else {
            return;
        };
        entry.link.end(ended.is_ok(), now_ms);
        match ended {
            Ok(signed_up) => entry.signed_up = Some(signed_up),
            Err(words) => entry.failed = Some(words),
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<[u8; 32], Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
