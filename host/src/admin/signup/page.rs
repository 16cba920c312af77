use axum::http::{HeaderName, header};
use axum::response::IntoResponse;

/// The page's script and style: nothing of it stands in the document, so that the policy can forbid all that does.
pub(in crate::admin) const SCRIPT: (&str, &str) =
    ("text/javascript; charset=utf-8", include_str!("page.js"));
pub(in crate::admin) const STYLE: (&str, &str) =
    ("text/css; charset=utf-8", include_str!("page.css"));
const DOCUMENT: (&str, &str) = ("text/html; charset=utf-8", include_str!("page.html"));

/// Scripts of this page and Meta's SDK, calls and hidden frames of that, and nothing else from anywhere.
const POLICY: &str = "default-src 'none'; script-src 'self' https://connect.facebook.net; style-src 'self'; \
     img-src 'self' https://*.facebook.com; connect-src 'self' https://*.facebook.com https://connect.facebook.net; \
     frame-src https://*.facebook.com; form-action https://*.facebook.com; base-uri 'none'; frame-ancestors 'none'";

type Headers = [(HeaderName, &'static str); 7];

/// The page itself.
pub(in crate::admin) fn document() -> impl IntoResponse {
    asset(DOCUMENT)
}

/// A file of the page, with what a browser may do with it.
pub(in crate::admin) fn asset(
    (kind, text): (&'static str, &'static str),
) -> (Headers, &'static str) {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Meta looks whether the page's origin is allowed, and learns no more than that.
        (header::REFERRER_POLICY, "strict-origin"),
        // Meta's window has to be able to answer the page that has opened it.
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin-allow-popups",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=(), payment=()",
        ),
    ];
    (headers, text)
}
