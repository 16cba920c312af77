//! `duet plugin top`: the plugins at work, the one that computes most first. Rates are those between two looks, so the
//! first table of a terminal has none; `--once` and `--json` look twice, a second apart, before they say anything.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::Ended;
use crate::cli::answer::{at, word};
use crate::cli::place::Gateway;
use crate::config::Flags;

const APART: Duration = Duration::from_secs(1);
/// To the corner of the terminal, and nothing left below.
const CLEAR: &str = "\x1b[H\x1b[2J";
const MIB: f64 = 1_048_576.0;
const HEAD: [&str; 12] = [
    "PLUGIN", "STATE", "DONE/S", "WAITING", "DEPTH", "RETRIED", "FAULTS", "DEAD", "CPU", "P50",
    "P99", "MEMORY",
];
/// Columns of words, which stand to the left.
const WORDS: usize = 2;

#[derive(clap::Args)]
pub(in crate::cli) struct Asked {
    /// One table and no more, as when standard output is no terminal
    #[arg(long)]
    once: bool,
    /// The same as JSON
    #[arg(long)]
    json: bool,
    /// At most so many plugins on a terminal
    #[arg(long, default_value_t = 40)]
    lines: usize,
    #[command(flatten)]
    flags: Flags,
}

pub(super) async fn run(asked: &Asked) -> anyhow::Result<Ended> {
    let gateway = Gateway::running(&asked.flags)?;
    let mut before = Sample::take(&gateway).await?;
    let watched = !asked.once && !asked.json && std::io::stdout().is_terminal();
    if watched {
        say!("{CLEAR}{}", table(&before.rows(None), asked.lines));
    }
    loop {
        tokio::time::sleep(APART).await;
        let now = Sample::take(&gateway).await?;
        let rows = now.rows(Some(&before));
        if asked.json {
            say!("{:#}", json!({ "plugins": rows }));
        } else if watched {
            say!("{CLEAR}{}", table(&rows, asked.lines));
        } else {
            say!("{}", table(&rows, usize::MAX));
        }
        if !watched {
            return Ok(Ended::Done);
        }
        before = now;
    }
}

/// What the gateway said of its plugins, and when.
struct Sample {
    plugins: Vec<Value>,
    taken: Instant,
}

/// A line of the table. What is per second, and the share, are between two looks.
#[derive(Serialize)]
struct Row {
    name: String,
    state: String,
    done_per_second: Option<f64>,
    waiting: u64,
    depth: u64,
    retried: u64,
    faults: u64,
    dead: u64,
    /// 100 is one core.
    cpu_percent: Option<f64>,
    wall_p50_ms: Option<f64>,
    wall_p99_ms: Option<f64>,
    memory_peak_bytes: u64,
    /// What is of its canary in all this.
    #[serde(skip_serializing_if = "Option::is_none")]
    canary: Option<Box<Row>>,
}

impl Sample {
    async fn take(gateway: &Gateway) -> anyhow::Result<Sample> {
        let plugins = gateway.list("plugins").await?;
        let taken = Instant::now();
        Ok(Sample { plugins, taken })
    }

    /// All plugins, by what they compute, then by name.
    fn rows(&self, before: Option<&Sample>) -> Vec<Row> {
        let mut rows: Vec<Row> = self
            .plugins
            .iter()
            .map(|plugin| {
                let then = before.and_then(|before| {
                    let same = |then: &&Value| at(then, "/name") == at(plugin, "/name");
                    let then = before.plugins.iter().find(same)?;
                    Some((then, self.taken.duration_since(before.taken)))
                });
                row(plugin, then)
            })
            .collect();
        rows.sort_by(|one, other| {
            let cpu = |row: &Row| row.cpu_percent.unwrap_or_default();
            let by_cpu = cpu(other).total_cmp(&cpu(one));
            by_cpu.then_with(|| one.name.cmp(&other.name))
        });
        rows
    }
}

fn row(plugin: &Value, then: Option<(&Value, Duration)>) -> Row {
    let count = |key: &str| at(plugin, key).as_u64().unwrap_or_default();
    // A gateway that was started again counts anew: that is no rate.
    let per_second = |key: &str| {
        let (then, apart) = then?;
        let more = count(key).checked_sub(at(then, key).as_u64()?)?;
        let more = u32::try_from(more).map_or(f64::from(u32::MAX), f64::from);
        Some(more / apart.as_secs_f64())
    };
    let ms = |key: &str| at(plugin, key).as_f64().map(|us| us / 1000.0);
    Row {
        name: word(at(plugin, "/name")),
        state: word(at(plugin, "/state")),
        done_per_second: per_second("/events/done"),
        waiting: count("/events/waiting"),
        depth: count("/events/depth"),
        retried: count("/events/retried"),
        faults: count("/events/faults"),
        dead: count("/events/dead"),
        cpu_percent: per_second("/calls/cpu_us").map(|us| us / 10_000.0),
        wall_p50_ms: ms("/calls/wall_p50_us"),
        wall_p99_ms: ms("/calls/wall_p99_us"),
        memory_peak_bytes: count("/calls/memory_peak_bytes"),
        canary: canary(plugin, then).map(Box::new),
    }
}

fn canary(plugin: &Value, then: Option<(&Value, Duration)>) -> Option<Row> {
    let canary = at(plugin, "/canary");
    if !canary.is_object() {
        return None;
    }
    // Another version counts anew.
    let then = then.map(|(then, apart)| (at(then, "/canary"), apart));
    let then = then.filter(|(then, _)| at(then, "/digest") == at(canary, "/digest"));
    Some(Row {
        name: format!("- canary {}%", at(canary, "/percent")),
        ..row(canary, then)
    })
}

/// The head and at most so many lines.
fn table(rows: &[Row], lines: usize) -> String {
    if rows.is_empty() {
        return super::NONE.to_owned();
    }
    let mut table = vec![HEAD.map(str::to_owned)];
    let of_row = |row: &Row| {
        let canary = row.canary.as_deref().map(cells);
        std::iter::once(cells(row)).chain(canary)
    };
    table.extend(rows.iter().take(lines).flat_map(of_row));
    let widths: Vec<usize> = (0..HEAD.len())
        .map(|column| {
            let width = |line: &[String; HEAD.len()]| line.get(column).map_or(0, String::len);
            table.iter().map(width).max().unwrap_or_default()
        })
        .collect();
    let line = |cells: &[String; HEAD.len()]| {
        let padded = cells.iter().zip(&widths).enumerate();
        let padded = padded.map(|(column, (cell, &width))| match column < WORDS {
            true => format!("{cell:width$}"),
            false => format!("{cell:>width$}"),
        });
        padded.collect::<Vec<_>>().join("  ")
    };
    let mut told: Vec<String> = table.iter().map(line).collect();
    if rows.len() > lines {
        told.push(format!("and {} more; --once tells all", rows.len() - lines));
    }
    told.join("\n")
}

fn cells(row: &Row) -> [String; HEAD.len()] {
    let figure = |value: Option<f64>, unit: &str| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}{unit}"))
    };
    let peak = u32::try_from(row.memory_peak_bytes).map_or(f64::from(u32::MAX), f64::from);
    let memory = (row.memory_peak_bytes > 0).then_some(peak / MIB);
    [
        row.name.clone(),
        row.state.clone(),
        figure(row.done_per_second, ""),
        row.waiting.to_string(),
        row.depth.to_string(),
        row.retried.to_string(),
        row.faults.to_string(),
        row.dead.to_string(),
        figure(row.cpu_percent, "%"),
        figure(row.wall_p50_ms, "ms"),
        figure(row.wall_p99_ms, "ms"),
        figure(memory, "MiB"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(taken: Instant, plugins: Value) -> Sample {
        let Value::Array(plugins) = plugins else {
            panic!("a list")
        };
        Sample { plugins, taken }
    }

    fn plugin(name: &str, done: u64, cpu_us: u64) -> Value {
        json!({"name": name, "state": "ready",
            "events": {"done": done, "waiting": 0, "depth": 1, "retried": 2, "faults": 3, "dead": 4},
            "calls": {"cpu_us": cpu_us, "wall_p50_us": 400, "wall_p99_us": null, "memory_peak_bytes": 1 << 20}})
    }

    #[test]
    fn rates_are_between_two_looks_and_who_computes_most_is_first() {
        let start = Instant::now();
        let later = start + Duration::from_secs(2);
        let plugins = json!([
            plugin("calm", 10, 0),
            plugin("gone", 1, 0),
            plugin("heavy", 5, 9)
        ]);
        let before = sample(start, plugins);
        let plugins = json!([
            plugin("calm", 14, 4000),
            plugin("heavy", 2, 500_009),
            plugin("new", 7, 7)
        ]);
        let now = sample(later, plugins);
        let table = table(&now.rows(Some(&before)), 2);
        let lines: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            lines,
            [
                HEAD.to_vec(),
                vec![
                    "heavy", "ready", "-", "0", "1", "2", "3", "4", "25.0%", "0.4ms", "-", "1.0MiB"
                ],
                vec![
                    "calm", "ready", "2.0", "0", "1", "2", "3", "4", "0.2%", "0.4ms", "-", "1.0MiB"
                ],
                "and 1 more; --once tells all".split(' ').collect(),
            ]
        );
        let mut with_canary = plugin("calm", 10, 0);
        with_canary["canary"] = plugin("", 4, 0);
        with_canary["canary"]["percent"] = json!(5);
        let told = super::table(&sample(later, json!([with_canary])).rows(None), 1);
        let line = told.lines().last().unwrap_or_default();
        assert!(line.starts_with("- canary 5%  ready"), "{told}");
        let first = before.rows(None);
        assert!(first.iter().all(|row| row.cpu_percent.is_none()));
        assert_eq!(first.len(), 3);
    }
}
