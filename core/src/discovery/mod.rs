//! Beacons: how endpoints of one local network find each other without a server.
//!
//! A beacon says who sends it and at which port. It is never answered, and what it says is a hint: whoever has the
//! secret of the network (everybody, if it has none) can say it of any address that it can send from.

mod hints;
mod seal;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use smallvec::SmallVec;
use zerocopy::IntoBytes;

pub use hints::Discovered;
use hints::{Hint, Hints};

use crate::PeerId;
use crate::bucket::{Limit, TokenBucket};
use crate::crypto::hash::Secret;
use crate::event::Event;
use crate::stats::DropReason;
use crate::time::Instant;
use crate::wire::{Beacon, BeaconContent, Packet};

/// The length of a beacon.
pub(crate) const BEACON_LEN: usize = size_of::<Beacon>();
const _: () = assert!(BEACON_LEN == 72);

/// The time from one beacon to the next on one interface, at least.
const INTERVAL: Duration = Duration::from_secs(5);
/// The most interfaces that are reckoned with.
const MAX_INTERFACES: usize = 64;
/// Beacons that are opened, 100 a second: each costs a key and a few hashes.
const OPENED: Limit = Limit::every(10_000, 100);

/// What an endpoint says and hears in its local networks.
#[derive(Debug)]
pub(crate) struct Beacons {
    /// When the last one was made for each interface.
    made: SmallVec<[(u32, Instant); 2]>,
    opened: TokenBucket,
    hints: Hints,
}

impl Default for Beacons {
    fn default() -> Self {
        Self { made: SmallVec::new(), opened: TokenBucket::FULL, hints: Hints::default() }
    }
}

/// What a beacon is read with.
pub(crate) struct Reader<'a, P> {
    /// The secrets of the network.
    pub(crate) psks: P,
    pub(crate) application: &'a [u8; 16],
    /// Who we are ourselves.
    pub(crate) id: PeerId,
}

impl Beacons {
    /// Whether another one may be sent on this interface; it counts as sent then.
    pub(crate) fn may_make(&mut self, interface: u32, now: Instant) -> bool {
        self.made.retain(|(_, at)| now < *at + INTERVAL);
        let may = self.made.len() < MAX_INTERFACES
            && !self.made.iter().any(|(other, _)| *other == interface);
        if may {
            self.made.push((interface, now));
        }
        may
    }

    /// Reads what came from `source` and may be a beacon.
    ///
    /// # Errors
    /// Why it is none for us.
    pub(crate) fn read<'a>(
        &mut self,
        now: Instant,
        reader: Reader<'_, impl Iterator<Item = &'a Secret>>,
        source: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), DropReason> {
        let beacon = match Packet::parse(datagram) {
            Ok(Packet::Beacon(beacon)) => beacon,
            Ok(_) => return Err(DropReason::Unsolicited),
            Err(error) => return Err(error.into()),
        };
        if !self.opened.take(now, &OPENED, 0) {
            return Err(DropReason::RateLimited);
        }
        let Reader { mut psks, application, id } = reader;
        let content = psks.find_map(|psk| seal::open(psk, application, beacon));
        let content = content.ok_or(DropReason::Authentication)?;
        let theirs = PeerId::from_bytes(content.identity).map_err(|_| DropReason::BadIdentity)?;
        // What we say comes back to us.
        if theirs == id {
            return Err(DropReason::Duplicate);
        }
        let address = content.address(source);
        if address.port() == 0 || !is_host(source.ip()) {
            return Err(DropReason::Malformed);
        }
        let hint = Hint { id: theirs, address, forwards: content.forwards() };
        if self.hints.note(hint, now) { Ok(()) } else { Err(DropReason::RateLimited) }
    }

    /// Whether somebody is said to be at this host. Whoever said so may have meant harm to it.
    pub(crate) fn names(&self, ip: IpAddr) -> bool {
        self.hints.names(ip)
    }

    /// Who was heard of lately.
    pub(crate) fn discovered(&self, now: Instant) -> impl Iterator<Item = Discovered> + '_ {
        self.hints.list(now)
    }

    /// Whether somebody may have been heard of and not yet told of.
    pub(crate) const fn has_events(&self) -> bool {
        self.hints.has_news()
    }

    /// Who was heard of and not yet told of.
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.hints.poll()
    }
}

/// The bytes of a beacon, sealed with the secret of the network and this salt, which is used for no other.
pub(crate) fn beacon(
    psk: &Secret,
    application: &[u8; 16],
    salt: [u8; 16],
    content: &BeaconContent,
) -> [u8; BEACON_LEN] {
    let mut bytes = [0; BEACON_LEN];
    bytes.copy_from_slice(seal::seal(psk, application, salt, content).as_bytes());
    bytes
}

/// Whether an address can be that of one host.
fn is_host(ip: IpAddr) -> bool {
    let is_broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    !ip.is_unspecified() && !ip.is_multicast() && !is_broadcast
}

#[cfg(test)]
mod tests;
