//! Asking the router for a port of its own, by PCP, NAT-PMP or UPnP.
//!
//! `client` is the thread that asks, renews and gives back. It has two ways: `pcp` (PCP, and NAT-PMP where that is not
//! known, in the packets of `message`), of the router that `gateway` tells; and `upnp`, of a router that answers to a call
//! into the network. `news` is what it reports.

mod client;
mod gateway;
mod message;
mod news;
mod pcp;
#[cfg(test)]
mod tests;
mod upnp;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use crate::entropy;
use client::Client;
pub use news::{PortNews, PortProtocol};

/// A port of the router that leads to ours, for as long as this lives: asked for by PCP (RFC 6887), of routers without by
/// NAT-PMP (RFC 6886), of those without either by UPnP (WANIPConnection); asked for again at half its time, and given back
/// in the end.
///
/// It has a thread of its own, which nearly always sleeps. Tell the endpoint of the address that it reports
/// (`set_mapped_addresses`; `map_port` of the runtimes does): peers to which a direct way is looked for are told of it.
///
/// ```no_run
/// use handfast_udp::PortMapping;
///
/// # fn main() -> std::io::Result<()> {
/// let mapping = PortMapping::start(4263, None, |news| println!("{news}"))?;
/// // In the end:
/// mapping.release();
/// # Ok(())
/// # }
/// ```
pub struct PortMapping {
    stop: Sender<()>,
    /// Ends with the thread.
    ended: Receiver<()>,
}

impl PortMapping {
    /// Has the router forward a UDP port to our `port`. `report` is called, by a thread of its own, when it does, and
    /// when nothing does (any more) and why; the first time within a quarter of a minute. After a failure it is tried
    /// again every five minutes.
    ///
    /// `gateway` is the router's address with the port of PCP and NAT-PMP, usually 5351; UPnP is then spoken with that
    /// address alone. `None` for the router by which this machine reaches the internet over IPv4. Linux and Android tell
    /// which one that is; elsewhere it is found only if it speaks UPnP, and what is reported says so otherwise.
    ///
    /// # Errors
    /// When the system has no thread or no randomness to give.
    pub fn start(
        port: u16,
        gateway: Option<SocketAddr>,
        report: impl FnMut(&PortNews) + Send + 'static,
    ) -> io::Result<Self> {
        let mut nonce = [0; 12];
        nonce.copy_from_slice(&entropy()?[..12]);
        let (stop, stopping) = channel();
        let client = Client::new(port, gateway, nonce, stopping);
        let (end, ended) = channel();
        let run = move || {
            client.run(report);
            drop(end);
        };
        thread::Builder::new().name("port-mapping".to_owned()).spawn(run)?;
        Ok(Self { stop, ended })
    }

    /// Gives the port back, and waits until that is done: for five seconds at most, usually none. Dropped instead, it
    /// gives the port back by the way, unless the program ends first: then the router does after an hour at most (one
    /// that speaks UPnP and knows no end of a mapping: never).
    pub fn release(self) {
        let Self { stop, ended } = self;
        drop(stop);
        // Nothing is ever sent: it ends, or it is late.
        ended.recv_timeout(LONGEST_RELEASE).ok();
    }
}

impl fmt::Debug for PortMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PortMapping(..)")
    }
}

/// A router that does not answer is left alone then.
const LONGEST_RELEASE: Duration = Duration::from_secs(5);
