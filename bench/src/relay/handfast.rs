//! handfast on tokio: two ends and a relay, each on a thread of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use handfast_tokio::{
    Bytes, Config, Delivery, Endpoint, ForwardingPolicy, Identity, Peer, PeerId, Target, entropy,
};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use super::{ROUND_TRIPS, Row, median};
use crate::clock::cpu_time;

pub(super) fn measure(time: Duration) -> Result<Row, String> {
    let relay = Relay::start();
    let (tell, far) = mpsc::channel();
    let place = relay.place;
    let (end, ended) = oneshot::channel();
    let receiver = thread::spawn(move || runtime().block_on(receive(place, &tell, ended)));
    let (id, address): (PeerId, SocketAddr) = far.recv().map_err(|_| "handfast: no far end")?;
    let result = runtime().block_on(async {
        let endpoint = endpoint(Config::default());
        let direct = endpoint.connect(Target::new(id, [address])).await;
        let direct = round_trip(&direct.map_err(|error| error.to_string())?).await?;
        drop(endpoint);
        let endpoint = self::endpoint(Config::default());
        endpoint.connect(place).await.map_err(|error| error.to_string())?;
        let peer = endpoint.connect(Target::from(id)).await.map_err(|error| error.to_string())?;
        let relayed = round_trip(&peer).await?;
        let bytes = flood(&peer, time).await?;
        Ok::<_, String>((bytes, [direct, relayed]))
    });
    end.send(()).ok();
    receiver.join().map_err(|_| "handfast: the far end failed")?;
    let (cpu, packets) = relay.stop();
    let (bytes, round_trips) = result.map_err(|error| format!("handfast: {error}"))?;
    let cpu = cpu / u32::try_from(packets.max(1)).unwrap_or(u32::MAX);
    Ok(Row { system: "handfast", rate: bytes as f64 / time.as_secs_f64(), cpu, round_trips })
}

/// Sends bulk for so long. Returns how much of it was acknowledged.
async fn flood(peer: &Peer, time: Duration) -> Result<u64, String> {
    let (end, bulk) = (Instant::now() + time, Bytes::from(vec![7; LARGE]));
    let queued = || peer.info().map_or(0, |peer| peer.queued);
    let before = queued();
    let mut sent = 0;
    while Instant::now() < end {
        peer.send(Delivery::ordered(0), bulk.clone()).await.map_err(|error| error.to_string())?;
        sent += LARGE as u64;
    }
    let waiting = queued().saturating_sub(before);
    Ok(sent.saturating_sub(waiting))
}

/// The median round trip of small messages.
async fn round_trip(peer: &Peer) -> Result<Duration, String> {
    let mut list = Vec::new();
    for _ in 0..ROUND_TRIPS {
        let began = Instant::now();
        peer.try_send(Delivery::unreliable(1), vec![7; 64]).map_err(|error| error.to_string())?;
        // A lost one is no round trip.
        if tokio::time::timeout(Duration::from_millis(200), peer.recv()).await.is_ok() {
            list.push(began.elapsed());
        }
    }
    median(list).ok_or_else(|| "nothing came back".into())
}

/// Sends small messages back until it is told to end, and takes the bulk.
async fn receive(
    relay: SocketAddr,
    tell: &mpsc::Sender<(PeerId, SocketAddr)>,
    end: oneshot::Receiver<()>,
) {
    let endpoint = endpoint(Config::default());
    endpoint.connect(relay).await.expect("the relay");
    tell.send((endpoint.id(), endpoint.local_addresses()[0])).expect("the near end waits");
    let answering = async {
        while let Some(peer) = endpoint.accept().await {
            tokio::spawn(async move {
                while let Some(message) = peer.recv().await {
                    if !message.delivery.reliable {
                        peer.try_send(message.delivery, message.payload).ok();
                    }
                }
            });
        }
    };
    tokio::select! {
        () = answering => {}
        _ = end => {}
    }
}

struct Relay {
    place: SocketAddr,
    end: oneshot::Sender<()>,
    thread: thread::JoinHandle<(Duration, u64)>,
}

impl Relay {
    fn start() -> Self {
        let (tell, place) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let thread = thread::spawn(move || {
            runtime().block_on(async {
                let mut config = Config::default();
                config.forwarding.policy = ForwardingPolicy::Anyone;
                config.forwarding.pair_rate = FAST;
                config.forwarding.peer_rate = FAST;
                config.forwarding.total_rate = FAST;
                let endpoint = endpoint(config);
                tell.send(endpoint.local_addresses()[0]).expect("the ends wait");
                let began = cpu_time();
                ended.await.ok();
                let stats = endpoint.stats().await.map(|stats| stats.stats);
                (cpu_time() - began, stats.map_or(0, |stats| stats.forwards_passed))
            })
        });
        Self { place: place.recv().expect("a relay"), end, thread }
    }

    /// What it has computed, and how many packets it passed on.
    fn stop(self) -> (Duration, u64) {
        self.end.send(()).ok();
        self.thread.join().unwrap_or_default()
    }
}

fn endpoint(config: Config) -> Endpoint {
    let identity = Identity::from_seed(entropy().expect("entropy"));
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Endpoint::bind(config, identity, loopback).expect("bound")
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Bytes of a message of bulk.
const LARGE: usize = 16 << 10;
/// In bytes per second: no limit on this machine.
const FAST: u64 = 10_000_000_000;
