//! `GET /{waba}/message_templates`: the templates of an account, page after page.

use duet_rules::provider::Provider;
use duet_rules::webhook::TemplateChange;
use serde_json::Value;

use super::Client;
use super::pages::Pages;

const FIELDS: &str = "name,language,status,category,quality_score";
const PAGE: &str = "200";
/// An account may have 6,000 templates with a verified business; more is nothing that Meta would list.
const PAGES_MAX: usize = 100;

impl Client {
    /// The whole list.
    ///
    /// # Errors
    /// Why it could not be read to its end; nothing of it counts then.
    pub async fn templates(&self, waba: &str) -> Result<Vec<TemplateChange>, String> {
        match self.provider() {
            Provider::Meta => self.by_cursor(waba).await,
            Provider::Dialog360 => self.by_offset(waba).await,
        }
    }

    /// 360dialog's list: `waba_templates`, paged by `limit`, `offset` and `total`, with statuses in lower case.
    async fn by_offset(&self, waba: &str) -> Result<Vec<TemplateChange>, String> {
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
        Err(format!("the list has more than {PAGES_MAX} pages"))
    }

    async fn page(&self, waba: &str, query: &[(&str, &str)]) -> Result<Value, String> {
        let path = self.provider().templates(waba);
        self.read(self.get(&path, query)).await
    }

    async fn by_cursor(&self, waba: &str) -> Result<Vec<TemplateChange>, String> {
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
