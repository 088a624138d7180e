//! Opening sockets.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use handfast_core::canonical;
use socket2::{Domain, Protocol, Socket, Type};

use crate::{explain, steering};

/// The port a handfast peer listens on unless told otherwise.
pub const DEFAULT_PORT: u16 = 4263;

/// Where to listen: one socket per address. The position of an address is its
/// [`handfast_core::SocketId`]. Sockets that are added later have larger ones.
///
/// The default is every address of the machine, IPv6 and IPv4, on port 4263.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    addresses: Vec<SocketAddr>,
    fall_back: bool,
}

impl Listen {
    /// Every address of the machine on `port`: IPv6 and IPv4 by one socket, or IPv4 alone where
    /// there is no IPv6. Port zero lets the system choose one, as fits a client.
    #[must_use]
    pub fn all(port: u16) -> Self {
        Self { addresses: vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))], fall_back: true }
    }

    /// The addresses as they were chosen: a port of zero is not yet one of the system's choice.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Opens the sockets, in order.
    ///
    /// # Errors
    /// Names the address that could not be opened; or that none was given.
    pub fn bind(&self) -> io::Result<Vec<UdpSocket>> {
        if self.addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no address to listen on"));
        }
        if u16::try_from(self.addresses.len()).is_err() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many addresses"));
        }
        self.addresses.iter().map(|address| self.bind_one(*address)).collect()
    }

    /// Opens the sockets for so many shards, which share each address: the system spreads what arrives there over them, and
    /// steers it to the right one if it can. The sockets of each shard, in the order of the addresses.
    ///
    /// # Errors
    /// As [`Self::bind`]; `Unsupported` where the system does not spread datagrams over sockets (elsewhere than on Linux and
    /// Android) and more than one shard is asked for.
    pub fn bind_shards(&self, shards: u16) -> io::Result<Vec<Vec<UdpSocket>>> {
        // Also finds out whether somebody else is there: sockets that share an address let others of the same user share it.
        let firsts = self.bind()?;
        if shards <= 1 {
            return Ok(vec![firsts]);
        }
        let addresses = firsts.iter().map(UdpSocket::local_addr).collect::<io::Result<Vec<_>>>()?;
        drop(firsts);
        let mut of_shards: Vec<Vec<UdpSocket>> = (0..shards).map(|_| Vec::new()).collect();
        for address in addresses {
            for sockets in &mut of_shards {
                sockets.push(open(address, steering::share)?);
            }
            if let Some(socket) = of_shards.first().and_then(|sockets| sockets.last()) {
                steering::attach(socket, address);
            }
        }
        Ok(of_shards)
    }

    fn bind_one(&self, address: SocketAddr) -> io::Result<UdpSocket> {
        bind(address).or_else(|error| match error.kind() {
            // The port is the trouble, not IPv6: another family would only hide it.
            io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
            _ if self.fall_back => {
                let plain = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
                bind(plain).map_err(|_| error)
            }
            _ => Err(error),
        })
    }
}

impl Default for Listen {
    fn default() -> Self {
        Self::all(DEFAULT_PORT)
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self::from(vec![address])
    }
}

impl From<Vec<SocketAddr>> for Listen {
    fn from(addresses: Vec<SocketAddr>) -> Self {
        Self { addresses, fall_back: false }
    }
}

impl From<&[SocketAddr]> for Listen {
    fn from(addresses: &[SocketAddr]) -> Self {
        Self::from(addresses.to_vec())
    }
}

impl<const N: usize> From<[SocketAddr; N]> for Listen {
    fn from(addresses: [SocketAddr; N]) -> Self {
        Self::from(addresses.to_vec())
    }
}

/// Opens a non-blocking UDP socket on `address`, with large buffers if the system grants them.
/// `[::]` takes IPv4 as well; any other IPv6 address takes IPv6 alone.
///
/// # Errors
/// Names the address and the system's reason.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    open(address, |_| Ok(()))
}

/// The same; `prepare` is called before it is bound.
fn open(
    address: SocketAddr,
    prepare: impl FnOnce(&Socket) -> io::Result<()>,
) -> io::Result<UdpSocket> {
    let address = canonical(address);
    try_bind(address, prepare).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on UDP {address}: {}", explain(&error)))
    })
}

fn try_bind(
    address: SocketAddr,
    prepare: impl FnOnce(&Socket) -> io::Result<()>,
) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    prepare(&socket)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // Best effort: the system's limits may be lower, and a small buffer works, if less well.
    for result in
        [socket.set_recv_buffer_size(RECEIVE_BUFFER), socket.set_send_buffer_size(SEND_BUFFER)]
    {
        if let Err(error) = result {
            let error = explain(&error);
            tracing::debug!(target: "handfast::driver", %address, %error, "socket buffer kept small");
        }
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// What the kernel may queue for us, in bytes: about 3 ms at 1.6 Gbit/s. A sender fills it as it fills any
/// queue, and whatever comes meanwhile waits behind: more would make each small message beside bulk older.
const RECEIVE_BUFFER: usize = 512 << 10;
/// What the kernel may queue from us, in bytes: about 10 ms at 1.6 Gbit/s.
const SEND_BUFFER: usize = 2 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// What waits in the kernel makes each message older that comes behind it.
    #[test]
    fn the_kernel_queues_no_more_for_us_than_a_few_milliseconds_of_bulk() {
        let socket = bind((Ipv4Addr::LOCALHOST, 0).into()).expect("bound");
        let queued = socket2::SockRef::from(&socket).recv_buffer_size().expect("a size");
        // Linux grants twice what is asked for, and counts its own records.
        assert!(queued <= 2 * RECEIVE_BUFFER, "{queued} bytes");
    }

    #[test]
    fn a_port_in_use_is_an_error_that_names_the_address() {
        let first = Listen::all(0).bind().expect("bound").remove(0);
        let port = first.local_addr().expect("an address").port();
        let error = Listen::all(port).bind().expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&port.to_string()), "{error}");
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[test]
    fn shards_share_their_addresses_among_themselves_and_with_nobody_else() {
        let addresses = ["127.0.0.1:0", "[::1]:0"].map(|a| a.parse().expect("an address"));
        let bound = |sockets: &Vec<UdpSocket>| -> Vec<SocketAddr> {
            sockets.iter().map(|socket| socket.local_addr().expect("an address")).collect()
        };
        let shards = Listen::from(addresses).bind_shards(3).expect("bound");
        let places: Vec<_> = shards.iter().map(bound).collect();
        assert_eq!(places.len(), 3);
        assert!(places.iter().all(|place| *place == places[0] && place.len() == 2), "{places:?}");
        let again = Listen::from(places[0].clone()).bind_shards(2).expect_err("taken");
        assert_eq!(again.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn every_address_gets_its_socket_in_order() {
        let addresses = ["127.0.0.1:0", "127.0.0.2:0"].map(|a| a.parse().expect("an address"));
        let sockets = Listen::from(addresses).bind().expect("bound");
        let bound = sockets.iter().map(|socket| socket.local_addr().expect("an address").ip());
        assert!(bound.eq(addresses.iter().map(SocketAddr::ip)));
    }

    #[test]
    fn no_address_at_all_is_an_error() {
        let error = Listen::from(Vec::new()).bind().expect_err("nothing to bind");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
