//! A victim, a liar that has keys, and an honest third, on a network without delay.
//!
//! What the victim allocates is counted, and so is what it sends and tells for each input.

use std::collections::VecDeque;
use std::mem;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use handfast_core::wire::{PacketNumber, Parameters, RequestPayload};
use handfast_core::{
    Config, Delivery, EndReason, Endpoint, Event, Identity, Instant, Origin, PeerHandle, PeerId,
    SendError, Target,
};
use handfast_tests::memory::Meter;
use zerocopy::IntoBytes;

use crate::fuzzing::Datagram;

pub(crate) const LIAR: usize = 0;
pub(crate) const VICTIM: usize = 1;
pub(crate) const HONEST: usize = 2;

/// What an end was told, without what would have to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Connected(PeerId),
    Ended(Option<PeerId>, EndReason),
    Fate,
    Moved,
    Other,
}

/// A message that was received: from whom, under which number, and its bytes.
pub(crate) type Received = (PeerId, Delivery, u64, Vec<u8>);

pub(crate) struct End {
    pub(crate) endpoint: Endpoint,
    pub(crate) address: SocketAddr,
    pub(crate) told: Vec<Told>,
    pub(crate) received: Vec<Received>,
    /// What the endpoint allocated.
    pub(crate) meter: Meter,
    /// Datagrams and bytes sent.
    pub(crate) sent: (u64, u64),
}

pub(crate) struct Stage {
    pub(crate) now: Instant,
    pub(crate) ends: [End; 3],
    pub(crate) flight: VecDeque<Datagram>,
    pub(crate) config: Config,
    /// What the liar changes in what it says of itself in its handshakes.
    change: [u8; 96],
    lives: u8,
}

impl Stage {
    /// The liar and the honest one have called the victim. `lying` is how the liar presents itself.
    pub(crate) fn connected(config: Config, lying: Config) -> Self {
        Self::introduced(config, lying, [0; 96])
    }

    /// All have the same choices, but the liar presents itself with what `lie` makes of them.
    pub(crate) fn deceived(config: Config, lie: impl FnOnce(&mut Parameters)) -> Self {
        let truth = parameters(&config);
        let mut said = truth;
        lie(&mut said);
        let mut change = [0; 96];
        let bytes = truth.as_bytes().iter().zip(said.as_bytes());
        let place = &mut change[mem::offset_of!(RequestPayload, parameters)..];
        for (change, (truth, said)) in place.iter_mut().zip(bytes) {
            *change = truth ^ said;
        }
        Self::introduced(config.clone(), config, change)
    }

    fn introduced(config: Config, lying: Config, change: [u8; 96]) -> Self {
        let now = Instant::from_micros(1_000_000_000);
        let end = |side: u8, config: &Config| {
            let mut meter = Meter::default();
            let identity = identity(side);
            let config = config.clone().validate().expect("valid");
            let make = || Endpoint::new(config, identity, secret(0x70 + side), now);
            End {
                endpoint: meter.measure(make),
                address: SocketAddr::from(([10, 0, 0, side], 4000)),
                told: Vec::new(),
                received: Vec::new(),
                meter,
                sent: (0, 0),
            }
        };
        let ends = [end(0, &lying), end(1, &config), end(2, &config)];
        let mut stage =
            Self { now, ends, flight: VecDeque::new(), config: lying, change, lives: 0 };
        stage.ends[LIAR].endpoint.distort_handshakes_for_test(change);
        stage.call(LIAR);
        stage.call(HONEST);
        assert!(stage.peer(LIAR, VICTIM).is_some() && stage.peer(HONEST, VICTIM).is_some());
        stage
    }

    /// An end calls the victim.
    pub(crate) fn call(&mut self, side: usize) {
        let target = Target::new(self.id(VICTIM), [self.ends[VICTIM].address]);
        // It may be parting still: then there is nothing to be done yet.
        self.ends[side].endpoint.connect(self.now, target).ok();
        self.poll(side);
        self.step(Duration::from_millis(100));
    }

    /// The liar loses what it knows and calls again.
    pub(crate) fn restart_liar(&mut self) {
        self.lives = self.lives.wrapping_add(1);
        let mut seed = [0x60; 32];
        seed[0] = self.lives;
        let identity = identity(LIAR as u8);
        let config = self.config.clone().validate().expect("valid");
        self.ends[LIAR].endpoint = Endpoint::new(config, identity, seed, self.now);
        self.ends[LIAR].endpoint.distort_handshakes_for_test(self.change);
        self.ends[LIAR].told.clear();
        self.call(LIAR);
    }

    pub(crate) fn id(&self, side: usize) -> PeerId {
        self.ends[side].endpoint.id()
    }

    /// How one end calls another.
    pub(crate) fn peer(&self, side: usize, other: usize) -> Option<PeerHandle> {
        self.ends[side].endpoint.peer_by_id(&self.id(other))
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
        let peer = self.peer(LIAR, VICTIM)?;
        let liar = &mut self.ends[LIAR].endpoint;
        let (transmit, bytes) = liar.seal_for_test(self.now, peer, path, plaintext)?;
        Some(self.inject(Datagram { from, to: transmit.destination, bytes }))
    }

    pub(crate) fn lie(&mut self, path: u8, plaintext: &[u8]) -> Option<(u64, (u64, u64))> {
        self.lie_from(self.ends[LIAR].address, path, plaintext)
    }

    /// The same under any packet number.
    pub(crate) fn lie_numbered(
        &mut self,
        path: u8,
        counter: u64,
        plaintext: &[u8],
    ) -> Option<(u64, (u64, u64))> {
        let peer = self.peer(LIAR, VICTIM)?;
        let number = PacketNumber::new(path, counter)?;
        let end = &mut self.ends[LIAR];
        let (transmit, bytes) = end.endpoint.seal_numbered_for_test(peer, number, plaintext)?;
        let from = end.address;
        Some(self.inject(Datagram { from, to: transmit.destination, bytes }))
    }

    fn inject(&mut self, datagram: Datagram) -> (u64, (u64, u64)) {
        let (len, before) = (datagram.bytes.len() as u64, self.ends[VICTIM].sent);
        assert!(self.deliver(datagram), "somebody is there");
        let after = self.ends[VICTIM].sent;
        (len, (after.0 - before.0, after.1 - before.1))
    }

    /// Hands a datagram to whoever is at its destination. True if someone is.
    pub(crate) fn deliver(&mut self, mut datagram: Datagram) -> bool {
        let Some(side) = self.ends.iter().position(|end| end.address == datagram.to) else {
            return false;
        };
        let (now, origin) = (self.now, Origin::from_remote(datagram.from));
        let end = &mut self.ends[side];
        let bytes = &mut datagram.bytes;
        end.meter.measure(|| end.endpoint.handle_datagram(now, origin, bytes));
        self.poll(side);
        true
    }

    /// Sends a message that needs no allocation.
    pub(crate) fn send(
        &mut self,
        side: usize,
        other: usize,
        delivery: Delivery,
        payload: &'static [u8],
    ) -> Result<(), SendError> {
        let Some(peer) = self.peer(side, other) else { return Err(SendError::UnknownPeer) };
        let (now, end) = (self.now, &mut self.ends[side]);
        let payload = Bytes::from_static(payload);
        let send = || end.endpoint.send(now, peer, delivery, payload).map(drop);
        let sent = end.meter.measure(send);
        self.poll(side);
        sent
    }

    /// The application of an end reads all that came from another.
    pub(crate) fn read(&mut self, side: usize, other: usize) {
        let Some(peer) = self.peer(side, other) else { return };
        let (now, id) = (self.now, self.id(other));
        loop {
            let end = &mut self.ends[side];
            let mut bytes = Vec::with_capacity(end.endpoint.config().flow.max_message as usize);
            let message = end.meter.measure(|| {
                let message = end.endpoint.receive(now, peer)?;
                bytes.extend_from_slice(&message.payload);
                Some((message.delivery, message.sequence_number))
            });
            let Some((delivery, number)) = message else { break };
            bytes.shrink_to_fit();
            end.received.push((id, delivery, number, bytes));
        }
        self.poll(side);
    }

    /// Delivers all that is under way and all that follows from it, for a while.
    pub(crate) fn step(&mut self, duration: Duration) {
        let until = self.now + duration;
        loop {
            for _ in 0..FUEL {
                let Some(datagram) = self.flight.pop_front() else { break };
                self.deliver(datagram);
            }
            let timeouts = self.ends.iter().filter_map(|end| end.endpoint.poll_timeout());
            let next = timeouts.min().map_or(until, |at| at.max(self.now)).min(until);
            let done = next == until;
            self.advance(next);
            if done && self.flight.is_empty() {
                return;
            }
        }
    }

    /// Time passes while all that is sent is lost, but for what concerns the honest one. For the
    /// liar no time passes: it does not give up.
    pub(crate) fn pass_unheard(&mut self, duration: Duration) {
        let (until, liar) = (self.now + duration, self.ends[LIAR].address);
        while self.now < until {
            let others = self.ends[VICTIM..].iter();
            let timeouts = others.filter_map(|end| end.endpoint.poll_timeout());
            let next = timeouts.min().map_or(until, |at| at.max(self.now)).min(until);
            self.now = next;
            (VICTIM..=HONEST).for_each(|side| self.wake(side));
            self.flight.retain(|datagram| datagram.from != liar && datagram.to != liar);
            while let Some(datagram) = self.flight.pop_front() {
                self.deliver(datagram);
            }
        }
    }

    /// Moves the time and lets all ends act on it.
    pub(crate) fn advance(&mut self, to: Instant) {
        self.now = self.now.max(to);
        (LIAR..=HONEST).for_each(|side| self.wake(side));
    }

    fn wake(&mut self, side: usize) {
        let (now, end) = (self.now, &mut self.ends[side]);
        end.meter.measure(|| end.endpoint.handle_timeout(now));
        let next = end.endpoint.poll_timeout();
        assert!(next.is_none_or(|at| at > now), "{next:?} is over at {now:?}");
        self.poll(side);
    }

    /// Collects what an end has to send and to tell.
    pub(crate) fn poll(&mut self, side: usize) {
        let (now, end) = (self.now, &mut self.ends[side]);
        let mut buffer = [0; 4 * 1200];
        let mut fuel = FUEL;
        let transmit = |end: &mut End, buffer: &mut [u8]| {
            end.meter.measure(|| end.endpoint.poll_transmit(now, buffer))
        };
        while let Some(transmit) = transmit(end, &mut buffer) {
            fuel -= 1;
            assert!(fuel > 0, "transmits without end");
            let size = transmit.segment.map_or(transmit.len, |size| size.get().into());
            for bytes in buffer[..transmit.len].chunks(size.max(1)) {
                end.sent = (end.sent.0 + 1, end.sent.1 + bytes.len() as u64);
                let (from, to) = (end.address, transmit.destination);
                self.flight.push_back(Datagram { from, to, bytes: bytes.to_vec() });
            }
        }
        while let Some(told) = end.meter.measure(|| end.endpoint.poll_event().map(told)) {
            fuel -= 1;
            assert!(fuel > 0, "events without end");
            end.told.push(told);
        }
    }

    /// How the liar ended at the victim, if it did.
    pub(crate) fn reason(&self) -> Option<&EndReason> {
        let liar = self.id(LIAR);
        self.ends[VICTIM].told.iter().rev().find_map(|told| match told {
            Told::Ended(Some(id), reason) if *id == liar => Some(reason),
            _ => None,
        })
    }

    /// The goodbye that the liar got, if it got one.
    pub(crate) fn farewell(&self) -> Option<(u16, &str)> {
        self.ends[LIAR].told.iter().rev().find_map(|told| match told {
            Told::Ended(_, EndReason::PeerDisconnected(bye)) => {
                Some((bye.code, bye.reason.as_str()))
            }
            _ => None,
        })
    }
}

fn identity(side: u8) -> Identity {
    Identity::from_seed(secret(side + 1))
}

/// 32 bytes that nothing else looks like.
pub(crate) fn secret(which: u8) -> [u8; 32] {
    core::array::from_fn(|at| {
        (at as u8).wrapping_mul(167).wrapping_add(which.wrapping_mul(29)) ^ 0x5c
    })
}

fn told(event: Event) -> Told {
    match event {
        Event::Connected { id, .. } => Told::Connected(id),
        Event::Ended { id, reason, .. } => Told::Ended(id, reason),
        Event::Fate { .. } => Told::Fate,
        Event::PathChanged { .. } => Told::Moved,
        _ => Told::Other,
    }
}

/// More than an end may have to say at once.
const FUEL: usize = 20_000;

/// What an end with these choices says of itself.
fn parameters(config: &Config) -> Parameters {
    Parameters {
        capabilities: u32::from(config.aes_hardware).into(),
        max_datagram: config.max_datagram.into(),
        max_streams: config.flow.max_streams.into(),
        idle_timeout_ms: (config.timers.idle_timeout.as_millis() as u32).into(),
        max_ack_delay_ms: (config.timers.max_ack_delay.as_millis() as u16).into(),
        reserved: 0.into(),
        max_message: config.flow.max_message.into(),
        receive_window: u64::from(config.flow.receive_window).into(),
    }
}
