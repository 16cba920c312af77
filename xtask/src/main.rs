//! The chores that cargo has no word for: build the guests, show Duet, test it, measure it.
//!
//! Promises: every chore says what it does before it does it, installs what it needs below the target folder
//! (the wasm target through rustup), asks for no root and no terminal, and fails with the line to run.

mod bench;
mod command;
mod demo;
mod guests;
mod house;
mod test;

use std::process::ExitCode;

use clap::Parser;

use house::House;

#[derive(Parser)]
#[command(bin_name = "cargo xtask", about = "The chores of Duet")]
enum Chore {
    /// Builds the plugins and puts each component beside its source
    Guests,
    /// Plays a customer, a plugin and a person on the phone, then lets you change the plugin
    Demo(demo::Options),
    /// Runs everything that must hold before a change is taken
    Test(test::Options),
    /// Measures, every line beside its counterpart in the same run
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let chore = Chore::parse();
    let done = House::find().and_then(|house| match chore {
        Chore::Guests => guests::build(&house),
        Chore::Demo(options) => demo::run(&house, &options),
        Chore::Test(options) => test::run(&house, &options),
        Chore::Bench(options) => bench::run(&house, &options),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
