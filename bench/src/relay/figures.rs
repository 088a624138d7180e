//! Figures of relays, for people and for programs.

use std::fmt;

use crate::figure::{Figure, median};
use crate::trips::Trips;

/// What a relay did in a round.
#[derive(Clone, Debug)]
pub(super) struct Round {
    /// Bytes of payload that arrived, per second.
    pub(super) rate: f64,
    /// What the relay computed for each byte of payload that arrived, in nanoseconds; all else that it passed on
    /// meanwhile (acknowledgements) is in it.
    pub(super) cpu: f64,
    /// Round trips of small messages, directly and by way of the relay.
    pub(super) round_trips: [Trips; 2],
}

/// What a relay did in all rounds: medians, and the medians of the rounds' ratios to the first relay.
pub(super) struct Summary {
    system: &'static str,
    rate: f64,
    rate_ratio: f64,
    cpu: f64,
    cpu_ratio: f64,
    relayed: Trips,
    added: Trips,
    memory: Option<f64>,
}

impl Summary {
    pub(super) fn of(
        system: &'static str,
        first: &[Round],
        rounds: &[Round],
        memory: Option<f64>,
    ) -> Self {
        let each = |value: fn(&Round) -> f64| median(rounds.iter().map(value).collect());
        let ratio = |value: fn(&Round) -> f64| {
            median(rounds.iter().zip(first).map(|(one, first)| value(one) / value(first)).collect())
        };
        let added = |value: fn(&Trips) -> f64| {
            let added = rounds.iter().map(|round| {
                let [direct, relayed] = &round.round_trips;
                value(relayed) - value(direct)
            });
            median(added.collect())
        };
        Self {
            system,
            rate: each(|round| round.rate),
            rate_ratio: ratio(|round| round.rate),
            cpu: each(|round| round.cpu),
            cpu_ratio: ratio(|round| round.cpu),
            relayed: Trips {
                p50: each(|round| round.round_trips[1].p50),
                p99: each(|round| round.round_trips[1].p99),
            },
            added: Trips { p50: added(|trips| trips.p50), p99: added(|trips| trips.p99) },
            memory,
        }
    }

    /// What is not known has none.
    pub(super) fn figures(&self) -> Vec<Figure> {
        let metrics = [
            ("throughput", Some(self.rate / MEBIBYTE), "MiB/s"),
            ("throughput_ratio", Some(self.rate_ratio), "system/raw"),
            ("cpu", Some(self.cpu), "ns/byte"),
            ("cpu_ratio", Some(self.cpu_ratio), "system/raw"),
            ("round_trip_p50", Some(self.relayed.p50), "us"),
            ("round_trip_p99", Some(self.relayed.p99), "us"),
            ("added_round_trip_p50", Some(self.added.p50), "us"),
            ("added_round_trip_p99", Some(self.added.p99), "us"),
            ("memory_per_pair", self.memory, "bytes"),
        ];
        let figure = |(metric, value, unit)| {
            let (case, system) = ("loopback".into(), self.system.into());
            Option::map(value, |value| Figure { bench: "relay", case, system, metric, value, unit })
        };
        metrics.into_iter().filter_map(figure).collect()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { system, rate, rate_ratio, cpu, cpu_ratio, relayed, added, memory } = self;
        write!(f, "{system:16} {:>7.0} {rate_ratio:>6.2}", rate / MEBIBYTE)?;
        write!(f, " {cpu:>9.2} {cpu_ratio:>6.2}")?;
        write!(
            f,
            " {:>8.1} {:>8.1} {:>8.1} {:>8.1}",
            relayed.p50, relayed.p99, added.p50, added.p99
        )?;
        match memory {
            Some(bytes) => write!(f, " {:>10.1}", bytes / 1024.0),
            None => write!(f, " {:>10}", "none"),
        }
    }
}

const MEBIBYTE: f64 = 1_048_576.0;

/// What all figures have in common.
pub(super) const HEAD: &str = "\
One way over loopback by way of a relay, about 1,000 bytes of payload a packet. Each relay is a process of one thread
(coturn: as many as it likes); it shares the processors with both ends. Medians of interleaved rounds; ratios are to raw
UDP, a loop that copies datagrams. CPU is the relay's alone, for a byte of payload that arrived. Added: to the round trip
of a message of 64 bytes. Memory: what the relay's grows by for two ends and their way to each other.
                  through       relay CPU        round trip, us     added, us            memory
system             MiB/s  ratio  ns/byte  ratio      p50      p99      p50      p99   KiB/pair";

#[cfg(test)]
mod tests {
    use super::*;

    fn round(rate: f64, direct: f64, relayed: f64) -> Round {
        let trips = |p50| Trips { p50, p99: 2.0 * p50 };
        Round { rate, cpu: 1e6 / rate, round_trips: [trips(direct), trips(relayed)] }
    }

    #[test]
    fn ratios_and_what_is_added_are_those_of_rounds() {
        // The machine was slow in the first round: the others say the same of the ratio.
        let raw = [round(10.0, 1.0, 2.0), round(100.0, 1.0, 2.0), round(100.0, 1.0, 2.0)];
        let other = [round(5.0, 9.0, 19.0), round(50.0, 1.0, 4.0), round(90.0, 2.0, 5.0)];
        let summary = Summary::of("other", &raw, &other, Some(2048.0));
        assert_eq!((summary.rate, summary.rate_ratio, summary.cpu_ratio), (50.0, 0.5, 2.0));
        assert_eq!(summary.added, Trips { p50: 3.0, p99: 6.0 });
    }

    #[test]
    fn what_is_not_known_has_no_figure() {
        let rounds = [round(1_048_576.0, 1.0, 2.0)];
        let known = Summary::of("other", &rounds, &rounds, Some(94.0)).figures();
        assert_eq!((known.len(), known[0].metric, known[0].value), (9, "throughput", 1.0));
        let unknown = Summary::of("other", &rounds, &rounds, None);
        assert_eq!(unknown.figures().len(), 8);
        assert!(unknown.to_string().ends_with("none"));
    }
}
