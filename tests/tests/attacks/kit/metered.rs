//! An endpoint of which is known what it allocates.

use std::ops::Deref;
use std::time::Duration;

use handfast_core::{Config, Endpoint, Event, Identity, Instant, Origin, Transmit};
use handfast_sim::{Machine, Unverified};
use handfast_tests::memory::Meter;

/// An endpoint, and what was allocated and freed while it worked.
pub(crate) struct Metered {
    endpoint: Endpoint,
    pub(crate) meter: Meter,
}

/// What an end keeps when it restarts.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) config: Config,
    pub(crate) identity: [u8; 32],
    /// What its first life draws from; `None` leaves that to the world.
    pub(crate) seed: Option<[u8; 32]>,
    /// What it changes in what it says of itself in its handshakes.
    pub(crate) change: [u8; 96],
}

impl Metered {
    /// Lets the application command the endpoint.
    pub(crate) fn command<R>(&mut self, command: impl FnOnce(&mut Endpoint) -> R) -> R {
        self.meter.measure(|| command(&mut self.endpoint))
    }
}

impl Deref for Metered {
    type Target = Endpoint;

    fn deref(&self) -> &Endpoint {
        &self.endpoint
    }
}

impl Machine for Metered {
    type Setup = Setup;
    type Event = Event;

    fn make(setup: &Setup, seed: [u8; 32], now: Instant, _age: Duration) -> Self {
        let (config, identity) = (setup.config.clone(), Identity::from_seed(setup.identity));
        let seed = setup.seed.unwrap_or(seed);
        let mut meter = Meter::default();
        let config = config.validate().expect("valid");
        let mut endpoint = meter.measure(|| Endpoint::new(config, identity, seed, now));
        endpoint.distort_handshakes_for_test(setup.change);
        Self { endpoint, meter }
    }

    fn handle_datagram(&mut self, now: Instant, origin: Origin, datagram: &mut [u8]) {
        self.command(|endpoint| endpoint.handle_datagram(now, origin, datagram));
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.command(|endpoint| endpoint.handle_timeout(now));
    }

    fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        self.command(|endpoint| endpoint.poll_transmit(now, buf))
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.command(Endpoint::poll_event)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.endpoint.poll_timeout()
    }

    fn addresses_changed(&mut self, now: Instant) {
        self.command(|endpoint| endpoint.addresses_changed(now));
    }

    fn unverified_bytes(&self) -> Unverified {
        self.endpoint.unverified_bytes()
    }

    fn max_datagram(setup: &Setup) -> usize {
        usize::from(setup.config.max_datagram)
    }
}
