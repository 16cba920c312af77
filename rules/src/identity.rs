//! Who a user is to Meta: a phone, a business-scoped user id, or both.
//!
//! Since April 2026 either may be missing (Meta's page on business-scoped user ids), so nothing here
//! requires one.

/// The user's side of an element, as far as the body names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The phone as digits, without `+`.
    pub wa_id: Option<String>,
    /// Business-scoped user id, such as `US.13491208655302741918`; it changes with the user's number.
    pub user_id: Option<String>,
    /// Business-scoped user id of the parent portfolio, such as `US.ENT.118157992128868`.
    pub parent_user_id: Option<String>,
    /// The name that the user gave, or that the address book of the phone has.
    pub name: Option<String>,
    pub username: Option<String>,
}

impl Identity {
    /// True when neither a phone nor a user id is known: a name alone identifies nobody.
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        self.wa_id.is_none() && self.user_id.is_none()
    }

    /// Takes from `other` what is missing here.
    #[must_use]
    pub fn or(self, other: &Identity) -> Identity {
        let fill = |mine: Option<String>, theirs: &Option<String>| mine.or_else(|| theirs.clone());
        Identity {
            wa_id: fill(self.wa_id, &other.wa_id),
            user_id: fill(self.user_id, &other.user_id),
            parent_user_id: fill(self.parent_user_id, &other.parent_user_id),
            name: fill(self.name, &other.name),
            username: fill(self.username, &other.username),
        }
    }
}

/// A phone as Meta's ids spell it: without `+`, white space, hyphens, dots and brackets.
/// Whatever else stands there is kept, so that a strange id stays itself.
#[must_use]
pub fn digits(phone: &str) -> String {
    // Nearly every phone arrives clean.
    if phone.bytes().all(|byte| byte.is_ascii_digit()) {
        return phone.to_owned();
    }
    phone
        .chars()
        .filter(|c| {
            !c.is_whitespace()
                && !matches!(c, '+' | '-' | '.' | '(' | ')' | '\u{2010}'..='\u{2015}')
        })
        .collect()
}

/// How else Meta may spell the same mobile phone, as digits: Brazil's with or without its ninth digit, Mexico's
/// with or without the 1 and Argentina's with or without the 9 behind the country code.
#[must_use]
pub fn other_spelling(phone: &str) -> Option<String> {
    let rest = |code: &str| phone.strip_prefix(code).filter(|_| is_phone(phone));
    if let Some(national) = rest("55") {
        let (area, line) = national.split_at_checked(2)?;
        return match (line.len(), line.strip_prefix('9')) {
            (9, Some(short)) => Some(format!("55{area}{short}")),
            // Landlines begin with 2 to 5.
            (8, _) if line.starts_with(['6', '7', '8', '9']) => Some(format!("55{area}9{line}")),
            _ => None,
        };
    }
    [("52", "1"), ("54", "9")]
        .into_iter()
        .find_map(|(code, mobile)| {
            let national = rest(code)?;
            match (national.len(), national.strip_prefix(mobile)) {
                (11, Some(short)) => Some(format!("{code}{short}")),
                (10, _) => Some(format!("{code}{mobile}{national}")),
                _ => None,
            }
        })
}

fn is_phone(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_phone_are_one() {
        for spelling in [
            "16505551234",
            "+16505551234",
            "+1 650-555-1234",
            "+1 (650) 555\u{a0}1234",
            "1.650.555\u{2011}1234",
        ] {
            assert_eq!(digits(spelling), "16505551234", "{spelling}");
        }
        assert_eq!(digits("<USER_PHONE>"), "<USER_PHONE>");
    }

    #[test]
    fn a_mobile_phone_has_two_spellings_and_each_leads_to_the_other() {
        for (one, other) in [
            ("5511987654321", "551187654321"),
            ("5215512345678", "525512345678"),
            ("5491123456789", "541123456789"),
        ] {
            assert_eq!(other_spelling(one).as_deref(), Some(other));
            assert_eq!(other_spelling(other).as_deref(), Some(one));
        }
        // A Brazilian landline, other countries, no phone at all.
        for only in [
            "551132654321",
            "919800000001",
            "16505551234",
            "55",
            "5511é",
            "",
        ] {
            assert_eq!(other_spelling(only), None, "{only}");
        }
    }

    #[test]
    fn missing_parts_are_filled_and_known_parts_stay() {
        let mine = Identity {
            wa_id: Some("1".into()),
            ..Identity::default()
        };
        let theirs = Identity {
            wa_id: Some("2".into()),
            name: Some("Ana".into()),
            ..Identity::default()
        };
        let both = mine.or(&theirs);
        assert_eq!(
            (both.wa_id.as_deref(), both.name.as_deref()),
            (Some("1"), Some("Ana"))
        );
        assert!(
            Identity {
                name: Some("Ana".into()),
                ..Identity::default()
            }
            .is_nobody()
        );
    }
}
