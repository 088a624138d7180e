//! Sockets for beacons: one for each interface and family that listens, and one for each beacon that is sent.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use super::Interface;

/// Where beacons go: to a group of the site (RFC 2365), and to one of the link (RFC 4291 section 2.7, not permanent).
pub(super) const GROUP_V4: Ipv4Addr = Ipv4Addr::new(239, 255, 66, 99);
pub(super) const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff12, 0, 0, 0, 0, 0, 0x6861, 0x6e64);
/// The port of both, and of broadcasts.
pub(super) const PORT: u16 = 4262;

/// A socket that hears the beacons of an interface. Others on this machine may have one as well.
///
/// # Errors
/// When the system refuses, above all where there is no multicast.
pub(super) fn listen(interface: &Interface, is_v4: bool) -> io::Result<UdpSocket> {
    let domain = if is_v4 { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    only_from(&socket, interface, is_v4);
    if is_v4 {
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)).into())?;
        join_v4(&socket, interface)?;
    } else {
        socket.set_only_v6(true)?;
        socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT)).into())?;
        socket.join_multicast_v6(&GROUP_V6, interface.index)?;
    }
    Ok(socket.into())
}

/// Has the socket hear nothing of other interfaces, where the system can do that. Elsewhere the group of this one
/// is joined alone, and sources are looked at in any case.
fn only_from(socket: &Socket, interface: &Interface, is_v4: bool) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let bound = {
        #[cfg(target_os = "linux")]
        let all = if is_v4 {
            socket.set_multicast_all_v4(false)
        } else {
            socket.set_multicast_all_v6(false)
        };
        #[cfg(not(target_os = "linux"))]
        let all = io::Result::Ok(drop(is_v4));
        all.and_then(|()| socket.bind_device(Some(interface.name.as_bytes())))
    };
    #[cfg(any(target_os = "macos", target_os = "ios"))]
    let bound = {
        let index = std::num::NonZeroU32::new(interface.index);
        if is_v4 {
            socket.bind_device_by_index_v4(index)
        } else {
            socket.bind_device_by_index_v6(index)
        }
    };
    #[cfg(not(any(
        target_os = "linux",
        target_os = "android",
        target_os = "macos",
        target_os = "ios"
    )))]
    let bound: io::Result<()> = {
        let _unused = (socket, is_v4);
        Err(io::ErrorKind::Unsupported.into())
    };
    if let Err(error) = bound {
        let interface = &interface.name;
        tracing::debug!(target: "handfast::driver", interface, %error, "beacons of other interfaces are heard too");
    }
}

/// Joins by the number of the interface, or by its address where the system knows no numbers (Wine: `InvalidInput`).
fn join_v4(socket: &Socket, interface: &Interface) -> io::Result<()> {
    let by_index = InterfaceIndexOrAddress::Index(interface.index);
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let joined = socket.join_multicast_v4_n(&GROUP_V4, &by_index);
    joined.or_else(|error| match interface.reached(any) {
        [Some(IpAddr::V4(own)), _] => socket.join_multicast_v4(&GROUP_V4, &own),
        _ => Err(error),
    })
}

/// Sends a beacon from this address of an interface to everyone there. Returns how many ways it went.
///
/// # Errors
/// When it went no way at all.
pub(super) fn send(interface: &Interface, own: IpAddr, beacon: &[u8]) -> io::Result<usize> {
    let domain = if own.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    let mut ways = Vec::new();
    match own {
        IpAddr::V4(own) => {
            socket.bind(&SocketAddr::from((own, 0)).into())?;
            socket.set_multicast_if_v4(&own)?;
            socket.set_multicast_ttl_v4(1)?;
            socket.set_multicast_loop_v4(true)?;
            socket.set_broadcast(true)?;
            let everyone = interface.broadcast(own);
            ways.extend([Some(GROUP_V4), everyone].into_iter().flatten().map(IpAddr::V4));
        }
        IpAddr::V6(own) => {
            socket.bind(&interface.scoped(own, 0).into())?;
            socket.set_multicast_if_v6(interface.index)?;
            socket.set_multicast_hops_v6(1)?;
            socket.set_multicast_loop_v6(true)?;
            ways.push(IpAddr::V6(GROUP_V6));
        }
    }
    let (mut sent, mut refused) = (0, None);
    for to in ways {
        let to = match to {
            IpAddr::V4(to) => SocketAddr::from((to, PORT)),
            IpAddr::V6(to) => interface.scoped(to, PORT),
        };
        match socket.send_to(beacon, &to.into()) {
            Ok(_) => sent += 1,
            Err(error) => refused = Some(error),
        }
    }
    // One way will do.
    match refused {
        Some(error) if sent == 0 => Err(error),
        _ => Ok(sent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    /// On the loopback, the one interface that every machine has.
    #[test]
    fn a_beacon_that_is_sent_is_heard_on_its_interface_with_its_own_address() {
        let interfaces = Interface::list().expect("interfaces");
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let loopback =
            interfaces.into_iter().find(|one| one.reached((here, 0).into()) != [None, None]);
        let loopback = loopback.expect("the loopback");
        let heard = [(); 2].map(|()| listen(&loopback, true).expect("a socket of two that listen"));
        let sent: [u8; 16] = crate::entropy().expect("entropy")[..16].try_into().expect("16");
        assert!(send(&loopback, here, &sent).expect("it went") > 0);
        for socket in heard {
            let (mut buffer, until) = ([0; 64], Instant::now() + Duration::from_secs(60));
            // Others on this machine may say something, too.
            let from = loop {
                match socket.recv_from(&mut buffer) {
                    Ok((len, from)) if buffer[..len] == sent => break from,
                    _ if Instant::now() > until => panic!("nothing was heard"),
                    _ => std::thread::yield_now(),
                }
            };
            assert_eq!(from.ip(), here);
        }
    }
}
