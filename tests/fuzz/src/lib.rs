//! What must hold for every input; one function for each target.

use std::borrow::Cow;

use duet_rules::duet_toml;
use duet_rules::partner;
use duet_rules::plugins_toml::{self, PLUGINS_MAX};
use duet_rules::signature::{Secret, sign, verify};
use duet_rules::toml_file::{PROBLEMS_MAX, Problem};
use duet_rules::verification::{VerificationError, challenge};
use duet_rules::webhook::{Element, Part, decode, decode_from, mentions};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use serde::de::IgnoredAny;

/// How much of a body one slice takes.
const SLICE: usize = 3;

/// How deep an element may nest.
const DEPTH_MAX: usize = 100;

/// Live part and history part are the whole, slices are the whole, and every element can be told apart and stored.
/// The same of what a partner has put into its own envelope.
pub fn webhook_body(body: &[u8]) {
    metas_body(body);
    if let Ok(Cow::Owned(metas)) = partner::metas(body) {
        metas_body(&metas);
    }
}

fn metas_body(body: &[u8]) {
    let Ok(all) = decode(body, Part::All) else {
        // A part looks at less of the body, so it may be readable; it must not panic.
        let _ = (decode(body, Part::Live), decode(body, Part::History));
        return;
    };
    let live = decode(body, Part::Live).expect("the live part of a readable body");
    let history = decode(body, Part::History).expect("the history of a readable body");
    let of_history = |wanted: bool| all.iter().filter(move |element| element.history == wanted);
    assert!(
        live.iter().eq(of_history(false)),
        "the live part is what is not history"
    );
    assert!(
        history.iter().eq(of_history(true)),
        "the history is what is not live"
    );
    if !body.contains(&b'\\') {
        let scent = mentions(body);
        let forbids = |kind: &str| kind.starts_with("echo.") || kind == "contact.preference";
        assert!(
            scent.history || history.is_empty(),
            "history is seen before it is decoded"
        );
        assert!(
            scent.forbids || !live.iter().any(|element| forbids(&element.kind)),
            "what forbids sends is seen before it is decoded"
        );
    }
    if all.len() <= 64 {
        let slices = (0..all.len()).step_by(SLICE).flat_map(|skip| {
            decode_from(body, Part::All, skip, SLICE).expect("a slice of a readable body")
        });
        assert!(slices.eq(all.iter().cloned()), "slices are the whole");
    }
    all.iter().for_each(element);
}

fn element(element: &Element) {
    assert!(!element.keys.is_empty(), "an element has a key");
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._".contains(&byte);
    assert!(
        !element.kind.is_empty() && element.kind.bytes().all(plain),
        "kind {:?}",
        element.kind
    );
    for json in [Some(&element.body), element.context.as_ref()]
        .into_iter()
        .flatten()
    {
        serde_json::from_str::<IgnoredAny>(json).expect("an element's JSON is JSON");
    }
    // Whoever wraps it in JSON again must be able to read that: many readers stop at 128 levels.
    assert!(
        depth(&element.body) <= DEPTH_MAX,
        "an element fits into an answer of the API"
    );
}

/// How many levels of well-formed JSON lie in each other.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => skip_text(&mut bytes),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Behind the quote that ends a text.
fn skip_text(bytes: &mut std::str::Bytes<'_>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

/// Input: the header's value, a line break, the body. Only a signature made with one of the secrets is accepted.
pub fn signature_header(input: &[u8]) {
    let at = input
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(input.len());
    let (header, body) = (&input[..at], input.get(at + 1..).unwrap_or_default());
    let secrets = [Secret::new("new"), Secret::new("old")];
    let own = secrets.each_ref().map(|secret| sign(secret, body));
    for header in &own {
        assert_eq!(verify(Some(header.as_bytes()), body, &secrets), Ok(()));
        assert!(verify(Some(header.as_bytes()), body, &[Secret::new("other")]).is_err());
    }
    // Hex digits may come in either case, the prefix may not.
    let is_own = own
        .iter()
        .any(|own| header.starts_with(b"sha256=") && header.eq_ignore_ascii_case(own.as_bytes()));
    assert_eq!(verify(Some(header), body, &secrets).is_ok(), is_own);
    assert!(verify(Some(header), body, &[]).is_err());
    assert!(verify(None, body, &secrets).is_err());
}

/// Only short printable text that stood in the query is ever echoed, and only to whoever knows the token.
pub fn query_string(input: &[u8]) {
    const TOKEN: &str = "verify me+%41";
    if let Ok(query) = std::str::from_utf8(input) {
        if let Ok(echo) = challenge(query, TOKEN) {
            assert!(
                !echo.is_empty()
                    && echo.len() <= 1024
                    && echo.bytes().all(|byte| byte.is_ascii_graphic())
            );
            let decoded = percent_decode_str(query).decode_utf8_lossy().into_owned();
            assert!(decoded.contains(&echo), "what is echoed was asked");
            assert_eq!(challenge(query, "another"), Err(VerificationError::Token));
        }
        assert!(challenge(query, "").is_err(), "an empty token fits nobody");
    }
    let encode = |bytes: &[u8]| percent_encode(bytes, NON_ALPHANUMERIC).to_string();
    let asked = encode(input);
    let query = format!(
        "hub.mode=subscribe&hub.challenge={asked}&hub.verify_token={}",
        encode(TOKEN.as_bytes())
    );
    let fits = query.len() <= 8 * 1024
        && (1..=1024).contains(&input.len())
        && input.iter().all(u8::is_ascii_graphic);
    assert_eq!(
        challenge(&query, TOKEN).ok().as_deref().map(str::as_bytes),
        fits.then_some(input)
    );
}

/// Every problem has a place in the file and a remedy, and a sound file reads the same twice.
pub fn plugins_toml(input: &[u8]) {
    let outcome = plugins_toml::parse("plugins.toml", input);
    problems("plugins.toml", input, &outcome.problems);
    assert!(outcome.value.plugins.len() <= PLUGINS_MAX);
    for plugin in &outcome.value.plugins {
        assert!(plugins_toml::name_is_valid(&plugin.name));
        assert!((1..=lines(input)).contains(&plugin.line));
    }
    assert_eq!(
        plugins_toml::parse("plugins.toml", input).value,
        outcome.value
    );
}

/// The same for the gateway's own settings.
pub fn duet_toml(input: &[u8]) {
    let outcome = duet_toml::parse("duet.toml", input);
    problems("duet.toml", input, &outcome.problems);
    assert_eq!(duet_toml::parse("duet.toml", input).value, outcome.value);
}

fn problems(file: &str, input: &[u8], problems: &[Problem]) {
    // One more tells how many are not told.
    assert!(problems.len() <= PROBLEMS_MAX + 1);
    assert!(
        problems.is_sorted_by_key(|problem| problem.line),
        "in the order of the lines"
    );
    for problem in problems {
        let Problem {
            line,
            column,
            message,
            remedy,
            ..
        } = problem;
        assert!(
            (1..=lines(input)).contains(line),
            "line {line} of {}",
            lines(input)
        );
        let text = input
            .split(|byte| *byte == b'\n')
            .nth(line - 1)
            .unwrap_or_default();
        assert!(
            (1..=text.len() + 1).contains(column),
            "column {column} of {}",
            text.len()
        );
        assert!(!message.is_empty() && !remedy.is_empty());
        let told = problem.to_string();
        assert!(told.starts_with(&format!("{file}:{line}: ")), "{told}");
        assert!(
            !told.chars().any(char::is_control),
            "one line that a terminal can show: {told:?}"
        );
    }
}

fn lines(input: &[u8]) -> usize {
    input.iter().filter(|byte| **byte == b'\n').count() + 1
}
