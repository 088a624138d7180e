//! The core in a loop of your own: a `std` UDP socket, a thread, and nothing else.
//!
//! The core does no I/O and reads no clock. [`Loop::run`] is all there is to driving it, in five
//! steps: hear its events, transmit what it has, sleep until its deadline or a datagram, hand that
//! in, fire the deadline. Both ends run here, each on a thread, over loopback:
//!
//! ```text
//! cargo run -p handfast-examples --example custom_event_loop
//! ```

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant as StdInstant};

use handfast_core::{
    Delivery, DisconnectOptions, DisconnectReason, Endpoint, Event, Identity, Instant,
    MAX_DATAGRAM, Origin, Target, ValidConfig,
};

/// An endpoint and what moves its datagrams.
struct Loop {
    name: &'static str,
    endpoint: Endpoint,
    socket: UdpSocket,
    epoch: StdInstant,
}

impl Loop {
    fn new(name: &'static str) -> Result<Self, Box<dyn Error>> {
        let epoch = StdInstant::now();
        // The system's randomness: once for the key, once for everything else.
        let (mut key, mut seed) = ([0; 32], [0; 32]);
        getrandom::fill(&mut key)?;
        getrandom::fill(&mut seed)?;
        let start = Instant::from_micros(1);
        let endpoint = Endpoint::new(ValidConfig::default(), Identity::from_seed(key), seed, start);
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        Ok(Self { name, endpoint, socket, epoch })
    }

    /// Runs until `on_event` closed the endpoint and all goodbyes are said.
    fn run(&mut self, on_event: fn(&mut Endpoint, Instant, Event)) -> io::Result<()> {
        let mut buffer = [0; MAX_DATAGRAM as usize];
        loop {
            // 1. Events first: what they lead to leaves with the same turn.
            while let Some(event) = self.endpoint.poll_event() {
                println!("{:5}  {event:?}", self.name);
                let now = self.now();
                on_event(&mut self.endpoint, now, event);
            }
            // 2. Datagrams. UDP may lose one here as anywhere: the core copes.
            while let Some(transmit) = self.endpoint.poll_transmit(self.now(), &mut buffer) {
                self.socket.send_to(&buffer[..transmit.len], transmit.destination).ok();
            }
            // All was heard and sent: a closed endpoint has nothing to wake up for.
            if self.endpoint.is_closed() {
                break;
            }
            // 3. Sleep until something is due.
            let deadline = self.endpoint.poll_timeout();
            let wait = deadline.map(|deadline| deadline.saturating_since(self.now()));
            // Zero would mean "for ever" to the socket.
            self.socket.set_read_timeout(wait.map(|wait| wait.max(Duration::from_millis(1))))?;
            // 4. Hand in what arrived.
            match self.socket.recv_from(&mut buffer) {
                Ok((len, from)) => {
                    let (now, origin) = (self.now(), Origin::from_remote(from));
                    self.endpoint.handle_datagram(now, origin, &mut buffer[..len]);
                }
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            // 5. Fire what is due.
            if self.endpoint.poll_timeout().is_some_and(|deadline| deadline <= self.now()) {
                self.endpoint.handle_timeout(self.now());
            }
        }
        println!("{:5}  closed", self.name);
        Ok(())
    }

    fn now(&self) -> Instant {
        let micros = u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX);
        Instant::from_micros(micros.saturating_add(1))
    }
}

/// Alice greets, and leaves when she knows that Bob has it.
fn alice(endpoint: &mut Endpoint, now: Instant, event: Event) {
    match event {
        Event::Connected { peer, .. } => {
            let delivery = Delivery::ordered(0).with_receipt();
            endpoint.send(now, peer, delivery, "hello, Bob".into()).expect("room for one message");
        }
        Event::Fate { .. } => {
            let reason = DisconnectReason::new(0, "see you");
            endpoint
                .close(now, DisconnectOptions::after(Duration::from_secs(1)).with_reason(reason));
        }
        // Nobody answered: the program shall end all the same.
        Event::Ended { .. } => endpoint.close(now, DisconnectOptions::default()),
        _ => {}
    }
}

/// Bob listens, and closes when Alice has gone.
fn bob(endpoint: &mut Endpoint, now: Instant, event: Event) {
    match event {
        Event::Readable { peer } => {
            while let Some(message) = endpoint.receive(now, peer) {
                println!("bob    was told {:?}", String::from_utf8_lossy(&message.payload));
            }
        }
        Event::Ended { .. } => endpoint.close(now, DisconnectOptions::default()),
        _ => {}
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut a, mut b) = (Loop::new("alice")?, Loop::new("bob")?);
    let address: SocketAddr = b.socket.local_addr()?;
    let now = a.now();
    a.endpoint.connect(now, Target::new(b.endpoint.id(), [address]))?;
    let other = thread::spawn(move || b.run(bob));
    a.run(alice)?;
    other.join().map_err(|_| "bob panicked")??;
    Ok(())
}
