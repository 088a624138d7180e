//! Whether others in the local network are told of us, and who is listened to.

use super::NetworkSecret;
use super::rule::{Rule, rule};

/// How endpoints in one local network find each other: by beacons, small packets to everyone there. Drivers that can
/// send and receive them do so as this says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct Discovery {
    /// Whether beacons are listened to: [`Event::Discovered`](crate::Event::Discovered) tells of them. Default: false.
    pub listen: bool,
    /// Whether a beacon is sent every 5 s on each interface. Beacons are sealed with the network secret. Default: false.
    pub announce: bool,
    /// Whether beacons are sent without a network secret as well: then anyone in the local network can read our
    /// `PeerId`. Default: false.
    pub disclose: bool,
}

impl Discovery {
    pub(super) fn rules(&self, secret: Option<&NetworkSecret>) -> [Rule; 1] {
        let is_kept = !self.announce || self.disclose || secret.is_some();
        let needs =
            "shows our identity to everyone in the local network: it needs a network secret, or";
        [rule("discovery.announce", needs, is_kept).than("discovery.disclose")]
    }
}
