use super::WEBHOOK_PATH;
use crate::readiness::{Finding, Told};

/// Where the partner posts what is for a number, as it tells itself.
#[must_use]
pub fn webhook(number: &str, told: &Told<Option<String>>, business: &str) -> Finding {
    let remedy = format!("set it with duet business webhook {business} --address https://…");
    let path = format!("{WEBHOOK_PATH}{business}");
    match told {
        Err(cause) => Finding::problem(
            "webhook",
            format!("360dialog does not say where the webhooks of number {number} go: {cause}"),
            "look whether the key is that number's and the API can be reached",
        ),
        Ok(Some(address)) if address.ends_with(&path) => Finding::well(
            "webhook",
            format!("360dialog posts the webhooks of number {number} to {path}"),
        ),
        Ok(Some(_)) => Finding::problem(
            "webhook",
            format!("360dialog posts the webhooks of number {number} to another address"),
            remedy,
        ),
        Ok(None) => Finding::problem(
            "webhook",
            format!("360dialog posts the webhooks of number {number} nowhere"),
            remedy,
        ),
    }
}

/// What its pages leave to the partner, and what they do not tell: nobody here can ask.
#[must_use]
pub fn untold(business: &str) -> [Finding; 2] {
    [
        Finding::doubt(
            "history",
            SYNCS_COME,
            format!(
                "enter the address and the header of duet business webhook {business} in its Partner Hub before the business signs up"
            ),
        ),
        Finding::doubt(
            "number",
            "360dialog does not tell whether a number is in the WhatsApp Business app",
            "write one message in the app: its echo arrives here, or it is not",
        ),
    ]
}

/// Why contacts and history are not asked for.
pub const SYNCS_COME: &str = "360dialog sends contacts and history by itself in the minutes after the signup, to the webhook address of its partner account; its pages name no request for them";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readiness::Verdict;

    #[test]
    fn only_the_businesss_own_address_is_well() {
        let to = |address: &str| Ok(Some(address.to_owned()));
        for (told, verdict) in [
            (
                to("https://duet.example.com/webhook/360dialog/tea"),
                Verdict::Well,
            ),
            (
                to("https://duet.example.com/webhook/360dialog/books"),
                Verdict::Problem,
            ),
            (to("https://duet.example.com/webhook"), Verdict::Problem),
            (Ok(None), Verdict::Problem),
            (Err("no answer in time".to_owned()), Verdict::Problem),
        ] {
            assert_eq!(webhook("2001", &told, "tea").verdict, verdict, "{told:?}");
        }
    }
}
