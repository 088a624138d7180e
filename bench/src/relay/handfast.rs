//! handfast: two ends on tokio, each on a thread of its own, and a relay on either runtime.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use handfast_tokio::{Bytes, Config, Delivery, Endpoint, Identity, Peer, PeerId, Target, entropy};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use super::{PAIRS, ROUND_TRIPS, Round, start};
use crate::trips::Trips;

pub(super) fn measure(runtime: &str, time: Duration) -> Result<Round, String> {
    let (relay, place) = start(runtime, &[]).map_err(|error| error.to_string())?;
    let (tell, far) = mpsc::channel();
    let (end, ended) = oneshot::channel();
    let receiver = thread::spawn(move || self::runtime().block_on(receive(place, &tell, ended)));
    let (id, address): (PeerId, SocketAddr) = far.recv().map_err(|_| "no far end")?;
    let result = self::runtime().block_on(async {
        let endpoint = endpoint();
        let direct = connect(&endpoint, Target::new(id, [address])).await?;
        let direct = round_trips(&direct).await?;
        drop(endpoint);
        let endpoint = self::endpoint();
        connect(&endpoint, place.into()).await?;
        let peer = connect(&endpoint, Target::from(id)).await?;
        let relayed = round_trips(&peer).await?;
        let before = relay.cpu().map_err(|error| error.to_string())?;
        let bytes = flood(&peer, time).await?;
        let cpu = relay.cpu().map_err(|error| error.to_string())?.saturating_sub(before);
        Ok::<_, String>((bytes, cpu, [direct, relayed]))
    });
    end.send(()).ok();
    receiver.join().map_err(|_| "the far end failed")?;
    let (bytes, cpu, round_trips) = result?;
    Ok(Round {
        rate: bytes as f64 / time.as_secs_f64(),
        cpu: cpu.as_nanos() as f64 / bytes.max(1) as f64,
        round_trips,
    })
}

/// Bytes that a relay needs for two more peers that talk by way of it.
pub(super) fn memory(runtime: &str) -> Result<f64, String> {
    let (relay, place) = start(runtime, &[]).map_err(|error| error.to_string())?;
    self::runtime().block_on(async {
        // What it makes once is there.
        let _first = pair(place).await?;
        let before = relay.memory().map_err(|error| error.to_string())?;
        let mut pairs = Vec::new();
        for _ in 0..PAIRS {
            pairs.push(pair(place).await?);
        }
        let grown = relay.memory().map_err(|error| error.to_string())? - before;
        Ok(grown / pairs.len() as f64)
    })
}

/// Two endpoints that know the relay alone, and have heard each other by way of it.
async fn pair(relay: SocketAddr) -> Result<[Endpoint; 2], String> {
    let (near, far) = (endpoint(), endpoint());
    connect(&near, relay.into()).await?;
    connect(&far, relay.into()).await?;
    let peer = connect(&near, Target::from(far.id())).await?;
    peer.ping().await.map_err(|error| error.to_string())?;
    Ok([near, far])
}

async fn connect(endpoint: &Endpoint, target: Target) -> Result<Peer, String> {
    endpoint.connect(target).await.map_err(|error| error.to_string())
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

/// Round trips of small messages.
async fn round_trips(peer: &Peer) -> Result<Trips, String> {
    let mut list = Vec::new();
    for _ in 0..ROUND_TRIPS {
        let began = Instant::now();
        peer.try_send(Delivery::unreliable(1), vec![7; 64]).map_err(|error| error.to_string())?;
        // A lost one is no round trip.
        if tokio::time::timeout(Duration::from_millis(200), peer.recv()).await.is_ok() {
            list.push(began.elapsed());
        }
    }
    Trips::of(list).ok_or_else(|| "nothing came back".into())
}

/// Sends small messages back until it is told to end, and takes the bulk.
async fn receive(
    relay: SocketAddr,
    tell: &mpsc::Sender<(PeerId, SocketAddr)>,
    end: oneshot::Receiver<()>,
) {
    let endpoint = endpoint();
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

fn endpoint() -> Endpoint {
    let identity = Identity::from_seed(entropy().expect("entropy"));
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Endpoint::bind(Config::default(), identity, loopback).expect("bound")
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Bytes of a message of bulk.
const LARGE: usize = 16 << 10;
