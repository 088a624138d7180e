//! The committed figures, and whether new ones are worse.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::cell::Figures;
use super::stack::Kind;
use super::{Cell, Options, table};

/// Writes the cells as the new baseline. What was not measured now stays as it was.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn write(cells: &[Cell], options: &Options) -> Result<(), String> {
    if options.more_seeds || !options.wants_all() {
        return Err("a baseline has all rows, and seeds 1 to 5".into());
    }
    let file = file(options);
    let text = format!("{}\n{}", table::head(options), table::table(cells));
    fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))
}

/// Compares handfast's cells with the baseline.
///
/// # Errors
/// Names those that are worse.
pub(crate) fn check(cells: &[Cell], options: &Options) -> Result<(), String> {
    let Ok(text) = fs::read_to_string(file(options)) else {
        println!("NOTHING COMPARED: there is no baseline of this kind");
        return Ok(());
    };
    let known: BTreeMap<_, _> = text.lines().filter_map(table::read).collect();
    let mut worse = Vec::new();
    for cell in cells.iter().filter(|cell| cell.kind == Kind::Handfast) {
        let Some(before) = known.get(&cell.key()) else {
            println!("new: {}", cell.key());
            continue;
        };
        let faults = faults(&cell.figures, before, cell.tolerance());
        worse.extend(faults.iter().map(|fault| format!("{}: {fault}", cell.key())));
    }
    if worse.is_empty() {
        println!("no cell of handfast is worse than its baseline");
        return Ok(());
    }
    Err(format!("worse than the baseline:\n{}", worse.join("\n")))
}

/// What is worse than before by more than so many percent.
fn faults(now: &Figures, before: &Figures, tolerance: u32) -> Vec<String> {
    let part = f64::from(tolerance) / 100.0;
    let mut faults = Vec::new();
    let mut judge = |name, now: f64, before: f64, is_worse: bool| {
        if is_worse {
            faults.push(format!("{name} {now:.2}, was {before:.2}"));
        }
    };
    let least = before.goodput * (1.0 - part);
    judge("goodput", now.goodput, before.goodput, now.goodput < least);
    for (name, now, before) in [("p50", now.p50, before.p50), ("p99", now.p99, before.p99)] {
        let Some(before) = before else { continue };
        // Nothing arrived at all.
        let now = now.unwrap_or(f64::INFINITY);
        judge(name, now, before, now > before * (1.0 + part) + 5.0);
    }
    judge("wire", now.wire, before.wire, now.wire > before.wire * (1.0 + part));
    for (name, now, before) in
        [("missing", now.missing, before.missing), ("ends", now.disconnects, before.disconnects)]
    {
        judge(name, now as f64, before as f64, now > before);
    }
    faults
}

fn file(options: &Options) -> PathBuf {
    let name = if options.quick { "matrix-quick.md" } else { "matrix.md" };
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_worse_by_more_than_the_tolerance_is_named_and_nothing_else() {
        let before = Figures { goodput: 40.0, p99: Some(200.0), wire: 1.1, ..Figures::default() };
        let named = |now: Figures| {
            let words = faults(&now, &before, 5).into_iter();
            words.map(|fault| fault.split(' ').next().unwrap_or("").to_owned()).collect::<Vec<_>>()
        };
        assert!(named(before).is_empty());
        assert!(named(Figures { goodput: 90.0, p99: Some(1.0), wire: 1.0, ..before }).is_empty());
        assert!(
            named(Figures { goodput: 38.1, p99: Some(214.0), wire: 1.15, ..before }).is_empty()
        );
        assert_eq!(named(Figures { goodput: 37.9, ..before }), ["goodput"]);
        assert_eq!(named(Figures { p99: Some(216.0), wire: 1.16, ..before }), ["p99", "wire"]);
        assert_eq!(named(Figures { p99: None, missing: 1, ..before }), ["p99", "missing"]);
        assert_eq!(named(Figures { disconnects: 1, ..before }), ["ends"]);
    }
}
