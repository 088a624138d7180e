//! The goals and what was reached: for the terminal, and for the README.

use std::fmt::Write as _;

use super::{GOALS, Goal, Target, Verdict};
use crate::entry::Entry;

/// A line for each goal of which these figures say something, for the terminal.
pub(crate) fn text(entries: &[Entry<'_>]) -> String {
    let mut text = row(["goal", "ours", "mio", "best peer", "better", "enough", "met", "of limit"]);
    for (goal, verdict) in judged(entries) {
        text += &row(goal.cells(&verdict).each_ref().map(String::as_str));
    }
    text + NOTE
}

/// The same as a table in Markdown, and what stands out in it.
pub(crate) fn markdown(entries: &[Entry<'_>]) -> String {
    let mut text = String::from(HEAD);
    let judged: Vec<_> = judged(entries).collect();
    for (goal, verdict) in &judged {
        writeln!(text, "| {} |", goal.cells(verdict).join(" | ")).expect("a string takes all");
    }
    let is_behind =
        |verdict: &Verdict<'_>| verdict.ours.iter().any(|it| it.better.is_some_and(|it| it < 1.0));
    let is_missed = |verdict: &Verdict<'_>| verdict.ours.iter().any(|it| it.met == Some(false));
    let named = |is_so: &dyn Fn(&Verdict<'_>) -> bool| {
        let those = judged.iter().filter(|(_, verdict)| is_so(verdict)).map(|(goal, _)| goal.what);
        let list = those.collect::<Vec<_>>().join("; ");
        if list.is_empty() { "nowhere".to_owned() } else { list }
    };
    let behind = named(&|it| is_behind(it));
    let missed = named(&|it| is_missed(it) && !is_behind(it));
    write!(
        text,
        "\n**Behind the best peer**, on one runtime at least: {behind}.\n\nNot enough yet, though not behind: {missed}.\n"
    )
    .expect("a string takes all");
    text
}

/// The goals of which something is known.
pub(super) fn judged<'e>(
    entries: &'e [Entry<'e>],
) -> impl Iterator<Item = (&'static Goal, Verdict<'e>)> {
    GOALS.iter().filter_map(|goal| Some((goal, goal.judge(entries)?)))
}

impl Goal {
    fn cells(&self, verdict: &Verdict<'_>) -> [String; 8] {
        let Verdict { unit, ours, best, .. } = verdict;
        let is_ratio = unit.contains('/') && unit.starts_with("this");
        let unit = if is_ratio { "times" } else { unit };
        let value = |at: usize| ours.get(at).map_or_else(String::new, |it| number(it.value));
        let of = |text: &dyn Fn(&super::Reached) -> Option<String>| {
            let texts: Vec<_> =
                ours.iter().map(|it| text(it).unwrap_or_else(|| "-".into())).collect();
            if texts.iter().all(|text| text == "-") { String::new() } else { texts.join(" / ") }
        };
        let enough = match self.target {
            Target::Peers(times) => format!("{} times", number(times)),
            Target::Limit(times) => format!("{} of raw UDP", number(times)),
            Target::Figure(figure) => format!("{} {unit}", number(figure)),
            Target::Case(case, share) => format!("{} of {case}", number(share)),
        };
        [
            format!("{}, {unit}", self.what),
            value(0),
            value(1),
            best.map_or_else(String::new, |(peer, value)| format!("{peer}: {}", number(value))),
            of(&|it| it.better.map(number)),
            enough,
            of(&|it| it.met.map(|met| if met { "yes" } else { "no" }.to_owned())),
            of(&|it| it.of_limit.map(number)),
        ]
    }
}

/// Three digits that count.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        100.0.. => grouped(value.round()),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A whole number with a comma before each three digits.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn row([what, ours, mio, best, better, enough, met, limit]: [&str; 8]) -> String {
    let line = format!(
        "{what:68} {ours:>11} {mio:>11} {best:38} {better:>13} {enough:>27} {met:>9} {limit:>13}"
    );
    line.trim_end().to_owned() + "\n"
}

const HEAD: &str = "\
| what | handfast | on mio | best peer | times better | enough | met | of the limit |
|---|---:|---:|---|---:|---:|---|---:|
";

const NOTE: &str = "\
better: how many times ours is better than the best of the peers that do the same, on tokio / on mio. enough: the goal. of limit: what ours reaches
of a socket without a protocol. Default configuration; medians of interleaved rounds.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_or_groups() {
        let texts =
            [0.0, 0.456, 9.994, 10.04, 99.94, 100.4, 1234.4, 1_234_567.0, -2_500.0].map(number);
        assert_eq!(
            texts,
            ["0.00", "0.46", "9.99", "10.0", "99.9", "100", "1,234", "1,234,567", "-2,500"]
        );
    }

    #[test]
    fn a_goal_is_a_line_that_says_whether_it_is_met() {
        let of = |system, metric, value| Entry {
            bench: "bulk",
            case: "bulk",
            system,
            metric,
            value,
            unit: "MiB/s",
        };
        let entries = [
            of("handfast, tokio", "throughput", 300.0),
            of("handfast, mio", "throughput", 100.0),
            of("quinn", "throughput", 150.0),
            of("raw UDP, GSO and GRO", "throughput", 600.0),
        ];
        let table = markdown(&entries);
        let line = "| bulk beside quinn, MiB/s | 300 | 100 | quinn: 150 | 2.00 / 0.67 | 2.00 times | yes / no | 0.50 / 0.17 |";
        assert!(table.contains(line), "{table}");
        // s2n-quic was not measured: nothing is said of it but our own figure.
        let line =
            "| bulk beside s2n-quic, MiB/s | 300 | 100 |  |  | 1.80 times |  | 0.50 / 0.17 |";
        assert!(table.contains(line), "{table}");
        assert!(
            table.contains("at least: bulk beside quinn.\n")
                && table.contains("behind: nowhere.\n")
        );
        assert!(text(&entries).contains("2.00 / 0.67") && !text(&entries).contains("echo"));
    }
}
