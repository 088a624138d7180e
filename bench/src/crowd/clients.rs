//! Many clients of one server, in a process of their own and in virtual time.

use std::io::{BufReader, BufWriter, Write};
use std::ops::Range;
use std::process::{ChildStdin, ChildStdout};
use std::time::Duration;

use handfast_core::{
    Bytes, Config, Delivery, Endpoint, Event, Identity, Instant, Origin, PeerHandle, Target,
};

use super::server::{PLACE, SERVER_SEED, START, WORD};
use super::wire::{Report, Told};
use crate::process::Process;

/// A server, and its clients, all of them connected.
pub(super) struct Crowd {
    process: Process,
    input: BufWriter<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// `None`: forgotten, though the server thinks it is there. That is to take no memory.
    clients: Vec<Option<Box<Client>>>,
    /// Who is to be asked what to write.
    woken: Vec<u32>,
    now: Instant,
    /// Datagrams to the server, and what it computed for them.
    pub(super) sent: u64,
    pub(super) cpu: Duration,
    messages: u64,
    buffer: Vec<u8>,
}

struct Client {
    endpoint: Endpoint,
    peer: Option<PeerHandle>,
    is_woken: bool,
}

impl Crowd {
    /// Only the server.
    pub(super) fn new() -> Result<Self, String> {
        let (process, input, output) =
            Process::piped(&[WORD.to_owned()]).map_err(|error| error.to_string())?;
        Ok(Self {
            process,
            input: BufWriter::with_capacity(PIPE, input),
            output: BufReader::with_capacity(PIPE, output),
            clients: Vec::new(),
            woken: Vec::new(),
            now: Instant::from_micros(START),
            sent: 0,
            cpu: Duration::ZERO,
            messages: 0,
            buffer: vec![0; 1 << 16],
        })
    }

    pub(super) fn len(&self) -> u32 {
        self.clients.len() as u32
    }

    /// Bytes of memory that the server has written to.
    pub(super) fn memory(&self) -> Result<f64, String> {
        self.process.memory().map_err(|error| error.to_string())
    }

    /// So many more clients come, some at a time.
    pub(super) fn grow(&mut self, by: u32) -> Result<(), String> {
        let end = self.len() + by;
        while self.len() < end {
            self.welcome(end)?;
        }
        Ok(())
    }

    /// The same, but each is forgotten once it is connected.
    pub(super) fn grow_and_forget(&mut self, by: u32) -> Result<(), String> {
        let end = self.len() + by;
        while self.len() < end {
            let newcomers = self.welcome(end)?;
            // Whatever they have still to say, the server has heard.
            self.turn()?;
            newcomers.for_each(|number| self.clients[number as usize] = None);
        }
        Ok(())
    }

    /// Some clients come, so many that there are at most `end`, and connect. Returns which.
    fn welcome(&mut self, end: u32) -> Result<Range<u32>, String> {
        let newcomers = self.len()..end.min(self.len() + AT_ONCE);
        for number in newcomers.clone() {
            self.clients.push(Some(Box::new(Client::new(number, self.now)?)));
            self.wake(number);
        }
        self.turns_until("a handshake", |crowd| {
            newcomers.clone().all(|it| crowd.client(it).is_some_and(|it| it.peer.is_some()))
        })?;
        Ok(newcomers)
    }

    fn client(&self, number: u32) -> Option<&Client> {
        self.clients[number as usize].as_deref()
    }

    /// Each client sends so many messages, one after the other on two channels, and all arrive.
    pub(super) fn talk(&mut self, messages: u32) -> Result<(), String> {
        for first in (0..self.len()).step_by(AT_ONCE as usize) {
            let some = first..self.len().min(first + AT_ONCE);
            for number in 0..messages {
                for client in some.clone() {
                    self.send(client, (number % 2) as u16)?;
                }
                let expected = self.messages + some.len() as u64;
                self.turns_until("messages", |crowd| crowd.messages >= expected)?;
            }
        }
        Ok(())
    }

    /// Time passes in which no application sends anything.
    pub(super) fn rest(&mut self, time: Duration) -> Result<(), String> {
        let end = self.now + time;
        while self.now < end {
            self.now += STEP;
            for client in 0..self.len() {
                let due = self.client(client).and_then(|it| it.endpoint.poll_timeout());
                if due.is_some_and(|due| due <= self.now) {
                    self.wake(client);
                }
            }
            // What is left after some turns has the next step.
            for _ in 0..TURNS_OF_A_STEP {
                self.turn()?;
                if self.woken.is_empty() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// These clients send one message each, in a packet of its own, in one turn.
    pub(super) fn burst(&mut self, clients: impl Iterator<Item = u32>) -> Result<(), String> {
        for client in clients {
            self.send(client, 0)?;
            self.write(client)?;
        }
        self.turn()
    }

    fn send(&mut self, client: u32, channel: u16) -> Result<(), String> {
        let it = self.clients[client as usize].as_deref_mut();
        let Client { endpoint, peer, .. } = it.ok_or("the client is forgotten")?;
        let (peer, message) = (peer.ok_or("not connected")?, Bytes::from_static(&[7; 64]));
        let sent = endpoint.send(self.now, peer, Delivery::ordered(channel), message);
        sent.map_err(|error| error.to_string())?;
        self.wake(client);
        Ok(())
    }

    fn wake(&mut self, client: u32) {
        // Those that are forgotten have nothing to say.
        let Some(it) = &mut self.clients[client as usize] else { return };
        if !std::mem::replace(&mut it.is_woken, true) {
            self.woken.push(client);
        }
    }

    fn turns_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) -> Result<(), String> {
        for _ in 0..PATIENCE {
            self.turn()?;
            if done(self) {
                return Ok(());
            }
        }
        Err(format!("{what}: nothing after {PATIENCE} turns"))
    }

    /// What is to be written reaches the server, and its answers come back; half a round trip each.
    fn turn(&mut self) -> Result<(), String> {
        for client in std::mem::take(&mut self.woken) {
            if let Some(it) = &mut self.clients[client as usize] {
                it.is_woken = false;
            }
            self.write(client)?;
        }
        self.now += HALF_TRIP;
        let Report { cpu, messages } = self.exchange().map_err(|error| error.to_string())?;
        self.cpu += Duration::from_nanos(cpu);
        self.messages = messages;
        self.now += HALF_TRIP;
        Ok(())
    }

    fn write(&mut self, client: u32) -> Result<(), String> {
        let Self { clients, now, buffer, .. } = self;
        let Some(it) = &mut clients[client as usize] else { return Ok(()) };
        it.attend(*now)?;
        while let Some(transmit) = it.endpoint.poll_transmit(*now, buffer) {
            let segment = transmit.segment.map_or(transmit.len, |segment| segment.get().into());
            for bytes in buffer[..transmit.len].chunks(segment) {
                let datagram = Told::Datagram { client: client + 1, bytes: bytes.to_vec() };
                datagram.write(&mut self.input).map_err(|error| error.to_string())?;
                self.sent += 1;
            }
        }
        Ok(())
    }

    fn exchange(&mut self) -> std::io::Result<Report> {
        Told::Now(self.now.as_micros()).write(&mut self.input)?;
        self.input.flush()?;
        loop {
            match Told::read(&mut self.output)? {
                Told::Datagram { client, mut bytes } => {
                    let client = client - 1;
                    let Some(it) = &mut self.clients[client as usize] else { continue };
                    it.endpoint.handle_datagram(self.now, Origin::from_remote(PLACE), &mut bytes);
                    self.wake(client);
                }
                Told::Done(report) => return Ok(report),
                Told::Now(_) => return Err(std::io::ErrorKind::InvalidData.into()),
            }
        }
    }
}

impl Client {
    /// One that dials.
    fn new(number: u32, now: Instant) -> Result<Self, String> {
        let mut config = Config::default();
        config.aes_hardware = true;
        let mut seed = [2; 32];
        seed[..4].copy_from_slice(&number.to_le_bytes());
        let config = config.validate().map_err(|error| error.to_string())?;
        let mut endpoint = Endpoint::new(config, Identity::from_seed(seed), seed, now);
        let target = Target::new(Identity::from_seed(SERVER_SEED).id(), [PLACE]);
        endpoint.connect(now, target).map_err(|error| error.to_string())?;
        Ok(Self { endpoint, peer: None, is_woken: false })
    }

    fn attend(&mut self, now: Instant) -> Result<(), String> {
        if self.endpoint.poll_timeout().is_some_and(|due| due <= now) {
            self.endpoint.handle_timeout(now);
        }
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::Connected { peer, .. } => self.peer = Some(peer),
                Event::Ended { reason, .. } => return Err(format!("a peer ended: {reason}")),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The round trip takes 100 us.
const HALF_TRIP: Duration = Duration::from_micros(50);
/// How exact time is while nobody talks.
const STEP: Duration = Duration::from_millis(250);
const TURNS_OF_A_STEP: u32 = 8;
/// How many clients do something at the same time.
pub(super) const AT_ONCE: u32 = 256;
/// More turns than anything here takes: seconds of its time.
const PATIENCE: u32 = 20_000;
const PIPE: usize = 1 << 18;
