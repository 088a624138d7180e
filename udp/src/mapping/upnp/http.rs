//! As much of HTTP as a router of UPnP needs.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// `http://ADDRESS/PATH`, the address in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) address: SocketAddr,
    /// Begins with a slash.
    path: String,
}

impl Place {
    /// `None` if it is no such thing: names of hosts are not asked for.
    pub(super) fn parse(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("http://")?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let address = host.parse().ok();
        let address = address.or_else(|| Some(SocketAddr::new(host.parse().ok()?, 80)))?;
        Self { address, path: "/".to_owned() }.at(path)
    }

    /// What `url` means in a document that is here; `None` if it is elsewhere.
    pub(super) fn beside(&self, url: &str) -> Option<Self> {
        let url = url.trim();
        match url.split_once("://") {
            Some(_) => Self::parse(url).filter(|place| place.address.ip() == self.address.ip()),
            None if url.starts_with('/') => self.at(url),
            None => self.at(&format!("/{url}")),
        }
    }

    fn at(&self, path: &str) -> Option<Self> {
        // Anything else could end the line of the request.
        let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic()) && path.len() <= 1000;
        let path = if path.is_empty() { "/" } else { path };
        is_plain.then(|| Self { address: self.address, path: path.to_owned() })
    }

    /// Our address on the way there. Nothing is sent.
    pub(super) fn own_address(&self) -> io::Result<IpAddr> {
        let any = if self.address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any)?;
        socket.connect(self.address)?;
        Ok(socket.local_addr()?.ip())
    }
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    is_good: bool,
    pub(super) body: String,
    /// The code of UPnP in a refusal.
    pub(super) code: Option<u16>,
}

impl Reply {
    /// What stands in it.
    ///
    /// # Errors
    /// When it is a refusal.
    pub(super) fn accepted(self) -> io::Result<String> {
        match self.code {
            Some(code) => Err(super::refused(code)),
            None if self.is_good => Ok(self.body),
            None => Err(io::Error::other("the router refused")),
        }
    }
}

pub(super) fn get(place: &Place) -> io::Result<Reply> {
    let Place { address, path } = place;
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    exchange(*address, &head)
}

pub(super) fn post(place: &Place, action: &str, body: &str) -> io::Result<Reply> {
    let (Place { address, path }, length) = (place, body.len());
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: text/xml; charset=\"utf-8\"\r\nSOAPAction: {action}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    exchange(*address, &request)
}

fn exchange(address: SocketAddr, request: &str) -> io::Result<Reply> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let (until, mut bytes) = (Instant::now() + PATIENCE, Vec::new());
    let mut buffer = [0; 4096];
    while !is_whole(&bytes) {
        let left = until.saturating_duration_since(Instant::now());
        stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => bytes.extend_from_slice(&buffer[..len]),
            Err(_) if left.is_zero() => return Err(late()),
            Err(error) if is_interruption(&error) => {}
            Err(error) => return Err(error),
        }
        if bytes.len() > MOST || left.is_zero() {
            return Err(late());
        }
    }
    read(&bytes).ok_or_else(|| io::Error::other("what the router says is not HTTP"))
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the router does not end its answer")
}

fn is_interruption(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

/// Whether as much came as was announced. A router that announces nothing closes the connection.
fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
    let length = header(head, "content-length").and_then(|value| value.parse::<usize>().ok());
    length.is_some_and(|length| bytes.len() >= head.len() + 4 + length)
}

pub(super) fn read(bytes: &[u8]) -> Option<Reply> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split_whitespace().nth(1)?;
    let is_chunked =
        header(head, "transfer-encoding").is_some_and(|coding| coding.contains("chunked"));
    let body = if is_chunked { joined(body) } else { body.to_owned() };
    let code = element(&body, "errorCode").and_then(|code| code.trim().parse().ok());
    Some(Reply { is_good: status.starts_with('2'), body, code })
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// The chunks of RFC 9112 section 7.1, as many as there are.
fn joined(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = size.split(';').next().unwrap_or_default().trim();
        let Ok(size @ 1..) = usize::from_str_radix(size, 16) else { break };
        let Some(chunk) = rest.get(..size) else {
            whole.push_str(rest);
            break;
        };
        whole.push_str(chunk);
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}

/// What stands in the first element of this name.
pub(super) fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}"))?;
    // A longer name, or attributes.
    let (attributes, rest) = rest.split_once('>')?;
    if !attributes.is_empty() && !attributes.starts_with(char::is_whitespace) {
        return element(rest, name);
    }
    rest.split_once('<').map(|(value, _)| value)
}

const PATIENCE: Duration = Duration::from_secs(3);
/// Descriptions are a few KiB.
const MOST: usize = 256 << 10;
