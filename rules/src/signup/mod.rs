//! Embedded Signup: what its page may hand in, how long its link is good for, and what the owner of a number is told of
//! how far it has come.
//!
//! A link lives for an hour and is used up by the one hand-in that succeeds; until then a few may fail, since Meta's code
//! lives for 30 seconds and people are slower at times. A used link shows how the number comes along, for a day.

mod link;
mod told;

pub use link::{End, Link, Stage};
pub use told::{Mark, NOT_GOING_ON, Told, told};

/// Meta's codes have some 300 bytes.
const CODE_BYTES_MAX: usize = 2048;
/// Meta's ids have some 16 digits.
const ID_BYTES_MAX: usize = 32;

/// What the page hands in.
#[derive(Clone, PartialEq, Eq)]
pub struct HandIn {
    /// Meta's code, to be exchanged for a token.
    pub code: String,
    /// The WhatsApp Business Account that Meta has told the page; it does not always.
    pub waba: Option<String>,
}

/// The owner is told it; it holds what the owner can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("what the page handed in is no code of Meta's; open the link again and start anew")]
    Code,
    #[error(
        "what the page handed in is no id of a WhatsApp account; open the link again and start anew"
    )]
    Account,
    #[error("this link is not known, or no longer good; ask for a new one")]
    Over,
    #[error("this link has been used; ask for a new one to connect another number")]
    Used,
    #[error("the signup is just being finished; wait a moment")]
    AtWork,
    #[error("this link was tried too often; ask for a new one")]
    TooOften,
    #[error(
        "Meta has not told which WhatsApp account it was; start again, and choose one account with your number"
    )]
    Unnamed,
    #[error(
        "what you confirmed at Meta is not for this WhatsApp account; start again, and choose the account with your number"
    )]
    NotGranted,
    #[error(
        "what you confirmed at Meta leaves out another account that is connected here already; start again, and choose all of them"
    )]
    LeavesOut,
}

impl HandIn {
    /// # Errors
    /// [`Refusal`] when a part has not the shape that Meta gives it.
    pub fn new(code: &str, waba: Option<&str>) -> Result<HandIn, Refusal> {
        let in_code = |byte: u8| byte.is_ascii_graphic();
        if !(1..=CODE_BYTES_MAX).contains(&code.len()) || !code.bytes().all(in_code) {
            return Err(Refusal::Code);
        }
        if let Some(waba) = waba
            && (!(1..=ID_BYTES_MAX).contains(&waba.len())
                || !waba.bytes().all(|byte| byte.is_ascii_digit()))
        {
            return Err(Refusal::Account);
        }
        Ok(HandIn {
            code: code.to_owned(),
            waba: waba.map(str::to_owned),
        })
    }
}

/// The account that was signed up: the one that Meta has told the page, else the only one that the token is for.
/// `granted`: the accounts that the token is for, where Meta names them; else the token has to show all of them by itself
/// ([`unconfirmed`]). `others`: those that the business has here already, and which the token is to serve as well.
///
/// # Errors
/// [`Refusal`] when there is none or several, or the token is not for all of them.
pub fn account(
    told: Option<&str>,
    granted: Option<&[String]>,
    others: &[String],
) -> Result<String, Refusal> {
    let waba = match (told, granted) {
        (Some(told), _) => told.to_owned(),
        (None, Some([only])) => only.clone(),
        (None, _) => return Err(Refusal::Unnamed),
    };
    if let Some(granted) = granted {
        if !granted.contains(&waba) {
            return Err(Refusal::NotGranted);
        }
        if others.iter().any(|other| !granted.contains(other)) {
            return Err(Refusal::LeavesOut);
        }
    }
    Ok(waba)
}

/// The accounts beside the signed-up one of which Meta has not said whether the token is for them. The one who confirmed
/// it may have another portfolio than the one before, so that "all of it" says nothing of them.
#[must_use]
pub fn unconfirmed<'a>(
    waba: &str,
    granted: Option<&[String]>,
    others: &'a [String],
) -> Vec<&'a String> {
    match granted {
        Some(_) => Vec::new(),
        None => others.iter().filter(|other| *other != waba).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_meta_s_shape_is_handed_in() {
        let longest = "a".repeat(CODE_BYTES_MAX);
        for code in ["AQB-_x.#%|", longest.as_str()] {
            assert_eq!(HandIn::new(code, None).unwrap().code, code);
        }
        let longer = "a".repeat(CODE_BYTES_MAX + 1);
        for code in ["", "a b", "a\nb", "caf\u{e9}", longer.as_str()] {
            assert_eq!(HandIn::new(code, None).err(), Some(Refusal::Code));
        }
        let (id, longer) = ("1".repeat(ID_BYTES_MAX), "1".repeat(ID_BYTES_MAX + 1));
        for waba in ["102290129340398", id.as_str()] {
            assert!(HandIn::new("c", Some(waba)).is_ok());
        }
        for waba in ["", "../me", "1 2", "\u{661}", longer.as_str()] {
            assert_eq!(HandIn::new("c", Some(waba)).err(), Some(Refusal::Account));
        }
    }

    #[test]
    fn an_account_is_the_told_one_and_the_token_serves_all_that_the_business_has() {
        let of = |told: Option<&str>, granted: Option<&[&str]>, others: &[&str]| {
            let texts = |list: &[&str]| -> Vec<String> {
                list.iter().map(|text| (*text).to_owned()).collect()
            };
            account(told, granted.map(texts).as_deref(), &texts(others))
        };
        let one = Ok("1".to_owned());
        for (told, granted, others, expected) in [
            (Some("1"), None, &[][..], one.clone()),
            (Some("1"), None, &["2"][..], one.clone()),
            (Some("1"), Some(&["1"][..]), &[], one.clone()),
            (Some("1"), Some(&["2", "1"]), &["2"], one.clone()),
            (None, Some(&["1"]), &[], one.clone()),
            (None, None, &[], Err(Refusal::Unnamed)),
            (None, Some(&[]), &[], Err(Refusal::Unnamed)),
            (None, Some(&["1", "2"]), &[], Err(Refusal::Unnamed)),
            (Some("1"), Some(&["2"]), &[], Err(Refusal::NotGranted)),
            (Some("1"), Some(&["1"]), &["2"], Err(Refusal::LeavesOut)),
        ] {
            let case = format!("{told:?} {granted:?} {others:?}");
            assert_eq!(of(told, granted, others), expected, "{case}");
        }
    }

    #[test]
    fn what_meta_does_not_name_has_to_be_shown() {
        let [one, two] = ["1", "2"].map(str::to_owned);
        let both = [one.clone(), two.clone()];
        assert_eq!(unconfirmed("1", None, &both), [&two]);
        assert_eq!(unconfirmed("3", None, &both), [&one, &two]);
        assert!(unconfirmed("1", None, &[]).is_empty());
        assert!(unconfirmed("1", Some(&both), &both).is_empty());
    }
}
