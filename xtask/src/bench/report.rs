//! The table of what was measured, as text for people and as JSON for programs.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::problem::{Context as _, Result};

/// What a figure has to reach.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal {
    /// At most so many times the peer's figure.
    TimesOrLess(f64),
    /// At least so many times the peer's figure.
    TimesOrMore(f64),
    /// At most this, in the unit of the figure.
    Limit(f64),
    /// Nothing: it is there to hold other figures against.
    None,
}

/// What a figure counts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unit {
    Microseconds,
    Milliseconds,
    MegabitsPerSecond,
    Kibibytes,
    Mebibytes,
    SecondsPerGigabyte,
    /// Of one processor's time.
    Percent,
    /// The largest of several figures divided by the smallest.
    Spread,
}

/// A line of the table.
pub(super) struct Row {
    pub(super) what: String,
    /// Nothing where it could not be measured; `remark` says why.
    pub(super) measured: Option<f64>,
    pub(super) unit: Unit,
    /// What it is held against, in the same unit.
    pub(super) peer: Option<(String, f64)>,
    pub(super) goal: Goal,
    pub(super) remark: String,
}

impl Row {
    fn ratio(&self) -> Option<f64> {
        self.peer.as_ref().zip(self.measured).map(|((_, peer), measured)| measured / peer)
    }

    /// Whether the goal is reached; `None` when it was not measured.
    fn met(&self) -> Option<bool> {
        match self.goal {
            Goal::TimesOrLess(times) => self.ratio().map(|ratio| ratio <= times),
            Goal::TimesOrMore(times) => self.ratio().map(|ratio| ratio >= times),
            Goal::Limit(limit) => self.measured.map(|measured| measured <= limit),
            Goal::None => None,
        }
    }

    fn line(&self) -> String {
        let measured =
            self.measured.map_or_else(|| "not measured".to_owned(), |figure| self.unit.show(figure));
        let peer = self
            .peer
            .as_ref()
            .map_or_else(|| "–".to_owned(), |(name, figure)| format!("{} ({name})", self.unit.show(*figure)));
        let ratio = self.ratio().map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2} ×"));
        let goal = match self.goal {
            Goal::TimesOrLess(times) => format!("≤ {times} ×"),
            Goal::TimesOrMore(times) => format!("≥ {times} ×"),
            Goal::Limit(limit) => format!("≤ {}", self.unit.show(limit)),
            Goal::None => "–".to_owned(),
        };
        let met = self.met().map_or("–", |met| if met { "yes" } else { "**no**" });
        let remark = if self.remark.is_empty() { String::new() } else { format!(" ({})", self.remark) };
        format!("| {}{remark} | {measured} | {peer} | {ratio} | {goal} | {met} |", self.what)
    }

    fn json(&self) -> Value {
        let peer = self.peer.as_ref().map(|(name, figure)| json!({"name": name, "figure": figure}));
        let goal = match self.goal {
            Goal::TimesOrLess(times) => json!({"at_most_times": times}),
            Goal::TimesOrMore(times) => json!({"at_least_times": times}),
            Goal::Limit(limit) => json!({"at_most": limit}),
            Goal::None => Value::Null,
        };
        json!({
            "what": self.what,
            "measured": self.measured,
            "unit": self.unit.name(),
            "peer": peer,
            "ratio": self.ratio(),
            "goal": goal,
            "met": self.met(),
            "remark": self.remark,
        })
    }
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Microseconds => "µs",
            Self::Milliseconds => "ms",
            Self::MegabitsPerSecond => "Mbit/s",
            Self::Kibibytes => "KiB",
            Self::Mebibytes => "MiB",
            Self::SecondsPerGigabyte => "s/GB",
            Self::Percent => "%",
            Self::Spread => "ratio",
        }
    }

    fn show(self, figure: f64) -> String {
        match self {
            Self::Microseconds => format!("{figure:.2} µs"),
            Self::Milliseconds if figure >= 1000.0 => format!("{:.2} s", figure / 1e3),
            Self::Milliseconds if figure >= 10.0 => format!("{figure:.1} ms"),
            Self::Milliseconds => format!("{figure:.2} ms"),
            Self::MegabitsPerSecond => format!("{figure:.0} Mbit/s"),
            Self::Kibibytes => format!("{figure:.1} KiB"),
            Self::Mebibytes => format!("{figure:.1} MiB"),
            Self::SecondsPerGigabyte => format!("{figure:.2} s/GB"),
            Self::Percent => format!("{figure:.2} %"),
            Self::Spread => format!("{figure:.2}"),
        }
    }
}

/// All lines.
#[derive(Default)]
pub(super) struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// Adds a line and shows it at once.
    pub(super) fn add(&mut self, row: Row) {
        println!("{}", row.line());
        self.rows.push(row);
    }

    /// Whether nothing that was measured misses its goal.
    pub(super) fn all_met(&self) -> bool {
        self.rows.iter().all(|row| row.met() != Some(false))
    }

    /// Prints the whole table and writes it into the folder.
    pub(super) fn write(&self, dir: &Path) -> Result {
        let mut text =
            "| what | measured | floor or peer | ratio | goal | met |\n|---|---|---|---|---|---|\n"
                .to_owned();
        for row in &self.rows {
            let _ = writeln!(text, "{}", row.line()); // writing to a string does not fail
        }
        println!("\n{text}");
        let rows: Vec<Value> = self.rows.iter().map(Row::json).collect();
        for (name, content) in
            [("results.md", text), ("results.json", format!("{:#}\n", json!({"rows": rows})))]
        {
            let file = dir.join(name);
            fs::write(&file, content).context(file.display())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(measured: Option<f64>, peer: f64, goal: Goal) -> Row {
        let peer = Some(("peer".to_owned(), peer));
        Row { what: "what".to_owned(), measured, unit: Unit::Milliseconds, peer, goal, remark: String::new() }
    }

    #[test]
    fn goals() {
        assert_eq!(row(Some(2.5), 1.0, Goal::TimesOrLess(2.5)).met(), Some(true));
        assert_eq!(row(Some(2.6), 1.0, Goal::TimesOrLess(2.5)).met(), Some(false));
        assert_eq!(row(Some(2.6), 1.0, Goal::TimesOrMore(3.0)).met(), Some(false));
        assert_eq!(row(Some(2.6), 1.0, Goal::Limit(2.6)).met(), Some(true));
        assert_eq!(row(None, 1.0, Goal::Limit(2.6)).met(), None);
    }

    #[test]
    fn a_line_names_the_unit() {
        let line = row(Some(2600.0), 650.0, Goal::TimesOrLess(3.0)).line();
        assert_eq!(line, "| what | 2.60 s | 650.0 ms (peer) | 4.00 × | ≤ 3 × | **no** |");
    }
}
