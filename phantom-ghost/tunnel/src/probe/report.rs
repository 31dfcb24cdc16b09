//! What a prober found, for people and for programs.

use std::fmt::Write as _;

use phantom_types::Lang;
use phantom_words::of_prober;
use serde_json::{Value, json};

use super::timing::{ALPHA, Comparison};

/// How a probe ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeVerdict {
    /// As an ordinary web server's would.
    Ordinary,
    /// Something distinguishes the server.
    Distinguishable,
    /// The probe says nothing here; why is in its text.
    Unsaid,
}

/// One line of the report.
#[derive(Debug, Clone)]
pub struct ProbeFinding {
    /// `web`, `tls`, `shape`, `secret`, `timing` or `slow`.
    pub group: &'static str,
    /// What was tried.
    pub name: String,
    /// How it ended.
    pub verdict: ProbeVerdict,
    /// What was seen.
    pub seen: String,
    comparison: Option<Comparison>,
}

/// All that was found.
#[derive(Debug, Clone)]
pub struct ProbeReport {
    /// Whose server it is, as a `wss://` text, and the address that was probed.
    pub server: String,
    /// One for each probe, in the order in which they were made.
    pub findings: Vec<ProbeFinding>,
}

impl ProbeFinding {
    /// `seen` is what was there, or in the error's place what distinguishes.
    pub(super) fn new(group: &'static str, name: impl Into<String>, seen: Result<String, String>) -> Self {
        let (verdict, seen) = match seen {
            Ok(seen) => (ProbeVerdict::Ordinary, seen),
            Err(seen) => (ProbeVerdict::Distinguishable, seen),
        };
        Self { group, name: name.into(), verdict, seen, comparison: None }
    }

    pub(super) fn unsaid(group: &'static str, name: impl Into<String>, why: impl Into<String>) -> Self {
        Self { group, name: name.into(), verdict: ProbeVerdict::Unsaid, seen: why.into(), comparison: None }
    }

    /// Times are in microseconds.
    pub(super) fn comparison(name: &str, comparison: Comparison) -> Self {
        let [a, b] = comparison.medians;
        let seen = format!(
            "medians {a:.0} and {b:.0} µs of {} and {}, Mann-Whitney z = {:.2}, p = {:.4}",
            comparison.samples[0], comparison.samples[1], comparison.z, comparison.p
        );
        let seen = if comparison.differs() { Err(seen) } else { Ok(seen) };
        Self { comparison: Some(comparison), ..Self::new("timing", name, seen) }
    }

    /// The group as people read it.
    fn group_in(&self, lang: Lang) -> &'static str {
        match (lang, self.group) {
            (Lang::Tr, "shape") => "biçim",
            (Lang::Tr, "secret") => "anahtar",
            (Lang::Tr, "timing") => "süre",
            (Lang::Tr, "slow") => "yavaş",
            (_, group) => group,
        }
    }

    fn json(&self) -> Value {
        let verdict = match self.verdict {
            ProbeVerdict::Ordinary => "ordinary",
            ProbeVerdict::Distinguishable => "distinguishable",
            ProbeVerdict::Unsaid => "unsaid",
        };
        let mut value =
            json!({"group": self.group, "name": self.name, "verdict": verdict, "seen": self.seen});
        if let Some(found) = self.comparison {
            value["statistic"] = json!({
                "test": "Mann-Whitney U, two-sided, normal approximation with tie correction",
                "alpha": ALPHA,
                "samples": found.samples,
                "medians_us": found.medians,
                "z": found.z,
                "p": found.p,
            });
        }
        value
    }
}

impl ProbeReport {
    /// Whether anything tells the server from an ordinary web server, by the criteria of this prober.
    pub fn distinguishable(&self) -> bool {
        self.findings.iter().any(|finding| finding.verdict == ProbeVerdict::Distinguishable)
    }

    /// The report as JSON, whose texts are English: a program compares them.
    pub fn json(&self) -> Value {
        let findings: Vec<Value> = self.findings.iter().map(ProbeFinding::json).collect();
        json!({"server": self.server, "distinguishable": self.distinguishable(), "findings": findings})
    }

    /// The report as lines of text.
    pub fn text(&self, lang: Lang) -> String {
        let names: Vec<String> = self.findings.iter().map(|finding| of_prober(&finding.name, lang)).collect();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
        let mut text = format!("{}\n", self.server);
        for (finding, name) in self.findings.iter().zip(&names) {
            let mark = match finding.verdict {
                ProbeVerdict::Ordinary => lang.pick("ok  ", "tamam"),
                ProbeVerdict::Distinguishable => lang.pick("FAIL", "FARK "),
                ProbeVerdict::Unsaid => lang.pick("note", "not  "),
            };
            let (group, seen) = (finding.group_in(lang), of_prober(&finding.seen, lang));
            // Writing to a string does not fail.
            let _ = writeln!(text, "{mark}  {group:<7} {name:<width$}  {seen}");
        }
        let count = |verdict| self.findings.iter().filter(|finding| finding.verdict == verdict).count();
        let failed = count(ProbeVerdict::Distinguishable);
        let all = self.findings.len() - count(ProbeVerdict::Unsaid);
        let sum = if failed == 0 {
            format!("nothing of {all} probes tells this server from an ordinary web server")
        } else {
            format!("{failed} of {all} probes tell this server from an ordinary web server")
        };
        text.push_str(&of_prober(&sum, lang));
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_difference_is_enough() {
        let mut report = ProbeReport { server: "wss://vpn.example.com".to_owned(), findings: Vec::new() };
        report.findings.push(ProbeFinding::new("web", "GET /", Ok("200".to_owned())));
        report.findings.push(ProbeFinding::unsaid("tls", "h2", "not offered"));
        assert!(!report.distinguishable());
        assert!(
            report
                .text(Lang::En)
                .ends_with("nothing of 1 probes tells this server from an ordinary web server\n")
        );
        report.findings.push(ProbeFinding::comparison("times", Comparison::between(&[1.0; 50], &[2.0; 50])));
        assert!(report.distinguishable());
        assert!(report.text(Lang::En).contains("FAIL  timing  times"));
        let json = report.json();
        assert_eq!(json["findings"][0]["verdict"], "ordinary");
        assert_eq!(json["findings"][2]["statistic"]["samples"][0], 50);
    }
}
