//! Compares what was counted with what is committed.

use std::fmt;

use crate::counts::{Committed, Count};
use crate::profile::Split;

/// The rows beside the counts that they are held against.
pub(crate) struct Comparison {
    rows: Vec<Compared>,
    /// Rows of the file that are not counted any more.
    gone: Vec<String>,
}

struct Compared {
    name: &'static str,
    counted: Split,
    committed: Option<Count>,
}

impl Comparison {
    /// Sets `counted` beside `committed`.
    pub(crate) fn new(counted: &[(&'static str, Split)], committed: Option<&Committed>) -> Self {
        let of = |name: &str| committed.and_then(|committed| committed.rows.get(name).copied());
        let rows: Vec<_> = counted
            .iter()
            .map(|&(name, counted)| Compared { name, counted, committed: of(name) })
            .collect();
        let names = committed.into_iter().flat_map(|committed| committed.rows.keys());
        let gone = names.filter(|name| !rows.iter().any(|row| row.name == **name)).cloned();
        Self { gone: gone.collect(), rows }
    }

    /// What is wrong, a line each. Nothing if the check passes.
    pub(crate) fn faults(&self) -> Vec<String> {
        let gone = self.gone.iter().map(|name| format!("{name} is not counted any more"));
        self.rows.iter().filter_map(Compared::fault).chain(gone).collect()
    }
}

impl Compared {
    fn fault(&self) -> Option<String> {
        let (name, ours) = (self.name, self.counted.ours);
        let Some(Count { committed, first }) = self.committed else {
            return Some(format!("{name} has no committed count"));
        };
        if ours * 100 > committed * MOST_OF_COMMITTED {
            return Some(format!(
                "{name} takes {ours} instructions, more than 1.03 of {committed}"
            ));
        }
        let too_many = ours * 100 > first * MOST_OF_FIRST;
        too_many.then(|| {
            format!("{name} takes {ours} instructions, more than 1.05 of the first {first}")
        })
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:27} {:>9} {:>9} {:>6} {:>9} {:>6} {:>9} {:>6}",
            "instructions per operation",
            "counted",
            "committed",
            "ratio",
            "first",
            "ratio",
            "left out",
            "libc"
        )?;
        for Compared { name, counted, committed } in &self.rows {
            let Split { ours, left_out, system } = *counted;
            write!(f, "{name:27} {ours:>9} ")?;
            match committed {
                Some(Count { committed, first }) => write!(
                    f,
                    "{committed:>9} {:>6.3} {first:>9} {:>6.3}",
                    ratio(ours, *committed),
                    ratio(ours, *first)
                )?,
                None => write!(f, "{:>9} {:>6} {:>9} {:>6}", "-", "-", "-", "-")?,
            }
            writeln!(f, " {left_out:>9} {system:>6}")?;
        }
        Ok(())
    }
}

/// For people only: the verdict is made of whole numbers.
fn ratio(counted: u64, before: u64) -> f64 {
    counted as f64 / before.max(1) as f64
}

/// In percent. More than this is more than a change of layout explains.
const MOST_OF_COMMITTED: u64 = 103;

/// In percent. Small steps may not add up to more.
const MOST_OF_FIRST: u64 = 105;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::setting::Setting;

    fn faults(ours: u64, committed: u64, first: u64) -> Vec<String> {
        let rows = BTreeMap::from([("seal".to_owned(), Count { committed, first })]);
        let committed = Committed { setting: Setting::here(""), rows };
        let split = Split { ours, left_out: 1_000_000, system: 1_000_000 };
        Comparison::new(&[("seal", split)], Some(&committed)).faults()
    }

    #[test]
    fn three_percent_more_than_committed_pass_and_one_instruction_more_fails() {
        assert_eq!(faults(1030, 1000, 1000), [""; 0]);
        assert_eq!(
            faults(1031, 1000, 1000),
            ["seal takes 1031 instructions, more than 1.03 of 1000"]
        );
    }

    #[test]
    fn small_steps_do_not_add_up_to_more_than_five_percent() {
        assert_eq!(faults(1050, 1030, 1000), [""; 0]);
        assert_eq!(
            faults(1051, 1030, 1000),
            ["seal takes 1051 instructions, more than 1.05 of the first 1000"]
        );
    }

    #[test]
    fn a_row_without_a_count_and_a_count_without_a_row_fail() {
        let split = Split { ours: 1, left_out: 0, system: 0 };
        let counts = Committed::next(None, Setting::here(""), &[("seal", 1)]);
        let comparison = Comparison::new(&[("open", split)], Some(&counts));
        assert_eq!(
            comparison.faults(),
            ["open has no committed count", "seal is not counted any more"]
        );
    }
}
