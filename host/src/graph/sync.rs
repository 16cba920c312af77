//! `POST /{number}/smb_app_data`: asks for contacts or history, which then come as webhooks. Meta takes one request
//! of each kind, so an answer that is lost is told apart from one that says no.

use duet_rules::coexistence::Kind;
use serde_json::json;

use super::Client;
use super::send::Outcome;

impl Client {
    /// Asks once; the answer is Meta's id of the request, which means accepted and nothing more.
    pub async fn ask_sync(&self, number: &str, kind: Kind) -> Outcome<String> {
        let body = json!({"messaging_product": "whatsapp", "sync_type": kind.sync_type()});
        let request = self.post(&[number, "smb_app_data"]).json(&body);
        self.outcome(request, |answer| {
            let id = answer.get("request_id")?.as_str()?;
            (!id.is_empty()).then(|| id.to_owned())
        })
        .await
    }
}
