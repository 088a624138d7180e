//! handfast's core, as it comes by default or with another congestion controller.

use bytes::Bytes;
use handfast_core::{
    Config, CongestionControl, Delivery, Endpoint, Event, Identity, Instant, Origin, PeerHandle,
    Priority, Target, Transmit,
};

use super::stack::{Arrived, Kind, Setup, Stack, Stamp, Told};
use super::traffic::SMALL;

pub(crate) struct Handfast {
    endpoint: Endpoint,
    peer: Option<PeerHandle>,
    has_classes: bool,
}

impl Handfast {
    pub(crate) fn new(setup: &Setup, seed: [u8; 32], now: Instant) -> Self {
        let mut config = Config::default();
        config.aes_hardware = true;
        match setup.kind {
            Kind::HandfastTolerant => config.congestion = CongestionControl::Tolerant,
            Kind::HandfastCubic => config.congestion = CongestionControl::Cubic,
            _ => {}
        }
        let config = config.validate().expect("the default is valid");
        let identity = Identity::from_seed([1 + u8::from(setup.calls); 32]);
        let mut endpoint = Endpoint::new(config, identity, seed, now);
        if setup.calls {
            endpoint.connect(now, Target::from(setup.other)).expect("a dial may start");
        }
        Self { endpoint, peer: None, has_classes: setup.has_classes }
    }
}

impl Stack for Handfast {
    fn send(&mut self, now: Instant, lane: usize, message: &Bytes) -> bool {
        let priority = match lane {
            _ if !self.has_classes => Priority::NORMAL,
            SMALL => Priority::REAL_TIME,
            _ => Priority::BULK,
        };
        let delivery = Delivery::ordered(lane as u16).with_priority(priority);
        self.peer
            .is_some_and(|peer| self.endpoint.send(now, peer, delivery, message.clone()).is_ok())
    }

    fn receive(&mut self, now: Instant) -> Option<Arrived> {
        let message = self.endpoint.receive(now, self.peer?)?;
        let lane = usize::from(message.delivery.channel);
        let (len, stamp) = (message.payload.len(), Stamp::read(&message.payload));
        Some(Arrived { lane, len, stamp })
    }

    fn handle_datagram(&mut self, now: Instant, origin: Origin, datagram: &mut [u8]) {
        self.endpoint.handle_datagram(now, origin, datagram);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.endpoint.handle_timeout(now);
    }

    fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        self.endpoint.poll_transmit(now, buf)
    }

    fn poll_told(&mut self) -> Option<Told> {
        loop {
            match self.endpoint.poll_event()? {
                Event::Connected { peer, .. } => {
                    self.peer = Some(peer);
                    return Some(Told::Connected);
                }
                Event::Readable { .. } => return Some(Told::Readable),
                Event::Writable { .. } => return Some(Told::Writable),
                Event::Ended { .. } => return Some(Told::Ended),
                _ => {}
            }
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.endpoint.poll_timeout()
    }

    fn addresses_changed(&mut self, now: Instant) {
        self.endpoint.addresses_changed(now);
    }

    fn spurious(&self) -> Option<u64> {
        let peer = self.endpoint.peer(self.peer?)?;
        Some(peer.stats.packets_spuriously_lost)
    }
}
