//! `duet doctor`: what `duet check` tells, and from the gateway that runs, what the numbers need at Meta's.

use reqwest::Method;
use serde_json::{Value, json};

use super::answer::{at, word};
use super::place::Gateway;
use super::{Ended, check};
use crate::config::{Flags, Problem};

#[derive(clap::Args)]
pub(super) struct Asked {
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags,
}

pub(super) async fn run(asked: Asked) -> anyhow::Result<Ended> {
    let mut findings: Vec<Value> = check::problems(&asked.flags)
        .into_iter()
        .map(written)
        .collect();
    match Gateway::running(&asked.flags) {
        Ok(gateway) => {
            let mut told = gateway.call(Method::GET, "doctor", &[]).await?;
            if let Some(Value::Array(found)) = told.get_mut("findings").map(Value::take) {
                findings.extend(found);
            }
        }
        Err(error) => findings.push(json!({
            "about": null, "check": "gateway", "verdict": "problem", "detail": error.to_string(),
            "remedy": "start it with duet serve; then Meta is asked too",
        })),
    }
    let problems = findings
        .iter()
        .any(|finding| at(finding, "/verdict") == "problem");
    let told = json!({"findings": findings});
    if asked.json {
        say!("{told:#}");
    } else {
        tell_findings(&told);
    }
    Ok(if problems {
        Ended::Problems
    } else {
        Ended::Done
    })
}

fn written(problem: Problem) -> Value {
    json!({
        "about": problem.place, "check": "settings", "verdict": "problem", "detail": problem.message,
        "remedy": problem.remedy,
    })
}

/// The findings of an answer, with their remedies.
pub(super) fn tell_findings(told: &Value) {
    for finding in at(told, "/findings").as_array().into_iter().flatten() {
        let about = at(finding, "/about");
        let about = about
            .as_str()
            .map_or_else(String::new, |_| format!(" {}", word(about)));
        say!(
            "{:8}{}{about}: {}",
            word(at(finding, "/verdict")),
            word(at(finding, "/check")),
            word(at(finding, "/detail"))
        );
        if at(finding, "/remedy").is_string() {
            say!("        {}", word(at(finding, "/remedy")));
        }
    }
}
