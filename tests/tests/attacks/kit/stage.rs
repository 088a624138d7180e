//! A liar that has keys, its victim, and perhaps an honest third, in a world without delay in which
//! every datagram passes through the hands of the test.
//!
//! What each end allocates is counted, and so is what it sends for each input.

use std::collections::VecDeque;
use std::mem;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use handfast_core::wire::{PacketNumber, Parameters, RequestPayload};
use handfast_core::{
    Config, Delivery, EndReason, Endpoint, Event, Instant, Origin, PeerHandle, PeerId, SendError,
    Target,
};
use handfast_sim::{NodeId, World};
use handfast_tests::memory::Meter;
use zerocopy::IntoBytes;

use super::metered::{Metered, Setup};

/// The end that has the keys and does not play by the rules, the one that it is about, and one that
/// must notice nothing.
pub(crate) const LIAR: usize = 0;
pub(crate) const VICTIM: usize = 1;
pub(crate) const HONEST: usize = 2;

/// A datagram under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Datagram {
    /// Where it seems to come from.
    pub(crate) from: SocketAddr,
    /// Where it goes.
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

/// A message that was received: from whom, under which number, and its bytes.
pub(crate) type Received = (PeerId, Delivery, u64, Vec<u8>);

/// What is known of an end without asking it.
pub(crate) struct End {
    pub(crate) address: SocketAddr,
    pub(crate) events: Vec<Event>,
    pub(crate) received: Vec<Received>,
    /// Datagrams and bytes sent.
    pub(crate) sent: (u64, u64),
    setup: Setup,
}

pub(crate) struct Stage {
    world: World<Metered>,
    pub(crate) ends: Vec<End>,
    /// Datagrams under way, oldest first.
    pub(crate) flight: VecDeque<Datagram>,
}

impl Stage {
    /// Two ends with the same choices that do not know each other.
    pub(crate) fn new(config: Config) -> Self {
        let mut stage = Self::empty();
        for side in 0..2 {
            let (config, identity) = (config.clone(), [side + 1; 32]);
            stage.add(Setup { config, identity, seed: None, change: TRUTH });
        }
        stage
    }

    /// The same after the first called the second.
    pub(crate) fn connected(config: Config) -> Self {
        let mut stage = Self::new(config);
        stage.call(LIAR);
        assert!(stage.peer(0).is_some() && stage.peer(1).is_some(), "connected");
        stage
    }

    /// The liar and the honest one have called the victim. `lying` is how the liar presents itself.
    pub(crate) fn with_honest(config: Config, lying: Config) -> Self {
        Self::introduced(config, lying, TRUTH)
    }

    /// All have the same choices, but the liar presents itself with what `lie` makes of them.
    pub(crate) fn deceived(config: Config, lie: impl FnOnce(&mut Parameters)) -> Self {
        let truth = parameters(&config);
        let mut said = truth;
        lie(&mut said);
        let mut change = TRUTH;
        let bytes = truth.as_bytes().iter().zip(said.as_bytes());
        let place = &mut change[mem::offset_of!(RequestPayload, parameters)..];
        for (change, (truth, said)) in place.iter_mut().zip(bytes) {
            *change = truth ^ said;
        }
        Self::introduced(config.clone(), config, change)
    }

    /// `change` is what the liar changes in what it says of itself in its handshakes.
    fn introduced(config: Config, lying: Config, change: [u8; 96]) -> Self {
        let mut stage = Self::empty();
        for (side, config) in [lying, config.clone(), config].into_iter().enumerate() {
            let side = side as u8;
            let seed = Some(secret(0x70 + side));
            let change = if usize::from(side) == LIAR { change } else { TRUTH };
            stage.add(Setup { config, identity: secret(side + 1), seed, change });
        }
        stage.call(LIAR);
        stage.call(HONEST);
        assert!(stage.peer_of(LIAR, VICTIM).is_some() && stage.peer_of(HONEST, VICTIM).is_some());
        stage
    }

    /// `count` ends with the same choices that have called the victim, which is one of them.
    pub(crate) fn crowd(count: usize, config: &Config) -> Self {
        let mut stage = Self::empty();
        for side in 0..count {
            let (config, identity) = (config.clone(), [side as u8 + 1; 32]);
            stage.add(Setup { config, identity, seed: None, change: TRUTH });
        }
        for side in (0..count).filter(|side| *side != VICTIM) {
            stage.call(side);
        }
        stage
    }

    fn empty() -> Self {
        let mut world = World::of(1);
        world.set_batch(4 * 1200);
        world.hold(true);
        Self { world, ends: Vec::new(), flight: VecDeque::new() }
    }

    fn add(&mut self, setup: Setup) {
        let address = SocketAddr::from(([10, 0, 0, self.ends.len() as u8], 4000));
        self.world.add(setup.clone(), &[address]);
        let (events, received) = (Vec::new(), Vec::new());
        self.ends.push(End { address, events, received, sent: (0, 0), setup });
    }

    /// An end calls the victim, and is answered.
    pub(crate) fn call(&mut self, side: usize) {
        let target = Target::new(self.id(VICTIM), [self.ends[VICTIM].address]);
        // It may be parting still: then there is nothing to be done yet.
        self.with(side, |endpoint, now| endpoint.connect(now, target).ok());
        self.step(Duration::from_millis(100));
    }

    /// An end loses all it knows, but its identity and its choices.
    pub(crate) fn restart(&mut self, side: usize) {
        let setup = Setup { seed: None, ..self.ends[side].setup.clone() };
        self.replace(side, setup);
    }

    /// The same with other choices and, if it is given, the seed of all that it draws.
    pub(crate) fn reborn(&mut self, side: usize, config: Config, seed: Option<[u8; 32]>) {
        let setup = self.ends[side].setup.clone();
        self.replace(side, Setup { config, seed, ..setup });
    }

    fn replace(&mut self, side: usize, setup: Setup) {
        self.world.replace(node(side), setup.clone());
        self.gather();
        self.ends[side].setup = setup;
        self.ends[side].events.clear();
    }

    /// The liar loses what it knows and calls again.
    pub(crate) fn restart_liar(&mut self) {
        self.restart(LIAR);
        self.call(LIAR);
    }

    /// The time since the beginning.
    pub(crate) const fn now(&self) -> Duration {
        self.world.now()
    }

    /// What the clock of an end says.
    pub(crate) fn clock(&self, side: usize) -> Instant {
        self.world.clock(node(side))
    }

    pub(crate) fn endpoint(&self, side: usize) -> &Endpoint {
        self.world.endpoint(node(side)).expect("nobody is down")
    }

    /// What an end allocated.
    pub(crate) fn meter(&self, side: usize) -> Meter {
        self.world.endpoint(node(side)).expect("nobody is down").meter
    }

    /// When an end wants to be woken.
    pub(crate) fn due(&self, side: usize) -> Option<Duration> {
        let due = self.endpoint(side).poll_timeout()?;
        Some(self.now() + due.saturating_since(self.clock(side)))
    }

    /// Commands an endpoint, and collects what it then has to send and to tell.
    pub(crate) fn with<R>(
        &mut self,
        side: usize,
        command: impl FnOnce(&mut Endpoint, Instant) -> R,
    ) -> R {
        let command = |end: &mut Metered, now| end.command(|endpoint| command(endpoint, now));
        let result = self.world.with(node(side), command);
        self.gather();
        result
    }

    fn gather(&mut self) {
        let sent = self.world.take_held();
        assert!(sent.len() < FUEL, "transmits without end");
        for datagram in sent {
            let end = &mut self.ends[datagram.from.0 as usize];
            end.sent = (end.sent.0 + 1, end.sent.1 + datagram.bytes.len() as u64);
            let (from, to, bytes) = (datagram.source, datagram.destination, datagram.bytes);
            self.flight.push_back(Datagram { from, to, bytes });
        }
        for (side, end) in self.ends.iter_mut().enumerate() {
            let told = self.world.take_events(node(side));
            assert!(told.len() < FUEL, "events without end");
            end.events.extend(told.into_iter().map(|(_, event)| event));
        }
    }

    pub(crate) fn id(&self, side: usize) -> PeerId {
        self.endpoint(side).id()
    }

    /// How one of the first two calls the other.
    pub(crate) fn peer(&self, side: usize) -> Option<PeerHandle> {
        self.peer_of(side, 1 - side)
    }

    /// How one end calls another.
    pub(crate) fn peer_of(&self, side: usize, other: usize) -> Option<PeerHandle> {
        self.endpoint(side).peer_by_id(&self.id(other))
    }

    /// Seals bytes with the live keys of the liar for the victim. `None` without a session.
    pub(crate) fn seal(&mut self, path: u8, plaintext: &[u8]) -> Option<Datagram> {
        let peer = self.peer(LIAR)?;
        let seal = |liar: &mut Endpoint, now| liar.seal_for_test(now, peer, path, plaintext);
        let (transmit, bytes) = self.with(LIAR, seal)?;
        Some(Datagram { from: self.ends[LIAR].address, to: transmit.destination, bytes })
    }

    /// Seals bytes with the live keys of the liar, delivers them from `from`, and lets the victim
    /// act on them. Returns the bytes of the datagram, and the datagrams and bytes that the victim
    /// sent because of it. `None` without a session.
    pub(crate) fn lie_from(
        &mut self,
        from: SocketAddr,
        path: u8,
        plaintext: &[u8],
    ) -> Option<(u64, (u64, u64))> {
        let sealed = self.seal(path, plaintext)?;
        Some(self.inflict(Datagram { from, ..sealed }))
    }

    pub(crate) fn lie(&mut self, path: u8, plaintext: &[u8]) -> Option<(u64, (u64, u64))> {
        self.lie_from(self.ends[LIAR].address, path, plaintext)
    }

    /// The same under any packet number, in whatever order: the liar breaks the rule that an audit of
    /// nonces would hold it to.
    pub(crate) fn lie_numbered(
        &mut self,
        path: u8,
        counter: u64,
        plaintext: &[u8],
    ) -> Option<(u64, (u64, u64))> {
        let peer = self.peer(LIAR)?;
        let number = PacketNumber::new(path, counter)?;
        let seal = |liar: &mut Endpoint| liar.seal_numbered_for_test(peer, number, plaintext);
        let sealed = self.world.tamper(node(LIAR), |liar, _| liar.command(seal));
        let (transmit, bytes) = sealed?;
        let from = self.ends[LIAR].address;
        Some(self.inflict(Datagram { from, to: transmit.destination, bytes }))
    }

    fn inflict(&mut self, datagram: Datagram) -> (u64, (u64, u64)) {
        let (len, before) = (datagram.bytes.len() as u64, self.ends[VICTIM].sent);
        assert!(self.deliver(datagram), "somebody is there");
        let after = self.ends[VICTIM].sent;
        (len, (after.0 - before.0, after.1 - before.1))
    }

    /// Hands a datagram to whoever is at its destination. True if someone is.
    pub(crate) fn deliver(&mut self, datagram: Datagram) -> bool {
        let Datagram { from, to, bytes } = datagram;
        let reached = self.world.deliver(handfast_sim::Datagram::forged(from, to, bytes));
        self.gather();
        reached
    }

    /// Where an end believes a datagram from `from` to come from, for those that are handed to its
    /// endpoint without [`Self::deliver`].
    pub(crate) fn origin(&self, side: usize, from: SocketAddr) -> Origin {
        let mut origin = Origin::from_remote(from);
        origin.local = Some(self.ends[side].address.ip());
        origin
    }

    /// Sends a message that needs no allocation.
    pub(crate) fn send(
        &mut self,
        side: usize,
        other: usize,
        delivery: Delivery,
        payload: &'static [u8],
    ) -> Result<(), SendError> {
        let Some(peer) = self.peer_of(side, other) else { return Err(SendError::UnknownPeer) };
        let payload = Bytes::from_static(payload);
        self.with(side, |endpoint, now| endpoint.send(now, peer, delivery, payload).map(drop))
    }

    /// The application of an end takes the next message from a peer. What it keeps of it is not
    /// counted as the endpoint's.
    pub(crate) fn read_one(
        &mut self,
        side: usize,
        peer: PeerHandle,
    ) -> Option<(Delivery, u64, Vec<u8>)> {
        let mut bytes = Vec::with_capacity(self.endpoint(side).config().flow.max_message as usize);
        let (delivery, number) = self.with(side, |endpoint, now| {
            let message = endpoint.receive(now, peer)?;
            bytes.extend_from_slice(&message.payload);
            Some((message.delivery, message.sequence_number))
        })?;
        bytes.shrink_to_fit();
        Some((delivery, number, bytes))
    }

    /// The application of an end reads all that came from another.
    pub(crate) fn read(&mut self, side: usize, other: usize) {
        let Some(peer) = self.peer_of(side, other) else { return };
        let id = self.id(other);
        while let Some((delivery, number, bytes)) = self.read_one(side, peer) {
            self.ends[side].received.push((id, delivery, number, bytes));
        }
    }

    /// Delivers all that is under way and all that follows from it, for a while.
    pub(crate) fn step(&mut self, duration: Duration) {
        let until = self.now() + duration;
        loop {
            for _ in 0..FUEL {
                let Some(datagram) = self.flight.pop_front() else { break };
                self.deliver(datagram);
            }
            let next = self.world.next_time().map_or(until, |next| next.min(until));
            self.advance(next);
            if next == until && self.flight.is_empty() {
                return;
            }
        }
    }

    /// Time passes while all that is sent is lost, but for what concerns the honest one. For the
    /// liar no time passes: it does not give up.
    pub(crate) fn pass_unheard(&mut self, duration: Duration) {
        let (until, liar) = (self.now() + duration, self.ends[LIAR].address);
        self.world.suspend(node(LIAR), 0, false);
        while self.now() < until {
            let next = self.world.next_time().map_or(until, |next| next.min(until));
            self.advance(next);
            self.flight.retain(|datagram| datagram.from != liar && datagram.to != liar);
            while let Some(datagram) = self.flight.pop_front() {
                self.deliver(datagram);
            }
        }
        self.world.resume(node(LIAR));
    }

    /// Moves the time and lets all ends act on it.
    pub(crate) fn advance(&mut self, to: Duration) {
        self.world.run_until(to);
        self.gather();
    }

    /// How the liar ended at the victim, if it did.
    pub(crate) fn reason(&self) -> Option<&EndReason> {
        let liar = self.id(LIAR);
        self.ends[VICTIM].events.iter().rev().find_map(|event| match event {
            Event::Ended { id: Some(id), reason, .. } if *id == liar => Some(reason),
            _ => None,
        })
    }

    /// The goodbye that the liar got, if it got one.
    pub(crate) fn farewell(&self) -> Option<(u16, &str)> {
        self.ends[LIAR].events.iter().rev().find_map(|event| match event {
            Event::Ended { reason: EndReason::PeerDisconnected { reason: bye, .. }, .. } => {
                Some((bye.code, bye.reason.as_str()))
            }
            _ => None,
        })
    }
}

const fn node(side: usize) -> NodeId {
    NodeId(side as u32)
}

/// 32 bytes that nothing else looks like.
pub(crate) fn secret(which: u8) -> [u8; 32] {
    core::array::from_fn(|at| {
        (at as u8).wrapping_mul(167).wrapping_add(which.wrapping_mul(29)) ^ 0x5c
    })
}

/// More than an end may have to say at once.
const FUEL: usize = 20_000;

/// Nothing is changed in what an end says of itself.
const TRUTH: [u8; 96] = [0; 96];

/// What an end with these choices says of itself.
fn parameters(config: &Config) -> Parameters {
    Parameters {
        capabilities: u32::from(config.aes_hardware).into(),
        max_datagram: config.max_datagram.into(),
        max_streams: config.flow.max_streams.into(),
        idle_timeout_ms: (config.timers.idle_timeout.as_millis() as u32).into(),
        max_ack_delay_ms: (config.timers.max_ack_delay.as_millis() as u16).into(),
        stream_window_log2: config.flow.stream_window.ilog2() as u8,
        reserved: 0,
        max_message: config.flow.max_message.into(),
        receive_window: u64::from(config.flow.receive_window).into(),
    }
}
