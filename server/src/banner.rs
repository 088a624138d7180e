//! What the server says about itself on stdout: who and where it is, and how to reach it.

use std::env;
use std::fmt::Write;
use std::net::SocketAddr;
use std::thread;

use handfast_core::PeerId;
use handfast_program::{Error, addresses, output};
use handfast_udp::explain;

/// Prints to stdout on the side: whoever does not read it is no reason to wait or to end.
///
/// # Errors
/// When the system has no thread to give.
pub fn announce(text: String) -> Result<(), Error> {
    let print = move || {
        if let Err(error) = output::write(&text) {
            let error = explain(&error);
            tracing::warn!(%error, "stdout takes nothing: it would show how to reach this server");
        }
    };
    let thread = thread::Builder::new().name("stdout".to_owned()).spawn(print);
    thread.map(drop).map_err(|error| Error::Run(format!("cannot start: {}", explain(&error))))
}

/// Who we are, where, and how to reach us: from this machine and from others.
#[must_use]
pub fn text(runtime: &str, id: &PeerId, bound: &[SocketAddr]) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!("p2p_server {version} on {runtime}\npeer id    {id}\n");
    for address in bound {
        let both = if is_dual(address) { " (IPv6 and IPv4)" } else { "" };
        line(&mut text, format_args!("listening  {address}{both}"));
    }
    let targets = addresses::reachable(bound);
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
}
