//! The peer that a task is about, as it is written on the command line.

use std::fmt;
use std::str::FromStr;

use handfast_program::Error;
use handfast_tokio::{ConnectError, EndReason, PeerId, Target, TargetName, explain, resolve};

/// A peer: by its identity alone, or at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    /// Reached by way of servers.
    Id(PeerId),
    /// Reached at an address, whoever is there if no identity is named.
    At(TargetName),
}

impl Whom {
    /// Says what to do if it is this program itself, which cannot be dialled.
    pub(crate) fn check(&self, own: PeerId) -> Result<(), Error> {
        let id = match self {
            Self::Id(id) => Some(*id),
            Self::At(name) => name.id(),
        };
        if id == Some(own) {
            return Err(Error::Usage(format!(
                "{own} has the key that this program uses as well: choose another with --identity"
            )));
        }
        Ok(())
    }

    /// Says what is missing where a peer is named by its identity alone, and no server.
    pub(crate) fn check_way(&self, servers: &[TargetName]) -> Result<(), Error> {
        if servers.is_empty() && matches!(self, Self::Id(_)) {
            return Err(Error::Usage(NO_WAY.to_owned()));
        }
        Ok(())
    }

    /// What to dial.
    pub(crate) async fn target(&self) -> Result<Target, Error> {
        match self {
            Self::Id(id) => Ok(Target::from(*id)),
            Self::At(name) => {
                resolve(name).await.map_err(|error| Error::Run(explain(&error).to_string()))
            }
        }
    }

    /// Says why it could not be dialled, and what to do.
    pub(crate) fn failure(&self, error: &ConnectError) -> Error {
        let text = match (self, error) {
            (Self::Id(id), ConnectError::Ended(EndReason::DialTimeout)) => format!(
                "{id} does not answer by way of any server: does it run, with the same --server?"
            ),
            (Self::At(name), ConnectError::Ended(EndReason::DialTimeout)) => format!(
                "nobody at {name} answered: are the address, the PeerId and the network secret right, is \
                 there a firewall?"
            ),
            _ => format!("cannot connect to {self}: {error}"),
        };
        match error {
            ConnectError::Ended(EndReason::Refused(_)) => Error::Refused(text),
            _ => Error::Run(text),
        }
    }
}

const NO_WAY: &str = "a PEERID alone is reached by way of a server: name one with --server \
                      PEERID@HOST:PORT, or write PEERID@HOST:PORT";

impl FromStr for Whom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains([':', '@']) {
            return text.parse().map(Self::At).map_err(|error| format!("{error}"));
        }
        let id = text.parse().map(Self::Id);
        id.map_err(|error| format!("{error}; write PEERID, PEERID@HOST:PORT or HOST:PORT"))
    }
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::At(name) => name.fmt(f),
        }
    }
}
