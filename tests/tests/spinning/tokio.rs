//! Many tasks, a few endpoints, one pool of handles that all of them use, clone and drop.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use handfast_core::{Delivery, DisconnectOptions, Identity, Target};
use handfast_sim::Rng;
use handfast_tests::{digest, loopback};
use handfast_tokio::{Endpoint, Events, Fate, Peer, Receipt, entropy};

use tokio::time::timeout;

use super::{Tally, check, config, delivery, farewell, payload};

/// Where endpoints live. One is replaced now and then, by another at the same address if it can.
type Slots = Arc<[Mutex<Endpoint>]>;

pub(crate) fn spin(seed: u64, time: Duration) -> Tally {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let tally = runtime.block_on(async {
        let slots: Slots = (0..ENDPOINTS).map(|_| Mutex::new(bind(loopback()))).collect();
        let spinners: Vec<_> = (0..SPINNERS)
            .map(|number| {
                let rng = Rng::from_seed((seed << 16) | number);
                let spinner = Spinner::new(rng, Arc::clone(&slots));
                tokio::spawn(spinner.run(Instant::now() + time))
            })
            .collect();
        let mut tally = Tally::default();
        for spinner in spinners {
            tally.add(spinner.await.expect("no panic"));
        }
        for slot in slots.iter() {
            let endpoint = lock(slot).clone();
            endpoint.close(DisconnectOptions::default()).await.expect("in order");
        }
        tally
    });
    drop(runtime);
    tally
}

fn bind(address: SocketAddr) -> Endpoint {
    let identity = || Identity::from_seed(entropy().expect("entropy"));
    Endpoint::bind(config(), identity(), address)
        .or_else(|_| Endpoint::bind(config(), identity(), loopback()))
        .expect("bound")
}

fn lock(slot: &Mutex<Endpoint>) -> std::sync::MutexGuard<'_, Endpoint> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Spinner {
    rng: Rng,
    slots: Slots,
    peers: Vec<Peer>,
    receipts: Vec<(Peer, Receipt)>,
    events: Option<Events>,
    tally: Tally,
}

impl Spinner {
    fn new(rng: Rng, slots: Slots) -> Self {
        let (peers, receipts) = (Vec::new(), Vec::new());
        Self { rng, slots, peers, receipts, events: None, tally: Tally::default() }
    }

    async fn run(mut self, until: Instant) -> Tally {
        while Instant::now() < until {
            self.act().await;
        }
        // Whatever was promised is told, however the peers end.
        for (peer, receipt) in self.receipts.drain(..) {
            peer.disconnect(farewell(&mut self.rng)).await;
            receipt.await;
        }
        self.tally
    }

    async fn act(&mut self) {
        match self.rng.index(100) {
            0..=9 => self.connect().await,
            10..=14 => self.accept().await,
            15..=49 => self.send().await,
            50..=69 => self.receive().await,
            70..=74 => self.ping().await,
            75..=79 => self.cancel().await,
            80..=84 => self.redeem().await,
            85..=87 => self.disconnect().await,
            88..=91 => self.query().await,
            92..=94 => self.watch().await,
            95..=97 => self.drop_something(),
            98 => tokio::task::yield_now().await,
            _ => self.replace_endpoint().await,
        }
    }

    fn endpoint(&mut self) -> Endpoint {
        lock(&self.slots[self.rng.index(ENDPOINTS)]).clone()
    }

    fn peer(&mut self) -> Option<Peer> {
        let at = self.rng.index(self.peers.len().max(1));
        let peer = self.peers.get(at)?.clone();
        if peer.ended().is_some() && self.rng.index(4) > 0 {
            self.peers.swap_remove(at);
        }
        Some(peer)
    }

    fn keep(&mut self, peer: Peer) {
        if self.peers.len() >= MOST {
            let at = self.rng.index(MOST);
            self.peers.swap_remove(at);
        }
        self.peers.push(peer);
    }

    /// Awaits a future for a moment, which may be none, and drops it.
    async fn try_for<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        let patience = match self.rng.index(4) {
            0 => {
                // Once, or a few times.
                let mut future = pin!(future);
                for _ in 0..=self.rng.index(10) {
                    tokio::select! {
                        biased;
                        value = future.as_mut() => return Some(value),
                        () = tokio::task::yield_now() => {}
                    }
                }
                self.tally.count("dropped");
                return None;
            }
            1 => 1,
            _ => 30,
        };
        let value = timeout(Duration::from_millis(patience), future).await.ok();
        if value.is_none() {
            self.tally.count("dropped");
        }
        value
    }

    async fn connect(&mut self) {
        let (from, to) = (self.endpoint(), self.endpoint());
        // None if another task closed it meanwhile.
        let Some(address) = to.local_addresses().first().copied() else { return };
        let target = match self.rng.index(4) {
            0 => Target::from(address),
            1 => Target::from(to.id()),
            2 => Target::new(to.id(), [loopback(), address]),
            _ => Target::new(to.id(), [address]),
        };
        if let Some(Ok(peer)) = self.try_for(from.connect(target)).await {
            self.tally.count("connected");
            self.keep(peer);
        }
    }

    async fn accept(&mut self) {
        let endpoint = self.endpoint();
        if let Some(Some(peer)) = self.try_for(endpoint.accept()).await {
            self.keep(peer);
        }
    }

    async fn send(&mut self) {
        let Some(peer) = self.peer() else { return };
        let (delivery, payload) = (delivery(&mut self.rng), payload(&mut self.rng));
        if self.rng.index(3) > 0 {
            if let Some(Ok(())) = self.try_for(peer.send(delivery, payload)).await {
                self.tally.count("sent");
            }
            return;
        }
        if let Some(Ok(receipt)) = self.try_for(peer.send_with_receipt(delivery, payload)).await {
            self.keep_receipt(peer.clone(), receipt);
        }
    }

    async fn receive(&mut self) {
        let Some(peer) = self.peer() else { return };
        for _ in 0..self.rng.index(20) {
            let Some(Some(message)) = self.try_for(peer.recv()).await else { return };
            check(&message.payload);
            self.tally.count("received");
        }
    }

    async fn ping(&mut self) {
        let Some(peer) = self.peer() else { return };
        if let Some(Ok(_)) = self.try_for(peer.ping()).await {
            self.tally.count("pong");
        }
    }

    /// More than can be sent at once; then the last of it is withdrawn.
    async fn cancel(&mut self) {
        let Some(peer) = self.peer() else { return };
        for _ in 0..6 {
            let send = peer.send_with_receipt(Delivery::ordered(7), digest::bytes(20_000, 20_000));
            let Some(Ok(receipt)) = self.try_for(send).await else { return };
            self.keep_receipt(peer.clone(), receipt);
        }
        // Perhaps of another peer, which is refused.
        let other = self.peer().unwrap_or_else(|| peer.clone());
        let whose = [peer, other];
        let Some((_, receipt)) = self.receipts.last() else { return };
        if whose[self.rng.index(2)].cancel(receipt).await.is_ok() {
            self.tally.count("cancelled");
        }
    }

    fn keep_receipt(&mut self, peer: Peer, receipt: Receipt) {
        self.receipts.push((peer, receipt));
        if self.receipts.len() > MOST {
            drop(self.receipts.swap_remove(0));
        }
    }

    async fn redeem(&mut self) {
        let Some((_, mut receipt)) = self.receipts.pop() else { return };
        if let Some(Fate::Acked) = self.try_for(&mut receipt).await {
            self.tally.count("acked");
        }
    }

    async fn disconnect(&mut self) {
        let Some(peer) = self.peer() else { return };
        let farewell = farewell(&mut self.rng);
        if self.try_for(peer.disconnect(farewell)).await.is_some() {
            self.tally.count("disconnected");
            assert!(peer.ended().is_some());
        }
    }

    async fn query(&mut self) {
        let (endpoint, other) = (self.endpoint(), self.endpoint());
        match self.rng.index(7) {
            0 => drop(self.try_for(endpoint.stats()).await),
            6 => {
                let longest = Duration::from_micros(self.rng.index(2) as u64 * 100);
                _ = self.try_for(endpoint.set_busy_poll(longest)).await;
            }
            1 => drop(self.try_for(endpoint.addresses_changed()).await),
            2 => drop(self.try_for(endpoint.peer_by_id(other.id())).await),
            3 => {
                let Some(address) = other.local_addresses().first().copied() else { return };
                drop(self.try_for(endpoint.peer_by_addr(address)).await);
            }
            4 => {
                let Some(Ok(infos)) = self.try_for(endpoint.peers()).await else { return };
                if let Some(info) = infos.first()
                    && let Some(Some(peer)) = self.try_for(endpoint.peer(info.handle)).await
                {
                    self.keep(peer);
                }
            }
            _ => {
                if let Some(peer) = self.peer()
                    && let Some(info) = peer.info()
                {
                    assert_eq!((info.handle, info.id), (peer.handle(), Some(peer.id())));
                }
            }
        }
    }

    /// A stream of events that nobody reads holds the endpoint back: never for long.
    async fn watch(&mut self) {
        if let Some(mut events) = self.events.take() {
            for _ in 0..self.rng.index(50) {
                if self.try_for(events.recv()).await.is_none() {
                    break;
                }
            }
        } else {
            let endpoint = self.endpoint();
            self.events = self.try_for(endpoint.events()).await.and_then(Result::ok);
        }
    }

    fn drop_something(&mut self) {
        match self.rng.index(3) {
            0 => self.peers.clear(),
            1 => self.receipts.clear(),
            _ => self.events = None,
        }
    }

    async fn replace_endpoint(&mut self) {
        let slot = self.rng.index(ENDPOINTS);
        let old = lock(&self.slots[slot]).clone();
        // None if another task closed it and is about to put one in its place.
        let Some(address) = old.local_addresses().first().copied() else { return };
        if self.rng.index(2) == 0 {
            let farewell = farewell(&mut self.rng);
            self.try_for(old.close(farewell)).await;
            if self.rng.index(2) == 0 {
                old.closed().await.expect("closed in order");
            }
            self.tally.count("closed");
        }
        // Else it goes on for those who have handles, and ends with the last of them.
        *lock(&self.slots[slot]) = bind(address);
    }
}

const ENDPOINTS: usize = 4;
const SPINNERS: u64 = 12;
/// Of peers and receipts that each spinner holds.
const MOST: usize = 20;
