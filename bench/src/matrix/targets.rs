//! What handfast is to reach, and whether it does. A target that is missed fails nothing: once it is
//! reached, the baseline holds it.

use std::fmt::Write as _;

use super::Cell;
use super::cell::Figures;
use super::rows::Row;
use super::sharing::Pair;
use super::stack::Kind;
use super::traffic::Load;

/// A figure of a cell of handfast, and what it must be.
struct Target {
    row: &'static str,
    load: Load,
    goal: Goal,
}

enum Goal {
    /// Goodput of at least so many Mbit/s.
    Goodput(f64),
    /// At least this part of the goodput of another row.
    GoodputOf(f64, &'static str),
    /// 99 of 100 small messages within so many milliseconds.
    P99(f64),
    /// The same, as a multiple of what it is under another load in the same row.
    P99Of(f64, Load),
    /// At most so many bytes on the wire for each of payload.
    Wire(f64),
    /// The same, as a multiple of what it is under another load in the same row.
    WireOf(f64, Load),
}

const fn target(row: &'static str, load: Load, goal: Goal) -> Target {
    Target { row, load, goal }
}

const TARGETS: [Target; 25] = [
    target("loss 1 %", Load::Hz50, Goal::P99(170.0)),
    target("loss 5 %", Load::Hz50, Goal::P99(215.0)),
    target("loss 20 %", Load::Hz50, Goal::P99(455.0)),
    target("loss 5 %", Load::Hz5, Goal::P99(155.0)),
    target("loss 1 %", Load::Urgent, Goal::P99(70.0)),
    target("loss 5 %", Load::Urgent, Goal::P99(130.0)),
    target("loss 20 %", Load::Urgent, Goal::P99(400.0)),
    target("loss 1 %", Load::Urgent, Goal::WireOf(1.6, Load::Hz50)),
    target("loss 5 %", Load::Urgent, Goal::WireOf(1.6, Load::Hz50)),
    target("loss 20 %", Load::Urgent, Goal::WireOf(1.6, Load::Hz50)),
    target("clean", Load::Bulk, Goal::Goodput(47.0)),
    target("loss 0.1 %", Load::Bulk, Goal::Goodput(44.0)),
    target("loss 1 %", Load::Bulk, Goal::Goodput(41.0)),
    target("loss 5 %", Load::Bulk, Goal::Goodput(33.0)),
    target("queue 60 KB", Load::Bulk, Goal::Wire(1.12)),
    target("free jitter 0-10 ms", Load::Bulk, Goal::Goodput(47.0)),
    target("free jitter 0-10 ms", Load::Bulk, Goal::Wire(1.1)),
    target("free jitter 0-60 ms", Load::Bulk, Goal::Goodput(40.0)),
    target("5 % late by 60 ms", Load::Bulk, Goal::GoodputOf(2.0 / 3.0, "clean")),
    target("200 Mbit/s, 2 % late by 5 ms", Load::Bulk, Goal::GoodputOf(0.99, "200 Mbit/s")),
    target("200 Mbit/s, 25 % late by 5 ms", Load::Bulk, Goal::GoodputOf(0.99, "200 Mbit/s")),
    target("200 Mbit/s, free jitter 0-10 ms", Load::Bulk, Goal::Goodput(180.0)),
    target("queue 60 KB", Load::Mixed, Goal::P99Of(1.5, Load::Hz50)),
    target("queue 1/4 BDP", Load::Mixed, Goal::P99Of(1.5, Load::Hz50)),
    target("clean", Load::Mixed, Goal::P99(100.0)),
];

/// What each of two flows must get of a line, in percent.
const fn least_share(kinds: [Kind; 2]) -> Option<f64> {
    match kinds {
        [Kind::Handfast, Kind::Handfast] => Some(40.0),
        [Kind::Handfast, Kind::HandfastCubic] | [Kind::HandfastCubic, Kind::Handfast] => Some(30.0),
        _ => None,
    }
}

/// Whether a target is about a cell, or compares another with it.
pub(crate) fn need(row: &Row, load: Load, kind: Kind) -> bool {
    let is_needed = |target: &Target| {
        let is_own = row.name == target.row && load == target.load;
        is_own
            || match target.goal {
                Goal::GoodputOf(_, other) => row.name == other && load == target.load,
                Goal::P99Of(_, other) | Goal::WireOf(_, other) => {
                    row.name == target.row && load == other
                }
                Goal::Goodput(_) | Goal::P99(_) | Goal::Wire(_) => false,
            }
    };
    kind == Kind::Handfast && TARGETS.iter().any(is_needed)
}

/// A line for each target whose cells were measured, and what else is promised of all cells.
pub(crate) fn report(cells: &[Cell], pairs: &[Pair]) -> String {
    let mut report = "| target | goal | measured | reached |\n|---|---|---|---|\n".to_owned();
    let figures = |row: &str, load| {
        let is =
            |cell: &&Cell| (cell.row.name, cell.load, cell.kind) == (row, load, Kind::Handfast);
        cells.iter().find(is).map(|cell| cell.figures)
    };
    for Target { row, load, goal } in &TARGETS {
        let Some(own) = figures(row, *load) else { continue };
        let Some(verdict) =
            judge(goal, own, |other| figures(other, *load), |load| figures(row, load))
        else {
            continue;
        };
        let (name, goal, measured, reached) = verdict;
        let reached = if reached { "yes" } else { "NO" };
        writeln!(report, "| {row}, {}: {name} | {goal} | {measured:.2} | {reached} |", load.name())
            .expect("a string takes all that is written");
    }
    for pair in pairs {
        let (row, kinds) = pair.who();
        let Some(least) = least_share(kinds) else { continue };
        let (share, [first, second]) = (pair.share(), kinds.map(Kind::name));
        let reached = if share.min(100.0 - share) >= least { "yes" } else { "NO" };
        let goal = format!("{least:.0} to {:.0}", 100.0 - least);
        writeln!(
            report,
            "| two flows, {row}: {second} after {first}, % | {goal} | {share:.2} | {reached} |"
        )
        .expect("a string takes all that is written");
    }
    let ours = cells.iter().filter(|cell| cell.kind == Kind::Handfast);
    let ends: u64 = ours.map(|cell| cell.figures.disconnects).sum();
    let reached = if ends == 0 { "yes" } else { "NO" };
    writeln!(report, "| all cells: ends | 0 | {ends} | {reached} |")
        .expect("a string takes all that is written");
    report
}

/// The figure's name, the goal in words, what was measured, and whether that is enough.
fn judge(
    goal: &Goal,
    own: Figures,
    row: impl Fn(&str) -> Option<Figures>,
    load: impl Fn(Load) -> Option<Figures>,
) -> Option<(&'static str, String, f64, bool)> {
    let least = |name, goal: f64, is: f64| (name, format!(">= {goal:.2}"), is, is >= goal);
    let most = |name, goal: f64, is: f64| (name, format!("<= {goal:.2}"), is, is <= goal);
    Some(match *goal {
        Goal::Goodput(goal) => least("goodput", goal, own.goodput),
        Goal::GoodputOf(part, other) => least("goodput", part * row(other)?.goodput, own.goodput),
        // Figures are of whole milliseconds.
        Goal::P99(goal) => most("p99", goal, own.p99?.floor()),
        Goal::P99Of(times, other) => most("p99", times * load(other)?.p99?, own.p99?),
        Goal::Wire(goal) => most("wire", goal, own.wire),
        Goal::WireOf(times, other) => most("wire", times * load(other)?.wire, own.wire),
    })
}

#[cfg(test)]
mod tests {
    use super::super::rows::rows;
    use super::*;

    #[test]
    fn every_target_names_a_row() {
        let rows = rows();
        for Target { row, goal, .. } in &TARGETS {
            assert!(rows.iter().any(|it| it.name == *row), "{row}");
            if let Goal::GoodputOf(_, other) = goal {
                assert!(rows.iter().any(|it| it.name == *other), "{other}");
            }
        }
    }
}
