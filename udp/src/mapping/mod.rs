//! Asking the router for a port of its own, by PCP or NAT-PMP.

mod gateway;
mod message;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::{entropy, explain};
use message::{Answer, Granted, Wish};

/// A port of the router that leads to ours, for as long as this lives: asked for by PCP (RFC 6887), of routers without by
/// NAT-PMP (RFC 6886), asked for again at half its time, and given back in the end.
///
/// It has a thread of its own, which nearly always sleeps. Tell the endpoint of the address that it reports
/// (`set_mapped_addresses`): peers to which a direct way is looked for are told of it.
///
/// ```no_run
/// use handfast_udp::PortMapping;
///
/// # fn main() -> std::io::Result<()> {
/// let mapping = PortMapping::start(4263, None, |address| match address {
///     Some(address) => println!("others reach us at {address}"),
///     None => println!("the router forwards nothing to us"),
/// })?;
/// // In the end:
/// mapping.release();
/// # Ok(())
/// # }
/// ```
pub struct PortMapping {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl PortMapping {
    /// Has the router forward a UDP port to our `port`. `report` is called, by a thread of its own, with the address at
    /// which others reach us then, whenever it changes, and with `None` when there is none, the first time within a few
    /// seconds. After a failure it is tried again every five minutes.
    ///
    /// `gateway` is the router's address with the port of these protocols, 5351; `None` for the router by which this
    /// machine reaches the internet over IPv4, which is known on Linux alone.
    ///
    /// # Errors
    /// `Unsupported` when the router is not known; others when the system has no thread or no randomness to give.
    pub fn start(
        port: u16,
        gateway: Option<SocketAddr>,
        report: impl FnMut(Option<SocketAddr>) + Send + 'static,
    ) -> io::Result<Self> {
        let gateway = gateway.map_or_else(gateway::default, Ok)?;
        let mut nonce = [0; 12];
        nonce.copy_from_slice(&entropy()?[..12]);
        let (stop, stopping) = channel();
        let client = Client { gateway, port, nonce, external: 0, stopping };
        let run = move || client.run(report);
        let thread = thread::Builder::new().name("port-mapping".to_owned()).spawn(run)?;
        Ok(Self { stop, thread })
    }

    /// Gives the port back, and waits until that is done: for a few seconds at most, usually none. Dropped instead, it
    /// gives the port back by the way, unless the program ends first: then the router does after an hour at most.
    pub fn release(self) {
        let Self { stop, thread } = self;
        drop(stop);
        // A thread that panicked has said so.
        thread.join().ok();
    }
}

impl fmt::Debug for PortMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PortMapping(..)")
    }
}

/// What the thread knows.
struct Client {
    gateway: SocketAddr,
    port: u16,
    nonce: [u8; 12],
    /// The port that we were given last.
    external: u16,
    /// Ends when the mapping is no longer wanted.
    stopping: Receiver<()>,
}

impl Client {
    fn run(mut self, mut report: impl FnMut(Option<SocketAddr>)) {
        let mut held: Option<(SocketAddr, Instant)> = None;
        let mut is_first = true;
        loop {
            let wait = match self.ask(LIFE) {
                Ok(Granted { external, life }) => {
                    if held.is_none_or(|(before, _)| before != external) {
                        tracing::info!(target: "handfast::driver", %external, "the router forwards a port");
                        report(Some(external));
                    }
                    held = Some((external, Instant::now() + life));
                    self.external = external.port();
                    life / 2
                }
                Err(error) => {
                    let (gateway, error) = (self.gateway, explain(&error));
                    tracing::debug!(target: "handfast::driver", %gateway, %error, "no port of the router");
                    let left =
                        held.map(|(_, until)| until.saturating_duration_since(Instant::now()));
                    match left.filter(|left| *left > SOON) {
                        // It is ours for a while yet.
                        Some(left) => left / 2,
                        None => {
                            if held.take().is_some() || is_first {
                                report(None);
                            }
                            RETRY
                        }
                    }
                }
            };
            is_first = false;
            match self.stopping.recv_timeout(wait.clamp(SOON, LONGEST_WAIT)) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if held.is_some()
            && let Err(error) = self.ask(Duration::ZERO)
        {
            let error = explain(&error);
            tracing::debug!(target: "handfast::driver", %error, "the port of the router was not given back");
        }
    }

    /// Asks for the port, or gives it back if for no time.
    fn ask(&self, life: Duration) -> io::Result<Granted> {
        let socket = UdpSocket::bind(if self.gateway.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
        // So nobody else's answers are heard.
        socket.connect(self.gateway)?;
        let wish = Wish {
            client: socket.local_addr()?.ip(),
            port: self.port,
            external: self.external,
            seconds: u32::try_from(life.as_secs()).unwrap_or(u32::MAX),
            nonce: self.nonce,
        };
        let request = message::pcp_request(&wish);
        let by_pcp = self.exchange(&socket, &request, |bytes| message::pcp_answer(&wish, bytes));
        match by_pcp {
            Ok(Some(granted)) => checked(granted, life),
            // It does not know PCP, or says nothing to it.
            Ok(None) => self.ask_pmp(&socket, &wish, life),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                self.ask_pmp(&socket, &wish, life)
            }
            Err(error) => Err(error),
        }
    }

    fn ask_pmp(&self, socket: &UdpSocket, wish: &Wish, life: Duration) -> io::Result<Granted> {
        let other = || io::Error::other("an answer of another version");
        let address = self.exchange(socket, &message::PMP_ADDRESS_REQUEST, message::pmp_address)?;
        let request = message::pmp_request(wish);
        let granted = self.exchange(socket, &request, |bytes| message::pmp_answer(wish, bytes))?;
        let (ip, (port, life_granted)) = (address.ok_or_else(other)?, granted.ok_or_else(other)?);
        checked(Granted { external: (ip, port).into(), life: life_granted }, life)
    }

    /// Sends until an answer comes, four times at most. `None`: the router speaks another version.
    fn exchange<T>(
        &self,
        socket: &UdpSocket,
        request: &[u8],
        read: impl Fn(&[u8]) -> Answer<T>,
    ) -> io::Result<Option<T>> {
        let (mut patience, mut failure) = (FIRST_PATIENCE, None);
        for _ in 0..TRIES {
            // It may be news of the one before: nobody is there yet.
            let sent = socket.send(request);
            let until = Instant::now() + patience;
            let mut buffer = [0; 1100];
            while let Some(left) = until.checked_duration_since(Instant::now()) {
                socket.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
                let Ok(len) = socket.recv(&mut buffer) else { continue };
                match read(&buffer[..len]) {
                    Answer::Yes(answer) => return Ok(Some(answer)),
                    Answer::No(code) => {
                        return Err(io::Error::other(format!("the router refused (code {code})")));
                    }
                    Answer::OtherVersion => return Ok(None),
                    Answer::Stray => {}
                }
            }
            patience *= 2;
            failure = sent.err().or(failure);
        }
        Err(failure.unwrap_or_else(|| io::ErrorKind::TimedOut.into()))
    }
}

/// A grant that leads somewhere, or the end of one.
fn checked(granted: Granted, wanted: Duration) -> io::Result<Granted> {
    let is_somewhere = !granted.external.ip().is_unspecified() && granted.external.port() != 0;
    if wanted.is_zero() || (is_somewhere && !granted.life.is_zero()) {
        return Ok(granted);
    }
    Err(io::Error::other("the router has no address of its own"))
}

/// For how long a port is asked for: what a program that crashed leaves behind.
const LIFE: Duration = Duration::from_secs(3600);
const RETRY: Duration = Duration::from_secs(300);
/// The least time between two requests.
const SOON: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// RFC 6886 section 3.1: 250 ms, then twice as long each time. Nine times would be a minute.
const FIRST_PATIENCE: Duration = Duration::from_millis(250);
const TRIES: usize = 4;
