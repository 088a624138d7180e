//! The table of what became of whom.

use std::fmt::Write;
use std::time::Duration;

use super::case::{Case, Found};
use super::netcheck::Netcheck;
use super::oracle::Outcome;
use super::program::Pair;
use super::trouble::{Survived, Trouble};
use super::{Kind, PUNCHES};

/// Everything that was played, and what came of it.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Of pairs.
    pub(super) cases: Vec<(Case, Result<Found, String>)>,
    /// Of neighbours, and of ports of routers.
    pub(super) local: Vec<(String, Result<(), String>)>,
    /// Of troubles.
    pub(super) troubles: Vec<(Trouble, Result<Survived, String>)>,
    /// Of what `handfast ping --until-direct` said.
    pub(super) programs: Vec<(Pair, Result<String, String>)>,
    /// Of self-tests: what the program said.
    pub(super) checks: Vec<(Netcheck, Result<String, String>)>,
}

impl Findings {
    /// What was not as it must be.
    pub(super) fn failures(&self) -> impl Iterator<Item = String> {
        let cases = self
            .cases
            .iter()
            .filter_map(|(case, found)| Some((case.to_string(), found.as_ref().err()?)));
        let troubles = self.troubles.iter();
        let troubles = troubles
            .filter_map(|(trouble, found)| Some((trouble.to_string(), found.as_ref().err()?)));
        let local = self.local.iter();
        let local = local.filter_map(|(name, done)| Some((name.clone(), done.as_ref().err()?)));
        let programs = self.programs.iter();
        let programs =
            programs.filter_map(|(pair, said)| Some((program(*pair), said.as_ref().err()?)));
        let checks = self.checks.iter();
        let checks =
            checks.filter_map(|(check, said)| Some((check.to_string(), said.as_ref().err()?)));
        let all = cases.chain(troubles).chain(local).chain(programs).chain(checks);
        all.map(|(name, why)| format!("{name}: {why}"))
    }

    /// How many were played.
    #[must_use]
    pub(super) fn count(&self) -> usize {
        let pairs = self.cases.len() + self.troubles.len();
        pairs + self.local.len() + self.programs.len() + self.checks.len()
    }

    /// The whole as Markdown.
    #[must_use]
    pub(super) fn table(&self) -> String {
        let mut text = String::from(HEAD);
        text.push_str(if PUNCHES { DOES } else { DOES_NOT });
        let mut weathers: Vec<_> = self.cases.iter().map(|(case, _)| weather(case)).collect();
        weathers.sort();
        weathers.dedup();
        for weather in weathers {
            self.matrix(&mut text, weather);
        }
        self.summary(&mut text);
        self.list_of_troubles(&mut text);
        self.list_of_programs(&mut text);
        self.list_of_checks(&mut text);
        text
    }

    fn matrix(&self, text: &mut String, of: (Duration, u32)) {
        let (skew, lost) = (of.0.as_millis(), of.1 / 10);
        line(
            text,
            format_args!(
                "\n## The called one starts {skew} ms later, {lost} % of packets are lost\n"
            ),
        );
        line(
            text,
            format_args!("| caller \\ called | {} |", Kind::ALL.map(Kind::name).join(" | ")),
        );
        line(text, format_args!("|{}", "---|".repeat(Kind::ALL.len() + 1)));
        for one in Kind::ALL {
            let cells = Kind::ALL.map(|other| {
                let here = |case: &Case| case.kinds == [one, other] && weather(case) == of;
                self.cases.iter().find(|(case, _)| here(case)).map_or_else(String::new, cell)
            });
            line(text, format_args!("| **{}** | {} |", one.name(), cells.join(" | ")));
        }
    }

    fn summary(&self, text: &mut String) {
        let found: Vec<_> =
            self.cases.iter().filter_map(|(_, found)| found.as_ref().ok()).collect();
        let count = |outcome| found.iter().filter(|found| found.outcome == outcome).count();
        line(text, format_args!("\n## In all\n"));
        line(
            text,
            format_args!(
                "{} pairs: {} direct, {} routed, {} without a connection, {} not as they must be.",
                self.cases.len(),
                count(Outcome::Direct),
                count(Outcome::Routed),
                count(Outcome::Nothing),
                self.cases.len() - found.len()
            ),
        );
        let mut times: Vec<_> = found.iter().filter_map(|found| found.direct_after).collect();
        times.sort();
        if let (Some(median), Some(most)) = (times.get(times.len() / 2), times.last()) {
            line(
                text,
                format_args!(
                    "From the handshake to the direct path: {} ms in the median, {} ms at most.",
                    median.as_millis(),
                    most.as_millis()
                ),
            );
        }
        let mappings = found.iter().map(|found| found.mappings).max().unwrap_or_default();
        line(text, format_args!("A router had {mappings} mappings at most."));
        let mut errors: Vec<_> =
            found.iter().flat_map(|found| found.errors.iter().flatten()).collect();
        errors.sort();
        errors.dedup();
        for error in errors {
            line(text, format_args!("- told without a connection: `{error}`"));
        }
    }

    fn list_of_troubles(&self, text: &mut String) {
        if self.troubles.is_empty() {
            return;
        }
        line(text, format_args!("\n## What befell pairs that talked\n"));
        line(
            text,
            format_args!(
                "| what | before | afterwards | longest silence | messages lost |\n|---|---|---|---|---|"
            ),
        );
        for (trouble, found) in &self.troubles {
            match found {
                Ok(Survived { ways: [before, after], silence }) => line(
                    text,
                    format_args!(
                        "| {trouble} | {} | {} | {} ms | none |",
                        word(*before),
                        word(*after),
                        silence.as_millis()
                    ),
                ),
                Err(_) => line(text, format_args!("| {trouble} | | | | **FAILED** |")),
            }
        }
    }
}

impl Findings {
    fn list_of_programs(&self, text: &mut String) {
        if self.programs.is_empty() {
            return;
        }
        line(text, format_args!("\n## What its user sees of the program\n"));
        line(text, format_args!("| what | it said |\n|---|---|"));
        for (pair, said) in &self.programs {
            let said = said.as_deref().unwrap_or("**FAILED**");
            line(text, format_args!("| {} | {said} |", program(*pair)));
        }
    }

    fn list_of_checks(&self, text: &mut String) {
        if self.checks.is_empty() {
            return;
        }
        line(text, format_args!("\n## What `handfast netcheck` says\n"));
        line(text, format_args!("| behind | says |\n|---|---|"));
        for kind in Kind::ALL {
            for (_, said) in self.checks.iter().filter(|(check, _)| check.kind == kind) {
                let said = said.as_deref().unwrap_or("**FAILED**");
                line(text, format_args!("| **{}** | {said} |", kind.name()));
            }
        }
    }
}

fn program(pair: Pair) -> String {
    format!("`handfast ping --until-direct` {pair}")
}

fn weather(case: &Case) -> (Duration, u32) {
    (case.skew, case.lost_per_mille)
}

/// What became of a pair; and what the NATs allow, where that is more.
fn cell((case, found): &(Case, Result<Found, String>)) -> String {
    let Ok(found) = found else { return "**FAILED**".to_owned() };
    let mut cell = word(found.outcome).to_owned();
    if let (Outcome::Direct, Some(after)) = (found.outcome, found.direct_after) {
        _ = write!(cell, " {} ms", after.as_millis());
    }
    if case.possible() != found.outcome {
        _ = write!(cell, " ({})", word(case.possible()));
    }
    cell
}

const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Direct => "direct",
        Outcome::Routed => "routed",
        Outcome::Nothing => "none",
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Text takes everything.
    _ = writeln!(text, "{line}");
}

const HEAD: &str = "\
# What becomes of two peers behind two NATs

Written by `cargo run -p handfast-tests --bin nat-lab -- --table docs/nat-matrix.md`: real endpoints on both
runtimes, behind NATs of the Linux kernel, with a real `p2p_server --relay`. Every packet takes 10 ms from one
network to another. Each NAT, the delay and the loss were probed before they were used. `direct` and `routed` are
by the server's count of the bytes that it passed on while the two talked (none if direct; where packets are lost, less
than one of forty messages), and every message arrived, once and in
its order. `none`: one of them does not reach the server.
";
const DOES: &str = "";
const DOES_NOT: &str = "
Direct ways were not looked for. In brackets stands what the NATs allow, where that is more.
";
