use super::header_is_valid;

/// The longest body of an answer.
const BODY_BYTES_MAX: usize = 1 << 20;
const HEADERS_MAX: usize = 32;
const HEADER_BYTES_MAX: usize = 4 << 10;

/// The connection's own, what would let a caller's browser keep something for everything else at this address or do
/// something there, and what proxies take for orders.
const FORBIDDEN: [&str; 22] = [
    "alt-svc",
    "clear-site-data",
    "connection",
    "content-encoding",
    "content-length",
    "content-security-policy",
    "date",
    "keep-alive",
    "proxy-authenticate",
    "public-key-pins",
    "refresh",
    "server",
    "service-worker-allowed",
    "set-cookie",
    "sourcemap",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "www-authenticate",
    "x-content-type-options",
];
const FORBIDDEN_FAMILIES: [&str; 6] = [
    "access-control-",
    "cross-origin-",
    "x-accel-",
    "x-lighttpd-",
    "x-reproxy-",
    "x-sendfile",
];

/// What a caller is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Judges what a plugin answers.
///
/// # Errors
/// Why there can be no such answer, in words for the plugin's author.
pub fn check_answer(answer: &Answer) -> Result<(), String> {
    let Answer {
        status,
        headers,
        body,
    } = answer;
    if !(200..=599).contains(status) {
        return Err(format!(
            "an answer has a status from 200 to 599, this one has {status}"
        ));
    }
    if body.len() > BODY_BYTES_MAX {
        let bytes = body.len();
        return Err(format!(
            "an answer's body has at most {BODY_BYTES_MAX} bytes, this one has {bytes}"
        ));
    }
    if matches!(status, 204 | 205 | 304) && !body.is_empty() {
        return Err(format!("an answer of status {status} has no body"));
    }
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if headers.len() > HEADERS_MAX || bytes > HEADER_BYTES_MAX {
        let count = headers.len();
        return Err(format!(
            "an answer has at most {HEADERS_MAX} headers of {HEADER_BYTES_MAX} bytes together, this one has {count} of {bytes}"
        ));
    }
    for (name, value) in headers {
        let visible = |byte: u8| byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        if !header_is_valid(name) || !value.bytes().all(visible) {
            return Err(format!("{name:?} with {value:?} is no header"));
        }
        let lower = name.to_ascii_lowercase();
        let mut families = FORBIDDEN_FAMILIES.iter();
        if FORBIDDEN.contains(&lower.as_str()) || families.any(|family| lower.starts_with(family)) {
            return Err(format!("the header {name} is not a plugin's to set"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_one_that_can_be_given() {
        let answer = |status: u16, headers: &[(&str, &str)], bytes: usize| Answer {
            status,
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: vec![b'x'; bytes],
        };
        let many = [("a", "b"); 33];
        let long = "v".repeat(4096);
        for (answer, told) in [
            (
                answer(200, &[("Content-Type", "text/plain; charset=é")], 1 << 20),
                "",
            ),
            (answer(599, &[("x-odd", "")], 0), ""),
            (answer(101, &[], 0), "this one has 101"),
            (answer(600, &[], 0), "this one has 600"),
            (answer(200, &[], (1 << 20) + 1), "this one has 1048577"),
            (answer(204, &[], 1), "status 204 has no body"),
            (answer(200, &many, 0), "this one has 33 of 66"),
            (answer(200, &[("a", &long)], 0), "this one has 1 of 4097"),
            (answer(200, &[("a b", "")], 0), "is no header"),
            (answer(200, &[("a", "b\r\nc: d")], 0), "is no header"),
            (
                answer(200, &[("Set-Cookie", "a=b")], 0),
                "is not a plugin's to set",
            ),
            (
                answer(200, &[("X-Accel-Redirect", "/api/v1/numbers")], 0),
                "is not a plugin's to set",
            ),
            (
                answer(200, &[("transfer-encoding", "chunked")], 0),
                "is not a plugin's to set",
            ),
        ] {
            match check_answer(&answer) {
                Ok(()) => assert_eq!(told, "", "{:?}", answer.headers),
                Err(refusal) => assert!(!told.is_empty() && refusal.contains(told), "{refusal}"),
            }
        }
    }
}
