//! Asking a router by PCP, or by NAT-PMP where PCP is not known.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::PortProtocol;
use super::client::{Grant, Request};
use super::message::{self, Answer, Granted, Wish};

/// Asks for the port, or gives it back if for no time.
///
/// # Errors
/// When the router says nothing or no.
pub(super) fn ask(router: SocketAddr, request: &Request, life: Duration) -> io::Result<Grant> {
    let socket = UdpSocket::bind(if router.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    // So nobody else's answers are heard.
    socket.connect(router)?;
    let wish = Wish {
        client: socket.local_addr()?.ip(),
        port: request.port,
        external: request.external,
        seconds: u32::try_from(life.as_secs()).unwrap_or(u32::MAX),
        nonce: request.nonce,
    };
    let pcp = message::pcp_request(&wish);
    match exchange(&socket, &pcp, |bytes| message::pcp_answer(&wish, bytes)) {
        Ok(Some(granted)) => checked(granted, PortProtocol::Pcp, life),
        // It does not know PCP, or says nothing to it.
        Ok(None) => ask_pmp(&socket, &wish, life),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => ask_pmp(&socket, &wish, life),
        Err(error) => Err(error),
    }
}

fn ask_pmp(socket: &UdpSocket, wish: &Wish, life: Duration) -> io::Result<Grant> {
    let other = || io::Error::other("an answer of another version");
    let address = exchange(socket, &message::PMP_ADDRESS_REQUEST, message::pmp_address)?;
    let request = message::pmp_request(wish);
    let granted = exchange(socket, &request, |bytes| message::pmp_answer(wish, bytes))?;
    let (ip, (port, life_granted)) = (address.ok_or_else(other)?, granted.ok_or_else(other)?);
    let granted = Granted { external: (ip, port).into(), life: life_granted };
    checked(granted, PortProtocol::NatPmp, life)
}

/// Sends until an answer comes, four times at most. `None`: the router speaks another version.
fn exchange<T>(
    socket: &UdpSocket,
    request: &[u8],
    read: impl Fn(&[u8]) -> Answer<T>,
) -> io::Result<Option<T>> {
    let (mut patience, mut refusals) = (FIRST_PATIENCE, 0);
    for _ in 0..TRIES {
        let mut failure = socket.send(request).err();
        let until = Instant::now() + patience;
        let mut buffer = [0; 1100];
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            socket.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            let len = match socket.recv(&mut buffer) {
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    failure = Some(error);
                    break;
                }
                Err(_) => continue,
            };
            match read(&buffer[..len]) {
                Answer::Yes(answer) => return Ok(Some(answer)),
                Answer::No(code) => {
                    return Err(io::Error::other(format!("the router refused (code {code})")));
                }
                Answer::OtherVersion => return Ok(None),
                Answer::Stray => {}
            }
        }
        if let Some(error) = failure {
            refusals += 1;
            // Once it may be news of an earlier datagram.
            if refusals > 1 {
                return Err(error);
            }
        }
        patience *= 2;
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "the router does not answer"))
}

/// A grant that leads somewhere, or the end of one.
fn checked(granted: Granted, protocol: PortProtocol, wanted: Duration) -> io::Result<Grant> {
    let Granted { external, life } = granted;
    let is_somewhere = !external.ip().is_unspecified() && external.port() != 0;
    if wanted.is_zero() || (is_somewhere && !life.is_zero()) {
        return Ok(Grant { external, life, protocol });
    }
    Err(io::Error::other("the router has no address of its own"))
}

/// RFC 6886 section 3.1: 250 ms, then twice as long each time. Nine times would be a minute.
const FIRST_PATIENCE: Duration = Duration::from_millis(250);
const TRIES: usize = 4;
