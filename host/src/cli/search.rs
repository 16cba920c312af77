//! `duet search`: messages that hold words, from the gateway that runs.

use reqwest::Method;

use super::Ended;
use super::answer::{at, word};
use super::number::meant;
use super::place::Gateway;
use crate::config::Flags;

#[derive(clap::Args)]
pub(super) struct Asked {
    /// Words that all have to be there, "phrases", and beginn* for words that begin so
    #[arg(required = true)]
    words: Vec<String>,
    /// Only messages of this number: its phone, or Meta's phone_number_id
    #[arg(long)]
    number: Option<String>,
    /// At most so many, the newest
    #[arg(long, default_value_t = 20)]
    limit: u32,
    #[command(flatten)]
    flags: Flags,
}

pub(super) async fn run(asked: Asked) -> anyhow::Result<Ended> {
    let gateway = Gateway::running(&asked.flags)?;
    let (words, limit) = (asked.words.join(" "), asked.limit.to_string());
    let mut query = vec![("q", words.as_str()), ("limit", &limit)];
    let number = match &asked.number {
        Some(named) => Some(word(at(&meant(&gateway, named).await?, "/id"))),
        None => None,
    };
    query.extend(number.as_deref().map(|id| ("number", id)));
    let page = gateway.call(Method::GET, "messages/search", &query).await?;
    let found = at(&page, "/messages").as_array();
    for message in found.into_iter().flatten() {
        say!(
            "{}  {}  conversation {}  {}  {}",
            word(at(message, "/at")),
            word(at(message, "/direction")),
            at(message, "/conversation"),
            word(at(message, "/number")),
            word(at(message, "/snippet"))
        );
    }
    if found.is_none_or(Vec::is_empty) {
        say!("no message holds these words");
    }
    Ok(Ended::Done)
}
