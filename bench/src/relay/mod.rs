//! What lies between two ends that reach each other by way of a third: how fast it passes packets on, what that
//! costs it, and how much later they come.
//!
//! Beside handfast, which seals each packet twice and controls congestion from end to end, stand a thread
//! that copies datagrams from one socket to another, and coturn (`turnserver`), if it is installed, which puts
//! a header before them. The ends of those two only count.

mod counting;
mod handfast;
mod raw;
mod turn;

use std::fmt;
use std::time::Duration;

/// Measures each relay, and prints a line for each.
///
/// # Errors
/// If nothing arrives.
pub(crate) fn run(quick: bool) -> Result<String, String> {
    let time = Duration::from_secs(if quick { 1 } else { 5 });
    println!("{HEAD}");
    let mut json = String::new();
    let mut note = |row: Row| {
        println!("{row}");
        json.push_str(&row.json());
    };
    note(raw::measure(time)?);
    match turn::measure(time) {
        Ok(row) => note(row),
        Err(reason) => println!("coturn         NOT MEASURED: {reason}"),
    }
    note(handfast::measure(time)?);
    Ok(json)
}

/// What a relay did.
pub(super) struct Row {
    system: &'static str,
    /// Bytes of payload that arrived, per second.
    rate: f64,
    /// What the relay computed for each packet.
    cpu: Duration,
    /// Round trips of small messages, directly and by way of the relay: medians.
    round_trips: [Duration; 2],
}

impl Row {
    fn added(&self) -> Duration {
        let [direct, relayed] = self.round_trips;
        relayed.saturating_sub(direct)
    }

    fn json(&self) -> String {
        let metrics = [
            ("throughput", self.rate / MEBIBYTE, "MiB/s"),
            ("cpu_per_packet", micros(self.cpu), "us"),
            ("added_round_trip", micros(self.added()), "us"),
        ];
        let row = |(metric, value, unit): (&str, f64, &str)| {
            let system = self.system;
            format!(
                r#"{{"bench":"relay","system":"{system}","metric":"{metric}","value":{value:.3},"unit":"{unit}"}}"#
            ) + "\n"
        };
        metrics.map(row).concat()
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (system, rate, cpu) = (self.system, self.rate / MEBIBYTE, micros(self.cpu));
        let [direct, relayed] = self.round_trips.map(micros);
        let added = micros(self.added());
        write!(
            f,
            "{system:14} {rate:>10.0} {cpu:>14.2} {direct:>10.1} {relayed:>10.1} {added:>10.1}"
        )
    }
}

fn micros(span: Duration) -> f64 {
    span.as_secs_f64() * 1e6
}

/// The middle one.
fn median(mut list: Vec<Duration>) -> Option<Duration> {
    list.sort();
    list.get(list.len() / 2).copied()
}

const MEBIBYTE: f64 = 1_048_576.0;
/// How many round trips are measured.
const ROUND_TRIPS: usize = 2_000;
const HEAD: &str = "\
One way over loopback by way of a relay, about 1,000 bytes a packet; the ends and the relay share the processor.
                    MiB/s  CPU us/packet  direct us relayed us   added us";
