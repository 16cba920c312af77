//! `GET /{waba}/message_templates`: the templates of an account, page after page.

use duet_rules::meta_error::{self, Class, Failure};
use duet_rules::provider::Provider;
use duet_rules::webhook::TemplateChange;
use serde_json::Value;

use super::Client;
use super::client::Unanswered;
use super::pages::Pages;
use super::send::{KEY_REFUSED, bounded, refusal};

const FIELDS: &str = "name,language,status,category,quality_score";
const PAGE: &str = "200";
/// An account may have 6,000 templates with a verified business; more is nothing that Meta would list.
const PAGES_MAX: usize = 100;

/// Why there is no list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoList {
    /// The token is refused, with this code, or may not do this.
    Token { code: i64, cause: String },
    /// Something else; in words.
    Unknown(String),
}

impl From<String> for NoList {
    fn from(cause: String) -> NoList {
        NoList::Unknown(cause)
    }
}

impl From<&str> for NoList {
    fn from(cause: &str) -> NoList {
        NoList::Unknown(cause.to_owned())
    }
}

impl Client {
    /// The whole list.
    ///
    /// # Errors
    /// Why it could not be read to its end; nothing of it counts then.
    pub async fn templates(&self, waba: &str) -> Result<Vec<TemplateChange>, NoList> {
        match self.provider() {
            Provider::Meta => self.by_cursor(waba).await,
            Provider::Dialog360 => self.by_offset(waba).await,
        }
    }

    /// 360dialog's list: `waba_templates`, paged by `limit`, `offset` and `total`, with statuses in lower case.
    async fn by_offset(&self, waba: &str) -> Result<Vec<TemplateChange>, NoList> {
        let mut listed = Vec::new();
        let mut offset = 0_u64;
        for _ in 0..PAGES_MAX {
            let at = offset.to_string();
            let query = [("limit", PAGE), ("offset", at.as_str())];
            let page = self.page(waba, &query).await?;
            let Some(data) = page.get("waba_templates").and_then(Value::as_array) else {
                return Err("an answer without waba_templates".into());
            };
            listed.extend(data.iter().filter_map(template).map(upper));
            offset = offset.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
            let total = page.get("total").and_then(Value::as_u64).unwrap_or(0);
            if data.is_empty() || offset >= total {
                return Ok(listed);
            }
        }
        Err(format!("the list has more than {PAGES_MAX} pages").into())
    }

    async fn page(&self, waba: &str, query: &[(&str, &str)]) -> Result<Value, NoList> {
        let path = self.provider().templates(waba);
        let request = self.get(&path, query);
        let response = self.call(request).await.map_err(Unanswered::words)?;
        let status = response.status();
        let answer = bounded(response).await?;
        if status.is_success() {
            return Ok(serde_json::from_slice(&answer).unwrap_or_default());
        }
        Err(match meta_error::read(status.as_u16(), &answer) {
            Failure::Refused(error) if error.class() == Class::Token => NoList::Token {
                code: error.code,
                cause: refusal(&error),
            },
            // A partner answers so to a key that it does not take, with a body of its own.
            _ if status.as_u16() == 401 && self.provider() != Provider::Meta => NoList::Token {
                code: KEY_REFUSED,
                cause: "the partner does not take the key".to_owned(),
            },
            _ => format!("an answer with status {status}").into(),
        })
    }

    async fn by_cursor(&self, waba: &str) -> Result<Vec<TemplateChange>, NoList> {
        let mut listed = Vec::new();
        let mut pages = Pages::at_most(PAGES_MAX);
        while pages.go_on() {
            let page = self.page(waba, &pages.query(FIELDS, PAGE)).await?;
            listed.extend(pages.turn(&page)?.iter().filter_map(template));
        }
        pages.whole()?;
        Ok(listed)
    }
}

/// Statuses and categories as Meta writes them.
fn upper(template: TemplateChange) -> TemplateChange {
    let upper = |word: Option<String>| word.map(|word| word.to_uppercase());
    TemplateChange {
        status: upper(template.status),
        category: upper(template.category),
        ..template
    }
}

fn template(template: &Value) -> Option<TemplateChange> {
    let text = |pointer: &str| {
        template
            .pointer(pointer)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    Some(TemplateChange {
        name: text("/name")?,
        language: text("/language")?,
        status: text("/status"),
        category: text("/category"),
        quality: text("/quality_score/score"),
    })
}
