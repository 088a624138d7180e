//! Clients with a socket each, some hundred in a process, all on one thread. Those of handfast are here: endpoints of the core.
//!
//! Their processes are small enough for the usual limit of open files, and each has an address of its own, since one
//! has fewer ports than a large crowd needs.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process;
use std::thread;
use std::time;

use handfast_core::{
    Bytes, Config, Delivery, Endpoint, Event, Identity, Instant, MAX_DATAGRAM, Origin, PeerHandle,
    Target,
};
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};

use super::{CHANNELS, MESSAGES, System, enet};
use crate::process::{Process, tell};

/// The first word of a command line that asks for clients.
pub(crate) const WORD: &str = "idle-clients";

/// Starts so many clients of the server at this place, and waits until each is connected (rusty_enet), or has talked to it.
pub(super) fn start(
    system: System,
    place: SocketAddr,
    many: usize,
) -> Result<Vec<Process>, String> {
    let groups = (0..many).step_by(GROUP).enumerate().map(|(group, first)| {
        let len = GROUP.min(many - first);
        let numbers = [group.to_string(), len.to_string()];
        let words = [WORD.to_owned(), system.word().to_owned(), place.to_string()];
        Process::serve(&[&words[..], &numbers].concat()).map(|(process, _)| process)
    });
    // Theirs end with the ones that were started.
    groups.collect::<Result<_, _>>().map_err(|error| format!("clients: {error}"))
}

/// Is the clients that the words name, until the standard input ends.
///
/// # Errors
/// When the words are not understood, or a client fails.
pub(crate) fn run(words: &[String]) -> Result<(), String> {
    let [system, place, group, len] = words else {
        return Err("name the system, the server and the clients".into());
    };
    let place: SocketAddr = place.parse().map_err(|_| "name the place of the server")?;
    let [group, len] = [group, len].map(|it| it.parse::<u16>());
    let (Ok(group), Ok(len)) = (group, len) else { return Err("name the clients".into()) };
    thread::spawn(|| {
        io::copy(&mut io::stdin(), &mut io::sink()).ok();
        process::exit(0);
    });
    if system == System::Enet.word() {
        return enet::run(place, len.into());
    }
    let mut clients = Clients::new(place, group).map_err(|error| error.to_string())?;
    clients.gather(len.into()).and_then(|()| tell(place)).map_err(|error| error.to_string())?;
    loop {
        clients.turn().map_err(|error| error.to_string())?;
    }
}

struct Clients {
    place: SocketAddr,
    /// Where their sockets are.
    local: SocketAddr,
    poll: Poll,
    events: Events,
    start: time::Instant,
    all: Vec<Client>,
    /// Those that have not said everything yet.
    busy: VecDeque<usize>,
    /// When the deadlines of all were looked at last.
    looked: Instant,
    buffer: Vec<u8>,
}

struct Client {
    endpoint: Endpoint,
    socket: UdpSocket,
    peer: Option<PeerHandle>,
}

impl Clients {
    fn new(place: SocketAddr, group: u16) -> io::Result<Self> {
        let [high, low] = group.to_be_bytes();
        Ok(Self {
            place,
            local: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 1 + high, low, 1)), 0),
            poll: Poll::new()?,
            events: Events::with_capacity(GROUP),
            start: time::Instant::now(),
            all: Vec::new(),
            busy: VecDeque::new(),
            looked: Instant::from_micros(0),
            buffer: vec![0; usize::from(MAX_DATAGRAM)],
        })
    }

    /// So many come, some at a time, and each says what it has to say.
    fn gather(&mut self, len: usize) -> io::Result<()> {
        let patience = time::Instant::now() + PATIENCE;
        while self.all.len() < len || !self.busy.is_empty() {
            if self.all.len() < len && self.busy.len() < AT_ONCE {
                self.add()?;
            }
            self.turn()?;
            if time::Instant::now() > patience {
                return Err(io::Error::new(ErrorKind::TimedOut, "the clients do not get through"));
            }
        }
        Ok(())
    }

    fn add(&mut self) -> io::Result<()> {
        let (now, number) = (self.now(), self.all.len());
        let mut socket = UdpSocket::bind(self.local)?;
        self.poll.registry().register(&mut socket, Token(number), Interest::READABLE)?;
        let [seed, randomness] = [handfast_tokio::entropy()?, handfast_tokio::entropy()?];
        let config = Config::default().validate().map_err(io::Error::other)?;
        let mut endpoint = Endpoint::new(config, Identity::from_seed(seed), randomness, now);
        endpoint.connect(now, Target::from(self.place)).map_err(io::Error::other)?;
        self.all.push(Client { endpoint, socket, peer: None });
        self.busy.push_back(number);
        self.attend(number)
    }

    fn now(&self) -> Instant {
        // The first is not zero, so that there is a time before it.
        Instant::from_micros(1 + u64::try_from(self.start.elapsed().as_micros()).unwrap_or(0))
    }

    /// Waits a moment for datagrams and deadlines, and handles them.
    fn turn(&mut self) -> io::Result<()> {
        let wait = if self.busy.is_empty() { REST } else { TICK };
        let Self { poll, events, .. } = self;
        match poll.poll(events, Some(wait)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let readable: Vec<usize> = self.events.iter().map(|event| event.token().0).collect();
        for number in readable {
            self.read(number)?;
            self.attend(number)?;
        }
        for _ in 0..self.busy.len() {
            let Some(number) = self.busy.pop_front() else { break };
            self.attend(number)?;
            if !self.all[number].has_said_everything() {
                self.busy.push_back(number);
            }
        }
        if self.now().saturating_since(self.looked) >= REST {
            self.looked = self.now();
            (0..self.all.len()).try_for_each(|number| self.attend(number))?;
        }
        Ok(())
    }

    fn read(&mut self, number: usize) -> io::Result<()> {
        loop {
            let now = self.now();
            let Client { endpoint, socket, .. } = &mut self.all[number];
            match socket.recv_from(&mut self.buffer) {
                Ok((len, from)) => {
                    endpoint.handle_datagram(
                        now,
                        Origin::from_remote(from),
                        &mut self.buffer[..len],
                    );
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Does what is due, and sends what there is.
    fn attend(&mut self, number: usize) -> io::Result<()> {
        let now = self.now();
        let client = &mut self.all[number];
        if client.endpoint.poll_timeout().is_some_and(|due| due <= now) {
            client.endpoint.handle_timeout(now);
        }
        while let Some(event) = client.endpoint.poll_event() {
            match event {
                Event::Connected { peer, .. } => client.speak(now, peer)?,
                Event::Ended { reason, .. } => return Err(io::Error::other(reason.to_string())),
                _ => {}
            }
        }
        while let Some(transmit) = client.endpoint.poll_transmit(now, &mut self.buffer) {
            match client.socket.send_to(&self.buffer[..transmit.len], transmit.destination) {
                // As if it were lost.
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Client {
    fn speak(&mut self, now: Instant, peer: PeerHandle) -> io::Result<()> {
        if self.peer.replace(peer).is_some() {
            return Ok(());
        }
        for number in 0..u32::from(CHANNELS) * MESSAGES {
            let delivery = Delivery::ordered((number % u32::from(CHANNELS)) as u16);
            let sent = self.endpoint.send(now, peer, delivery, Bytes::from_static(&[7; 64]));
            sent.map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// Whether all of it was acknowledged.
    fn has_said_everything(&self) -> bool {
        self.peer.and_then(|peer| self.endpoint.peer(peer)).is_some_and(|peer| peer.queued == 0)
    }
}

/// Clients of one process, each with an open file.
const GROUP: usize = 900;
/// How many talk at the same time.
const AT_ONCE: usize = 32;
/// How exact deadlines are while some talk, and while nobody does.
const TICK: time::Duration = time::Duration::from_millis(1);
const REST: time::Duration = time::Duration::from_millis(250);
/// Longer than those of one process need.
const PATIENCE: time::Duration = time::Duration::from_secs(120);
