//! coturn: one allocation (RFC 8656) and a channel to the far end.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::counting::{LEN, Way, flood, round_trips};
use super::raw::{bound, direct};
use super::{PAIRS, Round};
use crate::process::Process;

/// Whether there is such a program.
pub(super) fn is_installed() -> bool {
    let mut command = Command::new(PROGRAM);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok()
}

pub(super) fn measure(time: Duration) -> io::Result<Round> {
    let (server, at) = start()?;
    let (near, far) = pair(at)?;
    let header = |len: usize| [CHANNEL.to_be_bytes(), (len as u16).to_be_bytes()].concat();
    let before = server.cpu()?;
    let bytes = flood(&Way { socket: &near, header: &header(LEN) }, &far, time)? * LEN as u64;
    let cpu = server.cpu()?.saturating_sub(before);
    let relayed = round_trips(&Way { socket: &near, header: &header(64) }, &far)?;
    Ok(Round {
        rate: bytes as f64 / time.as_secs_f64(),
        cpu: cpu.as_nanos() as f64 / bytes.max(1) as f64,
        round_trips: [direct()?, relayed],
    })
}

/// Bytes that it needs for one more allocation and its channel.
pub(super) fn memory() -> io::Result<f64> {
    let (server, at) = start()?;
    // What it makes once is there.
    let _first = pair(at)?;
    let before = server.memory()?;
    let pairs: io::Result<Vec<_>> = (0..PAIRS).map(|_| pair(at)).collect();
    let grown = server.memory()? - before;
    pairs.map(|pairs| grown / pairs.len() as f64)
}

/// Somebody with an allocation, and whom its channel leads to.
fn pair(at: SocketAddr) -> io::Result<(UdpSocket, UdpSocket)> {
    let (near, far) = (bound()?, bound()?);
    near.connect(at)?;
    near.set_read_timeout(Some(Duration::from_millis(100)))?;
    ask(&near, ALLOCATE, &[0, 0x19, 0, 4, 17, 0, 0, 0])?;
    ask(&near, CHANNEL_BIND, &channel_to(far.local_addr()?))?;
    Ok((near, far))
}

fn start() -> io::Result<(Process, SocketAddr)> {
    let at = bound()?.local_addr()?;
    let port = at.port().to_string();
    let arguments = ["-n", "--no-auth", "--no-tls", "--no-dtls", "--no-cli", "--no-tcp"];
    let mut command = Command::new(PROGRAM);
    command.args(arguments).args(["--allow-loopback-peers", "--log-file", "/dev/null"]);
    command.args(["--listening-ip", "127.0.0.1", "--relay-ip", "127.0.0.1"]);
    command.args(["--listening-port", &port, "--pidfile", "/dev/null"]);
    Process::start(command.stdout(Stdio::null())).map(|server| (server, at))
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

const PROGRAM: &str = "turnserver";
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const ALLOCATE: u16 = 0x0003;
const CHANNEL_BIND: u16 = 0x0009;
const SUCCESS: u16 = 0x0100;
const CHANNEL: u16 = 0x4000;
