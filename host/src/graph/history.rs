//! `GET /{number}/message_history`: Meta's own record of a number's messages, and whether their webhooks arrived.

use duet_rules::ledger::{Entry, NOT_OFFERED_CODES, entry};
use duet_rules::meta_error::{self, Failure};
use duet_rules::provider::Provider;
use serde_json::Value;

use super::Client;
use super::pages::Pages;
use super::send::{bounded, words};

const FIELDS: &str = "message_id,events{delivery_status,webhook_update_state}";
const PAGE: &str = "100";
/// One look goes through so many pages.
const PAGES_MAX: usize = 20;

/// Why there is no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoRecord {
    /// Meta does not give it for this number; its words.
    NotOffered(String),
    /// It could not be read now; why, without the number.
    Unknown(String),
}

impl Client {
    /// The messages of a number that Meta has on record, and whether there are more than were read.
    ///
    /// # Errors
    /// [`NoRecord`].
    pub async fn message_history(&self, number: &str) -> Result<(Vec<Entry>, bool), NoRecord> {
        if self.provider() != Provider::Meta {
            let partner = self.provider().as_str();
            return Err(NoRecord::NotOffered(format!("{partner} does not give it")));
        }
        let mut listed = Vec::new();
        let mut pages = Pages::at_most(PAGES_MAX);
        while pages.go_on() {
            let page = self.record(number, &pages.query(FIELDS, PAGE)).await?;
            let data = pages.turn(&page).map_err(NoRecord::Unknown)?;
            listed.extend(data.iter().filter_map(entry));
        }
        Ok((listed, !pages.has_ended()))
    }

    async fn record(&self, number: &str, query: &[(&str, &str)]) -> Result<Value, NoRecord> {
        let request = self.get(&[number, "message_history"], query);
        let unknown = |error| NoRecord::Unknown(words(error));
        let response = request.send().await.map_err(unknown)?;
        let status = response.status();
        let answer = bounded(response).await.map_err(NoRecord::Unknown)?;
        let page: Value = serde_json::from_slice(&answer).unwrap_or_default();
        if status.is_success() && page.get("data").is_some_and(Value::is_array) {
            return Ok(page);
        }
        Err(match meta_error::read(status.as_u16(), &answer) {
            Failure::Refused(error) if NOT_OFFERED_CODES.contains(&error.code) => {
                NoRecord::NotOffered(format!("Meta answered with code {}", error.code))
            }
            Failure::Refused(error) => {
                NoRecord::Unknown(format!("Meta answered with code {}", error.code))
            }
            Failure::Turned { .. } | Failure::LostAnswer { .. } => {
                NoRecord::Unknown(format!("an answer without data, with status {status}"))
            }
        })
    }
}
