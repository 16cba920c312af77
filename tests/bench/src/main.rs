//! Measures Duet: one table, every line beside its counterpart in the same run on the same cores.
//!
//! - `table`: the lines, their ratios, and which of those gate
//! - `measure`: what each line does
//! - `load`: the generator, a process of its own: bodies, connections, pacing, latencies
//! - `listener`: the gateway's listener alone, and the one that stores nothing
//! - `gateway`: the real gateway and the sim, each a process
//! - `sqlite`: SQLite alone with the same batches
//! - `process`: children of this program, their answers and their memory
//!
//! Absolute figures are told, only ratios gate: nobody knows which machine this is.

mod gateway;
mod listener;
mod load;
mod measure;
mod process;
mod sqlite;
mod table;

use std::process::ExitCode;

use clap::Parser;

/// Key of the signatures in every measurement.
const APP_SECRET: &str = "bench-app-secret";

#[derive(Parser)]
#[command(
    name = "duet-bench",
    about = "Measures Duet",
    args_conflicts_with_subcommands = true
)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    plan: measure::Plan,
}

/// What this program is when it runs as a child of itself.
#[derive(clap::Subcommand)]
enum Role {
    /// Sends webhooks and tells what came back
    #[command(hide = true)]
    Load(load::Options),
    /// Takes webhooks
    #[command(hide = true)]
    Listen(listener::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.role {
        None => measure::run(&arguments.plan),
        Some(Role::Load(options)) => load::run(options),
        Some(Role::Listen(options)) => listener::run(options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("duet-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
