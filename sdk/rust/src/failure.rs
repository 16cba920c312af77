//! Why an event was not handled.

use crate::bindings::duet::plugin::types;

/// What a handler returns.
pub type Result<T = ()> = std::result::Result<T, Failure>;

/// Why an event was not handled.
///
/// `?` on any error becomes [`Failure::Reject`] with the error's message: most errors come again however often
/// the event is tried. Where another try can help, say so with [`retry`] or [`retry_after`]:
///
/// ```
/// # fn lookup() -> std::result::Result<u32, std::io::Error> { Ok(1) }
/// # fn handler() -> duet_sdk::Result {
/// let price = lookup().map_err(|_| duet_sdk::retry_after(30))?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Try again after so many seconds, or after Duet's own backoff.
    Retry(Option<u32>),
    /// Will never work: the event becomes a dead letter with this reason.
    Reject(String),
}

/// Try again after Duet's own backoff.
pub fn retry() -> Failure {
    Failure::Retry(None)
}

/// Try again after so many seconds.
pub fn retry_after(seconds: u32) -> Failure {
    Failure::Retry(Some(seconds))
}

/// Will never work, for this reason.
pub fn reject(reason: impl std::fmt::Display) -> Failure {
    Failure::Reject(reason.to_string())
}

// Failure itself is deliberately no `std::error::Error`: this conversion would overlap with `From<Failure>`.
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        reject(error)
    }
}

impl From<Failure> for types::Failure {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Retry(seconds) => types::Failure::Retry(seconds),
            Failure::Reject(reason) => types::Failure::Reject(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_error_becomes_reject_with_its_message() {
        fn handler() -> Result {
            let _: u32 = "twelve".parse()?;
            Ok(())
        }
        assert_eq!(handler(), Err(reject("invalid digit found in string")));
    }
}
