//! `POST /{number}/media`: a file that messages are to name by its id. Repeating it does no harm: Meta then has it
//! twice, and nobody has got anything.

use std::time::Duration;

use duet_rules::media::upload_ms_max;
use reqwest::multipart::{Form, Part};
use serde_json::Value;

use super::Client;
use super::send::Outcome;

/// A file to upload.
#[derive(Debug)]
pub struct Outgoing {
    /// Stands at its beginning.
    pub file: std::fs::File,
    pub bytes: u64,
    /// Without parameters.
    pub mime_type: String,
}

impl Client {
    /// Uploads a file for a number; the answer is Meta's id of it.
    pub async fn upload(&self, number: &str, outgoing: Outgoing) -> Outcome<String> {
        let Outgoing {
            file,
            bytes,
            mime_type,
        } = outgoing;
        let body = reqwest::Body::from(tokio::fs::File::from_std(file));
        // Meta wants a name; the one that customers see stands in the message.
        let part = Part::stream_with_length(body, bytes).file_name("file");
        let part = match part.mime_str(&mime_type) {
            Ok(part) => part,
            Err(error) => {
                return Outcome::Unsendable {
                    cause: error.to_string(),
                };
            }
        };
        let form = Form::new()
            .text("messaging_product", "whatsapp")
            .text("type", mime_type)
            .part("file", part);
        let path = self.provider().media(number);
        let request = self
            .post(&path)
            .timeout(Duration::from_millis(upload_ms_max(bytes)))
            .multipart(form);
        self.of_partner(self.outcome(request, id).await)
    }
}

fn id(answer: &Value) -> Option<String> {
    let id = answer.get("id")?.as_str()?;
    (!id.is_empty()).then(|| id.to_owned())
}
