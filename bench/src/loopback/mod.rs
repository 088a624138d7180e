//! Two ends on real sockets, each on a thread of its own: one sends and one receives.
//!
//! What each system needs for that is in a file of its own; all do the same jobs ([`Job`]), and the
//! receiver checks every byte that comes. Between the ends may lie a proxy ([`crate::loss`]).

mod enet;
mod kcp;
mod on_mio;
mod on_tokio;
mod quinn;
mod raw;
mod renet;
mod run;
mod s2n;
mod system;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

pub(crate) use run::{Job, Run, SMALL};
pub(crate) use system::System;

use crate::loss::{Link, Proxy};
use crate::trips::Trips;

/// A job, and how it is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) job: Job,
    /// For how long it goes on before it is measured.
    pub(crate) warm_up: Duration,
    /// For how long it is measured.
    pub(crate) time: Duration,
    /// What lies between the ends; `None`: nothing, and each end has a processor of its own, where there are two.
    pub(crate) link: Option<Link>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// Bytes that arrived, all of them right.
    pub(crate) bytes: u64,
    pub(crate) time: Duration,
    /// What this process computed meanwhile: both ends, and not the proxy.
    pub(crate) cpu: Duration,
    /// What of it the receiver's thread computed, where it tells.
    pub(crate) receiver_cpu: Duration,
    /// Round trips of an echo.
    pub(crate) trips: Option<Trips>,
}

impl Outcome {
    /// MiB per second.
    pub(crate) fn rate(&self) -> f64 {
        self.bytes as f64 / MEBIBYTE / self.time.as_secs_f64()
    }
}

/// Has a system do a job once.
///
/// # Errors
/// When an end fails, nothing arrives, or what arrives is not what was sent.
pub(crate) fn play(system: System, plan: &Plan) -> Result<Outcome, String> {
    let (begun, has_begun) = mpsc::channel();
    let run = Arc::new(Run::new(plan.job, plan.link.map(|link| link.rate * 11 / 10), begun));
    let (tell, place) = mpsc::channel();
    let receiver = end(plan, 1, &run, move |run| system.receive(&tell, run));
    let sent = send(system, plan, &run, &place, &has_begun);
    run.end();
    let received = joined(receiver);
    // What the sender has to say explains more.
    let mut outcome = sent?;
    received?;
    run.check()?;
    outcome.trips = run.trips();
    match outcome.bytes {
        0 if outcome.trips.is_none() => Err("nothing arrived".into()),
        _ => Ok(outcome),
    }
}

/// Has the sender do its part, and measures.
fn send(
    system: System,
    plan: &Plan,
    run: &Arc<Run>,
    place: &Receiver<SocketAddr>,
    has_begun: &Receiver<()>,
) -> Result<Outcome, String> {
    let place = place.recv_timeout(SOON).map_err(|_| "nobody listens")?;
    let proxy = plan.link.map(|link| Proxy::start(link, place)).transpose()?;
    let to = proxy.as_ref().map_or(place, Proxy::address);
    let sender = end(plan, 0, run, move |run| system.send(to, run));
    let began = has_begun.recv_timeout(SOON);
    let measured = began.map(|()| measure(run, plan)).map_err(|_| "no connection".into());
    run.end();
    joined(sender)?;
    measured
}

/// Runs one end on a thread of its own, which is on this processor unless there is a path between the ends.
fn end(
    plan: &Plan,
    processor: usize,
    run: &Arc<Run>,
    work: impl FnOnce(&Run) -> Result<(), String> + Send + 'static,
) -> JoinHandle<Result<(), String>> {
    let (run, is_pinned) = (Arc::clone(run), plan.link.is_none());
    thread::spawn(move || {
        pin(is_pinned, processor);
        let result = until_over(&run, work(&run));
        // Whoever waits for the beginning is to learn that there is none.
        run.begin();
        result
    })
}

fn joined(end: JoinHandle<Result<(), String>>) -> Result<(), String> {
    end.join().unwrap_or_else(|_| Err("an end panicked".into()))
}

/// Whoever fails when it is over has lost the other end, which may go first.
fn until_over(run: &Run, result: Result<(), String>) -> Result<(), String> {
    if run.is_over() { Ok(()) } else { result }
}

fn measure(run: &Run, plan: &Plan) -> Outcome {
    thread::sleep(plan.warm_up);
    run.forget_trips();
    let (start, cpu, bytes) = (Instant::now(), cpu_of_process(), run.bytes());
    let receiver_cpu = run.receiver_cpu();
    thread::sleep(plan.time);
    Outcome {
        bytes: run.bytes() - bytes,
        time: start.elapsed(),
        cpu: cpu_of_process().saturating_sub(cpu),
        receiver_cpu: run.receiver_cpu().saturating_sub(receiver_cpu),
        trips: None,
    }
}

/// Keeps this thread, and those that it makes, on one processor.
fn pin(is_asked: bool, processor: usize) {
    if is_asked && thread::available_parallelism().is_ok_and(|there| there.get() > processor) {
        let mut set = CpuSet::new();
        set.set(processor);
        // Where the system does not let us, the scheduler chooses.
        sched_setaffinity(None, &set).ok();
    }
}

fn cpu_of_process() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let parts = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    let (Ok(seconds), Ok(nanos)) = parts else { return Duration::ZERO };
    Duration::new(seconds, nanos)
}

/// The longest that a handshake may take, on a path that loses much.
const SOON: Duration = Duration::from_secs(20);

const MEBIBYTE: f64 = 1_048_576.0;
