//! Is called from outside, and says what it saw.
//!
//! - `tickets`, in a conversation: says there how many calls it has had, and the whole event as it came. `{"open": true}`
//!   opens the door that `ask` may wait for
//! - `bell`: counts
//! - `ask`: answers how many calls and tickets there were and what it saw. A body `wait` asks for another attempt until the door is open,
//!   `refuse` rejects the call

use duet_sdk::{Event, Response, Result, reject, retry_after, store};
use serde_json::{Value, json};

duet_sdk::plugin!("manifest.json", handle, answer);

fn handle(event: Event) -> Result {
    let Some(call) = event.hook() else {
        return Ok(());
    };
    let count = count(call.name)?;
    if let Ok(ticket) = call.json::<Value>()
        && ticket["open"] == true
    {
        store::set("open", &true)?;
    }
    if let Some(conversation) = event.conversation() {
        conversation.reply_text(&format!("{count} {}", event.json()))?;
    }
    Ok(())
}

fn answer(event: Event) -> Result<Response> {
    let call = event.hook().ok_or_else(|| reject("no call"))?;
    match call.body.as_ref() {
        b"refuse" => return Err(reject("I was told to")),
        b"wait" if store::get("open")? != Some(true) => return Err(retry_after(1)),
        _ => {}
    }
    let tickets: Option<u64> = store::get("count/tickets")?;
    let told = json!({"count": count(call.name)?, "tickets": tickets, "saw": event.json()});
    let mut response = Response::json(&told)?;
    response.status = 201;
    Ok(response)
}

fn count(name: &str) -> Result<u64> {
    let key = format!("count/{name}");
    let count = store::get::<u64>(&key)?.unwrap_or_default() + 1;
    store::set(&key, &count)?;
    Ok(count)
}
