//! `duet export` and `duet erase`: through the admin API of the gateway that runs on the data folder, or on the
//! folder itself when none runs.

use anyhow::bail;
use reqwest::Method;
use serde_json::Value;

use super::Ended;
use super::place::{Gateway, Place};
use crate::config::Flags;
use crate::store::Store;
use crate::store::wall::Wall;

#[derive(clap::Args)]
pub(super) struct Named {
    /// Whom: a phone number, Meta's user id, or the contact's id in Duet
    contact: String,
    #[command(flatten)]
    flags: Flags,
}

pub(super) async fn export(named: Named) -> anyhow::Result<Ended> {
    let all = match Place::find(&named.flags)? {
        Place::Gateway(gateway) => {
            let id = of_gateway(&gateway, &named.contact).await?;
            gateway
                .call(Method::GET, &format!("contacts/{id}/export"), &[])
                .await?
        }
        Place::Folder(store, log) => {
            let id = known(&store, named.contact.clone()).await?;
            store.export_contact(&log, id).await?.unwrap_or_default()
        }
    };
    say!("{}", serde_json::to_string_pretty(&all)?);
    Ok(Ended::Done)
}

pub(super) async fn erase(named: Named) -> anyhow::Result<Ended> {
    let erased = match Place::find(&named.flags)? {
        Place::Gateway(gateway) => {
            let id = of_gateway(&gateway, &named.contact).await?;
            gateway
                .call(Method::DELETE, &format!("contacts/{id}"), &[])
                .await?
        }
        Place::Folder(store, log) => {
            let id = known(&store, named.contact.clone()).await?;
            serde_json::to_value(store.erase_contact(&log, id).await?)?
        }
    };
    say!("erased {}: {erased}", named.contact);
    Ok(Ended::Done)
}

async fn of_gateway(gateway: &Gateway, text: &str) -> anyhow::Result<i64> {
    let found = gateway
        .call(Method::GET, "contacts", &[("find", text)])
        .await?;
    let ids: Vec<i64> = found
        .pointer("/contacts")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|contact| contact.pointer("/id")?.as_i64())
        .collect();
    only(text, &ids)
}

async fn known(store: &Store, text: String) -> anyhow::Result<i64> {
    let found = store.find_contacts(Wall::none(), text.clone()).await?;
    let ids: Vec<i64> = found.iter().map(|contact| contact.id).collect();
    only(&text, &ids)
}

/// The one contact that the text means.
fn only(text: &str, ids: &[i64]) -> anyhow::Result<i64> {
    match ids {
        [id] => Ok(*id),
        [] => bail!("nobody is known as {text}"),
        several => bail!(
            "{text} may mean the contacts {several:?}, each business knows a person by its own; write the contact's id, or a phone number with its +"
        ),
    }
}
