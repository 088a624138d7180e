//! How long others wait beside an endpoint to which bulk keeps coming.
//!
//! One runtime receives bulk. Beside it a task sleeps for a millisecond again and again, and another
//! reads small messages that come between the bulk. Measured is how late the first wakes, and how old the
//! messages are when the second has them. The sender has a thread and a runtime of its own.

mod handfast;
mod quinn;

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use crate::figure::Figure;

/// Measures every system on both flavours of the runtime, and prints a line for each.
///
/// # Errors
/// If nothing arrives.
pub(crate) fn run(quick: bool) -> Result<Vec<Figure>, String> {
    let time = Duration::from_secs(if quick { 2 } else { 10 });
    println!("{HEAD}");
    let mut figures = Vec::new();
    for flavour in [Flavour::CurrentThread, Flavour::MultiThread] {
        for system in [System::Handfast, System::Quinn] {
            let row = measure(system, flavour, time)?;
            println!("{row}");
            figures.extend(row.figures());
        }
    }
    Ok(figures)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum System {
    Handfast,
    Quinn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flavour {
    CurrentThread,
    MultiThread,
}

impl Flavour {
    fn build(self) -> Runtime {
        let mut builder = match self {
            Self::CurrentThread => Builder::new_current_thread(),
            Self::MultiThread => Builder::new_multi_thread(),
        };
        builder.worker_threads(2).enable_all().build().expect("a runtime")
    }
}

/// What both ends and all tasks of a run share.
#[derive(Default)]
struct Run {
    over: AtomicBool,
    /// Bytes of bulk that arrived.
    bytes: AtomicU64,
    late: Mutex<Vec<Duration>>,
    ages: Mutex<Vec<Duration>>,
}

impl Run {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Some bulk arrived.
    fn take(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// A small message arrived that was sent at the time which it tells.
    fn note(&self, stamp: &[u8]) {
        let Ok(sent) = stamp.try_into().map(u64::from_le_bytes) else { return };
        push(&self.ages, Duration::from_nanos(now().saturating_sub(sent)));
    }

    async fn sleep_again_and_again(&self) {
        while !self.is_over() {
            let began = Instant::now();
            tokio::time::sleep(NAP).await;
            push(&self.late, began.elapsed().saturating_sub(NAP));
        }
    }
}

/// What a small message says.
fn stamp() -> Vec<u8> {
    now().to_le_bytes().to_vec()
}

/// The same for all threads, in nanoseconds.
fn now() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

fn push(list: &Mutex<Vec<Duration>>, value: Duration) {
    list.lock().unwrap_or_else(PoisonError::into_inner).push(value);
}

fn measure(system: System, flavour: Flavour, time: Duration) -> Result<Row, String> {
    let run = Arc::new(Run::default());
    let (tell, address) = mpsc::channel::<SocketAddr>();
    let sending = Arc::clone(&run);
    let sender = thread::spawn(move || {
        let address = address.recv().expect("the receiver listens");
        Flavour::CurrentThread.build().block_on(async {
            match system {
                System::Handfast => handfast::send(address, sending).await,
                System::Quinn => quinn::send(address, sending).await,
            }
        });
    });
    let runtime = flavour.build();
    let receiving = Arc::clone(&run);
    runtime.block_on(async {
        let sleeper = Arc::clone(&receiving);
        tokio::spawn(async move { sleeper.sleep_again_and_again().await });
        match system {
            System::Handfast => handfast::receive(tell, Arc::clone(&receiving)).await,
            System::Quinn => quinn::receive(tell, Arc::clone(&receiving)).await,
        }
        tokio::time::sleep(time).await;
        receiving.over.store(true, Ordering::Relaxed);
    });
    // Whatever waits for the other end learns that it is gone.
    drop(runtime);
    sender.join().map_err(|_| format!("{system:?}: the sender failed"))?;
    let mebibytes = run.bytes.load(Ordering::Relaxed) as f64 / f64::from(1 << 20);
    let (late, ages) = (quantiles(&run.late), quantiles(&run.ages));
    match (late, ages) {
        (Some(late), Some(ages)) if mebibytes > 0.0 => {
            Ok(Row { system, flavour, late, ages, rate: mebibytes / time.as_secs_f64() })
        }
        _ => Err(format!("{system:?}: nothing arrived")),
    }
}

/// The median, the 99th percentile and the most, in milliseconds.
type Quantiles = [f64; 3];

fn quantiles(list: &Mutex<Vec<Duration>>) -> Option<Quantiles> {
    let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
    list.sort();
    let last = list.len().checked_sub(1)?;
    Some([last / 2, last * 99 / 100, last].map(|at| list[at].as_secs_f64() * 1000.0))
}

struct Row {
    system: System,
    flavour: Flavour,
    late: Quantiles,
    ages: Quantiles,
    rate: f64,
}

impl Row {
    fn figures(&self) -> [Figure; 7] {
        let metrics = [
            ("late_p50", self.late[0], "ms"),
            ("late_p99", self.late[1], "ms"),
            ("late_max", self.late[2], "ms"),
            ("age_p50", self.ages[0], "ms"),
            ("age_p99", self.ages[1], "ms"),
            ("age_max", self.ages[2], "ms"),
            ("bulk", self.rate, "MiB/s"),
        ];
        metrics.map(|(metric, value, unit)| {
            let (case, system) = (format!("{:?}", self.flavour), format!("{:?}", self.system));
            Figure { bench: "fairness", case, system, metric, value, unit }
        })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (system, flavour) = (format!("{:?}", self.system), format!("{:?}", self.flavour));
        write!(f, "{flavour:14} {system:9}")?;
        for value in self.late.iter().chain(&self.ages) {
            write!(f, " {value:>8.2}")?;
        }
        write!(f, " {:>8.0}", self.rate)
    }
}

const HEAD: &str = "\
Beside an endpoint to which bulk keeps coming over loopback (1,200 bytes of UDP payload per datagram):
how late a task wakes that sleeps for 1 ms, and how old small messages are when they are read, in ms.
                                   late                       age                bulk
runtime        system         p50      p99     most      p50      p99     most    MiB/s";

/// How long the sleeper sleeps.
const NAP: Duration = Duration::from_millis(1);
/// How often a small message is sent.
const EVERY: Duration = Duration::from_millis(2);
/// Bytes of a bulk message.
const LARGE: usize = 64 * 1024;
