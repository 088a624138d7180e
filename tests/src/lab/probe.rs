//! Finds out what stands before a host by sending datagrams, so that no lab is trusted by its name.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use super::oracle::{Behaviour, Closed, Filtering, Mapping, Reach};
use super::world::{BYSTANDER, DELAY, SERVER, Site, World};

impl World {
    /// Fails unless each site does what its kind says.
    ///
    /// # Errors
    /// When the system refuses, or a site behaves otherwise.
    pub(super) fn probe_sites(&self) -> io::Result<()> {
        for site in &self.sites {
            let (found, expected) = (self.probe(site)?, site.kind.behaviour());
            // What is not reached cannot be asked for more.
            let same = match expected.reach {
                Reach::All => found == expected,
                reach => found.reach == reach,
            };
            if !same {
                let kind = site.kind.name();
                return Err(io::Error::other(format!(
                    "'{kind}' should be {expected:?}, is {found:?}"
                )));
            }
        }
        Ok(())
    }

    /// Delays and loses packets from now on, and fails unless that is really so.
    ///
    /// # Errors
    /// When the system refuses, or packets are not delayed or lost as they should be.
    pub(super) fn impair(&self, lost_per_mille: u32) -> io::Result<()> {
        self.switch.impair(DELAY, lost_per_mille);
        let here = self.bystander.socket((BYSTANDER, 0), PATIENCE)?;
        let there = self.server.socket((SERVER, 0), PATIENCE)?;
        there.connect(here.local_addr()?)?;
        let (start, mut arrived) = (Instant::now(), 0);
        let mut fastest = None;
        for _ in 0..ROUNDS {
            let before = Instant::now();
            for _ in 0..BATCH {
                there.send(b"?")?;
            }
            while arrived_at(&here)?.is_some() {
                fastest = Some(before.elapsed().min(fastest.unwrap_or(Duration::MAX)));
                arrived += 1;
                if arrived % BATCH == 0 && lost_per_mille == 0 {
                    break;
                }
            }
        }
        let (sent, lost) = (ROUNDS * BATCH, ROUNDS * BATCH - arrived);
        // Four standard deviations of 5 % of 600, and nothing where nothing is to be lost.
        let mean = sent * lost_per_mille / 1000;
        let fine = if mean == 0 { lost == 0 } else { lost >= mean / 4 && lost <= mean * 2 };
        if fine && fastest.is_some_and(|fastest| fastest >= DELAY) {
            return Ok(());
        }
        let span = start.elapsed();
        Err(io::Error::other(format!(
            "{lost} of {sent} lost, {mean} expected; the fastest took {fastest:?}; {span:?} in all"
        )))
    }

    fn probe(&self, site: &Site) -> io::Result<Behaviour> {
        let server = [
            self.server.socket((SERVER, 0), PATIENCE)?,
            self.server.socket((SERVER, 0), PATIENCE)?,
        ];
        let bystander = self.bystander.socket((BYSTANDER, 0), PATIENCE)?;
        let [first, second] = &server;
        let host = self.host_socket(site)?;
        let seen = [first, second, &bystander].map(|observer| seen(&host, observer));
        let [at_first, at_second, at_bystander] = seen;
        let (at_first, at_second, at_bystander) = (at_first?, at_second?, at_bystander?);
        let reach = match (at_first, at_bystander) {
            (Some(_), Some(_)) => Reach::All,
            (Some(_), None) => Reach::ServerOnly,
            (None, _) => Reach::Nothing,
        };
        let same = at_first == at_second && at_first == at_bystander;
        let mapping = if same { Mapping::Independent } else { Mapping::Dependent };
        if reach != Reach::All {
            return Ok(Behaviour { reach, ..site.kind.behaviour() });
        }
        let filtering = self.filtering(site, first, second, &bystander)?;
        let closed = if at_first == Some(host.local_addr()?) && site.kind == super::Kind::None {
            Closed::Absent
        } else {
            self.closed(site, first)?
        };
        Ok(Behaviour { reach, mapping, filtering, closed })
    }

    fn host_socket(&self, site: &Site) -> io::Result<UdpSocket> {
        // The address that the host has, so that it can be compared with what others see.
        let address =
            if site.kind == super::Kind::None { site.address } else { Ipv4Addr::UNSPECIFIED };
        site.host.socket((address, 0), PATIENCE)
    }

    /// Sends to `first` alone, and tries from where answers come in.
    fn filtering(
        &self,
        site: &Site,
        first: &UdpSocket,
        second: &UdpSocket,
        bystander: &UdpSocket,
    ) -> io::Result<Filtering> {
        let host = self.host_socket(site)?;
        let mapped = seen(&host, first)?.ok_or(ErrorKind::TimedOut)?;
        bystander.send_to(b"?", mapped)?;
        second.send_to(b"?", mapped)?;
        first.send_to(b"!", mapped)?;
        let mut from = Vec::new();
        while let Some(sender) = arrived_at(&host)? {
            from.push(sender);
        }
        let heard = |socket: &UdpSocket| Ok::<_, io::Error>(from.contains(&socket.local_addr()?));
        match (heard(first)?, heard(second)?, heard(bystander)?) {
            (true, true, true) => Ok(Filtering::Independent),
            (true, true, false) => Ok(Filtering::Address),
            (true, false, false) => Ok(Filtering::AddressAndPort),
            other => Err(io::Error::other(format!("heard {other:?}"))),
        }
    }

    /// A stranger sends to a port that is not mapped; then the host sends to the stranger from there.
    fn closed(&self, site: &Site, observer: &UdpSocket) -> io::Result<Closed> {
        let knocker = self.bystander.socket((BYSTANDER, 0), PATIENCE)?;
        knocker.connect((site.address, self.host_socket(site)?.local_addr()?.port()))?;
        knocker.send(b"?")?;
        let refused = match knocker.recv(&mut [0; 8]) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => true,
            Err(error) if is_silence(&error) => false,
            other => return Err(io::Error::other(format!("a stranger heard {other:?}"))),
        };
        // A connected socket hears one port; whoever is remembered comes from another one.
        let stranger = self.bystander.socket((BYSTANDER, 0), PATIENCE)?;
        let host = self.host_socket(site)?;
        let to_another = seen(&host, observer)?;
        stranger.send_to(b"?", (site.address, host.local_addr()?.port()))?;
        thread::sleep(PATIENCE);
        let to_stranger = seen(&host, &stranger)?;
        Ok(match (to_stranger == to_another, refused) {
            // A NAT that gives each destination a port of its own tells nothing that way.
            (false, _) if site.kind.behaviour().mapping == Mapping::Dependent => Closed::Silent,
            (false, _) => Closed::Remembered,
            (true, true) => Closed::Refused,
            (true, false) => Closed::Silent,
        })
    }
}

/// As whom `observer` sees the host; `None` if the datagram does not get through.
fn seen(host: &UdpSocket, observer: &UdpSocket) -> io::Result<Option<SocketAddr>> {
    match host.send_to(b"?", observer.local_addr()?) {
        Ok(_) => arrived_at(observer),
        // The host's own router may refuse at once.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(None),
        Err(error) => Err(error),
    }
}

/// Who sent the next datagram; `None` if none comes.
fn arrived_at(socket: &UdpSocket) -> io::Result<Option<SocketAddr>> {
    match socket.recv_from(&mut [0; 64]) {
        Ok((_, from)) => Ok(Some(from)),
        Err(error) if is_silence(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// No packet takes so long, even on a machine that is busy.
const PATIENCE: Duration = Duration::from_millis(150);
const ROUNDS: u32 = 6;
const BATCH: u32 = 100;
