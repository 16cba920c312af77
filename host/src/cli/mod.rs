//! The command line. Each command is a file; exit codes stand here and nowhere else: 0 done, 1 problems or
//! a failure (told on stderr), 2 a command line that cannot be understood.

mod check;
mod contact;
mod serve;
mod version;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Flags;

/// A gateway for WhatsApp coexistence: a person on the phone and a program on the API, in tune.
#[derive(Parser)]
#[command(name = "duet", version = version::text())]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one for the whole process"
)]
enum Command {
    /// Run the gateway
    Serve(Flags),
    /// Check duet.toml and plugins.toml: every problem with its line and remedy
    Check(Flags),
    /// A local Meta and a local phone
    Sim(duet_sim::cli::SimArgs),
    /// Print everything that is kept of a contact, as JSON
    Export(contact::Named),
    /// Leave no byte of a contact
    Erase(contact::Named),
    /// Compile a component into the cache: the gateway's own child process
    #[command(hide = true)]
    Compile {
        component: PathBuf,
        #[arg(long)]
        cache: PathBuf,
    },
}

/// How a command ended that did not fail.
enum Ended {
    Done,
    /// It has told problems, and there are some.
    Problems,
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    // Clap answers --help, --version and mistakes itself, with exit codes 0 and 2.
    let arguments = Arguments::parse();
    match command(arguments.command) {
        Ok(Ended::Done) => ExitCode::SUCCESS,
        Ok(Ended::Problems) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("duet: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn command(command: Command) -> anyhow::Result<Ended> {
    match command {
        Command::Serve(flags) => asynchronous(serve::serve(flags)),
        Command::Check(flags) => Ok(check::check(&flags)),
        Command::Sim(arguments) => asynchronous(async {
            duet_sim::cli::run(arguments).await?;
            Ok(Ended::Done)
        }),
        Command::Export(named) => asynchronous(contact::export(named)),
        Command::Erase(named) => asynchronous(contact::erase(named)),
        Command::Compile { component, cache } => {
            crate::plugin::compile_main(&component, &cache)?;
            Ok(Ended::Done)
        }
    }
}

fn asynchronous(command: impl Future<Output = anyhow::Result<Ended>>) -> anyhow::Result<Ended> {
    // One provider of cryptography for the whole process; a second install would only find the first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(command)
}
