//! `duet sim`: serves a sim with a chat-like transcript, or plays on one that runs.

mod business;
mod client;
mod serve;
mod signup;

use clap::{Args, Subcommand};

/// A local Meta and a local phone.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct SimArgs {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    serve: serve::ServeArgs,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Serve the Graph API and the play face (the default).
    Serve(serve::ServeArgs),
    /// A customer writes.
    Customer(client::CustomerArgs),
    /// A customer takes another number, and with it another user id.
    Move(client::MoveArgs),
    /// The person on the phone writes, edits, revokes or reacts.
    Phone(client::PhoneArgs),
    /// Change Meta's mood, or show it.
    Mood(client::MoodArgs),
    /// Deliver a history sync.
    History(client::HistoryArgs),
    /// Deliver a generated business: address book, history, live traffic.
    Business(business::BusinessArgs),
    /// A business ends Embedded Signup: shows the code and what the session says.
    Signup(signup::SignupArgs),
    /// Something happens to the account, such as PARTNER_REMOVED.
    Account(client::AccountArgs),
    /// List what the gateway sent.
    Sent(client::At),
    /// Follow the transcript.
    Watch(client::At),
    /// Show numbers and counters.
    State(client::At),
    /// Back to a fresh sim.
    Reset(client::At),
}

/// Runs `duet sim …`.
///
/// # Errors
/// When the address cannot be bound, or no sim answers a client verb.
pub async fn run(args: SimArgs) -> anyhow::Result<()> {
    match args.verb {
        None => serve::run(args.serve).await,
        Some(Verb::Serve(args)) => serve::run(args).await,
        Some(Verb::Customer(args)) => client::customer(args).await,
        Some(Verb::Move(args)) => client::moves(args).await,
        Some(Verb::Phone(args)) => client::phone(args).await,
        Some(Verb::Mood(args)) => client::mood(args).await,
        Some(Verb::History(args)) => client::history(args).await,
        Some(Verb::Business(args)) => business::run(args).await,
        Some(Verb::Signup(args)) => signup::run(args).await,
        Some(Verb::Account(args)) => client::account(args).await,
        Some(Verb::Sent(at)) => client::sent(at).await,
        Some(Verb::Watch(at)) => client::watch(at).await,
        Some(Verb::State(at)) => client::state(at).await,
        Some(Verb::Reset(at)) => client::reset(at).await,
    }
}

/// `14:03:07  customer 919800000001   text`
fn transcript_line(at_ms: u64, who: &str, peer: &str, text: &str) -> String {
    let seconds = i64::try_from(at_ms / 1000).unwrap_or(0);
    let time = jiff::Timestamp::from_second(seconds)
        .map(|at| at.strftime("%H:%M:%S").to_string())
        .unwrap_or_default();
    let arrow = match who {
        "customer" => "\u{2192}",
        "phone" | "gateway" => "\u{2190}",
        _ => "\u{b7}",
    };
    // Text from outside must not move the cursor or colour the terminal.
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    format!("{time} {arrow} {who:<8} {peer:<14} {text}")
}
