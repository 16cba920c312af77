use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use duet_rules::signup::{End, Link, Refusal, Stage};

use crate::admin::access::{hash, make};
use crate::admin::error::ApiError;
use crate::admin::operations::SignedUp;

/// Links at once. Who needs more can wait until some are used or over.
const LINKS_MAX: usize = 100;
/// What the secret of a link begins with.
const PREFIX: &str = "signup_";
/// What the owner reads when a hand-in has failed and only the log says by what.
pub(in crate::admin) const FAILED: &str =
    "something failed here; start again, or tell those who sent you the link";
/// The same when it may work later.
pub(in crate::admin) const UNSEEN: &str = "your WhatsApp account could not be looked at just now; start again in a few minutes, and if this comes back, tell those who sent you the link";

/// The links by the hash of their secret: a lookup takes as long whatever somebody guesses.
#[derive(Clone, Default)]
pub struct SignupLinks(Arc<Mutex<HashMap<[u8; 32], Entry>>>);

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

/// A hand-in that has begun. However it ends, also with those who look at it, the link is good again or used.
pub(in crate::admin) struct Taken {
    links: SignupLinks,
    hash: [u8; 32],
    business: String,
    ended: Ended,
}

/// What came of a hand-in; words are the owner's.
pub(in crate::admin) enum Ended {
    SignedUp(SignedUp),
    Failed(String),
    /// Nobody could look at it just now.
    Unseen(String),
}

impl Taken {
    /// Whom it is for.
    pub(in crate::admin) fn business(&self) -> &str {
        &self.business
    }

    /// It has come to this.
    pub(in crate::admin) fn end(mut self, ended: Ended) {
        self.ended = ended;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let ended = std::mem::replace(&mut self.ended, Ended::Failed(FAILED.to_owned()));
        self.links.end(&self.hash, ended, crate::now_ms());
    }
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

    /// A hand-in begins, which lasts as long as the answer.
    pub(in crate::admin) fn take(&self, secret: &str, now_ms: i64) -> Result<Taken, Refusal> {
        let hash = hash(secret);
        let mut all = self.all();
        let entry = all.get_mut(&hash).ok_or(Refusal::Over)?;
        entry.link.take(now_ms)?;
        entry.failed = None;
        Ok(Taken {
            links: self.clone(),
            hash,
            business: entry.business.clone(),
            ended: Ended::Failed(FAILED.to_owned()),
        })
    }

    fn end(&self, hash: &[u8; 32], ended: Ended, now_ms: i64) {
        let mut all = self.all();
        let Some(entry) = all.get_mut(hash) else {
            return;
        };
        let end = match &ended {
            Ended::SignedUp(_) => End::Succeeded,
            Ended::Failed(_) => End::Failed,
            Ended::Unseen(_) => End::Unseen,
        };
        entry.link.end(end, now_ms);
        match ended {
            Ended::SignedUp(signed_up) => entry.signed_up = Some(signed_up),
            Ended::Failed(words) | Ended::Unseen(words) => entry.failed = Some(words),
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<[u8; 32], Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_link_is_good_again_when_nobody_is_left_who_could_end_its_hand_in() {
        let (links, now_ms) = (SignupLinks::default(), crate::now_ms());
        let made = links.make("tea".into(), "The tea house".into(), now_ms);
        let (secret, _) = made.ok().unwrap();
        let taken = links.take(&secret, now_ms).ok().unwrap();
        assert_eq!(taken.business(), "tea");
        assert_eq!(links.take(&secret, now_ms).err(), Some(Refusal::AtWork));
        let work = tokio::spawn(async move {
            let _taken = taken;
            panic!("whatever fails");
        });
        assert!(work.await.is_err());
        let seen = links.see(&secret, now_ms).ok().unwrap();
        assert_eq!(
            (seen.stage, seen.failed.as_deref()),
            (Stage::Open, Some(FAILED))
        );

        let taken = links.take(&secret, now_ms).ok().unwrap();
        let waba = "2000".to_owned();
        taken.end(Ended::SignedUp(SignedUp { waba, note: None }));
        let seen = links.see(&secret, now_ms).ok().unwrap();
        assert_eq!((seen.stage, seen.failed), (Stage::Used, None));
    }
}
