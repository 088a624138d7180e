//! Figures for people and for programs.

use std::fmt::{self, Write as _};

use crate::case::Case;
use crate::rounds::Measured;

/// What all figures have in common.
pub(crate) const HEAD: &str = "\
Both ends in memory, on one thread; CPU time of both; 1,200 bytes of UDP payload per datagram.
Medians of interleaved rounds. Ratio: handfast's time by the other's, so below 1 handfast is faster.
handfast and quinn-proto: AES-256-GCM and X25519 of AWS-LC, as each picks by default; CUBIC.
rusty_enet does not encrypt. All payloads were compared with what was sent.";

/// A case, for people.
pub(crate) struct Table<'a> {
    pub(crate) case: &'a Case,
    pub(crate) results: &'a [Measured],
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case { name, title, unit, .. } = self.case;
        writeln!(f, "{name}: {title}")?;
        writeln!(f, "  {unit:28} {:>9} {:>9} {:>9} {:>6}", "median", "least", "most", "ratio")?;
        for Measured { system, median, least, most, ratio } in self.results {
            let name = system.name();
            writeln!(f, "  {name:28} {median:>9.0} {least:>9.0} {most:>9.0} {ratio:>6.2}")?;
        }
        Ok(())
    }
}

/// A case, for programs: a JSON object a line.
pub(crate) fn json_rows(case: &Case, results: &[Measured]) -> String {
    let mut rows = String::new();
    for Measured { system, median, least, most, ratio } in results {
        let (case, unit, system) = (case.name, case.unit, system.name());
        let metrics = [
            ("time", median, unit),
            ("least_time", least, unit),
            ("most_time", most, unit),
            ("ratio", ratio, "handfast/system"),
        ];
        for (metric, value, unit) in metrics {
            // No name here has a character that JSON would have to escape.
            writeln!(
                rows,
                r#"{{"bench":"core","case":"{case}","system":"{system}","metric":"{metric}","value":{value:.3},"unit":"{unit}"}}"#
            )
            .expect("a string takes all that is written");
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::CASES;
    use crate::systems::System;

    fn measured() -> Measured {
        Measured { system: System::Enet, median: 4.0, least: 3.0, most: 40.5, ratio: 0.5 }
    }

    #[test]
    fn a_row_of_json_is_a_line_with_six_fields() {
        let rows = json_rows(&CASES[0], &[measured()]);
        let last = rows.lines().last().expect("four lines");
        assert_eq!(rows.lines().count(), 4);
        assert_eq!(
            last,
            r#"{"bench":"core","case":"bulk","system":"rusty_enet (no encryption)","metric":"ratio","value":0.500,"unit":"handfast/system"}"#
        );
    }

    #[test]
    fn no_name_needs_escaping() {
        for case in &CASES {
            let names = case.systems.iter().map(|system| system.name());
            for name in names.chain([case.name, case.unit]) {
                assert!(!name.contains(['"', '\\']) && !name.contains(char::is_control), "{name}");
            }
        }
    }

    #[test]
    fn a_table_has_a_line_for_each_system() {
        let table = Table { case: &CASES[0], results: &[measured(), measured()] }.to_string();
        assert_eq!(table.lines().count(), 4);
        assert!(
            table.contains("rusty_enet (no encryption)           4         3        40   0.50")
        );
    }
}
