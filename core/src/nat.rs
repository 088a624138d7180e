//! What was found out about the NAT before us.

use core::fmt;
use core::net::SocketAddr;

use smallvec::SmallVec;

use crate::pack::pack_never;

/// What a test with the help of a server found out about the NAT before us: see
/// [`Endpoint::test_nat`](crate::Endpoint::test_nat). It is evidence, not a verdict: nothing is left untried
/// because of it.
///
/// What is `None` is not known. If a port of the server was silent, [`silent_ports`](Self::silent_ports) names it: it
/// is closed there, or barred on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NatEvidence {
    /// Where the server sees us, at the port by which we are connected to it; `None` if it did not say.
    pub observed: Option<SocketAddr>,
    /// Which of our ports others see.
    pub mapping: Option<NatMapping>,
    /// Who may send to us without having been sent to.
    pub filtering: Option<NatFiltering>,
    /// Whether a packet that comes before one of ours spoils the way to its sender: ours then leave from another
    /// port than others see. `None` as well if each destination sees another port in any case.
    pub order_sensitive: Option<bool>,
    /// Ports of the server that did not answer.
    pub silent_ports: SmallVec<[u16; 3]>,
}

pack_never!(NatEvidence);

/// Which of our ports others see (RFC 4787 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum NatMapping {
    /// All see the same: a peer can be told of it.
    Same,
    /// Each destination sees another: nobody can be told of it beforehand.
    Differs,
}

/// Who may send to us without having been sent to (RFC 4787 section 5), as far as the ports of one server tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum NatFiltering {
    /// Another port of an address that we sent to gets through; perhaps everybody does.
    OtherPorts,
    /// Only ports that we sent to get through.
    SamePort,
}

impl fmt::Display for NatEvidence {
    /// In words, such as `seen at 192.0.2.7:4263, the same port for all, lets in only who was sent to`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.observed {
            Some(observed) => write!(f, "seen at {observed}")?,
            None => f.write_str("not seen")?,
        }
        f.write_str(match self.mapping {
            Some(NatMapping::Same) => ", the same port for all",
            Some(NatMapping::Differs) => ", another port for each destination",
            None => ", mapping unknown",
        })?;
        f.write_str(match self.filtering {
            Some(NatFiltering::OtherPorts) => ", lets in other ports of who was sent to",
            Some(NatFiltering::SamePort) => ", lets in only who was sent to",
            None => ", filtering unknown",
        })?;
        if self.order_sensitive == Some(true) {
            f.write_str(", spoilt by who sends first")?;
        }
        for port in &self.silent_ports {
            write!(f, ", port {port} of the server is silent")?;
        }
        Ok(())
    }
}
