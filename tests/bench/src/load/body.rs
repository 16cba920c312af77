//! Webhooks of 1 KiB that all differ, signed while they are sent.
//!
//! What all bodies share stands in front, so that its part of the signature is computed once.

use std::cell::Cell;
use std::fmt::Write;

use ring::hmac;

use super::Options;
use crate::APP_SECRET;

/// Length of a body.
const BODY_BYTES: usize = 1024;
const HEAD: &str = r#"{"object":"whatsapp_business_account","entry":[{"id":"102290129340398","changes":[{"field":"messages","value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"912255500100","phone_number_id":"106540352242922"},"messages":[{"type":"text","text":{"body":""#;
/// Digits of a customer, before the part that tells them apart.
const CUSTOMERS: u64 = 919_800_000_000;

pub(super) struct Bodies {
    prefix: String,
    signed: hmac::Context,
    next: Cell<u64>,
    end: u64,
    customers: u64,
    /// Meta's timestamps are seconds.
    now_seconds: u64,
}

impl Bodies {
    pub(super) fn new(options: &Options) -> Bodies {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let mut bodies = Bodies {
            prefix: String::new(),
            signed: hmac::Context::with_key(&hmac::Key::new(
                hmac::HMAC_SHA256,
                APP_SECRET.as_bytes(),
            )),
            next: Cell::new(options.first),
            end: options.first.saturating_add(options.count),
            customers: options.customers.max(1),
            now_seconds: now.map_or(0, |since| since.as_secs()),
        };
        let taken = HEAD.len() + options.text.len() + bodies.tail(0).len();
        let padding = ".".repeat(BODY_BYTES.saturating_sub(taken));
        bodies.prefix = format!("{HEAD}{} {padding}", options.text);
        bodies.signed.update(bodies.prefix.as_bytes());
        bodies
    }

    /// Replaces `request` by the next webhook; false when all were sent.
    pub(super) fn write_next(&self, request: &mut Vec<u8>) -> bool {
        let index = self.next.get();
        if index >= self.end {
            return false;
        }
        self.next.set(index + 1);
        let tail = self.tail(index);
        let mut signed = self.signed.clone();
        signed.update(tail.as_bytes());
        let signature = hex::encode(signed.sign().as_ref());
        let head = format!(
            "POST /webhook HTTP/1.1\r\nhost: duet\r\ncontent-type: application/json\r\nx-hub-signature-256: sha256={signature}\r\ncontent-length: {}\r\n\r\n",
            self.prefix.len() + tail.len()
        );
        request.clear();
        request.extend_from_slice(head.as_bytes());
        request.extend_from_slice(self.prefix.as_bytes());
        request.extend_from_slice(tail.as_bytes());
        true
    }

    /// What tells a webhook from all others; always of the same length.
    fn tail(&self, index: u64) -> String {
        let from = CUSTOMERS + index % self.customers;
        let mut tail = String::with_capacity(256);
        let _ = write!(
            tail,
            r#""}},"from":"{from}","timestamp":"{:010}","id":"wamid.bench.{index:016}"}}],"contacts":[{{"wa_id":"{from}","profile":{{"name":"Customer"}}}}]}}}}]}}]}}"#,
            self.now_seconds
        );
        tail
    }
}

#[cfg(test)]
mod tests {
    use duet_rules::signature::{Secret, verify};
    use duet_rules::webhook::{Part, decode};

    use super::*;

    #[test]
    fn every_webhook_is_signed_and_different() {
        let options = Options {
            to: ([127, 0, 0, 1], 1).into(),
            connections: 1,
            seconds: 1.0,
            rate: None,
            count: 2,
            first: 7,
            customers: 10,
            text: "hours".into(),
        };
        let bodies = Bodies::new(&options);
        let (mut request, mut seen) = (Vec::new(), Vec::new());
        while bodies.write_next(&mut request) {
            let text = String::from_utf8(request.clone()).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let header = head
                .lines()
                .find_map(|line| line.strip_prefix("x-hub-signature-256: "))
                .unwrap();
            verify(
                Some(header.as_bytes()),
                body.as_bytes(),
                &[Secret::new(APP_SECRET)],
            )
            .unwrap();
            let elements = decode(body.as_bytes(), Part::All).unwrap();
            assert_eq!(
                (elements.len(), elements[0].kind.as_ref()),
                (1, "message.text")
            );
            assert!(body.len().abs_diff(BODY_BYTES) <= 8, "{}", body.len());
            seen.push(elements[0].keys[0]);
        }
        seen.dedup();
        assert_eq!(seen.len(), 2);
    }
}
