//! The systems, each behind the same few calls.

mod enet;
mod handfast;
mod quinn;
mod tls;
#[cfg(feature = "sockets")]
mod tunnel;

#[cfg(feature = "sockets")]
pub(crate) use tls::Rustls;
pub(crate) use tls::{Configs, SERVER_NAME};

use std::time::Duration;

use crate::load::Load;
use crate::payload::{Inbox, Sequence};

/// Two ends of one system in memory, on one thread, in a time of their own.
pub(crate) trait Pair: Sized {
    /// What carries payloads.
    type Kind: Copy;

    /// Two ends that have not met, the `number`th such pair.
    fn strangers(kind: Self::Kind, number: u32) -> Self;

    /// The client starts to connect.
    fn dial(&mut self);

    /// Whether both ends know that they are connected.
    fn is_connected(&self) -> bool;

    /// The client sends a message. Returns how many bytes were taken: none when there is no room.
    fn send(&mut self, payload: &'static [u8]) -> usize;

    /// The client's datagrams reach the server, which takes what they bring; [`HALF_TRIP`] later its
    /// own reach the client; [`HALF_TRIP`] passes.
    fn turn(&mut self, inbox: &mut Inbox<'_>);
}

/// A system, and what carries payloads in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    Handfast,
    HandfastUnreliable,
    Quinn,
    QuinnStreamEach,
    QuinnDatagram,
    Enet,
    EnetUnreliable,
    #[cfg(feature = "sockets")]
    Tunnel,
}

impl System {
    /// Runs `load` `n` times and returns the CPU time of both ends.
    ///
    /// # Errors
    /// See [`Load::run`].
    pub(crate) fn run(self, load: Load, n: u32, payloads: &Sequence) -> Result<Duration, String> {
        let time = match self {
            Self::Handfast => load.run::<handfast::Handfast>(handfast::ORDERED, n, payloads),
            Self::HandfastUnreliable => {
                load.run::<handfast::Handfast>(handfast::UNRELIABLE, n, payloads)
            }
            Self::Quinn => load.run::<quinn::Quinn>(quinn::Kind::Stream, n, payloads),
            Self::QuinnStreamEach => load.run::<quinn::Quinn>(quinn::Kind::StreamEach, n, payloads),
            Self::QuinnDatagram => load.run::<quinn::Quinn>(quinn::Kind::Datagram, n, payloads),
            Self::Enet => load.run::<enet::Enet>(enet::Kind::Reliable, n, payloads),
            Self::EnetUnreliable => load.run::<enet::Enet>(enet::Kind::Unreliable, n, payloads),
            #[cfg(feature = "sockets")]
            Self::Tunnel => load.run::<tunnel::Tunnel>((), n, payloads),
        };
        time.map_err(|error| format!("{}: {error}", self.name()))
    }

    /// Its name, with what a reader must know to compare.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Handfast | Self::HandfastUnreliable => "handfast",
            Self::Quinn => "quinn-proto",
            Self::QuinnStreamEach => "quinn-proto, a stream each",
            Self::QuinnDatagram => "quinn-proto, DATAGRAM",
            Self::Enet | Self::EnetUnreliable => "rusty_enet (no encryption)",
            #[cfg(feature = "sockets")]
            Self::Tunnel => "boringtun",
        }
    }
}

/// The round-trip time is 100 us, as in one building.
const HALF_TRIP: Duration = Duration::from_micros(50);

/// Bytes of UDP payload per datagram, for all.
const DATAGRAM: u16 = 1200;

/// The most datagrams that a system writes at once: as many as quinn does.
const BATCH: usize = 10;

/// The most batches that one end writes before the other reads.
const BATCHES: usize = 6;
