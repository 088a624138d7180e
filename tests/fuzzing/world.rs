//! Several endpoints, the network between them, one clock, and the account of what they promise.

use core::net::SocketAddr;
use core::time::Duration;

use handfast_core::{
    Config, ConnectError, Delivery, DisconnectOptions, DisconnectReason, Event, Instant,
    PeerHandle, SendError, Target,
};

use super::account::Account;
use super::end::{Datagram, End};
use super::network::Network;
use super::operation::{Call, Direction, ENDS, Operation, Tamper};

/// Everything there is.
#[derive(Debug)]
pub(super) struct World {
    now: Instant,
    ends: [End; ENDS],
    network: Network,
    pub(super) account: Account,
    is_closing: [bool; ENDS],
    /// Applications take what they are told of at once.
    is_attentive: bool,
    /// Addresses are never used again.
    addresses: u16,
    flight: Vec<Datagram>,
}

impl World {
    /// Ends with these choices that do not know each other.
    pub(super) fn new(configs: [Config; ENDS]) -> Self {
        let now = Instant::from_micros(1_000_000_000);
        let mut side = 0..;
        Self {
            now,
            ends: configs.map(|config| End::new(side.next().unwrap_or_default(), config, now)),
            network: Network::default(),
            account: Account::default(),
            is_closing: [false; ENDS],
            is_attentive: false,
            addresses: 0,
            flight: Vec::new(),
        }
    }

    pub(super) fn operate(&mut self, operation: Operation) {
        match operation {
            Operation::Connect(pair, call) => self.connect(pair, call),
            Operation::Send(pair, delivery, len, copies) => self.send(pair, delivery, len, copies),
            Operation::Receive(pair, count) => {
                self.each(pair, |world, handle| world.receive(pair.from, handle, count));
            }
            Operation::Cancel(pair, which) => self.cancel(pair, which),
            Operation::Ping(pair) => self.each(pair, |world, handle| {
                let pinged = world.ends[pair.from].endpoint.ping(world.now, handle);
                if let Ok(ping) = pinged {
                    world.account.note_ping(pair.from, handle, ping);
                }
            }),
            Operation::Disconnect(pair, linger) => self.each(pair, |world, handle| {
                let endpoint = &mut world.ends[pair.from].endpoint;
                // That it is under way already is no news.
                endpoint.disconnect(world.now, handle, farewell(linger)).unwrap_or_default();
            }),
            Operation::Close(end, linger) => {
                self.is_closing[end] = true;
                self.ends[end].endpoint.close(self.now, farewell(linger));
                self.settle(end);
            }
            Operation::Restart(end) => self.restart(end),
            Operation::Rebind(end, is_told) => self.rebind(end, is_told),
            Operation::Disturb(Direction { from, to }, fault) => {
                self.network.disturb((from, to), fault)
            }
            Operation::Heal => self.network.heal(),
            Operation::Replay(which, tamper) => self.replay(which, tamper),
            Operation::Run(duration) => self.run(duration),
        }
    }

    /// The world as it should be from now on: the network works, applications listen, and who
    /// closed its endpoint makes a new one once the old is done.
    pub(super) fn heal(&mut self, patience: Duration) {
        self.network.heal();
        self.is_attentive = true;
        for end in 0..ENDS {
            for (handle, _) in self.account.handles(end) {
                self.receive_all(end, handle);
            }
            self.settle(end);
        }
        self.run(patience);
        for end in 0..ENDS {
            if self.is_closing[end] {
                assert!(self.ends[end].endpoint.is_closed(), "{end} closes for ever");
                self.restart(end);
            }
        }
    }

    pub(super) fn connect(&mut self, pair: Direction, call: Call) {
        let Direction { from, to } = pair;
        let (id, address) = (self.ends[to].endpoint.id(), self.ends[to].address);
        let target = match call {
            Call::Known => Target::new(id, [address]),
            Call::Address => Target::from(address),
            Call::Detour => Target::new(id, [NOWHERE, address]),
            Call::Wrong => Target::new(id, [self.ends[3 - from - to].address]),
        };
        let dialled = self.ends[from].endpoint.connect(self.now, target);
        if let Ok(handle) | Err(ConnectError::AlreadyConnected(handle)) = dialled {
            self.account.learn(from, handle, to);
        }
        self.settle(from);
    }

    /// Sends a message, and notes it if it was accepted.
    pub(super) fn send_to(
        &mut self,
        from: usize,
        handle: PeerHandle,
        delivery: Delivery,
        len: usize,
    ) -> Result<(), SendError> {
        let payload = self.account.payload(len);
        let len = payload.len();
        let sent = self.ends[from].endpoint.send(self.now, handle, delivery, payload);
        match &sent {
            Ok(id) => self.account.note_sent(from, handle, *id, delivery, len),
            Err(SendError::Blocked | SendError::NoRoom) => {
                self.account.note_blocked(from, handle, delivery.channel);
            }
            Err(_) => {}
        }
        self.settle(from);
        sent.map(drop)
    }

    /// Lets time pass, with all that happens in it.
    ///
    /// # Panics
    /// Something does not hold, or far too much happens.
    pub(super) fn run(&mut self, duration: Duration) {
        let until = self.now + duration;
        let mut fuel = MAX_STEPS;
        loop {
            let timeouts = self.ends.iter().filter_map(|end| end.endpoint.poll_timeout());
            let next = timeouts.chain(self.network.next()).min();
            let Some(next) = next.filter(|next| *next <= until) else { break };
            fuel -= 1;
            assert!(fuel > 0, "too much happens for so little time");
            self.now = self.now.max(next);
            self.step();
        }
        self.now = until;
        self.step();
    }

    pub(super) fn endpoint(&self, end: usize) -> &handfast_core::Endpoint {
        &self.ends[end].endpoint
    }

    /// All that is due.
    fn step(&mut self) {
        while let Some(datagram) = self.network.arrived(self.now) {
            let Some(end) = self.ends.iter().position(|end| end.address == datagram.to) else {
                continue;
            };
            self.ends[end].take(self.now, datagram);
            self.settle(end);
        }
        for end in 0..ENDS {
            if self.ends[end].endpoint.poll_timeout().is_some_and(|at| at <= self.now) {
                self.ends[end].fire(self.now);
                self.settle(end);
            }
        }
    }

    /// Takes from an end what it has to send and to tell, until it has nothing.
    fn settle(&mut self, end: usize) {
        loop {
            self.ends[end].poll(self.now, &mut self.flight);
            for datagram in core::mem::take(&mut self.flight) {
                let to = self.ends.iter().position(|end| end.address == datagram.to);
                self.network.send(self.now, end, to, datagram);
            }
            let events = core::mem::take(&mut self.ends[end].events);
            if events.is_empty() {
                return;
            }
            self.introduce(end, &events);
            self.account.note_events(end, &events);
            for event in &events {
                let told = matches!(event, Event::Readable { .. }) && self.is_attentive;
                let ended = matches!(event, Event::Ended { .. });
                if let Some(peer) = event.peer().filter(|_| told || ended) {
                    self.receive_all(end, peer);
                }
            }
        }
    }

    /// Who called is known by its identity.
    fn introduce(&mut self, end: usize, events: &[Event]) {
        for event in events {
            if let Event::Connected { peer, id, .. } = event {
                let is = self.ends.iter().position(|end| end.endpoint.id() == *id);
                self.account.learn(end, *peer, is.expect("nobody else has keys"));
            }
        }
    }

    fn send(&mut self, pair: Direction, delivery: Delivery, len: usize, copies: u8) {
        self.each(pair, |world, handle| {
            for _ in 0..copies {
                if world.send_to(pair.from, handle, delivery, len).is_err() {
                    return;
                }
            }
        });
    }

    fn receive(&mut self, end: usize, handle: PeerHandle, count: u8) {
        for _ in 0..=count {
            if !self.receive_one(end, handle) {
                return;
            }
        }
    }

    fn receive_all(&mut self, end: usize, handle: PeerHandle) {
        while self.receive_one(end, handle) {}
    }

    fn receive_one(&mut self, end: usize, handle: PeerHandle) -> bool {
        let message = self.ends[end].endpoint.receive(self.now, handle);
        if let Some(message) = &message {
            self.account.note_received(end, handle, message);
        }
        message.is_some()
    }

    fn cancel(&mut self, pair: Direction, which: u8) {
        let sent = self.account.sent_lately(pair);
        let Some(at) = usize::from(which).checked_rem(sent.len()) else { return };
        let (handle, id) = sent[at];
        if self.ends[pair.from].endpoint.cancel(self.now, handle, id).is_ok() {
            self.account.note_cancelled(pair.from, handle, id);
        }
        self.settle(pair.from);
    }

    fn restart(&mut self, end: usize) {
        self.is_closing[end] = false;
        self.ends[end].restart(self.now);
        self.account.note_restart(end);
    }

    fn rebind(&mut self, end: usize, is_told: bool) {
        self.addresses += 1;
        self.ends[end].address = SocketAddr::from(([10, 0, 1, end as u8], self.addresses));
        if is_told {
            self.ends[end].endpoint.addresses_changed(self.now);
            self.settle(end);
        }
    }

    fn replay(&mut self, which: u8, tamper: Tamper) {
        self.network.replay(self.now, which, tamper, NOWHERE);
        self.step();
    }

    /// For every handle by which one end calls another: there may be two while they find out that
    /// they are the same.
    fn each(&mut self, pair: Direction, mut act: impl FnMut(&mut Self, PeerHandle)) {
        for (handle, is) in self.account.handles(pair.from) {
            if is == pair.to {
                act(self, handle);
            }
        }
        self.settle(pair.from);
    }
}

fn farewell(linger: Duration) -> DisconnectOptions {
    DisconnectOptions::after(linger).with_reason(DisconnectReason::new(7, "so long"))
}

/// Nobody is there.
const NOWHERE: SocketAddr =
    SocketAddr::new(core::net::IpAddr::V4(core::net::Ipv4Addr::new(10, 0, 9, 9)), 9);
/// More than may happen in one run of time.
const MAX_STEPS: usize = 5_000;
