//! What rides in the simulated network: one trait for all stacks.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use handfast_core::{Instant, Origin, Transmit};
use handfast_sim::Machine;

use super::handfast::Handfast;
use super::kcp::Turbo;
use super::quinn::Quinn;
use super::traffic::Load;

/// One end of one stack, which talks with one other end.
pub(crate) trait Stack {
    /// Queues a message on a lane, in order and reliably. False if there is no room.
    fn send(&mut self, now: Instant, lane: usize, message: &Bytes) -> bool;
    /// Takes what arrived.
    fn receive(&mut self, now: Instant) -> Option<Arrived>;
    fn handle_datagram(&mut self, now: Instant, origin: Origin, datagram: &mut [u8]);
    fn handle_timeout(&mut self, now: Instant);
    fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit>;
    fn poll_told(&mut self) -> Option<Told>;
    fn poll_timeout(&self) -> Option<Instant>;
    /// The host knows that it has another address.
    fn addresses_changed(&mut self, now: Instant);
    /// Packets that were declared lost and arrived; none if the stack does not tell.
    fn spurious(&self) -> Option<u64>;
}

/// What a stack tells its application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Connected,
    Readable,
    Writable,
    Ended,
}

/// A message that arrived: its length, and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) lane: usize,
    pub(crate) len: usize,
    pub(crate) stamp: Stamp,
}

/// What each message begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// When it was made, in microseconds of the world's time.
    pub(crate) time: u64,
    /// How many were made before it on its lane.
    pub(crate) number: u64,
}

impl Stamp {
    pub(crate) const LEN: usize = 16;

    /// A message of `len` bytes with this stamp.
    pub(crate) fn message(self, len: usize) -> Bytes {
        let mut bytes = vec![7; len];
        bytes[..8].copy_from_slice(&self.time.to_le_bytes());
        bytes[8..Self::LEN].copy_from_slice(&self.number.to_le_bytes());
        bytes.into()
    }

    pub(crate) fn read(bytes: &[u8]) -> Self {
        let number = |at: usize| {
            let eight = bytes.get(at..at + 8).and_then(|it| it.try_into().ok());
            eight.map_or(u64::MAX, u64::from_le_bytes)
        };
        Self { time: number(0), number: number(8) }
    }
}

/// The stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Handfast,
    HandfastTolerant,
    /// Only beside others.
    HandfastCubic,
    QuinnCubic,
    QuinnBbr,
    Kcp,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] =
        [Self::Handfast, Self::HandfastTolerant, Self::QuinnCubic, Self::QuinnBbr, Self::Kcp];

    /// Whether it is measured under this load. Few messages leave all controllers the same, and the others have no
    /// classes.
    pub(crate) const fn rides(self, load: Load) -> bool {
        match self {
            Self::Handfast => true,
            Self::HandfastTolerant => load.is_bulk() && !load.has_classes(),
            _ => !load.has_classes(),
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Handfast => "handfast",
            Self::HandfastTolerant => "handfast tolerant",
            Self::HandfastCubic => "handfast CUBIC",
            Self::QuinnCubic => "quinn CUBIC",
            Self::QuinnBbr => "quinn BBR",
            Self::Kcp => "kcp turbo",
        }
    }
}

/// Who an end is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) kind: Kind,
    /// Where the other end is.
    pub(crate) other: SocketAddr,
    /// Whether this end calls the other.
    pub(crate) calls: bool,
    /// Whether small messages are of the most urgent class and large ones of the least.
    pub(crate) has_classes: bool,
}

/// A stack of any kind as a machine of the simulated world.
pub(crate) struct Rider(Box<dyn Stack>);

impl Rider {
    pub(crate) fn stack(&mut self) -> &mut dyn Stack {
        self.0.as_mut()
    }

    pub(crate) fn spurious(&self) -> Option<u64> {
        self.0.spurious()
    }
}

impl Machine for Rider {
    type Setup = Setup;
    type Event = Told;

    fn make(setup: &Setup, seed: [u8; 32], now: Instant, _age: Duration) -> Self {
        Self(match setup.kind {
            Kind::Handfast | Kind::HandfastTolerant | Kind::HandfastCubic => {
                Box::new(Handfast::new(setup, seed, now))
            }
            Kind::QuinnCubic | Kind::QuinnBbr => Box::new(Quinn::new(setup, seed, now)),
            Kind::Kcp => Box::new(Turbo::new(setup, now)),
        })
    }

    fn handle_datagram(&mut self, now: Instant, origin: Origin, datagram: &mut [u8]) {
        self.0.handle_datagram(now, origin, datagram);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.0.handle_timeout(now);
    }

    fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        self.0.poll_transmit(now, buf)
    }

    fn poll_event(&mut self) -> Option<Told> {
        self.0.poll_told()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.0.poll_timeout()
    }

    fn addresses_changed(&mut self, now: Instant) {
        self.0.addresses_changed(now);
    }

    fn max_datagram(_setup: &Setup) -> usize {
        2048
    }
}
