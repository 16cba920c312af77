//! The refresh tokens of plugins that came in place of the first ones.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::Keyring;
use crate::config::Secret;
use crate::outbound::{Keeper, Whose};
use crate::seal::{Owner, SealError, Sealed, Vault};
use crate::store::refresh_tokens::RefreshToken;
use crate::store::{Store, StoreError};

const PURPOSE: &str = "refresh";

impl Keeper for Keyring {
    fn kept<'a>(&'a self, whose: &'a Whose) -> BoxFuture<'a, Result<Option<Secret>, String>> {
        async move {
            let sealed = self.store.refresh_token(whose.clone()).await;
            let Some(sealed) = sealed.map_err(|error| error.to_string())? else {
                return Ok(None);
            };
            let opened = open(&self.vault, whose, &sealed);
            let opened = opened.map_err(|error| format!("its refresh token: {error}"))?;
            Ok(Some(opened))
        }
        .boxed()
    }

    fn keep<'a>(
        &'a self,
        whose: &'a Whose,
        token: &'a Secret,
    ) -> BoxFuture<'a, Result<(), String>> {
        async move {
            let sealed = seal(&self.vault, whose, token).map_err(|error| error.to_string())?;
            let kept = self.store.keep_refresh_token(RefreshToken {
                whose: whose.clone(),
                sealed,
                set_ms: crate::now_ms(),
            });
            kept.await.map_err(|error| error.to_string())
        }
        .boxed()
    }
}

/// Seals anew what another master key sealed.
pub(super) async fn reseal(store: &Store, vault: &Vault) -> Result<(), StoreError> {
    for token in store.refresh_tokens().await? {
        let RefreshToken { whose, sealed, .. } = &token;
        if sealed.master == vault.master() {
            continue;
        }
        let anew = open(vault, whose, sealed).and_then(|opened| seal(vault, whose, &opened));
        match anew {
            Ok(sealed) => {
                let anew = RefreshToken { sealed, ..token };
                store.keep_refresh_token(anew).await?;
            }
            Err(error) => {
                let (instance, secret) = (&whose.instance, &whose.secret);
                tracing::error!(instance, secret, %error, "a plugin's refresh token cannot be used");
            }
        }
    }
    Ok(())
}

fn seal(vault: &Vault, whose: &Whose, token: &Secret) -> Result<Sealed, SealError> {
    vault.seal(owner(whose, &name(whose)), token)
}

fn open(vault: &Vault, whose: &Whose, sealed: &Sealed) -> Result<Secret, SealError> {
    vault.open(owner(whose, &name(whose)), sealed)
}

fn owner<'a>(whose: &'a Whose, name: &'a str) -> Owner<'a> {
    Owner {
        business: &whose.business,
        purpose: PURPOSE,
        number: name,
    }
}

/// Names of plugins and secrets have no slash.
fn name(whose: &Whose) -> String {
    let origin = hex::encode(whose.origin);
    format!("{}/{}/{origin}", whose.instance, whose.secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::MasterKey;

    fn whose() -> Whose {
        Whose {
            business: "tea".into(),
            instance: "crm".into(),
            secret: "token".into(),
            origin: [7; 32],
        }
    }

    fn key(byte: &str) -> MasterKey {
        MasterKey::read(&byte.repeat(32)).unwrap()
    }

    #[test]
    fn a_refresh_token_opens_for_its_own_alone() {
        let vault = Vault::new(key("01"), vec![]);
        let token = Secret::new("refresh-2");
        let sealed = seal(&vault, &whose(), &token).unwrap();
        assert_eq!(open(&vault, &whose(), &sealed), Ok(token));
        for other in [
            Whose {
                business: "books".into(),
                ..whose()
            },
            Whose {
                instance: "erp".into(),
                ..whose()
            },
            Whose {
                secret: "other".into(),
                ..whose()
            },
            Whose {
                origin: [8; 32],
                ..whose()
            },
        ] {
            assert_eq!(open(&vault, &other, &sealed), Err(SealError::Changed));
        }
    }

    #[tokio::test]
    async fn another_master_key_takes_them_over() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (old, token) = (Vault::new(key("01"), vec![]), Secret::new("refresh-2"));
        let sealed = seal(&old, &whose(), &token).unwrap();
        let kept = RefreshToken {
            whose: whose(),
            sealed,
            set_ms: 1,
        };
        store.keep_refresh_token(kept).await.unwrap();
        reseal(&store, &Vault::new(key("02"), vec![key("01")]))
            .await
            .unwrap();
        let new = Vault::new(key("02"), vec![]);
        let sealed = store.refresh_token(whose()).await.unwrap().unwrap();
        assert_eq!(open(&new, &whose(), &sealed), Ok(token));
        let other = Whose {
            business: "books".into(),
            ..whose()
        };
        assert!(store.refresh_token(other).await.unwrap().is_none());
    }
}
