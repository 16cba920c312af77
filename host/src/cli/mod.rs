//! The command line. Each command is a file; exit codes stand here and nowhere else: 0 done, 1 problems or
//! a failure (told on stderr), 2 a command line that cannot be understood.

/// A line for the user, as `println!` takes it.
macro_rules! say {
    ($($words:tt)*) => {
        { $crate::cli::tell(format_args!($($words)*)); }
    };
}

mod answer;
mod business;
mod check;
mod contact;
mod doctor;
mod handling;
mod ledger;
mod number;
mod place;
mod plugin;
mod search;
mod serve;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use duet_rules::duet_toml::{Kind, SETTINGS};

use crate::config::Flags;
use crate::version;

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
    /// Check all of that, and everything that the numbers need at Meta's: each finding with its remedy
    Doctor(doctor::Asked),
    /// A local Meta and a local phone
    Sim(duet_sim::cli::SimArgs),
    /// Print everything that is kept of a contact, as JSON, while the gateway runs or is stopped
    Export(contact::Named),
    /// Leave no byte of a contact, while the gateway runs or is stopped
    Erase(contact::Named),
    /// The business numbers: whether they are well, and whether their chats came over
    #[command(subcommand)]
    Number(number::Verb),
    /// The businesses whose numbers this gateway serves
    #[command(subcommand)]
    Business(business::Verb),
    /// The plugins: how they fare, and what one asks for
    #[command(subcommand)]
    Plugin(plugin::Verb),
    /// Messages that hold words, newest first
    Search(search::Asked),
    /// Compile a component into the cache: the gateway's own child process
    #[command(hide = true)]
    Compile {
        component: PathBuf,
        #[arg(long)]
        cache: PathBuf,
    },
}

/// The settings that say where the data is.
const OF_THE_DATA: &[&str] = &["config", "data", "admin_listen", "admin_token_file"];

/// The settings that say where the plugins are named.
const OF_THE_PLUGINS: &[&str] = &["config", "plugins"];

/// The whole command line. What clap's attributes cannot say: secrets have no flags, and some commands need few.
fn command_line() -> clap::Command {
    let secrets = SETTINGS.iter().filter(|row| row.kind == Kind::Secret);
    let secrets: Vec<_> = secrets.map(|row| row.env).collect();
    let secrets = format!(
        "Secrets come from the environment, or from the files named above:\n  {}",
        secrets.join(", ")
    );
    let few = |command| showing(command, OF_THE_DATA);
    let named = |command| showing(command, OF_THE_PLUGINS);
    Arguments::command()
        .mut_subcommand("serve", |command| command.after_help(secrets))
        .mut_subcommand("export", few)
        .mut_subcommand("erase", few)
        .mut_subcommand("search", few)
        .mut_subcommand("number", |command| command.mut_subcommands(few))
        .mut_subcommand("business", |command| command.mut_subcommands(few))
        .mut_subcommand("plugin", |command| {
            let plugin = command.mut_subcommands(few);
            plugin
                .mut_subcommand("enable", named)
                .mut_subcommand("disable", named)
        })
}

/// The command, whose help has of all settings these.
fn showing(command: clap::Command, settings: &'static [&'static str]) -> clap::Command {
    command.mut_args(|arg| {
        let id = arg.get_id().as_str();
        let is_setting = SETTINGS.iter().any(|setting| setting.key == id);
        let shown = !is_setting || settings.contains(&id);
        arg.hide(!shown)
    })
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
    let matches = command_line().get_matches();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match command(arguments.command) {
        Ok(Ended::Done) => ExitCode::SUCCESS,
        Ok(Ended::Problems) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("duet: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Writes a line to standard output. False when nobody reads on, as after `head`: a command that has work to do still
/// does it, one that only tells may end.
fn tell(line: std::fmt::Arguments<'_>) -> bool {
    match writeln!(std::io::stdout(), "{line}") {
        Ok(()) => true,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => false,
        Err(error) => {
            eprintln!("duet: standard output: {error}");
            std::process::exit(1);
        }
    }
}

fn command(command: Command) -> anyhow::Result<Ended> {
    match command {
        Command::Serve(flags) => asynchronous(serve::serve(flags)),
        Command::Check(flags) => Ok(check::check(&flags)),
        Command::Doctor(asked) => asynchronous(doctor::run(asked)),
        Command::Sim(arguments) => asynchronous(async {
            duet_sim::cli::run(arguments).await?;
            Ok(Ended::Done)
        }),
        Command::Export(named) => asynchronous(contact::export(named)),
        Command::Erase(named) => asynchronous(contact::erase(named)),
        Command::Number(verb) => asynchronous(number::run(verb)),
        Command::Business(verb) => asynchronous(business::run(verb)),
        Command::Plugin(verb) => asynchronous(plugin::run(verb)),
        Command::Search(asked) => asynchronous(search::run(asked)),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn help(name: &str) -> String {
        let mut line = command_line();
        let command = line.find_subcommand_mut(name).unwrap();
        command.render_help().to_string()
    }

    #[test]
    fn help_names_the_secrets_the_values_and_no_flag_in_vain() {
        command_line().debug_assert();
        let serve = help("serve");
        for told in [
            "DUET_APP_SECRET, DUET_VERIFY_TOKEN, DUET_ADMIN_TOKEN, DUET_ACCESS_TOKEN",
            "text, json",
            "error, warn, info, debug, trace",
        ] {
            assert!(serve.contains(told), "{told} in {serve}");
        }
        let erase = help("erase");
        assert!(erase.contains("--data ") && erase.contains("--admin-listen "));
        assert!(!erase.contains("--graph-url"), "{erase}");
    }
}
