//! All rows in one run, and one table of them.

use std::time::Instant;

use crate::entry::Entry;
use crate::figure::Figure;
use crate::{contest, core, crowd, fairness, goals, idle, loss, relay};

/// Measures everything but the delivery matrix, then prints a table of the figures that matter most.
///
/// # Errors
/// The first that a row has.
pub(crate) fn all(quick: bool) -> Result<Vec<Figure>, String> {
    type Row = fn(bool) -> Result<Vec<Figure>, String>;
    let rows: [(&str, Row); 10] = [
        ("core", core),
        ("bulk", contest::bulk),
        ("messages", contest::messages),
        ("echo", contest::echo),
        ("handshakes", contest::handshakes),
        ("idle", |quick| idle::run(quick, None)),
        ("fairness", fairness::run),
        ("relay", relay::run),
        ("loss", loss::run),
        ("scale", |quick| crowd::scale(quick, None)),
    ];
    let (began, mut figures) = (Instant::now(), Vec::new());
    for (name, row) in rows {
        let row_began = Instant::now();
        println!("== {name}");
        figures.extend(row(quick).map_err(|error| format!("{name}: {error}"))?);
        println!("-- {name}: {} s\n", row_began.elapsed().as_secs());
    }
    println!("{}", table(&figures));
    println!("{}", goals::text(&figures.iter().map(Entry::from).collect::<Vec<_>>()));
    println!("All: {} s", began.elapsed().as_secs());
    Ok(figures)
}

/// What of a bench stands in the table.
struct Headline {
    bench: &'static str,
    metric: &'static str,
    /// Whether more of it is better.
    more: bool,
}

const HEADLINES: [Headline; 14] = [
    Headline { bench: "core", metric: "time", more: false },
    Headline { bench: "bulk", metric: "throughput", more: true },
    Headline { bench: "messages", metric: "rate", more: true },
    Headline { bench: "echo", metric: "p50", more: false },
    Headline { bench: "echo", metric: "p99", more: false },
    Headline { bench: "handshakes", metric: "rate", more: true },
    Headline { bench: "handshakes", metric: "server_cpu", more: false },
    Headline { bench: "idle", metric: "memory", more: false },
    Headline { bench: "fairness", metric: "late_p99", more: false },
    Headline { bench: "relay", metric: "throughput", more: true },
    Headline { bench: "loss", metric: "goodput", more: true },
    Headline { bench: "scale", metric: "memory", more: false },
    Headline { bench: "scale", metric: "one_talks", more: false },
    Headline { bench: "scale", metric: "all_talk", more: false },
];

/// A line for each system in each case: its figure, how much better the first of ours is, and how far
/// the system is from the limit, which is what a socket without a protocol reaches.
fn table(figures: &[Figure]) -> String {
    let mut text = line(["case, metric", "system", "figure", "", "better", "of limit"]);
    for headline in &HEADLINES {
        let of_it = |it: &&Figure| it.bench == headline.bench && it.metric == headline.metric;
        let of_it: Vec<_> = figures.iter().filter(of_it).collect();
        let mut cases: Vec<&str> = of_it.iter().map(|it| it.case.as_str()).collect();
        cases.dedup();
        for case in cases {
            let entries: Vec<_> = of_it.iter().copied().filter(|it| it.case == case).collect();
            text += &lines(headline, &entries);
        }
    }
    text + NOTE
}

fn lines(headline: &Headline, entries: &[&Figure]) -> String {
    let more = |value: f64, than: f64| if headline.more { value / than } else { than / value };
    let ours = entries.iter().find(|it| is_ours(&it.system)).map(|it| it.value);
    let is_alone = entries.iter().all(|it| is_ours(&it.system));
    let limits = entries.iter().filter(|it| is_raw(&it.system)).map(|it| it.value);
    let limit = limits.reduce(|one, other| if more(one, other) > 1.0 { one } else { other });
    let mut text = String::new();
    for Figure { bench, case, system, metric, value, unit } in entries.iter().copied() {
        let name = if bench == case {
            format!("{bench}, {metric}")
        } else {
            format!("{bench}: {case}, {metric}")
        };
        let column = |value: Option<f64>| match value.filter(|value| value.is_finite()) {
            Some(value) => format!("{value:.2}"),
            None => String::new(),
        };
        let better = ours.filter(|_| !is_alone && !is_raw(system)).map(|ours| more(ours, *value));
        let reached = limit.map(|limit| more(*value, limit));
        let figure = column(Some(*value));
        text += &line([&name, system, &figure, unit, &column(better), &column(reached)]);
    }
    text
}

fn line([name, system, figure, unit, better, reached]: [&str; 6]) -> String {
    let line = format!("{name:46} {system:31} {figure:>11} {unit:14} {better:>8} {reached:>8}");
    line.trim_end().to_owned() + "\n"
}

fn is_ours(system: &str) -> bool {
    system.to_lowercase().starts_with("handfast")
}

fn is_raw(system: &str) -> bool {
    system.starts_with("raw")
}

const NOTE: &str = "\
better: how many times the first row of handfast is better than this system. of limit: what this system reaches of the best
socket without a protocol, with a datagram for each message: more than 1 where messages share datagrams. Medians; the tables above say what was measured, and how.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(bench: &'static str, system: &str, metric: &'static str, value: f64) -> Figure {
        Figure { bench, case: bench.into(), system: system.into(), metric, value, unit: "units" }
    }

    #[test]
    fn better_is_more_or_less_as_the_metric_has_it() {
        let figures = [
            figure("bulk", "handfast, tokio", "throughput", 300.0),
            figure("bulk", "quinn", "throughput", 100.0),
            figure("bulk", "raw UDP", "throughput", 600.0),
            figure("bulk", "raw UDP, slow", "throughput", 1.0),
            figure("bulk", "quinn", "cpu", 7.0),
            figure("echo", "handfast, tokio", "p50", 30.0),
            figure("echo", "quinn", "p50", 60.0),
            figure("echo", "raw UDP", "p50", 15.0),
        ];
        let table = table(&figures);
        let ends: Vec<Vec<&str>> = table
            .lines()
            .filter(|line| line.contains("units"))
            .map(|line| line.split("units").nth(1).unwrap_or_default().split_whitespace().collect())
            .collect();
        let expected: [&[&str]; 7] = [
            &["1.00", "0.50"],
            &["3.00", "0.17"],
            &["1.00"],
            &["0.00"],
            &["1.00", "0.50"],
            &["2.00", "0.25"],
            &["1.00"],
        ];
        assert_eq!(ends, expected);
    }
}
