//! A node on tokio.

use std::collections::HashMap;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use handfast_core::SendError::NoRoom;
use handfast_core::{
    CommandError, DisconnectOptions, Discovered, EndReason, Event, Fate, Identity, PeerHandle,
    PeerInfo, Target,
};
use handfast_tokio::{ConnectError, Endpoint, Peer, PeerError, Receipt, SendError};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::{Drive, Happening, Outgoing, Report, Setup, Started, What};

pub(super) fn start(setup: Setup, happened: Sender<Happening>) -> Started {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let Setup { config, identity, listen, deaf, busy_poll, .. } = setup;
    let inner = runtime.block_on(async {
        let identity = Identity::from_seed(identity);
        let endpoint = Endpoint::bind(config, identity, listen).expect("bound");
        endpoint.set_busy_poll(busy_poll).await.expect("it lives");
        let inner = Arc::new(Inner { endpoint, happened, peers: Mutex::default(), deaf });
        let events = inner.endpoint.events().await.expect("it lives");
        tokio::spawn(Arc::clone(&inner).watch(events));
        tokio::spawn(Arc::clone(&inner).accept());
        inner
    });
    let (address, id) = (inner.endpoint.local_addresses()[0], inner.endpoint.id());
    let driver =
        TokioDriver { tokio: runtime.handle().clone(), runtime: Some(runtime).into(), inner };
    (Arc::new(driver), address, id)
}

struct TokioDriver {
    tokio: Handle,
    /// None once killed.
    runtime: Mutex<Option<Runtime>>,
    inner: Arc<Inner>,
}

/// Shared by the tasks of a node.
struct Inner {
    endpoint: Endpoint,
    happened: Sender<Happening>,
    peers: Mutex<HashMap<PeerHandle, Known>>,
    deaf: bool,
}

/// A peer, and the queue of the task that sends to it.
#[derive(Clone)]
struct Known {
    peer: Peer,
    outgoing: UnboundedSender<Order>,
}

/// Whether a message was withdrawn.
type Answer = oneshot::Sender<Result<(), CommandError>>;

/// What the task that sends is to do, one after the other.
enum Order {
    Send(Outgoing),
    Cancel(u64, Answer),
}

impl TokioDriver {
    fn known(&self, peer: PeerHandle) -> Known {
        self.inner.peers().get(&peer).expect("a peer").clone()
    }
}

impl Drive for TokioDriver {
    fn connect(&self, target: Target) -> Result<PeerHandle, EndReason> {
        let inner = &self.inner;
        self.tokio.block_on(async {
            match inner.endpoint.connect(target).await {
                Ok(peer) => {
                    let handle = peer.handle();
                    Inner::adopt(inner, peer, None);
                    Ok(handle)
                }
                Err(ConnectError::Ended(reason)) => Err(reason),
                Err(error) => panic!("{error}"),
            }
        })
    }

    fn send(&self, peer: PeerHandle, message: Outgoing) {
        // Its end will be told, or was.
        if let Some(known) = self.inner.peers().get(&peer) {
            known.outgoing.send(Order::Send(message)).ok();
        }
    }

    fn cancel(&self, peer: PeerHandle, tag: u64) -> Result<(), CommandError> {
        let (answer, answered) = oneshot::channel();
        self.known(peer).outgoing.send(Order::Cancel(tag, answer)).ok();
        // Nobody answers for a message whose fate was told.
        self.tokio.block_on(answered).unwrap_or(Err(CommandError::TooLate))
    }

    fn ping(&self, peer: PeerHandle) {
        let (known, inner) = (self.known(peer), Arc::clone(&self.inner));
        self.tokio.spawn(async move {
            if known.peer.ping().await.is_ok() {
                inner.tell(peer, What::Pong);
            }
        });
    }

    fn disconnect(&self, peer: PeerHandle, farewell: DisconnectOptions) {
        let known = self.known(peer);
        self.tokio.spawn(async move { known.peer.disconnect(farewell).await });
    }

    fn report(&self) -> Report {
        let stats = self.tokio.block_on(self.inner.endpoint.stats()).expect("it lives");
        Report { stats: stats.stats, drops: stats.drops, sockets: stats.sockets }
    }

    fn peers(&self) -> Vec<PeerInfo> {
        self.tokio.block_on(self.inner.endpoint.peers()).expect("it lives")
    }

    fn discovered(&self) -> Vec<Discovered> {
        self.tokio.block_on(self.inner.endpoint.discovered()).expect("it lives")
    }

    fn close(&self, farewell: DisconnectOptions) {
        self.tokio.block_on(self.inner.endpoint.close(farewell)).expect("closed");
    }

    fn kill(&self) {
        // Waits for the workers, so that the sockets are closed afterwards.
        drop(self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Inner {
    async fn accept(self: Arc<Self>) {
        while let Some(peer) = self.endpoint.accept().await {
            Self::adopt(&self, peer, Some(What::Accepted));
        }
    }

    async fn watch(self: Arc<Self>, mut events: handfast_tokio::Events) {
        while let Some(event) = events.recv().await {
            if let Event::Restarted { peer, .. } = event {
                self.tell(peer, What::Restarted);
            }
        }
    }

    /// Starts the tasks of a new peer; tells of it before they can tell anything.
    fn adopt(inner: &Arc<Self>, peer: Peer, news: Option<What>) {
        let (outgoing, queue) = unbounded_channel();
        let known = Known { peer: peer.clone(), outgoing };
        inner.peers().insert(peer.handle(), known);
        if let Some(news) = news {
            inner.tell(peer.handle(), news);
        }
        tokio::spawn(Arc::clone(inner).receive(peer.clone()));
        tokio::spawn(Arc::clone(inner).send(peer, queue));
    }

    async fn receive(self: Arc<Self>, peer: Peer) {
        while !self.deaf
            && let Some(message) = peer.recv().await
        {
            self.tell(peer.handle(), What::Message(message));
        }
        let reason = peer.closed().await;
        self.peers().remove(&peer.handle());
        self.tell(peer.handle(), What::Ended(reason));
    }

    async fn send(self: Arc<Self>, peer: Peer, mut queue: UnboundedReceiver<Order>) {
        let mut receipts = HashMap::new();
        while let Some(order) = queue.recv().await {
            let Outgoing { tag, delivery, payload } = match order {
                Order::Send(message) => message,
                Order::Cancel(tag, answer) => {
                    if let Some(receipt) = receipts.get(&tag) {
                        UnboundedSender::send(receipt, answer).ok();
                    }
                    continue;
                }
            };
            let fate = if delivery.requires_ack {
                peer.send_with_receipt(delivery, payload).await.map(Some)
            } else {
                peer.send(delivery, payload).await.map(|()| None)
            };
            match fate {
                Ok(None) => {}
                Ok(Some(receipt)) => {
                    let (cancel, cancels) = unbounded_channel();
                    receipts.insert(tag, cancel);
                    tokio::spawn(Arc::clone(&self).follow(peer.clone(), tag, receipt, cancels));
                }
                // An unreliable one does not wait for room: as if it were lost on the way.
                Err(SendError::Refused(NoRoom)) if !delivery.reliable => {
                    if delivery.requires_ack {
                        self.tell(peer.handle(), What::Fate(tag, Fate::Lost));
                    }
                }
                Err(_) => return,
            }
        }
    }

    /// Tells the fate of a message, which may be withdrawn until then.
    async fn follow(
        self: Arc<Self>,
        peer: Peer,
        tag: u64,
        mut receipt: Receipt,
        mut cancels: UnboundedReceiver<Answer>,
    ) {
        let fate = loop {
            tokio::select! {
                fate = &mut receipt => break fate,
                Some(answer) = cancels.recv() => {
                    let answered = peer.cancel(&receipt).await.map_err(|error| match error {
                        PeerError::Refused(error) => error,
                        error => panic!("{error}"),
                    });
                    // Whoever asked waits.
                    answer.send(answered).ok();
                }
            }
        };
        self.tell(peer.handle(), What::Fate(tag, fate));
    }

    fn tell(&self, peer: PeerHandle, what: What) {
        // The node may be gone.
        self.happened.send(Happening { peer, what }).ok();
    }

    fn peers(&self) -> std::sync::MutexGuard<'_, HashMap<PeerHandle, Known>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
