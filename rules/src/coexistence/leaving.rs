//! The ways out of coexistence, for an owner: what is lost, and what to tap. Nothing of it is done by a call of Duet's:
//! Meta refuses `/deregister` for a number that is in the app, and `/register` damages it.

/// One way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// What is left of the two.
    pub keeps: &'static str,
    /// What to do, one after the other.
    pub steps: &'static [&'static str],
    /// What is lost by it.
    pub lost: &'static [&'static str],
    /// What comes of it here.
    pub here: &'static str,
}

/// Every way out.
pub const WAYS: [Way; 2] = [
    Way {
        keeps: "the app",
        steps: &[
            "On the phone, in the WhatsApp Business app: Settings, Account, Business Platform",
            "Tap the connected partner and disconnect it",
        ],
        lost: &[
            "sends through the API, also those that wait here",
            "webhooks: what is written from then on is not seen here",
        ],
        here: "Meta tells it as PARTNER_REMOVED and the number shows as disconnected; what came until then is kept. Connected anew, its contacts and history can be asked for anew.",
    },
    Way {
        keeps: "the API",
        steps: &[
            "On the phone: Settings, Account, Business Platform, and disconnect the partner",
            "In the app, save what is to be kept (Settings, Chats, Export chat), then delete the account (Settings, Account, Delete account)",
            "Register the number with the Cloud API by the tools of your partner or of WhatsApp Manager, as any new number",
        ],
        lost: &[
            "all chats, groups, broadcast lists and the status in the app",
            "calls in the app, and linked devices",
            "the way back: for the app the number has to leave the API first",
        ],
        here: "What came until then is kept, and the number goes on under a new phone_number_id. Duet does not register numbers.",
    },
];

/// What a reason of `PARTNER_REMOVED` means, and what to do (Meta's page on account_update, April 2026).
#[must_use]
pub fn reason_means(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "ACCOUNT_DISCONNECTED" => {
            "somebody disconnected it in the app (Settings, Account, Business Platform); connect it anew if that was a mistake"
        }
        "BUSINESS_DOWNGRADE" => {
            "the phone went over to the ordinary WhatsApp app; install WhatsApp Business again, then connect it anew"
        }
        "CHANGE_NUMBER" => "the app took another phone number; connect the new number",
        "COMPANION_INACTIVITY" => "the API's side was not used for about 30 days; connect it anew",
        "PRIMARY_INACTIVITY" => {
            "the app on the phone was not opened for about 14 days; open it, then connect the number anew"
        }
        "USER_RE_REGISTERED" => {
            "the number was registered in an app again, most likely on another phone; connect it anew"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_and_every_reason_says_what_to_do() {
        for way in WAYS {
            assert!(!way.steps.is_empty() && !way.lost.is_empty(), "{way:?}");
        }
        for reason in [
            "ACCOUNT_DISCONNECTED",
            "BUSINESS_DOWNGRADE",
            "CHANGE_NUMBER",
            "COMPANION_INACTIVITY",
            "PRIMARY_INACTIVITY",
            "USER_RE_REGISTERED",
        ] {
            let means = reason_means(reason);
            assert!(
                means.is_some_and(|words| words.contains("connect")),
                "{reason}"
            );
        }
        assert_eq!(reason_means("SOMETHING_NEW"), None);
    }
}
