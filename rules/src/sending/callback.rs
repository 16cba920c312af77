//! Our mark on a send: Meta returns `biz_opaque_callback_data` in every status of the message, so that
//! a send whose answer was lost can still be settled.

const PREFIX: &str = "duet";
/// Meta's limit is 512 characters; ours are far below it.
const BYTES_MAX: usize = 64;

/// `duet:<store>:<outbox>`. The store's id keeps another gateway on the same number apart.
#[must_use]
pub fn callback(store: &str, outbox: i64) -> String {
    format!("{PREFIX}:{store}:{outbox}")
}

/// The outbox row that a status speaks of, if this store has sent it.
#[must_use]
pub fn read_callback(data: &str, store: &str) -> Option<i64> {
    if data.len() > BYTES_MAX {
        return None;
    }
    let rest = data.strip_prefix(PREFIX)?.strip_prefix(':')?;
    let outbox = rest.strip_prefix(store)?.strip_prefix(':')?;
    let id: i64 = outbox.parse().ok()?;
    // Another spelling of the same number is not ours.
    (id > 0 && id.to_string() == outbox).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_mark_is_read() {
        let store = "0123456789abcdef";
        assert_eq!(read_callback(&callback(store, 42), store), Some(42));
        assert_eq!(
            read_callback(&callback("fedcba9876543210", 42), store),
            None
        );
        for strange in [
            "",
            "duet",
            "duet:",
            "duet:0123456789abcdef:",
            "duet:0123456789abcdef:+42",
            "duet:0123456789abcdef:042",
            "duet:0123456789abcdef:-1",
            "duet:0123456789abcdef:0",
            "duet:0123456789abcdef:99999999999999999999",
            "duet:0123456789abcdef:1:2",
            "order 7",
        ] {
            assert_eq!(read_callback(strange, store), None, "{strange}");
        }
    }
}
