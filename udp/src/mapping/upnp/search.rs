//! Calling for routers (SSDP: UPnP Device Architecture 1.1, section 1.3).

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::http::Place;

/// Where routers are called.
pub(super) const GROUP: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(239, 255, 255, 250)), 1900);

/// Where the routers that answer describe themselves: the first few, of `router` alone if it is named. A router that answers
/// is worth a moment for others, no more.
///
/// # Errors
/// When nothing can be sent.
pub(super) fn search(group: SocketAddr, router: Option<IpAddr>) -> io::Result<Vec<Place>> {
    if group.ip().is_multicast() && router.is_some_and(|router| router.is_loopback()) {
        // There are no groups.
        return Ok(Vec::new());
    }
    let socket = UdpSocket::bind(from(router))?;
    let mut places = Vec::new();
    for _ in 0..CALLS {
        for device in DEVICES {
            let call = format!(
                "M-SEARCH * HTTP/1.1\r\nHOST: {group}\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: {device}\r\n\r\n"
            );
            socket.send_to(call.as_bytes(), group)?;
        }
        let mut until = Instant::now() + PATIENCE;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            socket.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            let mut buffer = [0; 2048];
            let Ok((len, from)) = socket.recv_from(&mut buffer) else { continue };
            let is_wanted = router.is_none_or(|router| router == from.ip());
            let place = location(&buffer[..len]).and_then(Place::parse);
            // A description elsewhere would have us call somebody else.
            let place = place.filter(|place| is_wanted && place.address.ip() == from.ip());
            if let Some(place) = place.filter(|place| !places.contains(place)) {
                until = until.min(Instant::now() + MOMENT);
                places.push(place);
            }
            if places.len() == MOST {
                break;
            }
        }
        if !places.is_empty() {
            break;
        }
    }
    Ok(places)
}

/// The address by which `router` is reached, so that the call leaves there; any if that is not known.
fn from(router: Option<IpAddr>) -> SocketAddr {
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let ours = router.and_then(|router| {
        let socket = UdpSocket::bind(any).ok()?;
        // Nothing is sent.
        socket.connect((router, GROUP.port())).ok()?;
        Some(SocketAddr::new(socket.local_addr().ok()?.ip(), 0))
    });
    ours.unwrap_or(any)
}

/// What an answer names as the place of the description.
fn location(answer: &[u8]) -> Option<&str> {
    let text = str::from_utf8(answer).ok()?;
    let mut lines = text.lines();
    lines.next().filter(|line| line.starts_with("HTTP/1.") && line.contains(" 200"))?;
    lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("location").then_some(value.trim())
    })
}

/// Routers of the second version answer to the first as well; some answer to nothing but the service.
const DEVICES: [&str; 2] = [
    "urn:schemas-upnp-org:device:InternetGatewayDevice:1",
    "urn:schemas-upnp-org:service:WANIPConnection:1",
];
const CALLS: usize = 2;
/// A router waits for up to MX, a second, before it answers.
const PATIENCE: Duration = Duration::from_millis(1500);
const MOMENT: Duration = Duration::from_millis(200);
const MOST: usize = 4;
