//! The task that owns the core and the sockets.
//!
//! It alternates between a *turn*, which does a bounded amount of everything that is due and never
//! waits, and a *wait* for any of the things that make another turn worthwhile.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use handfast_core::{
    DisconnectOptions, EndReason, Identity, Instant, Message, PeerHandle, SocketId, ValidConfig,
};
use handfast_udp::{Beacons, Clock, ShardPorts, Traffic, entropy, fire_timers};
use tokio::sync::{mpsc, watch};

use crate::backlog::Backlog;
use crate::beacons::BeaconSocket;
use crate::command::Command;
use crate::endpoint::EndpointStats;
use crate::port::Port;
use crate::wake::Wake;

mod alarm;
mod busy;
mod commands;
mod entry;
mod events;
mod messages;
mod sockets;
mod stream_ends;
mod subscriber;

use alarm::Alarm;
use entry::Entry;
pub(crate) use subscriber::{Item, Subscriber};

/// How the driver ended, once it has.
pub(crate) type Outcome = Option<Result<(), Arc<io::Error>>>;

/// What reaches the driver from the handles.
pub(crate) struct Inputs {
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) wakes: mpsc::UnboundedReceiver<Wake>,
    /// For what the driver hands out and may be told about.
    pub(crate) wake: mpsc::UnboundedSender<Wake>,
    /// Set when the driver ends.
    pub(crate) last_stats: Arc<OnceLock<EndpointStats>>,
}

/// The endpoint itself.
pub(crate) struct Driver {
    core: handfast_core::Endpoint,
    clock: Clock,
    /// As of when this turn began, or went on.
    now: Instant,
    traffic: Traffic<Port>,
    /// Beacons of the local network, if they are wanted.
    discovery: Option<Beacons<BeaconSocket>>,
    /// What the sockets are bound to, for the handles.
    addresses: watch::Sender<Vec<(SocketId, SocketAddr)>>,
    inputs: Inputs,
    backlog: Arc<Backlog>,
    peers: HashMap<PeerHandle, Entry>,
    /// Peers whose messages are to be moved, each at most once.
    ready: VecDeque<PeerHandle>,
    /// Peers whose queues may be in use, each once, and since when; those that were looked at longest ago are first.
    in_use: VecDeque<(PeerHandle, Instant)>,
    /// Who neither said nor heard anything for so long is quiet; it may take twice as long until that is seen.
    quiet_after: Duration,
    /// Peers to disconnect once their blocked messages are with the core, or time is up.
    leaving: Vec<PeerHandle>,
    /// For messages on their way from the core to a mailbox.
    scratch: VecDeque<Message>,
    subscriber: Option<Subscriber>,
    /// The subscriber has no room: events wait in the core.
    stalled: bool,
    /// There were messages for the application since it had its turn.
    has_handed_over: bool,
    /// For how long to ask again and again before waiting.
    busy_poll: Duration,
    /// Another shard has something for this one, and said so since the turn began.
    was_called: bool,
    closing: Closing,
}

/// How far the end of the endpoint has come.
enum Closing {
    /// Not begun.
    No,
    /// Peers are leaving one by one; those that come meanwhile go the same way at the end.
    Leaving(DisconnectOptions),
    /// The core is closing: done when it has no peers.
    Closed,
}

impl Driver {
    /// Tests of applications hold tokio's time, and ours with it.
    pub(crate) fn clock() -> Clock {
        Clock::following(|| tokio::time::Instant::now().into_std())
    }

    /// A driver of these sockets, with the way to those of the other shards if there are any.
    pub(crate) fn new(
        config: ValidConfig,
        identity: Identity,
        clock: Clock,
        sockets: ShardPorts,
        inputs: Inputs,
        backlog: Arc<Backlog>,
    ) -> io::Result<Self> {
        let (seed, now) = (entropy()?, clock.now());
        let discovery = Beacons::new(config.discovery, now);
        // Packets that keep paths open bring turns in which they are looked at.
        let quiet_after = config.timers.heartbeat / 4;
        let mut core = handfast_core::Endpoint::new(config, identity, seed, now);
        let make = |_, io| Port::new(io);
        let traffic = Traffic::with_sockets(&mut core, now, sockets, LONGEST_TURN, make)?;
        Ok(Self {
            addresses: watch::Sender::new(traffic.addresses().collect()),
            core,
            clock,
            now,
            traffic,
            discovery,
            inputs,
            backlog,
            peers: HashMap::new(),
            ready: VecDeque::new(),
            in_use: VecDeque::new(),
            quiet_after,
            leaving: Vec::new(),
            scratch: VecDeque::new(),
            subscriber: None,
            stalled: false,
            has_handed_over: false,
            busy_poll: Duration::ZERO,
            was_called: false,
            closing: Closing::No,
        })
    }

    /// What the sockets are bound to, at any time.
    pub(crate) fn addresses(&self) -> watch::Receiver<Vec<(SocketId, SocketAddr)>> {
        self.addresses.subscribe()
    }

    /// Runs until the endpoint is closed, or a socket fails for good. Whether it was closed.
    pub(crate) async fn run(mut self, outcome: watch::Sender<Outcome>) -> bool {
        let result = self.drive().await.map_err(Arc::new);
        if let Err(error) = &result {
            let error = handfast_udp::explain(error);
            tracing::error!(target: "handfast::driver", %error, "a socket failed for good");
        }
        // The sockets are closed before anyone is told.
        drop(self);
        let is_closed = result.is_ok();
        outcome.send_replace(Some(result));
        is_closed
    }

    async fn drive(&mut self) -> io::Result<()> {
        let mut alarm = Alarm::new();
        loop {
            self.take_in()?;
            // Who got a message may answer: the answer and the acknowledgement share a packet then.
            let mut others_ran = self.has_handed_over;
            if others_ran {
                tokio::task::yield_now().await;
                self.now = self.clock.now();
                self.traffic.resume(self.now);
            }
            let more = self.give_out()?;
            if self.is_done(more) {
                return Ok(());
            }
            others_ran |= !more && self.wait(&mut alarm).await;
            if !others_ran {
                // Other tasks have their turn, and this one is sure to be run again.
                tokio::task::yield_now().await;
            }
            self.has_handed_over = false;
        }
    }

    /// The first half of a turn: a bounded amount of what came, which the application is told of.
    fn take_in(&mut self) -> io::Result<()> {
        self.was_called = false;
        self.traffic.receive(&mut self.core, &self.clock)?;
        self.now = self.clock.now();
        fire_timers(&mut self.core, self.now);
        self.drain_events();
        Ok(())
    }

    /// The second half: a bounded amount of what the application asks for, and what is to be sent. Returns whether some
    /// work is left, other than what a wait would notice.
    fn give_out(&mut self) -> io::Result<bool> {
        self.run_commands();
        self.answer_rings();
        let mut more = self.exchange_beacons();
        self.move_messages();
        self.drain();
        self.rest_the_quiet();
        more |= self.traffic.transmit(&mut self.core, &self.clock)?;
        more |= self.traffic.is_behind() || self.was_called;
        // Sending may have told us more, and what follows from that may be to send again.
        more |= self.drain_events() > 0;
        more |= !self.ready.is_empty();
        Ok(more)
    }

    /// Beacons, out and in. Returns whether there may be more of them.
    fn exchange_beacons(&mut self) -> bool {
        let Self { core, now, traffic, discovery: Some(discovery), .. } = self else {
            return false;
        };
        let bound = || traffic.addresses().map(|(_, address)| address);
        discovery.turn(core, *now, bound, BeaconSocket::new)
    }

    /// Waits for a reason to take another turn. Whether other tasks had their turn meanwhile.
    async fn wait(&mut self, alarm: &mut Alarm) -> bool {
        let mut suspended = false;
        if self.clock.now() == self.now && self.clock.stands_still() {
            // Time that is held jumps to the next deadline when every task waits, even if a datagram
            // arrived meanwhile: that is looked after first.
            tokio::task::yield_now().await;
            suspended = true;
        }
        alarm.set(self.deadline(), &self.clock);
        let busy_poll = self.busy_poll;
        let Self { inputs, traffic, discovery, subscriber, stalled, closing, .. } = self;
        // That the last handle is gone is told once, and then again and again.
        let listening = matches!(closing, Closing::No) || !inputs.commands.is_closed();
        let sockets = poll_fn(|cx| {
            // Every socket is asked, so that every one will wake us.
            let ready = traffic.ports().fold(false, |ready, (socket, port)| {
                port.poll_ready(cx, traffic.is_waiting(socket)).is_ready() || ready
            });
            let beacons = discovery.iter().flat_map(Beacons::ports);
            let ready = beacons.fold(ready, |ready, port| port.poll_ready(cx).is_ready() || ready);
            if ready { Poll::Ready(()) } else { Poll::Pending }
        });
        let room = async {
            if let Some(subscriber) = subscriber {
                subscriber.room().await;
            }
        };
        let Inputs { commands, wakes, .. } = inputs;
        // The order is of no importance: a turn looks after everything.
        let reason = async {
            tokio::select! {
                biased;
                command = commands.recv(), if listening => (Some(command), None),
                ring = wakes.recv() => (None, ring),
                () = sockets => (None, None),
                () = alarm.notify() => (None, None),
                () = room, if *stalled => (None, None),
            }
        };
        let found = || traffic.ports().any(|(_, port)| port.peek());
        let reason = busy::poll(reason, busy_poll, found);
        let reason = noting_suspension(reason, &mut suspended).await;
        let (command, ring) = reason.unwrap_or_default();
        match command {
            Some(Some(command)) => self.execute(command),
            Some(None) => self.on_abandoned(),
            None => {}
        }
        if let Some(ring) = ring {
            self.on_ring(ring);
        }
        suspended
    }

    const fn is_closing(&self) -> bool {
        !matches!(self.closing, Closing::No)
    }

    fn deadline(&self) -> Option<Instant> {
        let leaving = self.leaving.iter().filter_map(|peer| self.peers.get(peer)?.leave_by());
        let traffic = self.traffic.deadline(&self.clock);
        let beacons = self.discovery.as_ref().map(Beacons::deadline);
        leaving.chain(self.core.poll_timeout()).chain(traffic).chain(beacons).min()
    }

    fn is_done(&mut self, more: bool) -> bool {
        self.traffic.shutdown(&self.core, self.now) && !more
    }
}

/// Notes whether the future had to wait.
async fn noting_suspension<T>(future: impl Future<Output = T>, suspended: &mut bool) -> T {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let polled = future.as_mut().poll(cx);
        *suspended |= polled.is_pending();
        polled
    })
    .await
}

impl Drop for Driver {
    /// However the driver ends, nobody waits for it in vain.
    fn drop(&mut self) {
        self.inputs.last_stats.set(EndpointStats::of(&self.core, self.traffic.stats())).ok();
        self.addresses.send_replace(Vec::new());
        for entry in self.peers.values_mut() {
            entry.end(EndReason::Disconnected { heard: false });
        }
        self.backlog.close();
    }
}

/// Bounds of one turn beside those of the traffic.
const COMMANDS_PER_TURN: usize = 64;
/// Timers of other tasks wait for as long.
const LONGEST_TURN: Duration = Duration::from_micros(50);
const RINGS_PER_TURN: usize = 256;
const EVENTS_PER_TURN: usize = 256;
const MESSAGES_PER_TURN: usize = 1024;

#[cfg(any(target_os = "linux", target_os = "android"))]
#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use handfast_core::{Config, Identity};
    use handfast_udp::Listen;

    use super::*;
    use crate::shards;

    /// Else what another shard has for this one waits until something else wakes it.
    #[tokio::test]
    async fn a_call_of_another_shard_in_the_middle_of_a_turn_is_not_missed() {
        let listen = Listen::from("127.0.0.1:0".parse::<SocketAddr>().expect("an address"));
        let identity = Identity::from_seed([1; 32]);
        let mut drivers = shards::drivers(Config::default(), &identity, &listen, 2).expect("bound");
        let [first, second] = &mut drivers[..] else { panic!("two shards") };
        let address = first.addresses.borrow()[0].1;
        second.take_in().expect("no fatal error");
        // From so many ports, some come to the first socket: without a filter by chance, else because they name its shard.
        // Those that name the second shard cross over.
        let strangers: Vec<_> =
            (0..64).map(|_| UdpSocket::bind("127.0.0.1:0").expect("bound")).collect();
        for stranger in &strangers {
            stranger.send_to(&[0xc4, 6, 0, 0, 1, 0, 0, 0, 0], address).expect("sent");
        }
        let mut alarm = Alarm::new();
        while first.traffic.stats().datagrams_handed_over == 0 {
            first.wait(&mut alarm).await;
            first.take_in().expect("no fatal error");
        }
        assert!(second.give_out().expect("no fatal error"), "another turn is due");
        second.take_in().expect("no fatal error");
        assert!(second.core.stats().datagrams_received > 0, "it finds what is there");
        while second.give_out().expect("no fatal error") {
            second.take_in().expect("no fatal error");
        }
    }
}
