//! Beacons of the local network, out and in.

use core::net::SocketAddr;

use super::Endpoint;
use crate::config::ForwardingPolicy;
use crate::discovery::{BEACON_LEN, Discovered, Reader, beacon};
use crate::net::{FourTuple, Via, canonical};
use crate::time::Instant;
use crate::wire::BeaconContent;

impl Endpoint {
    /// A beacon for everyone on an interface, which the driver names by a number of its choice: it says that
    /// handshakes are taken at `port` of the address that it is sent from. The same bytes may go to several groups and
    /// broadcast addresses there.
    ///
    /// `None` unless [`Discovery::announce`](crate::Discovery) is on, and within 5 s after the one before on that
    /// interface. The endpoint never asks for it: the driver sends beacons from a socket apart, for as long as it likes.
    pub fn make_beacon(
        &mut self,
        now: Instant,
        interface: u32,
        port: u16,
    ) -> Option<[u8; BEACON_LEN]> {
        self.touch(now);
        let cx = &mut self.shared;
        let may = cx.config.discovery.announce && !self.closing && port != 0;
        if !may || !cx.beacons.may_make(interface, cx.now) {
            return None;
        }
        let forwards = cx.config.forwarding.policy != ForwardingPolicy::Nobody;
        let content = BeaconContent {
            identity: *cx.identity.id().as_bytes(),
            port: port.into(),
            flags: (if forwards { BeaconContent::FORWARDS } else { 0 }).into(),
        };
        Some(beacon(cx.network.psk(), &cx.config.application, cx.rng.bytes(), &content))
    }

    /// Who was heard of by beacons in the last minute, 64 at most, in no particular order: hints, as
    /// [`Event::Discovered`](crate::Event::Discovered) says, which tells of each once.
    pub fn discovered(&self) -> impl Iterator<Item = Discovered> + '_ {
        self.shared.beacons.discovered(self.shared.now)
    }

    /// Takes a datagram that came to where beacons are sent. [`Event::Discovered`](crate::Event::Discovered) may
    /// follow, if [`Discovery::listen`](crate::Discovery) is on; nothing else ever does.
    ///
    /// The driver passes in only what came from an address in a network of the interface that received it: who is
    /// elsewhere has no business here.
    pub fn handle_beacon(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) {
        self.touch(now);
        let cx = &mut self.shared;
        let source = canonical(source);
        if !cx.config.discovery.listen {
            return;
        }
        let reader = Reader {
            psks: cx.network.psks(),
            application: &cx.config.application,
            id: cx.identity.id(),
        };
        if let Err(reason) = cx.beacons.read(cx.now, reader, source, datagram) {
            cx.drop_packet(reason, &Via::Direct(FourTuple::to(source)));
        }
    }
}
