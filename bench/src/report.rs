//! Figures for people and for programs.

use std::fmt;

use crate::case::Case;
use crate::figure::Figure;
use crate::rounds::Measured;

/// What all figures have in common.
pub(crate) const HEAD: &str = "\
Both ends in memory, on one thread; CPU time of both; 1,200 bytes of UDP payload per datagram.
Medians of interleaved rounds. Ratio: handfast's time by the other's, so below 1 handfast is faster.
handfast and quinn-proto: AES-256-GCM and X25519 of AWS-LC, as each picks by default; BBR and CUBIC, their defaults.
rusty_enet does not encrypt. boringtun (with --features sockets): ChaCha20-Poly1305 of ring, and nothing is acknowledged. All payloads were compared with what was sent.";

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

/// A case, for programs.
pub(crate) fn figures(case: &Case, results: &[Measured]) -> Vec<Figure> {
    let of_one = |result: &Measured| {
        let Measured { system, median, least, most, ratio } = *result;
        let metrics = [
            ("time", median, case.unit),
            ("least_time", least, case.unit),
            ("most_time", most, case.unit),
            ("ratio", ratio, "handfast/system"),
        ];
        metrics.map(|(metric, value, unit)| {
            let (case, system) = (case.name.to_owned(), system.name().to_owned());
            Figure { bench: "core", case, system, metric, value, unit }
        })
    };
    results.iter().flat_map(of_one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::CASES;
    use crate::figure::must_be_escaped;
    use crate::systems::System;

    fn measured() -> Measured {
        Measured { system: System::Enet, median: 4.0, least: 3.0, most: 40.5, ratio: 0.5 }
    }

    #[test]
    fn a_system_has_four_figures() {
        let figures = figures(&CASES[0], &[measured(), measured()]);
        let last = figures.last().expect("eight");
        assert_eq!((figures.len(), last.metric, last.value), (8, "ratio", 0.5));
    }

    #[test]
    fn no_name_needs_escaping() {
        for case in &CASES {
            let names = case.systems.iter().map(|system| system.name());
            for name in names.chain([case.name, case.unit]) {
                assert!(!must_be_escaped(name), "{name}");
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
