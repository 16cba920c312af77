//! Where the data is, and how a command reaches it: through the admin API of the gateway that runs on the data
//! folder, or in the folder itself when none runs.

use anyhow::{Context, bail};
use reqwest::{Method, Url};
use serde_json::Value;

use super::answer::{at, word};
use crate::config::{Flags, Secret, Secrets, Settings, Sources, environment};
use crate::store::receipts::ReceiptLog;
use crate::store::{OpenError, Store};

/// Nothing is appended here.
const BODY_BYTES_MAX: usize = 0;
/// Pages of a list that are read.
const PAGES_MAX: usize = 100;

pub(super) enum Place {
    Gateway(Gateway),
    Folder(Store, ReceiptLog),
}

impl Place {
    pub(super) fn find(flags: &Flags) -> anyhow::Result<Place> {
        let (sources, problems) = Sources::read(flags, &environment);
        super::serve::refuse(problems)?;
        let settings = super::serve::given(Settings::resolve(&sources))?;
        let folder = &settings.data;
        if !folder.join("duet.db").is_file() {
            bail!(
                "there is no data folder {}; name it with --data or DUET_DATA",
                folder.display()
            );
        }
        match Store::open(folder) {
            Ok(store) => Ok(Place::Folder(
                store,
                ReceiptLog::open(folder, 1, BODY_BYTES_MAX)?,
            )),
            Err(OpenError::InUse(_)) => Ok(Place::Gateway(Gateway::find(&sources, &settings)?)),
            Err(error) => Err(error.into()),
        }
    }
}

/// The running gateway's admin API.
pub(super) struct Gateway {
    client: reqwest::Client,
    base: Url,
    token: Secret,
}

impl Gateway {
    /// The gateway that runs on the data folder.
    pub(super) fn running(flags: &Flags) -> anyhow::Result<Gateway> {
        match Place::find(flags)? {
            Place::Gateway(gateway) => Ok(gateway),
            Place::Folder(..) => {
                bail!("no gateway runs on this data folder; start it with duet serve")
            }
        }
    }

    fn find(sources: &Sources<'_>, settings: &Settings) -> anyhow::Result<Gateway> {
        let token = match super::serve::given(Secrets::admin_token(sources))? {
            Some(token) => token,
            None => {
                let path = settings.data.join("admin-token");
                let text = std::fs::read_to_string(&path).with_context(|| {
                    format!("no admin token: set DUET_ADMIN_TOKEN, or DUET_DATA to the gateway's folder ({} cannot be read)", path.display())
                })?;
                Secret::new(text.trim())
            }
        };
        let base = Url::parse(&format!("http://{}/api/v1/", address(settings)))?;
        // The token goes to this gateway and nowhere else.
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Gateway {
            client,
            base,
            token,
        })
    }

    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
    ) -> anyhow::Result<Value> {
        let mut url = self.base.join(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.answer(self.client.request(method, url)).await
    }

    /// A call with a body of bytes.
    pub(super) async fn hand_in(
        &self,
        path: &str,
        query: &[(&str, &str)],
        bytes: Vec<u8>,
    ) -> anyhow::Result<Value> {
        let mut url = self.base.join(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.answer(self.client.post(url).body(bytes)).await
    }

    /// A call with a JSON body.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let url = self.base.join(path)?;
        self.answer(self.client.request(method, url).json(body))
            .await
    }

    /// All of a list, page after page.
    pub(super) async fn list(&self, name: &str) -> anyhow::Result<Vec<Value>> {
        let mut all = Vec::new();
        let mut after = String::new();
        for _ in 0..PAGES_MAX {
            let mut page = self
                .call(Method::GET, name, &[("after", &after), ("limit", "1000")])
                .await?;
            let Some(Value::Array(rows)) = page.get_mut(name).map(Value::take) else {
                break;
            };
            if rows.is_empty() {
                break;
            }
            after = word(at(&page, "/next"));
            all.extend(rows);
        }
        Ok(all)
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
        let request = request.bearer_auth(self.token.expose());
        let response = request.send().await.with_context(|| {
            format!(
                "no gateway answers at {}; start it, or name its address with --admin-listen",
                self.base
            )
        })?;
        let status = response.status();
        if status == reqwest::StatusCode::UNAUTHORIZED {
            bail!(
                "the gateway at {} does not take this admin token; set DUET_ADMIN_TOKEN to its token or name a file with --admin-token-file, or leave both out to use admin-token in the data folder",
                self.base
            );
        }
        let body = response.bytes().await?;
        if status.is_success() && body.is_empty() {
            return Ok(Value::Null);
        }
        let body: Value =
            serde_json::from_slice(&body).context("the answer is not the admin API's")?;
        if !status.is_success() {
            let message = body
                .pointer("/error/message")
                .and_then(Value::as_str)
                .unwrap_or_default();
            bail!("the gateway answered {status}: {message}");
        }
        Ok(body)
    }
}

/// Where the gateway on this folder said that it listens, else where the settings say.
fn address(settings: &Settings) -> String {
    let written = std::fs::read(settings.data.join("addresses.json")).ok();
    let written: Option<Value> = written.and_then(|text| serde_json::from_slice(&text).ok());
    let said = written
        .as_ref()
        .and_then(|addresses| addresses.pointer("/admin")?.as_str());
    said.map_or_else(|| settings.admin_listen.to_string(), str::to_owned)
}
