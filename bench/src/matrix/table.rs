//! The table, for people and (as a baseline) for later runs, and the figures for other programs.

use std::fmt::Write as _;

use super::cell::Figures;
use super::{Cell, Options};

/// What a reader must know to understand the table.
pub(crate) fn head(options: &Options) -> String {
    let extent = match (options.quick, options.more_seeds) {
        (true, _) => "30 s with seeds 1 and 2 (with bulk: 10 s with seed 1)",
        (false, false) => "120 s (with bulk: 60 s) with seeds 1-5",
        (false, true) => "120 s (with bulk: 60 s) with seeds 6-25",
    };
    format!("{HEAD}\nEach cell: {extent}, all seeds together.\n")
}

const HEAD: &str = "\
Base: 50 ms and 50 Mbit/s each way, a queue of 1 BDP (625 KB), 28 bytes of headers per datagram; timers of
1 ms. Each row differs from it in what its name says, in both directions. The ends meet on a calm network.
Messages: 100 bytes, or 16 KiB as `bulk`, in order and reliable. handfast, quinn-proto (windows of flow
control: 32 MiB) and kcp (nodelay, 10 ms, resend 2, no congestion control, window 1,024; no encryption) have
their defaults otherwise. `handfast tolerant` is handfast with that congestion control.
goodput: Mbit/s of payload. p50, p99: of small messages, in ms. wire: bytes of datagrams with headers, both
directions, by bytes of payload. drops: by queues, policers and size. spurious: declared lost, but not.
missing: small messages that did not arrive within 20 s. ends: connections that ended, at both ends.
tolerance: a figure of handfast that is worse than its baseline by more fails (p50, p99: and by 5 ms).
";

pub(crate) const COLUMNS: &str = "\
| row | load | stack | goodput | p50 | p99 | wire | drops | spurious | missing | ends | tolerance |
|---|---|---|---|---|---|---|---|---|---|---|---|
";

pub(crate) fn table(cells: &[Cell]) -> String {
    let mut table = COLUMNS.to_owned();
    cells.iter().for_each(|cell| table.push_str(&line(cell)));
    table
}

fn line(cell: &Cell) -> String {
    let Figures { goodput, p50, p99, wire, drops, spurious, missing, disconnects } = cell.figures;
    let maybe = |value: Option<f64>| value.map_or_else(|| "-".into(), |it| format!("{it:.0}"));
    let spurious = spurious.map_or_else(|| "-".into(), |it| it.to_string());
    format!(
        "| {} | {goodput:.3} | {} | {} | {wire:.2} | {drops} | {spurious} | {missing} | {disconnects} | {} % |\n",
        cell.key(),
        maybe(p50),
        maybe(p99),
        cell.tolerance(),
    )
}

/// Figures by the key of their cell, from a line of a table.
pub(crate) fn read(line: &str) -> Option<(String, Figures)> {
    let fields: Vec<_> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
    let &[row, load, stack, goodput, p50, p99, wire, drops, spurious, missing, ends, _] =
        fields.as_slice()
    else {
        return None;
    };
    let figures = Figures {
        goodput: goodput.parse().ok()?,
        p50: p50.parse().ok(),
        p99: p99.parse().ok(),
        wire: wire.parse().ok()?,
        drops: drops.parse().ok()?,
        spurious: spurious.parse().ok(),
        missing: missing.parse().ok()?,
        disconnects: ends.parse().ok()?,
    };
    Some((format!("{row} | {load} | {stack}"), figures))
}

/// A cell, for programs: a JSON object a line for each figure.
pub(crate) fn json(cell: &Cell) -> String {
    let it = cell.figures;
    let metrics = [
        ("goodput", Some(it.goodput), "Mbit/s"),
        ("p50", it.p50, "ms"),
        ("p99", it.p99, "ms"),
        ("wire", Some(it.wire), "bytes/byte"),
        ("drops", Some(it.drops as f64), "datagrams"),
        ("spurious", it.spurious.map(|it| it as f64), "packets"),
        ("missing", Some(it.missing as f64), "messages"),
        ("disconnects", Some(it.disconnects as f64), "ends"),
    ];
    let mut rows = String::new();
    for (metric, value, unit) in metrics {
        let Some(value) = value else { continue };
        // No name here has a character that JSON would have to escape.
        writeln!(
            rows,
            r#"{{"bench":"matrix","case":"{}, {}","system":"{}","metric":"{metric}","value":{value:.3},"unit":"{unit}"}}"#,
            cell.row.name,
            cell.load.name(),
            cell.kind.name(),
        )
        .expect("a string takes all that is written");
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::super::rows::rows;
    use super::super::stack::Kind;
    use super::super::traffic::Load;
    use super::*;

    #[test]
    fn a_line_of_the_table_is_read_as_it_was_written() {
        for p99 in [None, Some(215.0)] {
            let figures = Figures { goodput: 1.25, p99, wire: 2.5, drops: 7, ..Figures::default() };
            let (row, load, kind) = (rows().remove(3), Load::Hz50, Kind::QuinnBbr);
            let cell = Cell { row, load, kind, figures };
            assert_eq!(read(&line(&cell)), Some((cell.key(), figures)));
        }
        assert!(COLUMNS.lines().all(|line| read(line).is_none()));
    }
}
