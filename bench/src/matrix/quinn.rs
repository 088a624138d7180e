//! quinn's core, as it comes by default, with windows of flow control that never bind.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant as Clock};

use bytes::{Bytes, BytesMut};
use handfast_core::{Ecn, Instant, Origin, Transmit};
use quinn_proto::congestion::BbrConfig;
use quinn_proto::{
    Connection, ConnectionHandle, DatagramEvent, Dir, EcnCodepoint, Endpoint, EndpointConfig,
    Event, Side, StreamEvent, StreamId, TransportConfig, VarInt,
};

use super::framing::{Framing, framed};
use super::stack::{Arrived, Kind, Setup, Stack, Told};
use crate::systems::{Configs, SERVER_NAME};

pub(crate) struct Quinn {
    endpoint: Endpoint,
    connection: Option<(ConnectionHandle, Connection)>,
    other: SocketAddr,
    /// What is to be written to the stream of each lane, which has no room now.
    backlog: [Option<Bytes>; 2],
    framing: [Framing; 2],
    /// What the endpoint sends without a connection.
    answers: VecDeque<(SocketAddr, Vec<u8>)>,
    written: Vec<u8>,
    told: VecDeque<Told>,
    due: Option<Instant>,
}

impl Quinn {
    pub(crate) fn new(setup: &Setup, seed: [u8; 32], now: Instant) -> Self {
        let transport = transport(setup.kind);
        let mut server = CONFIGS.server.as_ref().clone();
        server.transport_config(Arc::clone(&transport));
        let server = (!setup.calls).then(|| Arc::new(server));
        let config = Arc::new(EndpointConfig::default());
        let mut endpoint = Endpoint::new(config, server, true, Some(seed));
        let mut client = CONFIGS.client.clone();
        client.transport_config(transport);
        let connection = setup.calls.then(|| {
            endpoint.connect(clock(now), client, setup.other, SERVER_NAME).expect("a right address")
        });
        let mut quinn = Self {
            endpoint,
            connection,
            other: setup.other,
            backlog: [None, None],
            framing: [(); 2].map(|()| Framing::default()),
            answers: VecDeque::new(),
            written: Vec::new(),
            told: VecDeque::new(),
            due: None,
        };
        quinn.settle(now);
        quinn
    }

    /// Lets the endpoint and its connection tell each other and us what they must.
    fn settle(&mut self, now: Instant) {
        let Some((handle, connection)) = &mut self.connection else { return };
        while let Some(event) = connection.poll_endpoint_events() {
            if let Some(event) = self.endpoint.handle_event(*handle, event) {
                connection.handle_event(event);
            }
        }
        let mut writable = false;
        while let Some(event) = connection.poll() {
            match event {
                Event::Connected => {
                    for _ in &self.backlog {
                        connection.streams().open(Dir::Uni).expect("both may be open");
                    }
                    self.told.push_back(Told::Connected);
                }
                Event::ConnectionLost { .. } => self.told.push_back(Told::Ended),
                Event::Stream(StreamEvent::Writable { .. }) => writable = true,
                Event::Stream(_) => self.told.push_back(Told::Readable),
                _ => {}
            }
        }
        // Times that are not whole microseconds are met a little later.
        let due = connection.poll_timeout().map(|due| due.saturating_duration_since(*START));
        self.due = due.map(|due| {
            let micros = u64::try_from(due.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX);
            Instant::from_micros(micros.max(now.as_micros() + 1))
        });
        if writable {
            (0..2).for_each(|lane| self.write(lane));
            self.told.push_back(Told::Writable);
        }
    }

    /// Writes as much as there is room for.
    fn write(&mut self, lane: usize) {
        let Some((_, connection)) = &mut self.connection else { return };
        let Some(backlog) = &mut self.backlog[lane] else { return };
        let id = StreamId::new(connection.side(), Dir::Uni, lane as u64);
        let mut chunks = [std::mem::take(backlog)];
        // It takes what it wrote off the chunk.
        connection.send_stream(id).write_chunks(&mut chunks).ok();
        let [rest] = chunks;
        self.backlog[lane] = Some(rest).filter(|rest| !rest.is_empty());
    }

    fn read(&mut self, lane: usize) {
        let Some((_, connection)) = &mut self.connection else { return };
        let theirs = match connection.side() {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        };
        let id = StreamId::new(theirs, Dir::Uni, lane as u64);
        while connection.streams().accept(Dir::Uni).is_some() {}
        let mut stream = connection.recv_stream(id);
        let Ok(mut chunks) = stream.read(true) else { return };
        while let Ok(Some(chunk)) = chunks.next(usize::MAX) {
            self.framing[lane].take(&chunk.bytes);
        }
        let _ = chunks.finalize();
    }
}

impl Stack for Quinn {
    fn send(&mut self, now: Instant, lane: usize, message: &Bytes) -> bool {
        let lost = self.connection.as_ref().is_none_or(|(_, it)| it.is_closed());
        if lost || self.backlog[lane].is_some() {
            return false;
        }
        self.backlog[lane] = Some(framed(message));
        self.write(lane);
        self.settle(now);
        true
    }

    fn receive(&mut self, now: Instant) -> Option<Arrived> {
        for lane in 0..2 {
            if let Some(arrived) = self.framing[lane].next(lane) {
                return Some(arrived);
            }
            self.read(lane);
            if let Some(arrived) = self.framing[lane].next(lane) {
                return Some(arrived);
            }
        }
        self.settle(now);
        None
    }

    fn handle_datagram(&mut self, now: Instant, origin: Origin, datagram: &mut [u8]) {
        let (bytes, ecn) = (BytesMut::from(&*datagram), origin.ecn.and_then(to_quinn));
        self.written.clear();
        let (time, from) = (clock(now), origin.remote);
        match self.endpoint.handle(time, from, None, ecn, bytes, &mut self.written) {
            Some(DatagramEvent::ConnectionEvent(_, event)) => {
                if let Some((_, connection)) = &mut self.connection {
                    connection.handle_event(event);
                }
            }
            Some(DatagramEvent::NewConnection(incoming)) => {
                let accepted = self.endpoint.accept(incoming, time, &mut self.written, None);
                self.connection = accepted.ok();
            }
            Some(DatagramEvent::Response(answer)) => {
                let bytes = self.written[..answer.size].to_vec();
                self.answers.push_back((answer.destination, bytes));
            }
            None => {}
        }
        self.settle(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let Some((_, connection)) = &mut self.connection {
            connection.handle_timeout(clock(now));
        }
        self.settle(now);
    }

    fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        if let Some((to, bytes)) = self.answers.pop_front() {
            buf[..bytes.len()].copy_from_slice(&bytes);
            return Some(Transmit::new(to, bytes.len()));
        }
        let (_, connection) = self.connection.as_mut()?;
        self.written.clear();
        let sent = connection.poll_transmit(clock(now), BATCH, &mut self.written);
        self.settle(now);
        let sent = sent?;
        buf[..sent.size].copy_from_slice(&self.written[..sent.size]);
        self.other = sent.destination;
        let mut transmit = Transmit::new(sent.destination, sent.size);
        transmit.ecn = sent.ecn.map(from_quinn);
        let segment = sent.segment_size.filter(|segment| *segment < sent.size);
        transmit.segment = segment.and_then(|it| NonZeroU16::new(u16::try_from(it).ok()?));
        Some(transmit)
    }

    fn poll_told(&mut self) -> Option<Told> {
        self.told.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    fn addresses_changed(&mut self, now: Instant) {
        if let Some((_, connection)) = &mut self.connection {
            connection.local_address_changed();
        }
        self.settle(now);
    }

    fn spurious(&self) -> Option<u64> {
        None
    }
}

fn transport(kind: Kind) -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(VarInt::from_u32(WINDOW));
    transport.receive_window(VarInt::from_u32(2 * WINDOW));
    transport.send_window(u64::from(WINDOW));
    if kind == Kind::QuinnBbr {
        transport.congestion_controller_factory(Arc::new(BbrConfig::default()));
    }
    Arc::new(transport)
}

fn clock(now: Instant) -> Clock {
    *START + Duration::from_micros(now.as_micros())
}

const fn from_quinn(ecn: EcnCodepoint) -> Ecn {
    match ecn {
        EcnCodepoint::Ect0 => Ecn::Ect0,
        EcnCodepoint::Ect1 => Ecn::Ect1,
        EcnCodepoint::Ce => Ecn::Ce,
    }
}

const fn to_quinn(ecn: Ecn) -> Option<EcnCodepoint> {
    Some(match ecn {
        Ecn::Ect0 => EcnCodepoint::Ect0,
        Ecn::Ect1 => EcnCodepoint::Ect1,
        _ => EcnCodepoint::Ce,
    })
}

/// When the clock of the simulator began, by quinn's.
static START: LazyLock<Clock> = LazyLock::new(Clock::now);

/// A server's certificate, and a client that trusts it.
static CONFIGS: LazyLock<Configs> = LazyLock::new(Configs::new);

/// Datagrams at once, as quinn's own driver has it.
const BATCH: usize = 10;

/// Bytes: more than any row has under way.
const WINDOW: u32 = 32 << 20;
