//! Two neighbours on one cable that know neither a server nor an address.

use std::fmt;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use handfast_core::{Config, DisconnectOptions, NetworkSecret, Target};

use super::network::Network;
use super::world::plug;
use crate::{Node, Runtime, Setup};

/// One says where it is, the other listens, and calls it there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    /// What drives who says it, and who listens.
    runtimes: [Runtime; 2],
    /// Whether it is called over IPv6.
    is_v6: bool,
}

impl Link {
    /// Each pair of runtimes, over both families.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let pairs = Runtime::ALL.into_iter().flat_map(|one| Runtime::ALL.map(|other| [one, other]));
        let families: &[bool] = if has_v6() { &[false, true] } else { &[false] };
        pairs
            .flat_map(|runtimes| families.iter().map(move |is_v6| Self { runtimes, is_v6: *is_v6 }))
    }

    /// Plays it.
    ///
    /// # Errors
    /// When the system refuses, or they do not find each other.
    pub(super) fn play(self) -> io::Result<()> {
        let networks = [Network::new()?, Network::new()?];
        if has_v6() {
            // An address is there at once, instead of after a second in which nobody objected.
            networks.iter().try_for_each(|one| one.set("ipv6/conf/default/accept_dad", "0"))?;
        }
        plug(&networks[0], "eth0", &networks[1], "eth0", [10, 77, 0])?;
        let start = |at: usize, announce| {
            let mut setup = Setup::new(self.runtimes[at], 1 + at as u8);
            setup.listen = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
            if !has_v6() {
                setup.listen = SocketAddr::from(([0; 4], 0));
            }
            setup.config = config(announce);
            networks[at].run(|| Ok(Node::start(setup)))
        };
        let (caller, called) = (start(1, false)?, start(0, true)?);
        let address = self.find(&caller, &called)?;
        let target = Target::new(called.id(), [address]);
        let connected = caller.connect(target);
        connected.map_err(|reason| io::Error::other(format!("{address}: {reason}")))?;
        if !called.discovered().is_empty() {
            return Err(io::Error::other("somebody was found who said nothing"));
        }
        caller.close(DisconnectOptions::now());
        drop(called.kill());
        Ok(())
    }

    /// Waits for a beacon, and says where it leads in this family.
    fn find(self, caller: &Node, called: &Node) -> io::Result<SocketAddr> {
        let start = Instant::now();
        loop {
            let found = caller.discovered();
            let of_called = found.iter().filter(|one| one.id == called.id());
            let address = of_called.map(|one| one.address).find(|at| at.is_ipv6() == self.is_v6);
            if let Some(address) = address {
                let is_right = address.port() == called.address().port();
                return if is_right { Ok(address) } else { Err(io::Error::other("another port")) };
            }
            if start.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("not found, but {found:?}")));
            }
            thread::sleep(TICK);
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [one, other] = self.runtimes;
        let family = if self.is_v6 { "IPv6" } else { "IPv4" };
        write!(f, "{other:?} finds {one:?} by a beacon over {family}")
    }
}

fn config(announce: bool) -> Config {
    let mut config = Config::default();
    config.network_secret = Some(NetworkSecret::new([7; 32]));
    (config.discovery.listen, config.discovery.announce) = (true, announce);
    config
}

fn has_v6() -> bool {
    Path::new("/proc/sys/net/ipv6").exists()
}

/// Several beacons.
const PATIENCE: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(20);
