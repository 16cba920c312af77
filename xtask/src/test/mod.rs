//! Everything that must hold before a change is taken, part by part, with the minutes of each at the end.
//!
//! - this file: which parts there are, their order, their report
//! - `part`: what each part runs
//! - `fuzz`: the fuzz targets, some at once
//! - `tools`: cargo-deny and cargo-fuzz, installed below the target folder
//! - `advisories`: where the list of known vulnerabilities comes from
//! - `count`: how many tests passed
//! - `results`: what `--full` leaves below `tests/results`

mod advisories;
mod count;
mod fuzz;
mod part;
mod results;
mod tools;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::house::House;
use count::Count;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Also what takes hours: longer fuzzing, more rounds, the bench; results go to tests/results
    #[arg(long)]
    pub(crate) full: bool,
    /// Only this part
    #[arg(value_enum)]
    part: Option<Part>,
}

/// In the order in which they run: what fails fast comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// Formatting
    Fmt,
    /// The plugins and the misbehaving ones, as components
    Guests,
    /// Unit tests and black-box tests against the real binary
    Tests,
    /// Lints, warnings denied
    Clippy,
    /// Documentation, warnings denied
    Doc,
    /// Licences, sources, doubles and known vulnerabilities of what Duet depends on
    Deny,
    /// Every fuzz target for half a minute, with --full for ten
    Fuzz,
    /// The measurements, only with --full
    Bench,
}

impl Part {
    const ALL: [Part; 8] = [
        Part::Fmt,
        Part::Guests,
        Part::Tests,
        Part::Clippy,
        Part::Doc,
        Part::Deny,
        Part::Fuzz,
        Part::Bench,
    ];

    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    fn is_wanted(self, options: &Options) -> bool {
        match options.part {
            // The black-box tests run the components.
            Some(Part::Tests) => matches!(self, Part::Guests | Part::Tests),
            Some(wanted) => self == wanted,
            None => self != Part::Bench || options.full,
        }
    }
}

/// How one part ended.
struct Outcome {
    part: Part,
    took: Duration,
    trouble: Option<String>,
}

pub(crate) fn run(house: &House, options: &Options) -> Result<()> {
    let mut count = Count::default();
    let mut outcomes = Vec::new();
    for part in Part::ALL.into_iter().filter(|part| part.is_wanted(options)) {
        println!("\n▸▸ {}", part.name());
        let began = Instant::now();
        let trouble = part::run(part, house, options, &mut count)
            .err()
            .map(|error| format!("{error:#}"));
        if let Some(trouble) = &trouble {
            println!("{} failed: {trouble}", part.name());
        }
        outcomes.push(Outcome {
            part,
            took: began.elapsed(),
            trouble,
        });
    }
    report(&outcomes, &count);
    match outcomes
        .iter()
        .filter(|outcome| outcome.trouble.is_some())
        .count()
    {
        0 => Ok(()),
        failed => bail!("{failed} of {} parts failed", outcomes.len()),
    }
}

fn report(outcomes: &[Outcome], count: &Count) {
    println!("\nMinutes per part");
    for Outcome {
        part,
        took,
        trouble,
    } in outcomes
    {
        let end = trouble
            .as_deref()
            .map_or("ok", |trouble| trouble.lines().next().unwrap_or("failed"));
        println!(
            "  {:<8} {:>6.1}  {end}",
            part.name(),
            took.as_secs_f64() / 60.0
        );
    }
    let all: Duration = outcomes.iter().map(|outcome| outcome.took).sum();
    println!("  {:<8} {:>6.1}", "all", all.as_secs_f64() / 60.0);
    if *count != Count::default() {
        println!("\n{} passed, {} failed", count.passed, count.failed);
    }
}
