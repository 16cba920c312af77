//! `duet sim signup`.

use clap::Args;
use serde_json::json;

use super::client::At;

#[derive(Args, Debug)]
pub(super) struct SignupArgs {
    /// Phone number id; a new one if absent.
    #[arg(long)]
    id: Option<String>,
    /// Digits of the number.
    #[arg(long)]
    digits: Option<String>,
    /// Verified name.
    #[arg(long)]
    name: Option<String>,
    /// WhatsApp Business Account; a new one if absent.
    #[arg(long)]
    waba: Option<String>,
    #[command(flatten)]
    at: At,
}

pub(super) async fn run(args: SignupArgs) -> anyhow::Result<()> {
    let signup =
        json!({"id": args.id, "digits": args.digits, "name": args.name, "waba": args.waba});
    println!("{:#}", args.at.post("signup", signup).await?);
    Ok(())
}
