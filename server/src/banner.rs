//! What the server says about itself on stdout: who and where it is, and how to reach it.

use std::env;
use std::fmt::Write;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::thread;

use handfast_core::PeerId;
use handfast_udp::explain;

use crate::error::Error;

/// Prints what was asked for to stdout.
///
/// # Errors
/// When stdout is closed or full.
pub fn print(text: &str) -> Result<(), Error> {
    write(text).map_err(|error| Error::Run(format!("cannot write to stdout: {}", explain(&error))))
}

/// Prints to stdout on the side: whoever does not read it is no reason to wait or to end.
///
/// # Errors
/// When the system has no thread to give.
pub fn announce(text: String) -> Result<(), Error> {
    let print = move || {
        if let Err(error) = write(&text) {
            let error = explain(&error);
            tracing::warn!(%error, "stdout takes nothing: it would show how to reach this server");
        }
    };
    let thread = thread::Builder::new().name("stdout".to_owned()).spawn(print);
    thread.map(drop).map_err(|error| Error::Run(format!("cannot start: {}", explain(&error))))
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    io::Write::write_all(&mut stdout, text.as_bytes())?;
    io::Write::flush(&mut stdout)
}

/// Who we are, where, and how to reach us: from this machine and from others.
#[must_use]
pub fn text(runtime: &str, id: &PeerId, addresses: &[SocketAddr]) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!("p2p_server {version} on {runtime}\npeer id    {id}\n");
    for address in addresses {
        let both = if is_dual(address) { " (IPv6 and IPv4)" } else { "" };
        line(&mut text, format_args!("listening  {address}{both}"));
    }
    let machine = machine();
    let reachable = |bound: &SocketAddr| reachable(*bound, &machine);
    let targets: Vec<_> = addresses.iter().flat_map(reachable).collect();
    for target in &targets {
        line(&mut text, format_args!("reached at {id}@{target}"));
    }
    // Those who built it have the client too.
    if let Some(target) = targets.first()
        && env::var_os("CARGO_MANIFEST_DIR").is_some()
    {
        line(&mut text, format_args!("try        {CLIENT} {id}@{target}"));
    }
    text
}

/// The addresses by which a client can reach a socket: this machine's own name for itself first.
fn reachable(bound: SocketAddr, machine: &[IpAddr]) -> Vec<SocketAddr> {
    if !bound.ip().is_unspecified() {
        return vec![bound];
    }
    let reached = machine.iter().filter(|ip| bound.is_ipv6() || ip.is_ipv4());
    reached.map(|ip| SocketAddr::from((*ip, bound.port()))).collect()
}

/// The addresses of this machine: its own name for itself, then IPv4, then IPv6. Without those that mean
/// something on one link only.
fn machine() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::debug!(error = %explain(&error), "the system does not tell its addresses");
        Vec::new()
    });
    let is_useful = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
        IpAddr::V6(ip) => *ip != Ipv6Addr::LOCALHOST && !ip.is_unicast_link_local(),
    };
    let mut ips: Vec<_> =
        interfaces.iter().map(if_addrs::Interface::ip).filter(is_useful).collect();
    ips.sort_unstable();
    ips.dedup();
    ips.insert(0, Ipv4Addr::LOCALHOST.into());
    ips
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
    fn every_address_of_the_machine_can_be_dialled_as_it_is_shown() {
        let id = Identity::from_seed([1; 32]).id();
        for bound in ["[::]:4263", "0.0.0.0:4263", "127.0.0.1:4263"] {
            let shown = text("tokio", &id, &[bound.parse().expect("an address")]);
            assert!(shown.contains(&format!("reached at {id}@127.0.0.1:4263\n")), "{shown}");
            for target in shown.lines().filter_map(|line| line.strip_prefix("reached at ")) {
                let (peer, address) = target.split_once('@').expect("ID@IP:PORT");
                let address: SocketAddr = address.parse().expect("an address");
                assert_eq!((peer, address.port()), (id.to_string().as_str(), 4263));
                assert!(!address.ip().is_unspecified(), "{shown}");
            }
        }
    }

    #[test]
    fn a_socket_is_reached_by_the_addresses_of_its_family() {
        let machine = ["127.0.0.1", "192.0.2.1", "2001:db8::1"];
        let machine = machine.map(|ip| ip.parse::<IpAddr>().expect("an address"));
        let of = |bound: &str| {
            let found = reachable(bound.parse().expect("an address"), &machine);
            found.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of("0.0.0.0:7"), "127.0.0.1:7 192.0.2.1:7");
        assert_eq!(of("[::]:7"), "127.0.0.1:7 192.0.2.1:7 [2001:db8::1]:7");
        assert_eq!(of("192.0.2.9:7"), "192.0.2.9:7");
    }
}
