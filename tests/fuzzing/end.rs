//! One endpoint with its address, and what must hold whenever it was touched.

use core::net::SocketAddr;

use handfast_core::{Config, Endpoint, Event, Identity, Instant, Origin, Transmit};

/// A datagram under way.
#[derive(Clone, Debug)]
pub(super) struct Datagram {
    /// Where it seems to come from.
    pub(super) from: SocketAddr,
    /// Where it goes.
    pub(super) to: SocketAddr,
    /// What it holds.
    pub(super) bytes: Vec<u8>,
}

/// An endpoint at an address.
#[derive(Debug)]
pub(super) struct End {
    /// Its endpoint.
    pub(super) endpoint: Endpoint,
    /// Where datagrams for it go.
    pub(super) address: SocketAddr,
    /// What it told since someone looked.
    pub(super) events: Vec<Event>,
    side: u8,
    lives: u8,
}

impl End {
    /// An end that knows nobody. `side` gives it its identity and its address.
    #[must_use]
    pub(super) fn new(side: u8, config: Config, now: Instant) -> Self {
        Self {
            endpoint: Endpoint::new(
                config.validate().expect("valid"),
                identity(side),
                [0x50 + side; 32],
                now,
            ),
            address: SocketAddr::from(([10, 0, 0, side], 4000)),
            events: Vec::new(),
            side,
            lives: 0,
        }
    }

    /// It loses all it knows, but its identity and its choices.
    pub(super) fn restart(&mut self, now: Instant) {
        self.lives = self.lives.wrapping_add(1);
        let mut seed = [0x60 + self.side; 32];
        seed[0] = self.lives;
        let valid = self.endpoint.config().clone();
        self.endpoint = Endpoint::new(valid, identity(self.side), seed, now);
        self.events.clear();
    }

    /// Hands a datagram to it.
    pub(super) fn take(&mut self, now: Instant, mut datagram: Datagram) {
        let origin = Origin::from_remote(datagram.from);
        self.endpoint.handle_datagram(now, origin, &mut datagram.bytes);
    }

    /// Lets it act on the time.
    ///
    /// # Panics
    /// It has something left to do at a time that it was told.
    pub(super) fn fire(&mut self, now: Instant) {
        self.endpoint.handle_timeout(now);
        let next = self.endpoint.poll_timeout();
        assert!(next.is_none_or(|at| at > now), "{next:?} is over at {now:?}");
    }

    /// Collects what it has to send and to tell.
    ///
    /// # Panics
    /// It does not come to an end, or something does not hold that always must.
    pub(super) fn poll(&mut self, now: Instant, flight: &mut impl Extend<Datagram>) {
        let mut buffer = [0; 4 * 1200];
        let mut fuel = FUEL;
        while let Some(transmit) = self.endpoint.poll_transmit(now, &mut buffer) {
            fuel -= 1;
            assert!(fuel > 0, "transmits without end");
            flight.extend(datagrams(self.address, &transmit, &buffer));
        }
        while let Some(event) = self.endpoint.poll_event() {
            fuel -= 1;
            assert!(fuel > 0, "events without end");
            self.events.push(event);
        }
        let stats = self.endpoint.stats();
        assert!(stats.unverified_bytes_sent <= stats.unverified_bytes_received, "amplified");
        let peers = self.endpoint.peers().count();
        assert!(peers <= self.endpoint.config().limits.max_peers, "{peers} peers");
    }
}

fn identity(side: u8) -> Identity {
    Identity::from_seed([side + 1; 32])
}

/// Takes a batch apart.
fn datagrams<'a>(
    from: SocketAddr,
    transmit: &Transmit,
    buffer: &'a [u8],
) -> impl Iterator<Item = Datagram> + 'a {
    let size = transmit.segment.map_or(transmit.len, |size| size.get().into());
    let to = transmit.destination;
    let batch = buffer[..transmit.len].chunks(size.max(1));
    batch.map(move |bytes| Datagram { from, to, bytes: bytes.to_vec() })
}

/// More than an end may have to say at once.
pub(super) const FUEL: usize = 20_000;
