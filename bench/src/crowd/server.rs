//! The server of a crowd: one endpoint of the core, alone in its process.

use std::io::{self, BufReader, BufWriter, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use handfast_core::{Budget, Config, Endpoint, Event, Identity, Instant, Origin};

use super::wire::{Report, Told};
use crate::clock::cpu_time;

/// The first word of a command line that asks for the server of a crowd.
pub(crate) const WORD: &str = "crowd-process";

/// Serves until the standard input ends.
///
/// # Errors
/// When the other process says what is not understood.
pub(crate) fn serve() -> Result<(), String> {
    let mut input = BufReader::new(io::stdin().lock());
    let mut output = BufWriter::new(io::stdout().lock());
    let mut server = Server::new();
    loop {
        match Told::read(&mut input) {
            Ok(Told::Datagram { client, bytes }) => server.came.push((client, bytes)),
            Ok(Told::Now(micros)) => {
                let answered = server.turn(Instant::from_micros(micros), &mut output);
                answered.map_err(|error| error.to_string())?;
            }
            Ok(Told::Done(_)) => return Err("only the server is done".into()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error.to_string()),
        }
    }
}

struct Server {
    endpoint: Endpoint,
    came: Vec<(u32, Vec<u8>)>,
    messages: u64,
    /// What it writes in a turn.
    written: Vec<(u32, Vec<u8>)>,
    buffer: Vec<u8>,
}

impl Server {
    fn new() -> Self {
        let config = config().validate().expect("valid");
        let identity = Identity::from_seed(SERVER_SEED);
        let now = Instant::from_micros(START);
        Self {
            endpoint: Endpoint::new(config, identity, [9; 32], now),
            came: Vec::new(),
            messages: 0,
            written: Vec::new(),
            buffer: vec![0; 1 << 16],
        }
    }

    /// Takes all that came, and answers. What passes through the pipes is not counted as its work.
    fn turn(&mut self, now: Instant, output: &mut impl Write) -> io::Result<()> {
        let start = cpu_time();
        self.work(now);
        let cpu = u64::try_from((cpu_time() - start).as_nanos()).unwrap_or(u64::MAX);
        for (client, bytes) in self.written.drain(..) {
            Told::Datagram { client, bytes }.write(output)?;
        }
        Told::Done(Report { cpu, messages: self.messages }).write(output)?;
        output.flush()
    }

    fn work(&mut self, now: Instant) {
        let Self { endpoint, came, .. } = self;
        for (client, mut bytes) in came.drain(..) {
            endpoint.handle_datagram(now, Origin::from_remote(address(client)), &mut bytes);
        }
        if endpoint.poll_timeout().is_some_and(|due| due <= now) {
            endpoint.handle_timeout(now);
        }
        while let Some(event) = endpoint.poll_event() {
            if let Event::Readable { peer } = event {
                while endpoint.receive(now, peer).is_some() {
                    self.messages += 1;
                }
            }
        }
        while let Some(transmit) = endpoint.poll_transmit(now, &mut self.buffer) {
            let client = client_at(transmit.destination);
            let segment = transmit.segment.map_or(transmit.len, |segment| segment.get().into());
            let datagrams = self.buffer[..transmit.len].chunks(segment);
            self.written.extend(datagrams.map(|datagram| (client, datagram.to_vec())));
        }
    }
}

/// The defaults, with room for everybody and for all their handshakes at once.
fn config() -> Config {
    let mut config = Config::default();
    config.aes_hardware = true;
    config.limits.max_peers = 1 << 20;
    let many = Budget::new(100_000, 1_000_000);
    config.budgets.unvalidated = many;
    config.budgets.unvalidated_per_source = many;
    config
}

/// Where a client is: each has an address of its own.
pub(super) fn address(client: u32) -> SocketAddr {
    let [_, high, middle, low] = client.to_be_bytes();
    SocketAddr::from(([10, high, middle, low], PORT))
}

fn client_at(address: SocketAddr) -> u32 {
    match address.ip() {
        IpAddr::V4(address) => u32::from(address) - u32::from(Ipv4Addr::new(10, 0, 0, 0)),
        IpAddr::V6(_) => 0,
    }
}

/// Where the server is.
pub(super) const PLACE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), PORT);
pub(super) const SERVER_SEED: [u8; 32] = [1; 32];
/// When everything begins, in microseconds.
pub(super) const START: u64 = 1_000_000;
const PORT: u16 = 4263;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_an_address() {
        for client in [1, 255, 256, 100_000, (1 << 24) - 1] {
            assert_eq!(client_at(address(client)), client);
        }
    }
}
