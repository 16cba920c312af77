use url::{Host, Url};

const URL_BYTES_MAX: usize = 8 * 1024;
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// The URL of a call in the one spelling that is compared and dialled: whoever reads it again reads the same. What
/// browsers forgive is refused, since each of them forgives something else.
///
/// # Errors
/// Why it cannot be called, in words for the plugin's author.
pub fn target(text: &str) -> Result<Url, &'static str> {
    if text.len() > URL_BYTES_MAX {
        return Err("the URL has more than 8 KiB");
    }
    let odd = |char: char| char.is_control() || char.is_whitespace() || char == '\\';
    if text.contains(odd) {
        return Err("the URL has a space, a control character or a backslash; encode it");
    }
    const SHAPE: &str = "this is no URL; write it whole, such as https://api.example.com/things";
    let (scheme, after) = text.split_once("://").ok_or(SHAPE)?;
    let is_scheme = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_scheme || after.is_empty() || after.starts_with('/') {
        return Err(SHAPE);
    }
    let mut url: Url = text.parse().map_err(|_| SHAPE)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("only https and http can be called");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL has a user or a password; name a secret for it instead");
    }
    if let Some(Host::Domain(name)) = url.host() {
        check_name(name)?;
    }
    url.set_fragment(None);
    Ok(url)
}

/// A name has one spelling here: `example.com.` and `example.com` would be told apart and lead to the same place.
fn check_name(name: &str) -> Result<(), &'static str> {
    if name.ends_with('.') {
        return Err("the host ends with a dot; leave it out");
    }
    let labels_fit = name
        .split('.')
        .all(|label| (1..=LABEL_BYTES_MAX).contains(&label.len()));
    if !labels_fit || name.len() > NAME_BYTES_MAX || name.contains('*') {
        return Err("the URL's host is no name that could be looked up");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_spelling() {
        for (text, expect) in [
            (
                "https://API.Example.com/a?b#c",
                "https://api.example.com/a?b",
            ),
            ("https://api.example.com:443/", "https://api.example.com/"),
            (
                "https://b\u{fc}cher.example/",
                "https://xn--bcher-kva.example/",
            ),
            // Fullwidth letters and dots are letters and dots to a browser.
            ("https://\u{ff45}xample\u{3002}com/", "https://example.com/"),
            ("http://2130706433/", "http://127.0.0.1/"),
            ("http://0x7f.0.0.1/", "http://127.0.0.1/"),
            ("http://0177.1/", "http://127.0.0.1/"),
            ("http://127.1/", "http://127.0.0.1/"),
            ("http://127.0.0.1./", "http://127.0.0.1/"),
            ("http://%31%32%37.0.0.1/", "http://127.0.0.1/"),
            ("http://[::FFFF:127.0.0.1]/", "http://[::ffff:7f00:1]/"),
            ("http://[0:0:0:0:0:0:0:1]/", "http://[::1]/"),
        ] {
            assert_eq!(
                target(text).map(String::from).as_deref(),
                Ok(expect),
                "{text}"
            );
        }
    }

    #[test]
    fn what_others_would_read_otherwise_is_refused() {
        for text in [
            "",
            "api.example.com/a",
            "//api.example.com/a",
            "ftp://api.example.com/",
            "file:///etc/passwd",
            "https://",
            "https:///a",
            "https:api.example.com",
            "https:/api.example.com?://b",
            "https://api.example.com.",
            "https://api..example.com/",
            "https://.example.com/",
            "https://*.example.com/",
            "https://api.example.com@evil.example/",
            "https://user:pass@api.example.com/",
            "https://evil.example\\@api.example.com/",
            "https://api.example.com\t.evil.example/",
            "https://api.example.com /",
            " https://api.example.com/",
            "https://api.example.com/\r\nX: y",
            "http://[fe80::1%eth0]/",
            "http://[fe80::1%25eth0]/",
            "http://[::1/",
            "http://256.256.256.256/",
            "http://api.example.com:99999/",
            "http://ex%00ample.com/",
            "http://ex%2fample.com/",
        ] {
            assert!(target(text).is_err(), "{text:?} became {:?}", target(text));
        }
        let long = format!("https://example.com/{}", "a".repeat(URL_BYTES_MAX));
        assert!(target(&long).is_err());
        let label = format!("https://{}.example.com/", "a".repeat(64));
        assert!(target(&label).is_err());
    }
}
