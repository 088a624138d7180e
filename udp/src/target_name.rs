//! Whom to dial, as people write it.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use handfast_core::{PeerId, PeerIdError, Target};

use crate::explain;

/// Whom to dial, written `PEERID@HOST:PORT`, or `HOST:PORT` for whoever is there. The host is a name or an
/// IP address; nothing is looked up until it is resolved.
///
/// ```
/// use handfast_udp::TargetName;
///
/// let name: TargetName = "127.0.0.1:4263".parse()?;
/// let target = name.resolve()?;
/// assert_eq!(target.addresses[..], ["127.0.0.1:4263".parse()?]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetName {
    id: Option<PeerId>,
    place: String,
}

impl TargetName {
    /// The identity to expect; `None` for whoever is there.
    #[must_use]
    pub const fn id(&self) -> Option<PeerId> {
        self.id
    }

    /// The host and the port.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Looks the host up. That may take seconds; the runtime on tokio has a `resolve` that does not block.
    ///
    /// # Errors
    /// When the host is unknown or has no address.
    pub fn resolve(&self) -> io::Result<Target> {
        self.found(self.place.to_socket_addrs())
    }

    /// The target, if `found` is what a resolver answered about [`place`](Self::place).
    ///
    /// # Errors
    /// That of the resolver, or that there is no address: names the host.
    pub fn found(&self, found: io::Result<impl Iterator<Item = SocketAddr>>) -> io::Result<Target> {
        let Self { id, place } = self;
        let found = found.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot find {place}: {}", explain(&error)))
        })?;
        let addresses: Vec<_> = found.collect();
        let Some(first) = addresses.first() else {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("{place} has no address")));
        };
        let mut target = Target::from(*first);
        (target.id, target.addresses) = (*id, addresses.into());
        Ok(target)
    }
}

impl FromStr for TargetName {
    type Err = TargetNameError;

    fn from_str(text: &str) -> Result<Self, TargetNameError> {
        let (id, place) = match text.split_once('@') {
            Some((id, place)) => (Some(id.parse().map_err(TargetNameError::Id)?), place),
            None => (None, text),
        };
        let parts = place.rsplit_once(':').filter(|(host, port)| {
            // In brackets, or nobody knows where an IPv6 address ends.
            let is_bare = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
            !host.is_empty() && !is_bare && port.parse::<u16>().is_ok()
        });
        parts.ok_or(TargetNameError::Place)?;
        Ok(Self { id, place: place.to_owned() })
    }
}

impl fmt::Display for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(id) = self.id {
            write!(f, "{id}@")?;
        }
        f.write_str(&self.place)
    }
}

/// Why a text is no [`TargetName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TargetNameError {
    /// What stands before the `@` is no `PeerId`.
    Id(PeerIdError),
    /// The rest is not a host and a port.
    Place,
}

impl fmt::Display for TargetNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(error) => write!(f, "{error}"),
            Self::Place => f.write_str(
                "not a host and a port: write HOST:PORT or PEERID@HOST:PORT, IPv6 in brackets",
            ),
        }
    }
}

impl std::error::Error for TargetNameError {}

#[cfg(feature = "serde")]
impl serde::Serialize for TargetName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for TargetName {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use handfast_core::Identity;

    fn id() -> PeerId {
        Identity::from_seed([1; 32]).id()
    }

    #[test]
    fn what_is_read_is_written_the_same() {
        for place in ["localhost:1", "127.0.0.1:4263", "[::1]:65535", "example.org:0"] {
            for text in [place.to_owned(), format!("{}@{place}", id())] {
                let name: TargetName = text.parse().expect("a name");
                assert_eq!((name.to_string(), name.place()), (text.clone(), place));
                assert_eq!(name.id().is_some(), text.contains('@'));
            }
        }
        for bad in ["", "localhost", ":1", "host:", "host:65536", "::1:80", "host:x", "a@host:1"] {
            let error = bad.parse::<TargetName>().expect_err(bad);
            assert!(error.to_string().contains(':'), "{bad}: {error}");
        }
        assert_eq!(format!("{}@", id()).parse::<TargetName>(), Err(TargetNameError::Place));
    }

    #[cfg(feature = "serde")]
    #[test]
    fn a_name_is_its_text_for_serde_and_another_text_is_refused_with_the_reason() {
        use serde::Deserialize;
        use serde::de::value::{Error, StrDeserializer};
        let read = |text| TargetName::deserialize(StrDeserializer::<Error>::new(text));
        assert_eq!(read("localhost:1").expect("a name").to_string(), "localhost:1");
        let error = read("localhost").expect_err("no port").to_string();
        assert_eq!(error, TargetNameError::Place.to_string());
    }

    #[test]
    fn a_name_is_resolved_to_all_addresses_of_its_host() {
        let name: TargetName = format!("{}@[::1]:7", id()).parse().expect("a name");
        assert_eq!(
            name.resolve().expect("an address"),
            Target::new(id(), [([0, 0, 0, 0, 0, 0, 0, 1], 7).into()])
        );
        let two: [SocketAddr; 2] = [([192, 0, 2, 1], 7).into(), ([192, 0, 2, 2], 7).into()];
        let name: TargetName = "two.example:7".parse().expect("a name");
        let target = name.found(Ok(two.into_iter())).expect("two");
        assert_eq!((target.id, &target.addresses[..]), (None, &two[..]));
        let error = name.found(Ok(std::iter::empty())).expect_err("none");
        assert!(error.to_string().contains("two.example:7"), "{error}");
        let refused = Err::<std::iter::Empty<_>, _>(io::Error::other("no resolver"));
        let error = name.found(refused).expect_err("refused");
        assert!(error.to_string().contains("no resolver"), "{error}");
    }
}
