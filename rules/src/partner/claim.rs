//! | says it | about whose number or account | then |
//! |---|---|---|
//! | Meta | nobody's, or that of a business without a partner | it is taken in |
//! | Meta | that of a business at a partner | it is kept apart: that business's webhooks come from its partner |
//! | a partner | nobody's | the number and the account become its business's |
//! | a partner | its business's | it is taken in |
//! | a partner | somebody else's, also the gateway's own, or names neither by an id such as Meta's | it is kept apart |
//!
//! An element that names several is kept apart if any of them says so.

use crate::provider::Provider;
use crate::webhook::{Element, Meaning};

/// Meta's ids have some 20 digits.
const ID_BYTES_MAX: usize = 64;

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    Meta,
    /// The partner of this business.
    PartnerOf(&'a str),
}

/// Whose a number or an account is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub business: String,
    pub provider: Provider,
}

/// The business whose trouble it is that this must be kept apart: the one whose partner says it, or which has a partner.
/// `None`: it is taken in. `owners` are those of all that the element names, as far as they are known.
#[must_use]
pub fn kept_apart<'a>(
    source: Source<'a>,
    element: &Element,
    owners: &'a [Owner],
) -> Option<&'a str> {
    match source {
        Source::Meta => {
            let at_a_partner = |owner: &&Owner| owner.provider != Provider::Meta;
            let owner = owners.iter().find(at_a_partner);
            owner.map(|owner| owner.business.as_str())
        }
        Source::PartnerOf(business) => {
            let mut named = element
                .number
                .as_deref()
                .into_iter()
                .chain(accounts(element));
            let names_something = element.number.is_some() || accounts(element).next().is_some();
            let may = names_something
                && named.all(is_an_id)
                && owners.iter().all(|owner| owner.business == business);
            (!may).then_some(business)
        }
    }
}

/// What nobody knows becomes the business's, so that it has to look like Meta's ids.
fn is_an_id(id: &str) -> bool {
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain && !id.is_empty() && id.len() <= ID_BYTES_MAX
}

/// The accounts that an element names: its envelope's, and the one that a word about an account names beside it.
pub fn accounts(element: &Element) -> impl Iterator<Item = &str> {
    let named = match &element.meaning {
        Meaning::Account(account) => account.waba.as_deref(),
        _ => None,
    };
    element.waba.as_deref().into_iter().chain(named)
}

/// Takes away what would reach beyond a business although all that is named is its own: an account in the portfolio of
/// somebody else's would lower that one's daily limit.
pub fn confine(element: &mut Element) {
    if let Meaning::Account(account) = &mut element.meaning {
        account.owner = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::{Part, decode};
    use Provider::{Dialog360, Meta};

    fn element(json: &str) -> Element {
        decode(json.as_bytes(), Part::All).unwrap().remove(0)
    }

    fn message() -> Element {
        element(
            r#"{"entry":[{"id":"2000","changes":[{"field":"messages","value":{
            "metadata":{"phone_number_id":"2001","display_phone_number":"912255500200"},
            "messages":[{"from":"919800000001","id":"wamid.1","type":"text","text":{"body":"x"}}]}}]}]}"#,
        )
    }

    fn owners(of: &[(&str, Provider)]) -> Vec<Owner> {
        let owner = |(business, provider): &(&str, Provider)| Owner {
            business: (*business).to_owned(),
            provider: *provider,
        };
        of.iter().map(owner).collect()
    }

    #[test]
    fn a_partner_speaks_of_its_business_alone_and_nobody_else_speaks_of_that() {
        const TEA: Source<'_> = Source::PartnerOf("tea");
        for (source, of, taken) in [
            (Source::Meta, &[][..], true),
            (Source::Meta, &[("", Meta)], true),
            (Source::Meta, &[("", Meta), ("books", Meta)], true),
            (Source::Meta, &[("tea", Dialog360)], false),
            (Source::Meta, &[("", Meta), ("tea", Dialog360)], false),
            (TEA, &[], true),
            (TEA, &[("tea", Dialog360)], true),
            (TEA, &[("tea", Dialog360), ("tea", Dialog360)], true),
            (TEA, &[("", Meta)], false),
            (TEA, &[("books", Meta)], false),
            (TEA, &[("books", Dialog360)], false),
            (TEA, &[("tea", Dialog360), ("books", Dialog360)], false),
        ] {
            let owners = owners(of);
            let concerned = kept_apart(source, &message(), &owners);
            let expected = (!taken).then_some("tea");
            assert_eq!(concerned, expected, "{source:?} about {of:?}");
        }
    }

    #[test]
    fn a_partner_has_to_name_a_number_or_an_account() {
        let of = |waba: Option<&str>, number: Option<&str>| Element {
            waba: waba.map(str::to_owned),
            number: number.map(str::to_owned),
            ..message()
        };
        let long = "1".repeat(65);
        for (waba, number, taken) in [
            (None, None, false),
            (Some("2000"), None, true),
            (None, Some("2001"), true),
            (Some("2000"), Some(""), false),
            (Some("20 00"), Some("2001"), false),
            (Some("2000"), Some(long.as_str()), false),
        ] {
            let element = of(waba, number);
            let concerned = kept_apart(Source::PartnerOf("tea"), &element, &[]);
            let expected = (!taken).then_some("tea");
            assert_eq!(concerned, expected, "{waba:?} {number:?}");
            assert_eq!(kept_apart(Source::Meta, &element, &[]), None);
        }
    }

    #[test]
    fn a_word_about_an_account_names_that_one_too_and_joins_no_portfolio() {
        let mut removed = element(
            r#"{"entry":[{"id":"2000","changes":[{"field":"account_update","value":{"event":"PARTNER_REMOVED",
            "waba_info":{"waba_id":"3000","owner_business_id":"9"}}}]}]}"#,
        );
        assert_eq!(accounts(&removed).collect::<Vec<_>>(), ["2000", "3000"]);
        confine(&mut removed);
        let Meaning::Account(account) = &removed.meaning else {
            panic!("{removed:?}");
        };
        assert_eq!(account.owner, None);
    }
}
