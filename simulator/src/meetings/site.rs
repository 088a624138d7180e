//! What a peer is behind, and what two of them allow.

use crate::nat::{Dependence, NatKind, Ports};

/// What a peer is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Site {
    /// Nothing: everybody reaches it.
    Public,
    /// A NAT that lets in whatever comes to a mapped port.
    FullCone,
    /// A NAT that lets in what comes from an address that was sent to.
    AddressRestricted,
    /// A NAT that lets in what comes from an address and port that was sent to.
    PortRestricted,
    /// The same, which takes what strangers send for its own: who sends to it before it was opened has to do with
    /// another port from then on. Only peers that wait for each other meet behind two of them.
    Poisoned,
    /// A NAT with another port for each destination.
    Symmetric,
}

impl Site {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::Public,
        Self::FullCone,
        Self::AddressRestricted,
        Self::PortRestricted,
        Self::Poisoned,
        Self::Symmetric,
    ];

    /// The NAT; `None` if there is none.
    #[must_use]
    pub fn nat(self, ports: Ports) -> Option<NatKind> {
        let cone = |filtering| NatKind { filtering, ports, ..NatKind::friendly() };
        Some(match self {
            Self::Public => return None,
            Self::FullCone => cone(Dependence::EndpointIndependent),
            Self::AddressRestricted => cone(Dependence::AddressDependent),
            Self::PortRestricted => cone(Dependence::AddressAndPortDependent),
            Self::Poisoned => {
                NatKind { remembers_strangers: true, ..cone(Dependence::AddressAndPortDependent) }
            }
            Self::Symmetric => NatKind { ports, ..NatKind::symmetric() },
        })
    }

    /// Whether two can reach each other, each of which knows where others see the other one, if both send, and neither
    /// before the other's NAT is ready for it. It is known of NATs (RFC 5128 section 3.3), not of this implementation.
    #[must_use]
    pub fn lets_meet(one: Self, other: Self) -> bool {
        // Such a NAT must be told the port that the other comes from, which nobody knows of a symmetric one.
        let must_know =
            |site| matches!(site, Self::PortRestricted | Self::Poisoned | Self::Symmetric);
        let symmetric = one == Self::Symmetric || other == Self::Symmetric;
        !(symmetric && must_know(one) && must_know(other))
    }
}
