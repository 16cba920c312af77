//! Does one wrong thing, named by the first word of a text message; the second word says how much of it.
//! With the setting `mode` every message means that, or one of so many, and the others nothing.

use duet_sdk::{
    Contact, Conversation, Event, Message, Result, log, reject, retry, retry_after, settings, store,
};
use serde::Deserialize;
use serde_json::json;
use std::hint::black_box;
use std::time::{Duration, Instant};

duet_sdk::plugin!("manifest.json", handle);

#[derive(Deserialize)]
struct Settings {
    mode: Option<String>,
    #[serde(default = "one")]
    one_in: u64,
}

fn one() -> u64 {
    1
}

fn handle(event: Event) -> Result {
    let settings: Settings = settings()?;
    // Old messages tell it as well as those of today.
    let text = event.json().pointer("/text/body");
    let text = text.and_then(|text| text.as_str()).unwrap_or_default();
    let text = match &settings.mode {
        Some(_) if !event.seq.is_multiple_of(settings.one_in) => return Ok(()),
        Some(mode) => mode,
        None => text,
    };
    let mut words = text.split_whitespace();
    let mode = words.next().unwrap_or("well");
    let conversation = event
        .conversation()
        .ok_or_else(|| reject("no conversation"))?;
    if mode == "file" {
        return send_file(conversation, words.next().unwrap_or_default());
    }
    let amount: u64 = words.next().map_or(Ok(1), str::parse)?;
    match mode {
        "well" => conversation.reply_text("well").map(|_| ()),
        "spin" => spin(Duration::MAX),
        "late" => read_late(amount),
        "bursts" => bursts(amount),
        "wait" => wait(amount),
        "allocate" => allocate(),
        "recurse" => recurse(),
        "panic" => panic!("as told"),
        "trap" => std::process::abort(),
        "exit" => std::process::exit(3),
        "flood" => flood(),
        "print" => print_without_end(amount),
        "shout" => shout(amount),
        "garble" => garble(),
        "garbled-end" => Err(reject(no_text())),
        "bulky-end" => Err(reject("x".repeat(usize::try_from(amount)?))),
        "keep" => store::set_bytes("huge", &vec![7; usize::try_from(amount)?], None),
        "keys" => keep_many(amount),
        "lists" => list_often(amount),
        "calls" => call_often(amount),
        "effects" => send_often(conversation, amount),
        "across" => across(amount, words.next().map_or(Ok(0), str::parse)?),
        "retry" => Err(retry()),
        "retry-after" => Err(retry_after(u32::try_from(amount)?)),
        "reject" => Err(reject("as told")),
        "fail-late" => conversation
            .reply_text("never sent")
            .and(Err(reject("after a send"))),
        _ => Err(reject(format_args!("no such mode: {mode}"))),
    }
}

fn spin(time: Duration) -> Result {
    let start = Instant::now();
    while black_box(start.elapsed()) < time {}
    Ok(())
}

/// So many times 2 ms of work and 2 ms of waiting.
fn bursts(count: u64) -> Result {
    for _ in 0..count {
        spin(Duration::from_millis(2))?;
        wait(2)?;
    }
    Ok(())
}

/// Computes first.
fn read_late(ms: u64) -> Result {
    spin(Duration::from_millis(ms))?;
    drop(store::get_bytes("late"));
    Ok(())
}

fn wait(ms: u64) -> Result {
    std::thread::sleep(Duration::from_millis(ms));
    Ok(())
}

fn allocate() -> Result {
    let mut kept = Vec::new();
    loop {
        kept.push(black_box(vec![1_u8; 1 << 20]));
    }
}

/// Uses the engine's stack, not the one that the compiler keeps in linear memory.
fn sink(depth: u64) -> u64 {
    if depth == u64::MAX {
        0
    } else {
        sink(depth + 1).wrapping_mul(3) ^ depth
    }
}

fn recurse() -> Result {
    black_box(sink(black_box(0)));
    Ok(())
}

/// Looks for a conversation and a contact that are somebody else's: no host call may answer otherwise than for an id
/// that nobody has.
fn across(conversation: u64, contact: u64) -> Result {
    const NOBODYS: u64 = 1 << 50;
    let (theirs, nobodys) = (look_for(conversation, contact), look_for(NOBODYS, NOBODYS));
    if theirs == nobodys {
        Err(reject("there is a wall"))
    } else {
        Err(reject(format_args!("seen across the wall: {theirs}")))
    }
}

/// What each host call says of it, with every id as `ID`.
fn look_for(conversation: u64, contact: u64) -> String {
    let at = Conversation { id: conversation };
    let told = [
        format!("{:?}", at.state()),
        format!("{:?}", Contact::get(contact)),
        format!("{:?}", at.hand_over(Some(60))),
        format!("{:?}", at.give_back()),
        format!("{:?}", at.reply_text("across")),
        format!("{:?}", at.send_as_person(Message::text("across"))),
        format!("{:?}", at.mark_read("wamid.across")),
        format!("{:?}", store::list("", None)),
    ];
    told.join(", ").replace(&conversation.to_string(), "ID")
}

fn flood() -> Result {
    let line = "x".repeat(500);
    for _ in 0..500 {
        log::info(&line);
    }
    Ok(())
}

fn print_without_end(bytes: u64) -> Result {
    let chunk = "y".repeat(1 << 10);
    for _ in 0..bytes >> 10 {
        print!("{chunk}");
    }
    Ok(())
}

/// One line, in one call.
fn shout(bytes: u64) -> Result {
    log::info(&"x".repeat(usize::try_from(bytes)?));
    Ok(())
}

fn garble() -> Result {
    log::info(&no_text());
    Ok(())
}

/// What a string must not be: bytes that are no UTF-8.
fn no_text() -> String {
    // SAFETY: nothing here looks into it; it is for the host to see what it is.
    unsafe { String::from_utf8_unchecked(vec![b'a', 0xff, b'b']) }
}

fn keep_many(count: u64) -> Result {
    for number in 0..count {
        store::set(&format!("key {number}"), &number)?;
    }
    Ok(())
}

/// Each list has a key.
fn list_often(count: u64) -> Result {
    store::set("key", &0)?;
    for _ in 0..count {
        black_box(store::list("", None));
    }
    Ok(())
}

fn call_often(count: u64) -> Result {
    for _ in 0..count {
        duet_sdk::now_ms();
    }
    Ok(())
}

/// A picture by its digest, whether or not it is there.
fn send_file(conversation: Conversation, digest: &str) -> Result {
    let picture = json!({ "type": "image", "image": { "file": digest } });
    conversation.send(Message::from_json(picture)).map(|_| ())
}

fn send_often(conversation: Conversation, count: u64) -> Result {
    for _ in 0..count {
        conversation.reply_text("again")?;
    }
    Ok(())
}
