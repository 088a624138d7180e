//! What the server says about itself on stdout: who and where it is, and how to reach it.

use std::fmt::Write;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use handfast_core::PeerId;
use handfast_udp::explain;

use crate::error::Error;

/// Prints to stdout.
///
/// # Errors
/// When stdout is closed.
pub fn print(text: &str) -> Result<(), Error> {
    io::Write::write_all(&mut io::stdout().lock(), text.as_bytes())
        .map_err(|error| Error::Run(format!("cannot write to stdout: {}", explain(&error))))
}

/// Who we are, where, and the commands that reach us: from this machine and from others.
#[must_use]
pub fn text(runtime: &str, id: &PeerId, addresses: &[SocketAddr]) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!("p2p_server {version} on {runtime}\npeer id    {id}\n");
    for address in addresses {
        let both = if is_dual(address) { " (IPv6 and IPv4)" } else { "" };
        line(&mut text, format_args!("listening  {address}{both}"));
    }
    for address in addresses.iter().flat_map(|address| reachable(*address)) {
        line(&mut text, format_args!("try        {CLIENT} {id}@{address}"));
    }
    text
}

/// The addresses by which a client can reach a socket: the machine's own name for itself first.
fn reachable(bound: SocketAddr) -> Vec<SocketAddr> {
    if !bound.ip().is_unspecified() {
        return vec![bound];
    }
    let mut ips = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
    ips.extend(ip_towards(SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 9))));
    if bound.is_ipv6() {
        let documentation = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        ips.extend(ip_towards(SocketAddr::from((documentation, 9))));
    }
    ips.into_iter().map(|ip| SocketAddr::from((ip, bound.port()))).collect()
}

/// Our address on the way to `destination`, if there is a way. Nothing is sent.
fn ip_towards(destination: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match destination {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(destination).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

fn is_dual(address: &SocketAddr) -> bool {
    address.is_ipv6() && address.ip().is_unspecified()
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a string takes any text");
}

const CLIENT: &str = "cargo run -p handfast-examples --example simple_client --";

#[cfg(test)]
mod tests {
    use super::*;
    use handfast_core::Identity;

    #[test]
    fn the_command_names_an_address_that_can_be_dialled() {
        let id = Identity::from_seed([1; 32]).id();
        for bound in ["[::]:4263", "0.0.0.0:4263", "127.0.0.1:4263"] {
            let shown = text("tokio", &id, &[bound.parse().expect("an address")]);
            assert!(shown.contains(&format!("{CLIENT} {id}@127.0.0.1:4263\n")), "{shown}");
            let dialled = shown.lines().filter(|line| line.starts_with("try"));
            assert!(!dialled.into_iter().any(|line| line.contains("@0.0.0.0")), "{shown}");
        }
    }
}
