//! Who gives a business its access to WhatsApp: Meta itself, or a partner whose API is Meta's under another address,
//! with a header and paths of its own.

/// A provider of the WhatsApp Business Platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Provider {
    Meta,
    /// 360dialog's Messaging API ("Send And Receive Messages", "Upload, retrieve or delete media" and "Templates" of
    /// docs.360dialog.com).
    Dialog360,
}

impl Provider {
    pub const ALL: [Provider; 2] = [Provider::Meta, Provider::Dialog360];

    /// What [`Provider::as_str`] wrote; `None` for a provider that nobody knows.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Provider> {
        Provider::ALL
            .into_iter()
            .find(|provider| provider.as_str() == word)
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Provider::Meta => "meta",
            Provider::Dialog360 => "360dialog",
        }
    }

    /// Where the API is, unless a business says otherwise; `None` when the gateway's own setting does.
    #[must_use]
    pub fn base(self) -> Option<&'static str> {
        match self {
            Provider::Meta => None,
            Provider::Dialog360 => Some("https://waba-v2.360dialog.io"),
        }
    }

    /// The header that carries the token, and what stands before it.
    #[must_use]
    pub fn token_header(self) -> (&'static str, &'static str) {
        match self {
            Provider::Meta => ("authorization", "Bearer "),
            Provider::Dialog360 => ("d360-api-key", ""),
        }
    }

    /// Whether each number has a key of its own, so that paths need not name it.
    #[must_use]
    pub fn key_is_of_a_number(self) -> bool {
        self == Provider::Dialog360
    }

    /// The path of messages and read marks.
    #[must_use]
    pub fn messages(self, number: &str) -> Vec<&str> {
        match self {
            Provider::Meta => vec![number, "messages"],
            Provider::Dialog360 => vec!["messages"],
        }
    }

    /// The path to which files are uploaded.
    #[must_use]
    pub fn media(self, number: &str) -> Vec<&str> {
        match self {
            Provider::Meta => vec![number, "media"],
            Provider::Dialog360 => vec!["media"],
        }
    }

    /// The path of an account's templates. 360dialog's list has a shape of its own: `waba_templates`, paged by
    /// `offset` and `total`.
    #[must_use]
    pub fn templates(self, waba: &str) -> Vec<&str> {
        match self {
            Provider::Meta => vec![waba, "message_templates"],
            Provider::Dialog360 => vec!["v1", "configs", "templates"],
        }
    }

    /// Whether files are fetched from the API's own host, whatever host Meta has named: 360dialog's key opens no
    /// other, and Meta's hosts must never see it.
    #[must_use]
    pub fn files_at_base(self) -> bool {
        self == Provider::Dialog360
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_names_one_provider() {
        for provider in Provider::ALL {
            assert_eq!(Provider::from_word(provider.as_str()), Some(provider));
        }
        assert_eq!(Provider::from_word("twilio"), None);
    }
}
