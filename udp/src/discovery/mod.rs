//! Beacons of the local network: sockets beside those of the protocol.

mod interface;
mod socket;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use handfast_core::{Discovery, Endpoint, Instant};

use crate::explain;
use interface::Interface;

/// A socket of a runtime on which beacons arrive.
pub trait BeaconPort {
    /// Reads one datagram.
    ///
    /// # Errors
    /// `WouldBlock` when there is none. Others are of no consequence.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)>;
}

/// Sends and hears beacons on every interface by which the sockets of an endpoint are reached, as
/// [`Config::discovery`](handfast_core::Config::discovery) says. Interfaces may come and go.
///
/// What the system refuses is left out, and logged once for each interface.
pub struct Beacons<P> {
    choices: Discovery,
    listening: Vec<Listening<P>>,
    next: Instant,
    /// What was refused and logged.
    refused: BTreeSet<(String, bool)>,
}

/// A socket that hears the beacons of one interface and family.
struct Listening<P> {
    interface: Interface,
    is_v4: bool,
    port: P,
}

impl<P: BeaconPort> Beacons<P> {
    /// `None` if beacons are neither sent nor listened to.
    #[must_use]
    pub fn new(choices: Discovery, now: Instant) -> Option<Self> {
        let is_wanted = choices.announce || choices.listen;
        let (listening, refused) = Default::default();
        is_wanted.then_some(Self { choices, listening, next: now, refused })
    }

    /// When the next [`turn`](Self::turn) has something to do that no socket tells of.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.next
    }

    /// The sockets, to be waited for.
    pub fn ports(&self) -> impl Iterator<Item = &P> {
        self.listening.iter().map(|listening| &listening.port)
    }

    /// The same, to change their state.
    pub fn ports_mut(&mut self) -> impl Iterator<Item = &mut P> {
        self.listening.iter_mut().map(|listening| &mut listening.port)
    }

    /// Hands beacons to the core, 16 of each socket at most, and sends those that are due. `bound` are the addresses of
    /// the endpoint's sockets, `make` makes a port of a socket. Returns whether there may be more to read.
    pub fn turn<A: Iterator<Item = SocketAddr>>(
        &mut self,
        core: &mut Endpoint,
        now: Instant,
        bound: impl FnOnce() -> A,
        make: impl FnMut(UdpSocket) -> io::Result<P>,
    ) -> bool {
        if now >= self.next {
            self.next = now + BEAT;
            self.beat(core, now, &bound().collect::<Vec<_>>(), make);
        }
        let mut more = false;
        for listening in &mut self.listening {
            more |= listening.receive(core, now);
        }
        more
    }

    /// Looks at the interfaces anew, and sends a beacon on each.
    fn beat(
        &mut self,
        core: &mut Endpoint,
        now: Instant,
        bound: &[SocketAddr],
        mut make: impl FnMut(UdpSocket) -> io::Result<P>,
    ) {
        let mut interfaces = match Interface::list() {
            Ok(interfaces) => interfaces,
            Err(error) => return self.refuse("all interfaces", true, &error),
        };
        interfaces.retain(|one| bound.iter().any(|at| one.reached(*at) != [None, None]));
        if self.choices.listen {
            self.listen(&interfaces, &mut make);
        }
        if self.choices.announce {
            for interface in interfaces.iter().take(MAX_INTERFACES) {
                self.announce(core, now, bound, interface);
            }
        }
    }

    /// Closes sockets of interfaces that are gone or have other addresses now, and opens those that are missing.
    fn listen(
        &mut self,
        interfaces: &[Interface],
        make: &mut impl FnMut(UdpSocket) -> io::Result<P>,
    ) {
        self.listening.retain(|listening| interfaces.contains(&listening.interface));
        for interface in interfaces.iter().take(MAX_INTERFACES) {
            for is_v4 in [true, false] {
                let is_same = |listening: &Listening<P>| {
                    listening.interface == *interface && listening.is_v4 == is_v4
                };
                if !interface.has(is_v4) || self.listening.iter().any(is_same) {
                    continue;
                }
                match socket::listen(interface, is_v4).and_then(&mut *make) {
                    Ok(port) => {
                        let interface = interface.clone();
                        self.listening.push(Listening { interface, is_v4, port });
                    }
                    Err(error) => self.refuse(&interface.name, is_v4, &error),
                }
            }
        }
    }

    /// Says on one interface at which port we are. It goes by both families if one port is reached by both.
    fn announce(
        &mut self,
        core: &mut Endpoint,
        now: Instant,
        bound: &[SocketAddr],
        interface: &Interface,
    ) {
        let reaching = |at: &&SocketAddr| interface.reached(**at) != [None, None];
        let Some(first) = bound.iter().find(reaching) else { return };
        let Some(beacon) = core.make_beacon(now, interface.index, first.port()) else { return };
        let of_port = bound.iter().filter(|at| at.port() == first.port());
        let reached = of_port
            .map(|at| interface.reached(*at))
            .fold([None; 2], |sum, one| [sum[0].or(one[0]), sum[1].or(one[1])]);
        for own in reached.into_iter().flatten() {
            if let Err(error) = socket::send(interface, own, &beacon) {
                self.refuse(&interface.name, own.is_ipv4(), &error);
            }
        }
    }

    fn refuse(&mut self, interface: &str, is_v4: bool, error: &io::Error) {
        if self.refused.len() < MAX_REFUSED && self.refused.insert((interface.to_owned(), is_v4)) {
            let (family, error) = (if is_v4 { "IPv4" } else { "IPv6" }, explain(error));
            tracing::warn!(
                target: "handfast::driver", interface, family, %error, "no beacons here",
            );
        }
    }
}

impl<P: BeaconPort> Listening<P> {
    fn receive(&mut self, core: &mut Endpoint, now: Instant) -> bool {
        // A beacon is shorter; what is longer is cut, and none.
        let mut buffer = [0; 128];
        for _ in 0..BEACONS_PER_TURN {
            match self.port.receive(&mut buffer) {
                Ok((len, source)) if self.interface.contains(source) => {
                    core.handle_beacon(now, source, &buffer[..len.min(buffer.len())]);
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // It may be news of another datagram, or the interface is gone: then the next beat closes the socket.
                Err(_) => return false,
            }
        }
        true
    }
}

impl<P> fmt::Debug for Beacons<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names =
            self.listening.iter().map(|listening| (&listening.interface.name, listening.is_v4));
        f.debug_struct("Beacons")
            .field("listening", &names.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// The time from one beacon to the next. The core makes none within 5 s.
const BEAT: Duration = Duration::from_millis(5_200);
const BEACONS_PER_TURN: usize = 16;
/// More are no networks of people.
const MAX_INTERFACES: usize = 32;
const MAX_REFUSED: usize = 64;
