//! The loop.

use std::hint;
use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use handfast_core::Event;
use handfast_udp::{Beacons, fire_timers};

use crate::Endpoint;
use crate::beacons::{BEACONS, BeaconSocket};
use crate::endpoint::WAKER;
use crate::port::{Port, socket_of};

impl Endpoint {
    /// Does what is due, waiting for something to become due for at most `max_wait` (`None`: as
    /// long as it takes), then returns. Call it forever, and [`Self::poll_event`] in between.
    ///
    /// It returns without waiting while events are to be polled or work is left: a turn is bounded,
    /// so that neither a flood of datagrams nor a long transmission holds back the rest: it takes in at most 64
    /// datagrams, sends no fewer than it took in if there are so many, and lasts a few milliseconds. So one turn a frame is too little for a game under heavy
    /// traffic: datagrams would wait for frames. Give it the rest of each frame, turn after turn, as the example
    /// `game_loop` does.
    ///
    /// # Errors
    /// When polling fails, or a socket for good. Datagrams that cannot be sent are no errors.
    pub fn turn(&mut self, max_wait: Option<Duration>) -> io::Result<()> {
        let wait = self.prepare(max_wait)?;
        self.poll(wait)?;
        self.traffic.receive(&mut self.core, &self.clock)?;
        self.exchange_beacons();
        self.run_jobs();
        fire_timers(&mut self.core, self.clock.now());
        self.dial_again();
        self.transmit()?;
        self.peek_event();
        Ok(())
    }

    /// For a loop of your own that polls this endpoint beside other things: call it right before you
    /// poll. It sends what commands left to be sent, and returns for how long your poll may wait at most,
    /// given that it need not wait longer than `max_wait` (`None`: for ever). Afterwards call
    /// [`Self::turn`] with a wait of zero, whatever your poll told. On Unix an endpoint can be registered
    /// with your [`mio::Poll`] as it is:
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use handfast_mio::{Config, Endpoint, Identity, entropy};
    /// use mio::{Events, Interest, Poll, Token};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(64));
    /// let loopback: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
    /// let mut endpoint = Endpoint::bind(Config::default(), Identity::from_seed(entropy()?), loopback)?;
    /// # #[cfg(unix)]
    /// poll.registry().register(&mut endpoint, Token(7), Interest::READABLE)?;
    /// // Register what else there is, and then, again and again:
    /// let wait = endpoint.prepare(Some(Duration::from_millis(10)))?;
    /// poll.poll(&mut events, wait)?;
    /// endpoint.turn(Some(Duration::ZERO))?;
    /// while let Some(event) = endpoint.poll_event() {
    ///     println!("{event:?}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`Self::turn`].
    pub fn prepare(&mut self, max_wait: Option<Duration>) -> io::Result<Option<Duration>> {
        self.transmit()?;
        for port in self.traffic.ports_mut() {
            port.arm(self.poll.registry())?;
        }
        Ok(self.wait(max_wait))
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.peek_event();
        let event = self.next_event.take();
        // To look for the next one gives the peer up, which may come to another shard then: the application is told first.
        let is_end = matches!(event, Some(Event::Ended { .. }));
        if !(is_end && self.is_sharded()) {
            self.peek_event();
        }
        event
    }

    /// Runs the loop, handing every event to `handler`, until it says [`ControlFlow::Break`] or the
    /// endpoint is closed ([`Self::close`], by the handler or through a [`crate::Remote`]).
    ///
    /// # Errors
    /// Those of [`Self::turn`].
    pub fn run(
        &mut self,
        mut handler: impl FnMut(&mut Self, Event) -> ControlFlow<()>,
    ) -> io::Result<()> {
        while !self.is_closed() {
            self.turn(None)?;
            for _ in 0..EVENTS_PER_TURN {
                let Some(event) = self.poll_event() else { break };
                if handler(self, event).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn peek_event(&mut self) {
        if self.next_event.is_none() {
            let Self { core, clock, traffic, poll, .. } = self;
            let make = |socket, io| Port::new(io, socket, poll.registry());
            let close = |port: Port| port.close(poll.registry());
            self.next_event = traffic.poll_event(core, clock, make, close);
            if let Some(event) = &self.next_event {
                self.kept.on_event(self.clock.now(), event);
            }
        }
    }

    /// Beacons, out and in. What is left of them makes the next turn come at once.
    fn exchange_beacons(&mut self) {
        let Self { core, clock, traffic, discovery: Some(discovery), poll, .. } = self else {
            return;
        };
        let bound = || traffic.addresses().map(|(_, address)| address);
        discovery.turn(core, clock.now(), bound, |io| BeaconSocket::new(io, poll.registry()));
    }

    fn dial_again(&mut self) {
        let Self { core, clock, kept, .. } = self;
        let now = clock.now();
        kept.dial(now, |target| core.connect(now, target));
    }

    /// How long nothing will be due.
    fn wait(&mut self, max_wait: Option<Duration>) -> Option<Duration> {
        self.peek_event();
        // What closes the endpoint may be what a turn begins with: nothing follows that.
        let busy = self.is_closed()
            || self.next_event.is_some()
            || self.more_jobs
            || self.more_to_send
            || self.traffic.is_behind()
            || self.traffic.ports().any(|(_, port)| port.is_readable())
            || self.discovery.iter().flat_map(Beacons::ports).any(BeaconSocket::is_readable);
        if busy {
            return Some(Duration::ZERO);
        }
        let traffic = self.traffic.deadline(&self.clock);
        let beacons = self.discovery.as_ref().map(Beacons::deadline);
        let due = self.core.poll_timeout().into_iter().chain(traffic).chain(beacons);
        let deadline = due.chain(self.kept.deadline()).min();
        let deadline = deadline.map(|deadline| self.clock.until(deadline));
        match (deadline, max_wait) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (one, other) => one.or(other),
        }
    }

    fn poll(&mut self, wait: Option<Duration>) -> io::Result<()> {
        match self.poll_busily(wait) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        for event in &self.readiness {
            if event.token() == WAKER {
                self.more_jobs = true;
                continue;
            }
            if event.token() == BEACONS {
                let beacons = self.discovery.iter_mut().flat_map(Beacons::ports_mut);
                beacons.for_each(BeaconSocket::on_readable);
                continue;
            }
            let port = socket_of(event.token()).and_then(|id| self.traffic.port_mut(id));
            let Some(port) = port else { continue };
            // An error is news for the reader: the read will tell.
            if event.is_readable() || event.is_error() {
                port.on_readable();
            }
            if event.is_writable() {
                port.on_writable();
            }
        }
        Ok(())
    }

    /// Waits for readiness; first without sleeping, for as long as that was chosen.
    fn poll_busily(&mut self, wait: Option<Duration>) -> io::Result<()> {
        let longest = wait.map_or(self.busy_poll, |wait| wait.min(self.busy_poll));
        if longest.is_zero() {
            return self.poll.poll(&mut self.readiness, wait);
        }
        let began = Instant::now();
        while began.elapsed() < longest {
            self.poll.poll(&mut self.readiness, Some(Duration::ZERO))?;
            if !self.readiness.is_empty() {
                return Ok(());
            }
            hint::spin_loop();
        }
        self.poll.poll(&mut self.readiness, wait.map(|wait| wait.saturating_sub(longest)))
    }

    fn run_jobs(&mut self) {
        if let Some(address) = self.jobs.take_mapped() {
            self.core.set_mapped_addresses(self.clock.now(), address);
        }
        if !self.more_jobs {
            return;
        }
        for _ in 0..JOBS_PER_TURN {
            let Some(job) = self.jobs.next() else {
                self.more_jobs = false;
                return;
            };
            job(self);
        }
    }

    fn transmit(&mut self) -> io::Result<()> {
        self.more_to_send = self.traffic.transmit(&mut self.core, &self.clock)?;
        self.traffic.shutdown(&self.core, self.clock.now());
        // The core has seen later times.
        self.recent.expire();
        Ok(())
    }
}

/// Bounds of one turn: a few milliseconds at most. A turn that hits one is followed by another
/// that does not wait.
const EVENTS_PER_TURN: usize = 256;
const JOBS_PER_TURN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use handfast_core::{Config, DisconnectOptions, Identity, SocketId};
    #[cfg(target_os = "linux")]
    use handfast_udp::faults::steer_in_kernel;
    use std::net::{SocketAddr, UdpSocket};

    #[test]
    fn a_socket_that_the_core_asks_for_is_opened_and_polled() {
        let loopback: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let identity = Identity::from_seed([1; 32]);
        let endpoint = Endpoint::bind(Config::default(), identity, loopback);
        let mut endpoint = endpoint.expect("bound");
        let wanted = endpoint.core.request_socket(endpoint.clock.now(), loopback).expect("room");
        endpoint.turn(Some(Duration::ZERO)).expect("no fatal error");
        assert_eq!(endpoint.poll_event(), None, "it is not for the application");
        let sockets: Vec<_> = endpoint.traffic.ports().map(|(socket, _)| socket).collect();
        assert_eq!(sockets, [SocketId(0), wanted]);

        let address = endpoint.local_address(wanted).expect("open");
        endpoint.turn(Some(Duration::ZERO)).expect("no fatal error");
        UdpSocket::bind(loopback).expect("bound").send_to(b"x", address).expect("sent");
        // A poll may end for no reason.
        for _ in 0..10 {
            if endpoint.socket_stats().datagrams_received == 0 {
                endpoint.turn(Some(Duration::from_secs(60))).expect("no fatal error");
            }
        }
        assert_eq!(endpoint.socket_stats().datagrams_received, 1);
    }

    #[test]
    fn a_busy_poll_ends_with_the_wait_and_finds_what_comes_meanwhile() {
        let loopback: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let identity = Identity::from_seed([1; 32]);
        let endpoint = Endpoint::bind(Config::default(), identity, loopback);
        let mut endpoint = endpoint.expect("bound");
        endpoint.set_busy_poll(Duration::MAX);
        endpoint.turn(Some(Duration::from_millis(1))).expect("no fatal error");
        UdpSocket::bind(loopback)
            .and_then(|io| io.send_to(b"x", endpoint.local_addresses()[0]))
            .expect("sent");
        while endpoint.socket_stats().datagrams_received == 0 {
            endpoint.turn(None).expect("no fatal error");
        }
        let remote = endpoint.remote();
        let closing =
            std::thread::spawn(move || remote.run(|it| it.close(DisconnectOptions::now())));
        while !endpoint.is_closed() {
            endpoint.turn(None).expect("no fatal error");
        }
        closing.join().expect("no panic").expect("it lives");
    }

    /// Else what another shard has for this one waits until something else wakes it.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_call_of_another_shard_at_any_moment_of_a_turn_is_not_slept_over() {
        let loopback: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let identity = Identity::from_seed([1; 32]);
        steer_in_kernel(false);
        let bound = Endpoint::bind_shards(Config::default(), identity, loopback, 2);
        let Ok([mut first, mut second]) = <[Endpoint; 2]>::try_from(bound.expect("bound")) else {
            panic!("two shards");
        };
        let stranger = whoever_comes_to(&mut first, &mut second);
        for moment in 0..4 {
            let before = second.core.stats().datagrams_received;
            let mut call_at = |now| {
                if moment == now {
                    cross_over(&stranger, &mut first);
                }
            };
            call_at(0);
            let wait = second.prepare(Some(Duration::ZERO)).expect("no fatal error");
            call_at(1);
            second.poll(wait).expect("polled");
            call_at(2);
            second.traffic.receive(&mut second.core, &second.clock).expect("no fatal error");
            call_at(3);
            second.run_jobs();
            second.transmit().expect("no fatal error");
            second.peek_event();
            if second.core.stats().datagrams_received == before {
                second.poll(Some(Duration::from_secs(60))).expect("polled");
                assert!(!second.readiness.is_empty(), "moment {moment}: slept over");
                second.turn(Some(Duration::ZERO)).expect("no fatal error");
            }
            assert_eq!(second.core.stats().datagrams_received, before + 1, "moment {moment}");
        }
    }

    /// Names the second shard.
    #[cfg(target_os = "linux")]
    const STRANGE: [u8; 9] = [0xc4, 6, 0, 0, 1, 0, 0, 0, 0];

    /// A socket from which the system delivers to the first.
    #[cfg(target_os = "linux")]
    fn whoever_comes_to(first: &mut Endpoint, second: &mut Endpoint) -> UdpSocket {
        let address = first.local_addresses()[0];
        loop {
            let stranger = UdpSocket::bind("127.0.0.1:0").expect("bound");
            let received = second.core.stats().datagrams_received;
            stranger.send_to(&STRANGE, address).expect("sent");
            while second.core.stats().datagrams_received == received {
                first.turn(Some(Duration::from_millis(1))).expect("no fatal error");
                second.turn(Some(Duration::from_millis(1))).expect("no fatal error");
            }
            if first.socket_stats().datagrams_handed_over > 0 {
                // A call may wake us once more than there is something.
                second.turn(Some(Duration::ZERO)).expect("no fatal error");
                return stranger;
            }
        }
    }

    #[cfg(target_os = "linux")]
    fn cross_over(stranger: &UdpSocket, first: &mut Endpoint) {
        let before = first.socket_stats().datagrams_handed_over;
        stranger.send_to(&STRANGE, first.local_addresses()[0]).expect("sent");
        while first.socket_stats().datagrams_handed_over == before {
            first.turn(Some(Duration::from_secs(60))).expect("no fatal error");
        }
    }
}
