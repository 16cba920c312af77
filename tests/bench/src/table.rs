//! The table: what was measured, beside what, in which ratio, and whether that ratio is good enough.

use anyhow::{Result, bail};

/// One line.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) measured: Figure,
    /// What stands beside it, from the same run.
    pub(crate) beside: Vec<(&'static str, Figure)>,
    /// The ratio to the first of them that must be reached.
    pub(crate) gate: Option<Gate>,
    /// More about the measurement, in words.
    pub(crate) note: String,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
}

impl Figure {
    pub(crate) fn per_second(value: f64) -> Figure {
        Figure { value, unit: "/s" }
    }

    pub(crate) fn ms(value: f64) -> Figure {
        Figure { value, unit: " ms" }
    }

    fn text(self) -> String {
        let Figure { value, unit } = self;
        if value >= 100.0 {
            format!("{value:.0}{unit}")
        } else {
            format!("{value:.2}{unit}")
        }
    }
}

/// A bound on measured / beside.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Gate {
    AtLeast(f64),
    AtMost(f64),
}

impl Gate {
    fn holds(self, ratio: f64) -> bool {
        match self {
            Gate::AtLeast(bound) => ratio >= bound,
            Gate::AtMost(bound) => ratio <= bound,
        }
    }

    fn text(self) -> String {
        match self {
            Gate::AtLeast(bound) => format!("≥ {bound}"),
            Gate::AtMost(bound) => format!("≤ {bound}"),
        }
    }
}

/// Lines as they come, printed at once.
#[derive(Default)]
pub(crate) struct Table {
    broken: Vec<String>,
}

impl Table {
    pub(crate) fn begin() -> Table {
        println!("| what | measured | beside it, in the same run | ratio | gate | |");
        println!("|---|---:|---|---|---|---|");
        Table::default()
    }

    pub(crate) fn add(&mut self, line: &Line) {
        let ratios: Vec<f64> = line
            .beside
            .iter()
            .map(|(_, beside)| line.measured.value / beside.value)
            .collect();
        let beside: Vec<_> = line
            .beside
            .iter()
            .map(|(name, figure)| format!("{name} {}", figure.text()))
            .collect();
        let told: Vec<_> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
        let gate = line
            .gate
            .zip(ratios.first())
            .map(|(gate, ratio)| (gate, gate.holds(*ratio)));
        let verdict = gate.map_or(String::new(), |(gate, holds)| {
            format!("{} {}", gate.text(), if holds { "holds" } else { "BROKEN" })
        });
        if gate.is_some_and(|(_, holds)| !holds) {
            self.broken.push(line.name.clone());
        }
        let measured = line.measured.text();
        println!(
            "| {} | {measured} | {} | {} | {verdict} | {} |",
            line.name,
            beside.join(", "),
            told.join(", "),
            line.note
        );
    }

    pub(crate) fn end(self) -> Result<()> {
        if self.broken.is_empty() {
            Ok(())
        } else {
            bail!("ratios out of bounds: {}", self.broken.join(", "))
        }
    }
}
