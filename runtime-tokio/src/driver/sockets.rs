//! Sockets come and go.

use std::net::SocketAddr;

use handfast_core::{Event, SocketId};
use handfast_udp::SocketError;
use tokio::sync::oneshot;

use crate::port::Port;

use super::Driver;

impl Driver {
    /// Adds a socket for somebody. If nobody is there to learn of it, it is removed again.
    pub(super) fn add_socket(
        &mut self,
        address: SocketAddr,
        reply: oneshot::Sender<Result<SocketId, SocketError>>,
    ) {
        let Self { core, clock, traffic, .. } = self;
        let added = traffic.add(core, clock.now(), address, |_, io| Port::new(io));
        self.publish_addresses();
        if let Err(Ok(socket)) = reply.send(added)
            && let Err(error) = self.remove_socket(socket)
        {
            tracing::debug!(target: "handfast::driver", ?socket, %error, "an unclaimed socket stays");
        }
    }

    pub(super) fn remove_socket(&mut self, socket: SocketId) -> Result<(), SocketError> {
        let port = self.traffic.remove(&mut self.core, self.clock.now(), socket)?;
        drop(port);
        self.publish_addresses();
        Ok(())
    }

    /// The next event, unless it is about a socket that the core wants opened or closed: that is done.
    pub(super) fn next_event(&mut self) -> Option<Event> {
        let Self { core, clock, traffic, .. } = self;
        let (mut opened, mut closed) = (false, false);
        let make = |_, io| {
            opened = true;
            Port::new(io)
        };
        let event = traffic.poll_event(core, clock, make, |_| closed = true);
        if opened || closed {
            self.publish_addresses();
        }
        event
    }

    fn publish_addresses(&self) {
        self.addresses.send_replace(self.traffic.addresses().collect());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use handfast_core::{Identity, ValidConfig};
    use handfast_udp::Listen;
    use tokio::sync::mpsc;

    use super::*;
    use crate::backlog::Backlog;
    use crate::driver::Inputs;

    #[tokio::test]
    async fn a_socket_that_the_core_asks_for_is_opened_and_listed() {
        let loopback: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let (_handles, commands) = mpsc::channel(1);
        let (wake, wakes) = mpsc::unbounded_channel();
        let inputs = Inputs { commands, wakes, wake, last_stats: Arc::default() };
        let (identity, backlog) = (Identity::from_seed([1; 32]), Arc::new(Backlog::new(1, 1)));
        let sockets = (Listen::from(loopback).bind().expect("bound"), None);
        let config = ValidConfig::default();
        let driver = Driver::new(config, identity, Driver::clock(), sockets, inputs, backlog);
        let mut driver = driver.expect("bound");
        let known = driver.addresses();
        let wanted = driver.core.request_socket(driver.clock.now(), loopback).expect("room");
        driver.take_in().expect("no fatal error");
        let sockets: Vec<_> = known.borrow().iter().map(|(socket, _)| *socket).collect();
        assert_eq!(sockets, [SocketId(0), wanted]);
        assert!(known.borrow().iter().all(|(_, address)| address.port() != 0));
        drop(driver);
        assert_eq!(*known.borrow(), []);
    }
}
