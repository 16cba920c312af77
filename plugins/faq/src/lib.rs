//! Answers frequent questions, and calls a person when a customer asks for one.

mod answer;

use answer::{Answer, Settings};
use duet_sdk::{Event, Result, settings};

duet_sdk::plugin!("manifest.json", handle);

fn handle(event: Event) -> Result {
    let (Some(text), Some(conversation)) = (event.text(), event.conversation()) else {
        return Ok(());
    };
    let settings: Settings = settings()?;
    let Some(Answer { reply, hands_over }) = settings.answer(text) else {
        return Ok(());
    };
    if let (true, Some(message_id)) = (settings.mark_read, event.message_id()) {
        conversation.mark_read(message_id)?;
    }
    if let Some(reply) = reply {
        conversation.reply_text(reply)?;
    }
    if hands_over {
        conversation.hand_over(None)?;
    }
    Ok(())
}
