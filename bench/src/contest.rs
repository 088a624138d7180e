//! Systems that do the same job over loopback, in turn, round after round, so that what slows the machine
//! down slows all of them.

use std::time::Duration;

use crate::figure::{Figure, median};
use crate::loopback::{Job, Outcome, Plan, SMALL, System, play};

/// A job, and who does it. The first system is ours, and ratios are of it.
struct Contest {
    bench: &'static str,
    case: &'static str,
    title: &'static str,
    job: Job,
    systems: &'static [System],
    /// The metrics, their units, and how they come of what was done.
    metrics: &'static [Metric],
}

/// What is measured.
struct Metric {
    name: &'static str,
    /// What its ratio is called.
    ratio: &'static str,
    unit: &'static str,
    of: fn(&Outcome) -> f64,
}

/// How fast bytes go.
///
/// # Errors
/// If handfast fails. What another system fails at stands in the table.
pub(crate) fn bulk(quick: bool) -> Result<Vec<Figure>, String> {
    println!("{BULK_HEAD}");
    BULK.run(quick)
}

/// How many small messages go.
///
/// # Errors
/// As of [`bulk`].
pub(crate) fn messages(quick: bool) -> Result<Vec<Figure>, String> {
    println!("{MESSAGES_HEAD}");
    Ok([RELIABLE.run(quick)?, UNRELIABLE.run(quick)?].concat())
}

/// How long a small message takes there and back.
///
/// # Errors
/// As of [`bulk`].
pub(crate) fn echo(quick: bool) -> Result<Vec<Figure>, String> {
    println!("{ECHO_HEAD}");
    ECHO.run(quick)
}

/// How many handshakes are made.
///
/// # Errors
/// As of [`bulk`].
pub(crate) fn handshakes(quick: bool) -> Result<Vec<Figure>, String> {
    println!("{HANDSHAKES_HEAD}");
    HANDSHAKES.run(quick)
}

impl Contest {
    fn run(&self, quick: bool) -> Result<Vec<Figure>, String> {
        let (rounds, time) = if quick { QUICK } else { FULL };
        let plan = Plan { job: self.job, warm_up: WARM_UP, time, link: None };
        let mut taken: Vec<Entry> = self.systems.iter().map(|it| Entry::new(*it)).collect();
        for _ in 0..rounds {
            for entry in &mut taken {
                entry.add(play(entry.system, &plan), self.metrics)?;
            }
        }
        println!("\n{}: {}", self.case, self.title);
        let heads = self.metrics.iter().map(|Metric { unit, .. }| format!(" {unit:>14}   ratio"));
        println!("  {:31}{}", "", heads.collect::<String>());
        let (ours, mut figures) = (taken[0].values.clone(), Vec::new());
        for entry in &taken {
            println!("{}", self.line(&ours, entry, &mut figures));
        }
        Ok(figures)
    }

    /// A system's line, and its figures.
    fn line(&self, ours: &[Vec<f64>], entry: &Entry, figures: &mut Vec<Figure>) -> String {
        let name = entry.system.name();
        let mut line = format!("  {name:31}");
        if let Some(failure) = &entry.failure {
            return line + " " + failure;
        }
        for (number, metric) in self.metrics.iter().enumerate() {
            let column =
                |rounds: &[Vec<f64>]| rounds.iter().map(|it| it[number]).collect::<Vec<_>>();
            let (ours, theirs) = (column(ours), column(&entry.values));
            let ratio =
                median(ours.iter().zip(&theirs).map(|(ours, other)| ours / other).collect());
            let value = median(theirs);
            line += &format!(" {value:>14.2} {ratio:>7.2}");
            let mut add = |metric, value, unit| {
                let (case, system) = (self.case.to_owned(), name.to_owned());
                figures.push(Figure { bench: self.bench, case, system, metric, value, unit });
            };
            add(metric.name, value, metric.unit);
            add(metric.ratio, ratio, "handfast on tokio/system");
        }
        line
    }
}

/// What a system did in all rounds.
struct Entry {
    system: System,
    /// Of each round the metrics.
    values: Vec<Vec<f64>>,
    failure: Option<String>,
}

impl Entry {
    const fn new(system: System) -> Self {
        Self { system, values: Vec::new(), failure: None }
    }

    fn add(&mut self, played: Result<Outcome, String>, metrics: &[Metric]) -> Result<(), String> {
        match played {
            Ok(outcome) => {
                self.values.push(metrics.iter().map(|metric| (metric.of)(&outcome)).collect());
            }
            Err(error) if self.system.is_ours() => {
                return Err(format!("{}: {error}", self.system.name()));
            }
            Err(error) => self.failure = Some(error),
        }
        Ok(())
    }
}

const BULK: Contest = Contest {
    bench: "bulk",
    case: "bulk",
    title: "bytes, reliably and in order (raw UDP: what arrives)",
    job: Job::Bulk,
    systems: &[
        System::Tokio,
        System::Mio,
        System::Quinn,
        System::S2n,
        System::Enet,
        System::Kcp,
        System::Renet,
        System::Raw,
        System::RawOffload,
    ],
    metrics: &[
        Metric { name: "throughput", ratio: "throughput_ratio", unit: "MiB/s", of: Outcome::rate },
        Metric {
            name: "cpu",
            ratio: "cpu_ratio",
            unit: "CPU s/GiB",
            of: |it| it.cpu.as_secs_f64() * 1024.0 / (it.rate() * it.time.as_secs_f64()),
        },
    ],
};

const RELIABLE: Contest = Contest {
    bench: "messages",
    case: "reliable",
    title: "64-byte messages, in order (quinn: bytes of one stream, or a stream each; tokio_kcp: bytes)",
    job: Job::Messages { reliable: true },
    systems: &[
        System::Tokio,
        System::Mio,
        System::Quinn,
        System::QuinnStreamEach,
        System::Enet,
        System::Kcp,
        System::Renet,
    ],
    metrics: PER_MESSAGE,
};

const UNRELIABLE: Contest = Contest {
    bench: "messages",
    case: "unreliable",
    title: "64-byte messages that are not sent again (quinn: DATAGRAM; raw UDP: a datagram each): those that arrive",
    job: Job::Messages { reliable: false },
    systems: &[System::Tokio, System::Mio, System::Quinn, System::Enet, System::Renet, System::Raw],
    metrics: PER_MESSAGE,
};

const PER_MESSAGE: &[Metric] = &[
    Metric {
        name: "rate",
        ratio: "rate_ratio",
        unit: "messages/s",
        of: |it| count(it) / it.time.as_secs_f64(),
    },
    Metric {
        name: "cpu",
        ratio: "cpu_ratio",
        unit: "CPU us/message",
        of: |it| it.cpu.as_secs_f64() * 1e6 / count(it),
    },
];

fn count(outcome: &Outcome) -> f64 {
    outcome.bytes as f64 / SMALL as f64
}

const ECHO: Contest = Contest {
    bench: "echo",
    case: "echo",
    title: "64 bytes there and back, one at a time (tokio_kcp: reliable, all others not)",
    job: Job::Echo,
    systems: &[
        System::Tokio,
        System::Mio,
        System::TokioBusy,
        System::MioBusy,
        System::Quinn,
        System::Enet,
        System::Kcp,
        System::Renet,
        System::RawTokio,
        System::RawMio,
        System::Raw,
    ],
    metrics: &[
        Metric {
            name: "p50",
            ratio: "p50_ratio",
            unit: "p50 us",
            of: |it| it.trips.map_or(f64::NAN, |trips| trips.p50),
        },
        Metric {
            name: "p99",
            ratio: "p99_ratio",
            unit: "p99 us",
            of: |it| it.trips.map_or(f64::NAN, |trips| trips.p99),
        },
    ],
};

const HANDSHAKES: Contest = Contest {
    bench: "handshakes",
    case: "handshakes",
    title: "connect and part, four at a time (QUIC: only the server proves who it is)",
    job: Job::Handshakes,
    systems: &[System::Tokio, System::TokioStrangers, System::Quinn, System::S2n],
    metrics: &[
        Metric {
            name: "rate",
            ratio: "rate_ratio",
            unit: "handshakes/s",
            of: |it| it.bytes as f64 / it.time.as_secs_f64(),
        },
        Metric {
            name: "server_cpu",
            ratio: "server_cpu_ratio",
            unit: "server CPU us",
            of: |it| it.receiver_cpu.as_secs_f64() * 1e6 / it.bytes as f64,
        },
    ],
};

/// How many rounds, and how long each is measured.
const FULL: (usize, Duration) = (9, Duration::from_secs(2));
const QUICK: (usize, Duration) = (3, Duration::from_secs(1));
const WARM_UP: Duration = Duration::from_millis(300);

const BULK_HEAD: &str = "\
Bulk over loopback, one connection, UDP payload of at most 1,452 bytes, each end on a processor of its own. Every byte that
arrived was compared with what was sent. Medians of interleaved rounds; ratio: handfast on tokio by the system.
CPU: both ends. handfast: defaults, 64-KiB messages on an ordered channel. quinn, s2n-quic: defaults but windows of 8 and 16 MiB. rusty_enet: defaults,
64-KiB packets. tokio_kcp: nodelay, 10 ms, resend 2, no congestion control, windows of 1,024, stream mode. renet:
defaults (60,000 bytes a tick, resent after 300 ms), a tick for each datagram that comes, at least each millisecond.";

const MESSAGES_HEAD: &str = "\
Messages of 64 bytes over loopback, each handed over by a call of its own; those that arrived, each compared with what was sent.
Settings as of `bulk`; medians of interleaved rounds; ratio: handfast on tokio by the system.";

const ECHO_HEAD: &str = "\
A message of 64 bytes there and back over loopback, each end on a processor of its own. Settings as of `bulk`; medians of
interleaved rounds; ratio: handfast on tokio by the system, so below 1 handfast is faster. busy-poll: sockets are asked again and
again for 1 ms before a thread sleeps (`set_busy_poll`, off by default).";

const HANDSHAKES_HEAD: &str = "\
Handshakes over loopback on tokio, the server on a thread and a processor of its own; its CPU time for each, the end of the
connection included. All: X25519 and AES-256-GCM of AWS-LC, Ed25519. handfast: defaults, but as many handshakes from one address as
it asks for; the same four peers come back, or each is new (strangers: the time to make its endpoint counts). quinn, s2n-quic: rustls, no tickets, no resumption. Medians of interleaved rounds; ratio: handfast on tokio by the system.";
