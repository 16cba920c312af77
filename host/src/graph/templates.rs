//! `GET /{waba}/message_templates`: the templates of an account, page after page.

use duet_rules::webhook::TemplateChange;
use serde_json::Value;

use super::Client;
use super::send::{bounded, words};

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
        let mut listed = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let mut query = vec![("fields", FIELDS), ("limit", PAGE)];
            if let Some(after) = &after {
                query.push(("after", after));
            }
            let request = self.get_edge(waba, "message_templates", &query);
            let response = request.send().await.map_err(words)?;
            let status = response.status();
            let page: Value = serde_json::from_slice(&bounded(response).await?).unwrap_or_default();
            let Some(data) = page.get("data").and_then(Value::as_array) else {
                return Err(format!("an answer without data, with status {status}"));
            };
            listed.extend(data.iter().filter_map(template));
            let cursor = page
                .pointer("/paging/cursors/after")
                .and_then(Value::as_str)
                .filter(|_| page.pointer("/paging/next").is_some_and(Value::is_string));
            match cursor {
                Some(cursor) => after = Some(cursor.to_owned()),
                None => return Ok(listed),
            }
        }
        Err(format!("the list has more than {PAGES_MAX} pages"))
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
