//! Asking a router by UPnP: an Internet Gateway Device answers a call into the network (`search`), describes itself, and
//! takes commands for its service WANIPConnection or WANPPPConnection (both by `http`).
//!
//! What a router says is read by looking for a few names in it, not as XML: routers are not exact about it either.
//! Nothing is sent to anybody but the router that answered, whatever its description names.

mod http;
mod search;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::PortProtocol;
use super::client::{Grant, LIFE, Request};
use http::{Place, Reply};

/// A router that takes commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Upnp {
    control: Place,
    /// The name of its service, with a version.
    service: String,
}

/// Looks for a router that takes commands: for this one, or for any.
///
/// # Errors
/// When none answers, or none that does says how.
pub(super) fn find(router: Option<IpAddr>) -> io::Result<Upnp> {
    find_at(search::GROUP, router)
}

fn find_at(group: SocketAddr, router: Option<IpAddr>) -> io::Result<Upnp> {
    let mut failure = io::Error::new(io::ErrorKind::TimedOut, "no router answers");
    for description in search::search(group, router)? {
        match http::get(&description).and_then(|reply| described(&description, &reply)) {
            Ok(found) => return Ok(found),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// What a description says of the service.
fn described(at: &Place, reply: &Reply) -> io::Result<Upnp> {
    let services = reply.body.split("<service>").skip(1);
    let mut found = services.filter_map(|service| {
        let name = http::element(service, "serviceType")?;
        let is_ours = SERVICES.iter().any(|ours| name.contains(ours)) && is_word(name);
        let control = at.beside(http::element(service, "controlURL")?)?;
        is_ours.then(|| Upnp { control, service: name.to_owned() })
    });
    found.next().ok_or_else(|| io::Error::other("the router describes no way to forward ports"))
}

impl Upnp {
    /// Asks for the port, or gives it back if for no time.
    ///
    /// # Errors
    /// When the router says nothing or no.
    pub(super) fn ask(&self, request: &Request, life: Duration) -> io::Result<Grant> {
        let given_back = |external| Grant { external, life, protocol: PortProtocol::Upnp };
        if life.is_zero() {
            self.give_back(request.external)?;
            return Ok(given_back(SocketAddr::new(self.control.address.ip(), request.external)));
        }
        let answer = self.command("GetExternalIPAddress", "")?.accepted()?;
        let ip =
            http::element(&answer, "NewExternalIPAddress").and_then(|ip| ip.trim().parse().ok());
        let ip: IpAddr = ip
            .filter(|ip: &IpAddr| !ip.is_unspecified())
            .ok_or_else(|| io::Error::other("the router has no address of its own"))?;
        let wanted = if request.external == 0 { request.port } else { request.external };
        let mut port = wanted;
        for turn in 0..TRIES {
            match self.add(request.port, port, life)? {
                Ok(life) => {
                    let external = SocketAddr::new(ip, port);
                    return Ok(Grant { external, life, protocol: PortProtocol::Upnp });
                }
                Err(TAKEN) => port = another(request, turn),
                Err(code) => return Err(refused(code)),
            }
        }
        Err(refused(TAKEN))
    }

    /// Has `external` forwarded to our `port`. Returns for how long, or the code of a refusal.
    fn add(&self, port: u16, external: u16, life: Duration) -> io::Result<Result<Duration, u16>> {
        let add = |seconds: u64| {
            let client = self.control.own_address()?;
            let arguments = format!(
                "<NewRemoteHost></NewRemoteHost><NewExternalPort>{external}</NewExternalPort>\
                 <NewProtocol>UDP</NewProtocol><NewInternalPort>{port}</NewInternalPort>\
                 <NewInternalClient>{client}</NewInternalClient><NewEnabled>1</NewEnabled>\
                 <NewPortMappingDescription>handfast</NewPortMappingDescription>\
                 <NewLeaseDuration>{seconds}</NewLeaseDuration>"
            );
            self.command("AddPortMapping", &arguments)
        };
        let first = add(life.as_secs())?;
        let reply = if first.code == Some(NO_END_ALONE) { add(0)? } else { first };
        match reply.code {
            None => reply.accepted().map(|_| Ok(life.min(LIFE))),
            Some(code) => Ok(Err(code)),
        }
    }

    fn give_back(&self, external: u16) -> io::Result<()> {
        let arguments = format!(
            "<NewRemoteHost></NewRemoteHost><NewExternalPort>{external}</NewExternalPort>\
             <NewProtocol>UDP</NewProtocol>"
        );
        self.command("DeletePortMapping", &arguments)?.accepted().map(drop)
    }

    fn command(&self, name: &str, arguments: &str) -> io::Result<Reply> {
        let service = &self.service;
        let body = format!(
            "<?xml version=\"1.0\"?>\r\n<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
             s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body>\
             <u:{name} xmlns:u=\"{service}\">{arguments}</u:{name}></s:Body></s:Envelope>\r\n"
        );
        http::post(&self.control, &format!("\"{service}#{name}\""), &body)
    }
}

/// Another port than the one that is taken, not the same for everybody.
fn another(request: &Request, turn: usize) -> u16 {
    let [a, b, c, d, ..] = request.nonce;
    let bytes = if turn == 0 { [a, b] } else { [c, d] };
    // 32,768 to 65,535.
    u16::from_be_bytes(bytes) | 0x8000
}

fn refused(code: u16) -> io::Error {
    let words = match code {
        TAKEN => ": the port is taken",
        606 => ": not allowed",
        _ => "",
    };
    io::Error::other(format!("the router refused (code {code}{words})"))
}

/// Whether it can stand in a header as it is.
fn is_word(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":-_.".contains(&byte))
}

const SERVICES: [&str; 2] = [":WANIPConnection:", ":WANPPPConnection:"];
/// ConflictInMappingEntry: somebody else has the port.
const TAKEN: u16 = 718;
/// OnlyPermanentLeasesSupported.
const NO_END_ALONE: u16 = 725;
/// How many ports are asked for.
const TRIES: usize = 3;
