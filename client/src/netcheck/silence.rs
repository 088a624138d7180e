//! What else can be said where a server does not answer.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// How the host of a silent server takes other packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// It says that nobody listens at the port, or somebody on the way says so.
    Refused,
    /// It answers TCP.
    AnswersTcp,
    /// It answers nothing.
    Total,
}

impl Silence {
    /// Sends the host a datagram of one byte, which a server ignores, and calls it by TCP.
    pub(super) async fn of(own: IpAddr, host: Option<SocketAddr>) -> Self {
        let Some(host) = host else { return Self::Total };
        let look = move || {
            if is_refused(own, host) {
                Self::Refused
            } else if answers_tcp(host) {
                Self::AnswersTcp
            } else {
                Self::Total
            }
        };
        tokio::task::spawn_blocking(look).await.unwrap_or(Self::Total)
    }
}

/// Whether the system is told that a datagram found nobody.
fn is_refused(own: IpAddr, host: SocketAddr) -> bool {
    let ask = || {
        let socket = UdpSocket::bind((own, 0))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(host)?;
        socket.send(&[0xff])?;
        socket.recv(&mut [0; 1])
    };
    // The second is Windows' word for it.
    let refusals = [ErrorKind::ConnectionRefused, ErrorKind::ConnectionReset];
    ask().is_err_and(|error| refusals.contains(&error.kind()))
}

/// Whether the host takes or refuses a call.
fn answers_tcp(host: SocketAddr) -> bool {
    match TcpStream::connect_timeout(&host, PATIENCE) {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::ConnectionRefused,
    }
}

/// For an answer of the host.
const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    #[cfg(unix)]
    fn a_closed_port_is_told_from_a_deaf_one() {
        let deaf = UdpSocket::bind((HERE, 0)).expect("bound");
        let address = deaf.local_addr().expect("an address");
        assert!(!is_refused(HERE, address));
        assert!(answers_tcp(address), "nobody listens there, and the host says so");
        drop(deaf);
        assert!(is_refused(HERE, address));
    }
}
