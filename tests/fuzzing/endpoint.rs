//! Bytes, time and commands into a live pair: what the network, the application and a lying peer
//! can do, in any order.

use core::net::SocketAddr;
use core::time::Duration;

use handfast_core::wire::{Frame, Frames, kind};
use handfast_core::{
    Config, ConnectError, DisconnectOptions, DisconnectReason, Event, PeerHandle, Target,
};

use super::end::Datagram;
use super::input::{Input, delivery};
use super::model::Model;
use super::pair::Pair;

/// Runs a list of operations on two endpoints that are connected at first, and checks after each
/// one what must always hold.
///
/// # Panics
/// A property does not hold.
pub fn endpoint(data: &[u8]) {
    let mut input = Input::new(data);
    let config = config(&mut input);
    let mut world = World {
        pair: Pair::connected(&config),
        models: Default::default(),
        handles: Default::default(),
        ended: Default::default(),
    };
    for _ in 0..MAX_OPERATIONS {
        if input.is_empty() {
            return;
        }
        world.operate(&mut input);
        world.note_events();
        let excess = world.pair.flight.len().saturating_sub(MAX_FLIGHT);
        world.pair.flight.drain(..excess);
    }
}

struct World {
    pair: Pair,
    /// By receiver.
    models: [Model; 2],
    /// Every handle an end learned of, newest last.
    handles: [Vec<PeerHandle>; 2],
    ended: [Vec<PeerHandle>; 2],
}

impl World {
    fn operate(&mut self, input: &mut Input<'_>) {
        let operation = input.u8();
        match operation % 21 {
            0 | 1 => self.deliver_many(input),
            2 => self.deliver_one(input),
            3 => self.duplicate(input),
            4 => self.drop(input),
            5 => self.mutate(input),
            6 => self.inject(input),
            7 => self.advance_to_timeout(),
            8 => self.advance(Duration::from_micros(u64::from(input.u16()) * 50)),
            9 => self.advance(Duration::from_secs(input.u8().into())),
            10 | 11 => self.send(input),
            12 => self.receive(input),
            13 => self.command(input),
            14 => self.connect(input),
            15 | 16 => self.lie(input),
            17 => self.roam(input),
            18 => self.repeat_lie(input),
            19 => self.restart(input),
            _ => self.lie_in_handshakes(input),
        }
    }

    fn deliver_many(&mut self, input: &mut Input<'_>) {
        for _ in 0..=input.u8() {
            let Some(datagram) = self.pair.flight.pop_front() else { return };
            self.pair.deliver(datagram);
        }
    }

    fn deliver_one(&mut self, input: &mut Input<'_>) {
        if let Some(datagram) = self.take(input) {
            self.pair.deliver(datagram);
        }
    }

    fn duplicate(&mut self, input: &mut Input<'_>) {
        if let Some(at) = input.pick(self.pair.flight.len()) {
            let datagram = self.pair.flight[at].clone();
            self.pair.flight.push_back(datagram);
        }
    }

    fn drop(&mut self, input: &mut Input<'_>) {
        self.take(input);
    }

    fn mutate(&mut self, input: &mut Input<'_>) {
        let Some(mut datagram) = self.take(input) else { return };
        let (at, value) = (usize::from(input.u16()), input.u8());
        match datagram.bytes.get_mut(at) {
            Some(byte) => *byte ^= value,
            None => datagram.bytes.truncate(value.into()),
        }
        self.pair.deliver(datagram);
    }

    /// Raw bytes from anywhere.
    fn inject(&mut self, input: &mut Input<'_>) {
        let (from, to) = (self.address(input), self.pair.addresses[side(input)]);
        let len = usize::from(input.u16()) % 2048;
        let bytes = input.bytes(len).to_vec();
        if bytes.first() == Some(&kind::BEACON) {
            // Those come to a socket of their own.
            let at = usize::from(to == self.pair.addresses[1]);
            self.pair.with(at, |end, now| end.handle_beacon(now, from, &bytes));
            return;
        }
        self.pair.deliver(Datagram { from, to, bytes });
    }

    fn advance_to_timeout(&mut self) {
        if let Some(next) = self.pair.due() {
            self.pair.advance(next);
        }
    }

    fn advance(&mut self, duration: Duration) {
        let to = self.pair.now + duration;
        self.pair.advance(to);
    }

    fn send(&mut self, input: &mut Input<'_>) {
        let (side, bits, len) = (side(input), input.u8(), usize::from(input.u16()));
        let delivery = delivery(bits, bits >> 6);
        let copies = (bits >> 4 & 3) * 5 + 1;
        let Some(peer) = self.handle(side, input) else { return };
        let model = &mut self.models[1 - side];
        self.pair.with(side, |end, now| {
            for _ in 0..copies {
                let payload = model.payload(len % (MAX_MESSAGE as usize + 8));
                let len = payload.len();
                if end.send(now, peer, delivery, payload).is_ok() {
                    model.note_sent(delivery, len);
                }
            }
        });
    }

    fn receive(&mut self, input: &mut Input<'_>) {
        let side = side(input);
        let Some(peer) = self.handle(side, input) else { return };
        let (count, model) = (input.u8(), &mut self.models[side]);
        self.pair.with(side, |end, now| {
            for _ in 0..=count {
                let Some(message) = end.receive(now, peer) else { break };
                model.check(peer, &message);
            }
        });
    }

    fn command(&mut self, input: &mut Input<'_>) {
        let (side, which) = (side(input), input.u8());
        let linger = Duration::from_millis(u64::from(which) * 16);
        let farewell = DisconnectOptions::after(linger)
            .with_reason(DisconnectReason::new(which.into(), "so long"));
        let Some(peer) = self.handle(side, input) else { return };
        // That a command is refused is no news here.
        self.pair.with(side, |endpoint, now| match which % 8 {
            0 => endpoint.disconnect(now, peer, farewell).unwrap_or_default(),
            1 => endpoint.addresses_changed(now),
            2 if which == 2 => endpoint.close(now, farewell),
            _ => drop(endpoint.ping(now, peer)),
        });
    }

    fn connect(&mut self, input: &mut Input<'_>) {
        let (side, how) = (side(input), input.u8());
        let id = self.pair.id(1 - side);
        let address = match how & 4 {
            0 => self.pair.addresses[1 - side],
            _ => self.address(input),
        };
        let target = match how & 3 {
            0 => Target::from(id),
            1 => Target::from(address),
            _ => Target::new(id, [address]),
        };
        let dialled = self.pair.with(side, |end, now| end.connect(now, target));
        if let Ok(handle) | Err(ConnectError::AlreadyConnected(handle)) = dialled {
            self.learn(side, handle);
        }
    }

    /// Made-up frames under the live keys.
    fn lie(&mut self, input: &mut Input<'_>) {
        let (liar, path) = (side(input), input.u8());
        // Mostly the first.
        let path = path.saturating_sub(250);
        let len = usize::from(input.u8()) * 4;
        let plaintext = input.bytes(len);
        self.deliver_lie(liar, path, plaintext);
    }

    /// The same again and again: what piles up?
    fn repeat_lie(&mut self, input: &mut Input<'_>) {
        let (liar, times) = (side(input), input.u8());
        let len = usize::from(input.u8());
        let plaintext = input.bytes(len);
        for _ in 0..=times % 32 {
            self.deliver_lie(liar, 0, plaintext);
        }
    }

    /// What an end says of itself when it shakes hands is no longer true: its incarnation, its limits,
    /// its times, its identity.
    fn lie_in_handshakes(&mut self, input: &mut Input<'_>) {
        let (liar, at) = (side(input), usize::from(input.u8()) % 96);
        let len = usize::from(input.u8()) % 96;
        let mut change = [0; 96];
        for (byte, lie) in change[at..].iter_mut().zip(input.bytes(len)) {
            *byte = *lie;
        }
        self.pair.with(liar, |end, _| end.distort_handshakes_for_test(change));
        // Streams start over whenever the liar likes.
        for model in &mut self.models {
            model.is_tainted = true;
            model.restarts = u32::MAX / 2;
        }
    }

    fn deliver_lie(&mut self, liar: usize, path: u8, plaintext: &[u8]) {
        let tells = |frame: Frame<'_>| matches!(frame, Frame::Data(_));
        if Frames::new(plaintext).flatten().any(tells) {
            self.models[1 - liar].is_tainted = true;
        }
        if let Some(datagram) = self.pair.lie(liar, path, plaintext) {
            self.pair.deliver(datagram);
        }
    }

    fn roam(&mut self, input: &mut Input<'_>) {
        let from = self.address(input);
        if let Some(datagram) = self.take(input) {
            self.pair.deliver(Datagram { from, ..datagram });
        }
    }

    fn restart(&mut self, input: &mut Input<'_>) {
        let side = side(input);
        self.pair.restart(side);
        self.handles[side].clear();
        self.ended[side].clear();
        // Handles are counted anew, and so are streams.
        let model = &mut self.models[side];
        model.restarts += 2;
    }

    fn note_events(&mut self) {
        for side in 0..2 {
            for event in core::mem::take(&mut self.pair.events[side]) {
                if matches!(event, Event::Discovered { .. }) {
                    continue;
                }
                let peer = event.peer().expect("nobody asked for a socket");
                assert!(!self.ended[side].contains(&peer), "{event:?} after the end");
                self.learn(side, peer);
                match event {
                    Event::Ended { .. } => self.ended[side].push(peer),
                    Event::Restarted { .. } => self.models[side].restarts += 1,
                    _ => {}
                }
            }
        }
    }

    fn learn(&mut self, side: usize, handle: PeerHandle) {
        if !self.handles[side].contains(&handle) {
            self.handles[side].push(handle);
        }
    }

    fn take(&mut self, input: &mut Input<'_>) -> Option<Datagram> {
        let at = input.pick(self.pair.flight.len())?;
        self.pair.flight.remove(at)
    }

    /// The other end if it is known, sometimes another handle.
    fn handle(&self, side: usize, input: &mut Input<'_>) -> Option<PeerHandle> {
        let choice = input.u8();
        let known = self.pair.peer(side).filter(|_| choice < 192);
        known.or_else(|| {
            let handles = &self.handles[side];
            let at = usize::from(choice).checked_rem(handles.len())?;
            handles.get(at).copied()
        })
    }

    fn address(&self, input: &mut Input<'_>) -> SocketAddr {
        match input.u8() % 6 {
            0 => self.pair.addresses[0],
            1 => self.pair.addresses[1],
            other => SocketAddr::from(([10, 0, 1, 0], 5000 + u16::from(other))),
        }
    }
}

fn side(input: &mut Input<'_>) -> usize {
    usize::from(input.flag())
}

/// Small limits, so that a short list of operations can reach them.
fn config(input: &mut Input<'_>) -> Config {
    let bits = input.u8();
    let mut config = Config::default();
    config.flow.max_message = MAX_MESSAGE;
    config.limits.max_peers = 3;
    config.limits.max_half_open = 2;
    config.flow.max_streams = 6;
    config.flow.send_buffer = 1 << 17;
    config.flow.receive_window = if bits & 1 == 0 { MAX_MESSAGE + 64 } else { 1 << 17 };
    config.flow.unreliable_buffer = 2 * MAX_MESSAGE as usize;
    config.keys.rekey_after_packets = if bits & 2 == 0 { 16 } else { 1 << 20 };
    config.keys.rekey_after = Duration::from_secs(2);
    config.keys.rekey_after_idle = Duration::from_secs(30);
    config.answer_stun = true;
    config.discovery.listen = true;
    if bits & 4 != 0 {
        config.retry = handfast_core::Retry::Always;
    }
    config
}

const MAX_MESSAGE: u32 = 20_000;
const MAX_OPERATIONS: usize = 256;
const MAX_FLIGHT: usize = 256;
