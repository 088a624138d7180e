//! A node on mio.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use handfast_core::{
    Bytes, CommandError, Delivery, DisconnectOptions, Discovered, EndReason, Event, Identity,
    Message, MessageId, PeerHandle, PeerInfo, PingId, SendError, Target,
};
use handfast_mio::{Endpoint, Remote, RemoteError};

use super::courier::{Core, Courier};
use super::{Drive, Happening, Outgoing, Report, Setup, Started, What};

pub(super) fn start(setup: Setup, happened: Sender<Happening>) -> Started {
    let Setup { config, identity, listen, deaf, busy_poll, .. } = setup;
    let identity = Identity::from_seed(identity);
    let mut endpoint = Endpoint::bind(config, identity, listen).expect("bound");
    endpoint.set_busy_poll(busy_poll);
    let (address, id, remote) = (endpoint.local_addresses()[0], endpoint.id(), endpoint.remote());
    let (orders, queue) = channel();
    let (courier, dials) = (Courier::default(), HashMap::new());
    let desk = Loop { endpoint, queue, happened, courier, dials, deaf };
    let thread = thread::Builder::new().name("mio".to_owned()).spawn(|| desk.run());
    let driver = MioDriver { orders, remote, thread: Mutex::new(thread.ok()) };
    (Arc::new(driver), address, id)
}

struct MioDriver {
    orders: Sender<Order>,
    remote: Remote,
    thread: Mutex<Option<JoinHandle<()>>>,
}

type Answer<T> = Sender<T>;

enum Order {
    Connect(Target, Answer<Result<PeerHandle, EndReason>>),
    Send(PeerHandle, Outgoing),
    Cancel(PeerHandle, u64, Answer<Result<(), CommandError>>),
    Ping(PeerHandle),
    Disconnect(PeerHandle, DisconnectOptions),
    Report(Answer<Report>),
    Peers(Answer<Vec<PeerInfo>>),
    Discovered(Answer<Vec<Discovered>>),
    Close(DisconnectOptions),
    Kill,
}

impl MioDriver {
    fn order(&self, order: Order) {
        self.orders.send(order).expect("the thread lives");
        match self.remote.run(|_| ()) {
            // When it is full, it is awake.
            Ok(()) | Err(RemoteError::Full) => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn ask<T>(&self, question: impl FnOnce(Answer<T>) -> Order) -> T {
        let (answer, answered) = channel();
        self.order(question(answer));
        answered.recv().expect("an answer")
    }

    fn end(&self, order: Order) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        // The thread may be gone by a panic of its own, which the join tells.
        if self.orders.send(order).is_ok() {
            self.remote.run(|_| ()).ok();
        }
        let ended = thread.join();
        assert!(ended.is_ok() || thread::panicking(), "the mio thread panicked");
    }
}

impl Drive for MioDriver {
    fn connect(&self, target: Target) -> Result<PeerHandle, EndReason> {
        self.ask(|answer| Order::Connect(target, answer))
    }

    fn send(&self, peer: PeerHandle, message: Outgoing) {
        self.order(Order::Send(peer, message));
    }

    fn cancel(&self, peer: PeerHandle, tag: u64) -> Result<(), CommandError> {
        self.ask(|answer| Order::Cancel(peer, tag, answer))
    }

    fn ping(&self, peer: PeerHandle) {
        self.order(Order::Ping(peer));
    }

    fn disconnect(&self, peer: PeerHandle, farewell: DisconnectOptions) {
        self.order(Order::Disconnect(peer, farewell));
    }

    fn report(&self) -> Report {
        self.ask(Order::Report)
    }

    fn peers(&self) -> Vec<PeerInfo> {
        self.ask(Order::Peers)
    }

    fn discovered(&self) -> Vec<Discovered> {
        self.ask(Order::Discovered)
    }

    fn close(&self, farewell: DisconnectOptions) {
        self.end(Order::Close(farewell));
    }

    fn kill(&self) {
        self.end(Order::Kill);
    }
}

impl Drop for MioDriver {
    fn drop(&mut self) {
        self.end(Order::Kill);
    }
}

/// The thread of an endpoint.
struct Loop {
    endpoint: Endpoint,
    queue: Receiver<Order>,
    happened: Sender<Happening>,
    courier: Courier,
    /// Dials under way.
    dials: HashMap<PeerHandle, Answer<Result<PeerHandle, EndReason>>>,
    deaf: bool,
}

impl Loop {
    fn run(mut self) {
        while !self.endpoint.is_closed() {
            self.endpoint.turn(None).expect("no fatal error");
            while let Ok(order) = self.queue.try_recv() {
                if self.obey(order).is_none() {
                    return;
                }
            }
            while let Some(event) = self.endpoint.poll_event() {
                self.on_event(event);
            }
        }
    }

    /// `None` when it is to stop here and now.
    fn obey(&mut self, order: Order) -> Option<()> {
        let endpoint = &mut self.endpoint;
        match order {
            Order::Connect(target, answer) => {
                let peer = endpoint.connect(target).expect("a dial");
                self.dials.insert(peer, answer);
            }
            Order::Send(peer, message) => self.courier.send(endpoint, peer, message),
            Order::Cancel(peer, tag, answer) => {
                let id = self.courier.id_of(peer, tag).ok_or(CommandError::TooLate);
                tell(&answer, id.and_then(|id| endpoint.cancel(peer, id)));
            }
            Order::Ping(peer) => drop(endpoint.ping(peer).expect("a ping")),
            Order::Disconnect(peer, farewell) => {
                endpoint.disconnect(peer, farewell).expect("a peer");
            }
            Order::Report(answer) => {
                let (stats, drops) = (*endpoint.stats(), *endpoint.drops());
                tell(&answer, Report { stats, drops, sockets: endpoint.socket_stats() });
            }
            Order::Discovered(answer) => tell(&answer, endpoint.discovered().collect()),
            Order::Peers(answer) => tell(&answer, endpoint.peers().collect()),
            Order::Close(farewell) => endpoint.close(farewell),
            Order::Kill => return None,
        }
        Some(())
    }

    fn on_event(&mut self, event: Event) {
        let Some(peer) = event.peer() else { return };
        match &event {
            Event::Connected { .. } => match self.dials.remove(&peer) {
                Some(dial) => tell(&dial, Ok(peer)),
                None => tell(&self.happened, Happening { peer, what: What::Accepted }),
            },
            Event::Ended { reason, .. } => {
                if let Some(dial) = self.dials.remove(&peer) {
                    return tell(&dial, Err(reason.clone()));
                }
            }
            Event::Readable { .. } if self.deaf => return,
            _ => {}
        }
        let happened = &self.happened;
        self.courier.on_event(&mut self.endpoint, event, |happening| tell(happened, happening));
    }
}

/// Whoever asked may have gone.
fn tell<T>(answer: &Sender<T>, value: T) {
    answer.send(value).ok();
}

impl Core for Endpoint {
    fn send(&mut self, to: PeerHandle, how: Delivery, what: Bytes) -> Result<MessageId, SendError> {
        Self::send(self, to, how, what)
    }

    fn receive(&mut self, peer: PeerHandle) -> Option<Message> {
        Self::receive(self, peer)
    }

    fn ping(&mut self, peer: PeerHandle) -> Result<PingId, CommandError> {
        Self::ping(self, peer)
    }

    fn disconnect(
        &mut self,
        peer: PeerHandle,
        farewell: DisconnectOptions,
    ) -> Result<(), CommandError> {
        Self::disconnect(self, peer, farewell)
    }
}
