//! A business: whose numbers, tokens and data are walled off from other businesses on the same gateway.

use crate::plugins_toml::name_is_valid;

/// The gateway's own business: every number that nobody has given to another one.
pub const OWN: &str = "";

/// Whether a text can name a business that an admin makes: `[a-z0-9][a-z0-9-]{0,62}`.
#[must_use]
pub fn id_is_valid(id: &str) -> bool {
    name_is_valid(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_slug_and_the_own_business_is_none() {
        let longest = "a".repeat(63);
        for id in ["tea", "7-tea", longest.as_str()] {
            assert!(id_is_valid(id), "{id}");
        }
        let longer = "a".repeat(64);
        for id in [
            OWN,
            "-tea",
            "Tea",
            "te a",
            "thé",
            "tea/shop",
            longer.as_str(),
        ] {
            assert!(!id_is_valid(id), "{id}");
        }
    }
}
