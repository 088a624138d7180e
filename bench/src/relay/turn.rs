//! coturn: one allocation (RFC 8656) and a channel to the far end.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{fs, thread};

use super::Row;
use super::counting::{LEN, Way, flood, round_trip};
use super::raw::bound;

pub(super) fn measure(time: Duration) -> Result<Row, String> {
    let port = bound().and_then(|socket| socket.local_addr()).map_err(|error| error.to_string())?;
    let server = Server::start(port).map_err(|error| format!("turnserver: {error}"))?;
    relayed(&server, port, time).map_err(|error| format!("turnserver: {error}"))
}

fn relayed(server: &Server, at: SocketAddr, time: Duration) -> io::Result<Row> {
    let direct = {
        let (near, far) = (bound()?, bound()?);
        near.connect(far.local_addr()?)?;
        round_trip(&Way { socket: &near, header: &[] }, &far)?
    };
    let (near, far) = (bound()?, bound()?);
    near.connect(at)?;
    near.set_read_timeout(Some(Duration::from_millis(100)))?;
    ask(&near, ALLOCATE, &[0, 0x19, 0, 4, 17, 0, 0, 0])?;
    ask(&near, CHANNEL_BIND, &channel_to(far.local_addr()?))?;
    let header = |len: usize| [CHANNEL.to_be_bytes(), (len as u16).to_be_bytes()].concat();
    let before = server.cpu()?;
    let arrived = flood(&Way { socket: &near, header: &header(LEN) }, &far, time)?;
    let cpu = server.cpu()?.saturating_sub(before);
    let relayed = round_trip(&Way { socket: &near, header: &header(64) }, &far)?;
    Ok(Row {
        system: "coturn",
        rate: (arrived * LEN as u64) as f64 / time.as_secs_f64(),
        cpu: cpu / u32::try_from(arrived.max(1)).unwrap_or(u32::MAX),
        round_trips: [direct, relayed],
    })
}

/// Sends a request until it is answered with success.
fn ask(socket: &UdpSocket, method: u16, attributes: &[u8]) -> io::Result<()> {
    let len = u16::try_from(attributes.len()).unwrap_or(u16::MAX);
    let head = [method.to_be_bytes(), len.to_be_bytes()].concat();
    let request = [&head[..], &COOKIE, &[9; 12], attributes].concat();
    let mut answer = [0; 1500];
    for _ in 0..50 {
        socket.send(&request).ok();
        match socket.recv(&mut answer) {
            Ok(len) if len >= 20 && answer[..2] == (method | SUCCESS).to_be_bytes() => {
                return Ok(());
            }
            Ok(_) => return Err(io::Error::other(format!("request {method:#06x} was refused"))),
            // It may not be listening yet.
            Err(_) => thread::sleep(Duration::from_millis(50)),
        }
    }
    Err(io::Error::other("it does not answer"))
}

/// CHANNEL-NUMBER and XOR-PEER-ADDRESS.
fn channel_to(far: SocketAddr) -> Vec<u8> {
    let SocketAddr::V4(far) = far else { return Vec::new() };
    let port = (far.port() ^ u16::from_be_bytes([COOKIE[0], COOKIE[1]])).to_be_bytes();
    let ip: Vec<u8> = far.ip().octets().iter().zip(COOKIE).map(|(byte, key)| byte ^ key).collect();
    let number = CHANNEL.to_be_bytes();
    [&[0, 0x0c, 0, 4][..], &number, &[0, 0], &[0, 0x12, 0, 8], &[0, 1], &port, &ip].concat()
}

/// A running turnserver.
struct Server(Child);

impl Server {
    fn start(at: SocketAddr) -> io::Result<Self> {
        let port = at.port().to_string();
        let arguments = ["-n", "--no-auth", "--no-tls", "--no-dtls", "--no-cli", "--no-tcp"];
        let mut command = Command::new("turnserver");
        command.args(arguments).args(["--allow-loopback-peers", "--log-file", "/dev/null"]);
        command.args(["--listening-ip", "127.0.0.1", "--relay-ip", "127.0.0.1"]);
        command.args(["--listening-port", &port, "--pidfile", "/dev/null"]);
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        child.map(Self)
    }

    /// What all its threads have computed so far.
    fn cpu(&self) -> io::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        // User and system time are the 14th and 15th field, in ticks of 10 ms.
        let ticks = after_name.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(Duration::from_millis(ticks * 10))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const ALLOCATE: u16 = 0x0003;
const CHANNEL_BIND: u16 = 0x0009;
const SUCCESS: u16 = 0x0100;
const CHANNEL: u16 = 0x4000;
