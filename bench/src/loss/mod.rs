//! How much arrives over paths that lose or hold back datagrams, on real sockets.
//!
//! Between the ends lies one proxy with the network of the simulator in it, a process of its own. All
//! systems send bulk through the same conditions, with the same seeds.

mod link;
mod proxy;

use std::time::Duration;

pub(crate) use link::Link;
pub(crate) use proxy::{Proxy, WORD, serve};

use crate::figure::{Figure, median};
use crate::loopback::{Job, Plan, System, play};

/// Measures every system on every path, and prints a table.
///
/// # Errors
/// If handfast fails. What another system fails at stands in the table.
pub(crate) fn run(quick: bool) -> Result<Vec<Figure>, String> {
    let (time, seeds) = if quick { QUICK } else { FULL };
    println!("{HEAD}");
    let mut figures = Vec::new();
    for path in link::PATHS {
        let mut taken = SYSTEMS.map(|system| (system, Vec::new(), None));
        for seed in 1..=seeds {
            for (system, rates, failure) in &mut taken {
                let link = Some(Link { seed, ..path.link });
                let plan = Plan { job: Job::Bulk, warm_up: Duration::ZERO, time, link };
                match play(*system, &plan) {
                    Ok(outcome) => rates.push(outcome.rate()),
                    Err(error) if system.is_ours() => {
                        return Err(format!("{}, {}: {error}", path.name, system.name()));
                    }
                    // Nothing of a connection that failed counts.
                    Err(error) => {
                        rates.push(0.0);
                        *failure = Some(error);
                    }
                }
            }
        }
        println!("\n{}", path.name);
        let ours = taken[0].1.clone();
        for (system, rates, failure) in taken {
            let ratios = ours.iter().zip(&rates).map(|(ours, rate)| ours / rate).collect();
            let (ratio, rate) = (median(ratios), median(rates));
            let (name, note) = (system.name(), failure.unwrap_or_default());
            let line = format!("  {name:33} {rate:>7.2} {ratio:>7.2}  {note}");
            println!("{}", line.trim_end());
            let mut add = |metric, value: f64, unit| {
                let (case, system) = (path.name.to_owned(), name.to_owned());
                figures.push(Figure { bench: "loss", case, system, metric, value, unit });
            };
            add("goodput", rate, "MiB/s");
            // Nothing can be compared with a system that failed.
            if ratio.is_finite() {
                add("goodput_ratio", ratio, "handfast on tokio/system");
            }
        }
    }
    Ok(figures)
}

/// All but the last send no more than the path takes.
const SYSTEMS: [System; 8] = [
    System::Tokio,
    System::Mio,
    System::TokioTolerant,
    System::Quinn,
    System::QuinnBbr,
    System::Enet,
    System::Kcp,
    System::Raw,
];

/// For how long bulk flows, from the moment that the sender is connected on, and with how many seeds.
const FULL: (Duration, u64) = (Duration::from_secs(8), 3);
const QUICK: (Duration, u64) = (Duration::from_secs(3), 1);

const HEAD: &str = "\
Bulk over loopback through one proxy, 25 ms each way, a queue of 1,000 full datagrams; the beginning of each connection
counts. Loss both ways. MiB/s that arrived, every byte compared with what was sent (raw UDP: counted alone; it sends a
tenth more than the path carries, whatever is lost). Medians of seeds; ratio: handfast on tokio by the system.
handfast: defaults, 64-KiB messages on one ordered channel. quinn: defaults but a stream window of 8 MiB, one stream. rusty_enet: defaults,
64-KiB reliable packets. tokio_kcp: nodelay, 10 ms, resend 2, no congestion control, windows of 1,024, stream mode.
system                                MiB/s   ratio";
