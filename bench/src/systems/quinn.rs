//! quinn's core, quinn-proto.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use quinn_proto::{
    Connection, ConnectionHandle, DatagramEvent, Dir, Endpoint, EndpointConfig, Event, ReadError,
    SendDatagramError, StreamEvent, StreamId, WriteError,
};

use super::tls::{Configs, SERVER_NAME};
use super::{BATCH, BATCHES, DATAGRAM, HALF_TRIP, Pair};
use crate::payload::Inbox;

/// What carries payloads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes of one stream, which has no messages.
    Stream,
    /// A stream for each.
    StreamEach,
    /// Unreliable datagrams.
    Datagram,
}

/// A client and a server.
pub(super) struct Quinn {
    client: End,
    server: End,
    kind: Kind,
    stream: Option<StreamId>,
    now: Instant,
}

struct End {
    endpoint: Endpoint,
    connection: Option<(ConnectionHandle, Connection)>,
    address: SocketAddr,
    is_connected: bool,
    written: Vec<u8>,
}

impl Pair for Quinn {
    type Kind = Kind;

    fn strangers(kind: Kind, _number: u32) -> Self {
        let client = Endpoint::new(Arc::default(), None, false, None);
        let server = Some(Arc::clone(&configs().server));
        let server = Endpoint::new(Arc::new(EndpointConfig::default()), server, false, None);
        Self {
            client: End::new(client, 1),
            server: End::new(server, 2),
            kind,
            stream: None,
            now: Instant::now(),
        }
    }

    fn dial(&mut self) {
        let config = configs().client.clone();
        let to = self.server.address;
        let connection = self.client.endpoint.connect(self.now, config, to, SERVER_NAME);
        self.client.connection = Some(connection.expect("a right address and name"));
    }

    fn is_connected(&self) -> bool {
        self.client.is_connected && self.server.is_connected
    }

    fn send(&mut self, payload: &'static [u8]) -> usize {
        let (_, connection) = self.client.connection.as_mut().expect("they are connected");
        match self.kind {
            Kind::Stream => {
                let open = || connection.streams().open(Dir::Uni).expect("one may be open");
                let id = *self.stream.get_or_insert_with(open);
                write(connection, id, payload)
            }
            Kind::StreamEach => {
                let Some(id) = connection.streams().open(Dir::Uni) else { return 0 };
                let written = write(connection, id, payload);
                assert_eq!(written, payload.len(), "a stream that is new takes a small message");
                connection.send_stream(id).finish().expect("a stream that is open");
                written
            }
            Kind::Datagram => {
                match connection.datagrams().send(Bytes::from_static(payload), false) {
                    Ok(()) => payload.len(),
                    Err(SendDatagramError::Blocked(_)) => 0,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    fn turn(&mut self, inbox: &mut Inbox<'_>) {
        self.client.write_to(&mut self.server, self.now);
        self.server.take(inbox);
        self.pass();
        self.server.write_to(&mut self.client, self.now);
        self.client.take(inbox);
        self.pass();
    }
}

impl Quinn {
    fn pass(&mut self) {
        self.now += HALF_TRIP;
        self.client.wake(self.now);
        self.server.wake(self.now);
    }
}

impl End {
    fn new(endpoint: Endpoint, number: u8) -> Self {
        let address = SocketAddr::from(([192, 0, 2, number], 4263));
        let written = Vec::with_capacity(BATCH * usize::from(DATAGRAM));
        Self { endpoint, connection: None, address, is_connected: false, written }
    }

    fn write_to(&mut self, other: &mut Self, now: Instant) {
        for _ in 0..BATCHES {
            let Some((_, connection)) = &mut self.connection else { return };
            self.written.clear();
            let Some(transmit) = connection.poll_transmit(now, BATCH, &mut self.written) else {
                break;
            };
            // The network copies; then the datagrams share one buffer, as in quinn's own driver.
            let mut arrived = BytesMut::from(&self.written[..transmit.size]);
            let segment = transmit.segment_size.unwrap_or(transmit.size);
            while !arrived.is_empty() {
                let datagram = arrived.split_to(segment.min(arrived.len()));
                other.read(now, self.address, datagram);
            }
        }
        self.settle();
    }

    fn read(&mut self, now: Instant, from: SocketAddr, datagram: BytesMut) {
        self.written.clear();
        match self.endpoint.handle(now, from, None, None, datagram, &mut self.written) {
            Some(DatagramEvent::ConnectionEvent(_, event)) => {
                if let Some((_, connection)) = &mut self.connection {
                    connection.handle_event(event);
                }
            }
            Some(DatagramEvent::NewConnection(incoming)) => {
                let accepted = self.endpoint.accept(incoming, now, &mut self.written, None);
                self.connection = Some(accepted.unwrap_or_else(|error| panic!("{}", error.cause)));
            }
            Some(DatagramEvent::Response(_)) => panic!("nobody here is to be refused"),
            None => {}
        }
        self.settle();
    }

    /// Lets the endpoint and its connection tell each other what they must.
    fn settle(&mut self) {
        let Some((handle, connection)) = &mut self.connection else { return };
        while let Some(event) = connection.poll_endpoint_events() {
            if let Some(event) = self.endpoint.handle_event(*handle, event) {
                connection.handle_event(event);
            }
        }
    }

    /// Handles all events, and takes what arrived.
    fn take(&mut self, inbox: &mut Inbox<'_>) {
        let Some((_, connection)) = &mut self.connection else { return };
        while let Some(event) = connection.poll() {
            match event {
                Event::Connected => self.is_connected = true,
                Event::Stream(StreamEvent::Opened { dir }) => {
                    while let Some(id) = connection.streams().accept(dir) {
                        read_stream(connection, id, inbox);
                    }
                }
                Event::Stream(StreamEvent::Readable { id }) => read_stream(connection, id, inbox),
                Event::DatagramReceived => {
                    while let Some(datagram) = connection.datagrams().recv() {
                        inbox.take(&datagram);
                    }
                }
                Event::ConnectionLost { reason } => panic!("the peer ended: {reason}"),
                _ => {}
            }
        }
    }

    fn wake(&mut self, now: Instant) {
        let Some((_, connection)) = &mut self.connection else { return };
        if connection.poll_timeout().is_some_and(|due| due <= now) {
            connection.handle_timeout(now);
            self.settle();
        }
    }
}

/// Writes without a copy; returns how many bytes were taken.
fn write(connection: &mut Connection, id: StreamId, payload: &'static [u8]) -> usize {
    match connection.send_stream(id).write_chunks(&mut [Bytes::from_static(payload)]) {
        Ok(written) => written.bytes,
        Err(WriteError::Blocked) => 0,
        Err(error) => panic!("{error}"),
    }
}

/// Takes all that can be read.
fn read_stream(connection: &mut Connection, id: StreamId, inbox: &mut Inbox<'_>) {
    let mut stream = connection.recv_stream(id);
    // A stream that was read to its end is announced once more.
    let Ok(mut chunks) = stream.read(true) else { return };
    loop {
        match chunks.next(usize::MAX) {
            Ok(Some(chunk)) => inbox.take(&chunk.bytes),
            Ok(None) | Err(ReadError::Blocked) => break,
            Err(error) => panic!("{error}"),
        }
    }
    // Whether credit is to be sent is asked again when packets are written.
    let _ = chunks.finalize().should_transmit();
}

/// Made once: certificates are not what is measured.
fn configs() -> &'static Configs {
    static CONFIGS: OnceLock<Configs> = OnceLock::new();
    CONFIGS.get_or_init(Configs::new)
}
