//! A server under a flood of datagrams that nobody honest sends, and honest clients in the middle
//! of it: what they notice, and what it costs.
//!
//! The [`Server`] is a process of its own, this program with another role ([`serve`]), so that its
//! memory and its counters are its own. The [`Flood`] comes from many addresses of 127.0.0.0/8, and
//! in a [`namespace`] also from the addresses of live peers. Its rate follows the server's counter:
//! what the system drops because the socket is full is not counted.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use handfast_sim::Conditions;

use crate::{Proxy, ProxyConfig, Runtime, Way};

mod crowd;
mod flood;
pub mod namespace;
mod report;
mod sample;
mod serve;
mod server;

pub use crowd::{Crowd, Messages};
pub use flood::{Flood, Kind, Plan};
pub use report::{Findings, Times, Verdict};
pub use sample::Sample;
pub use serve::{ServeOptions, serve};
pub use server::Server;

/// Choices for a siege.
#[derive(Args, Clone, Debug)]
pub struct SiegeOptions {
    /// How long the flood lasts, in seconds
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
    /// How long to watch before it, in seconds
    #[arg(long, default_value_t = 10)]
    pub calm: u64,
    /// Datagrams per second, as counted by the server
    #[arg(long, default_value_t = 100_000)]
    pub rate: u64,
    /// Honest clients
    #[arg(long, default_value_t = 20)]
    pub clients: usize,
    /// What drives the server [default: both, one after the other]
    #[arg(long, value_enum)]
    pub runtime: Option<Runtime>,
    /// A kind of flood; may be repeated [default: all]
    #[arg(long, value_enum)]
    pub kind: Vec<Kind>,
    /// Decides what is random
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl SiegeOptions {
    fn kinds(&self, may_spoof: bool) -> io::Result<Vec<Kind>> {
        let all = if self.kind.is_empty() { &Kind::ALL[..] } else { &self.kind };
        let possible = |kind: &Kind| *kind != Kind::Spoofed || (may_spoof && self.clients > 1);
        let kinds: Vec<_> = all.iter().copied().filter(possible).collect();
        if kinds.is_empty() {
            return Err(io::Error::other("nothing to throw: addresses cannot be spoofed"));
        }
        Ok(kinds)
    }
}

/// Besieges one server; `program` is this program, to be run as the server. Addresses of live peers
/// are spoofed if `may_spoof`.
///
/// # Errors
/// When the server cannot be started, clients cannot connect before the flood, or the system does
/// not grant what is needed.
pub fn besiege(
    program: &Path,
    options: &SiegeOptions,
    runtime: Runtime,
    may_spoof: bool,
) -> io::Result<Findings> {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let serving = ServeOptions { runtime, listen, identity: 1, journal: None };
    let server = Server::start(program, &serving)?;
    let (address, id) = (server.address(), server.id());
    // One client's packets are captured on their way.
    let straight = Conditions { latency: Duration::ZERO, ..Conditions::default() };
    let tap = ProxyConfig { capture: CAPTURED, ..ProxyConfig::both_ways(options.seed, straight) };
    let tap = Proxy::start(tap, address)?;
    let mut doors = vec![address; options.clients.max(1)];
    doors[0] = tap.address();
    let mut crowd = Crowd::gather(id, &doors)?;
    crowd.welcome(id, address);
    thread::sleep(Duration::from_secs(options.calm));

    let flood = Flood::start(Plan {
        server: flood::v4(address),
        id,
        captured: [Way::ToServer, Way::ToClient].map(|way| tap.captured(way)).concat(),
        kinds: options.kinds(may_spoof)?,
        // The first comes to the server by way of the tap.
        victims: crowd.addresses().into_iter().skip(1).map(flood::v4).collect(),
        seed: options.seed,
    })?;
    let before = Look::at(&server);
    let (calm_pings, (calm_handshakes, mut failures)) =
        (crowd.take_pings(), crowd.take_handshakes());
    let most = keep_up(&server, &flood, options);
    let after = Look::at(&server);
    let (thrown, refused) = (flood.sent().to_vec(), flood.refused());
    drop(flood);
    let (pings, (handshakes, failed)) = (crowd.take_pings(), crowd.take_handshakes());
    let messages = crowd.finish();
    failures.extend(failed.into_iter().chain(crowd.take_handshakes().1));
    let memory = [before.memory, most.max(after.memory), server.resident()];
    let drops = after.sample.all_since(&before.sample, "drop.");
    let since = |name| after.sample.since(&before.sample, name);
    Ok(Findings {
        runtime: runtime.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned()),
        lasted: after.at - before.at,
        rate: options.rate,
        counted: since("datagrams_received"),
        thrown,
        refused,
        socket_drops: after.socket_drops.saturating_sub(before.socket_drops),
        drops: drops.map(|(reason, count)| (reason.to_owned(), count)).collect(),
        processor: after.processor.saturating_sub(before.processor),
        messages,
        pings: [calm_pings, pings].map(Times::from),
        handshakes: [calm_handshakes, handshakes].map(Times::from),
        failures,
        memory,
        unverified: ["unverified_bytes_received", "unverified_bytes_sent"]
            .map(|name| after.sample.get(name)),
    })
}

/// The server at one time.
struct Look {
    at: Instant,
    sample: Sample,
    socket_drops: u64,
    processor: Duration,
    memory: u64,
}

impl Look {
    fn at(server: &Server) -> Self {
        let sample = server.sample();
        Self {
            at: Instant::now(),
            sample,
            socket_drops: server.socket_drops(),
            processor: server.processor_time(),
            memory: server.resident(),
        }
    }
}

/// Floods until the time is over, at the rate that the server is to count. Returns the most memory
/// it had.
fn keep_up(server: &Server, flood: &Flood, options: &SiegeOptions) -> u64 {
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let (mut known, mut at) = (server.sample(), Instant::now());
    let (mut rate, mut most) = (options.rate, 0);
    flood.set_rate(rate);
    while Instant::now() < end {
        let sample = server.sample();
        let millis = u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        let counted = sample.since(&known, "datagrams_received") * 1000 / millis;
        (known, at) = (sample, Instant::now());
        // A quarter of what is missing or too much, within bounds: more than the machine can do
        // would only fill the socket's buffer.
        let adjusted = rate.saturating_add(options.rate / 4).saturating_sub(counted / 4);
        rate = adjusted.clamp(options.rate / 2, options.rate * 3 / 2);
        flood.set_rate(rate);
        most = most.max(server.resident());
    }
    flood.set_rate(0);
    most
}

/// Packets captured of each way.
const CAPTURED: usize = 2000;
