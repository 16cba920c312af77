use anyhow::anyhow;
use duet_rules::oauth::{Answer, Ask, Asked, Granted, Trouble};
use duet_rules::plugins_toml::SecretSource;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};

use super::{Terms, Whose};
use crate::config::Secret;
use crate::outbound::CallError;
use crate::outbound::client::{leads_inside, may_call};
use crate::outbound::egress::Ways;

/// An answer with a token has a few hundred bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Why there is no token, and what a call is told of it.
pub(super) struct Denied {
    pub(super) trouble: Trouble,
    pub(super) error: CallError,
}

impl Denied {
    pub(super) fn failed(whose: &Whose, why: &str) -> Denied {
        let detail = format!("{} cannot be got now: {why}", table(whose));
        Denied {
            trouble: Trouble::Failed,
            error: CallError::new("token-unavailable", detail),
        }
    }

    fn refused(whose: &Whose, terms: &Terms, word: &str) -> Denied {
        let host = terms.grant.token_url.host_str().unwrap_or_default();
        let remedy = remedy(terms.grant.refresh_token.as_ref(), word);
        let detail = format!(
            "{host} gives no token for {} ({word}); {remedy}",
            table(whose)
        );
        Denied {
            trouble: Trouble::Refused,
            error: CallError::new("token-refused", detail),
        }
    }
}

fn table(whose: &Whose) -> String {
    format!("[plugins.{}.http.secrets.{}]", whose.instance, whose.secret)
}

/// What the admin can do.
fn remedy(refresh_token: Option<&SecretSource>, word: &str) -> String {
    const CLIENT: &str = "see to client_id, client_secret and scope";
    match refresh_token {
        Some(source) if !word.contains("client") && !word.contains("scope") => {
            let start = match source {
                SecretSource::Env(_) => " and start the gateway anew",
                SecretSource::File(_) => "",
            };
            format!("authorize Duet there again, put the new refresh token into {source}{start}")
        }
        _ => CLIENT.to_owned(),
    }
}

/// Asks the token URL. What it answers with is bounded in bytes here and in time by the client.
pub(super) async fn exchange(
    ways: &Ways,
    whose: &Whose,
    terms: &Terms,
    refresh_token: Option<&Secret>,
) -> Result<Granted, Denied> {
    let failed = |why: &str| Denied::failed(whose, why);
    let grant = &terms.grant;
    if !may_call(&grant.token_url, grant.reach) {
        return Err(failed(PRIVATE));
    }
    let ask = Ask {
        client_id: &grant.client_id,
        client_secret: terms.client_secret.expose(),
        client_auth: grant.client_auth,
        refresh_token: refresh_token.map(Secret::expose),
        scope: grant.scope.as_deref(),
    };
    let Asked {
        authorization,
        body,
    } = ask.request();
    let client = ways
        .client(grant.reach)
        .map_err(|error| failed(&error.detail))?;
    let mut request = client
        .post(grant.token_url.clone())
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(ACCEPT, "application/json")
        .body(body);
    if let Some(authorization) = authorization {
        let value = HeaderValue::from_str(&authorization);
        let mut value = value.map_err(|_| failed("the client's secret fits no header"))?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let broken = |error: reqwest::Error| match leads_inside(&error) {
        true => failed(PRIVATE),
        false => failed(&format!("{:#}", anyhow!(error.without_url()))),
    };
    let mut response = request.send().await.map_err(broken)?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
            return Err(failed("the answer of the token URL has more than 64 KiB"));
        }
        body.extend_from_slice(&chunk);
    }
    match Answer::read(status, &body) {
        Answer::Granted(granted) => Ok(granted),
        Answer::Refused(word) => Err(Denied::refused(whose, terms, &word)),
        Answer::Failed(word) => Err(failed(&format!("the token URL answers with {word}"))),
    }
}

const PRIVATE: &str = "token_url lies in the network around the gateway, for which the grant http needs private = true";
