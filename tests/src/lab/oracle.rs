//! What must become of two peers, from the behaviour of what stands before each of them, by RFC 4787's
//! words alone. Nothing here uses the protocol: it is what the protocol is held against.

/// How a NAT behaves, as far as two peers can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Behaviour {
    /// Where datagrams get to.
    pub(super) reach: Reach,
    /// Which port others see.
    pub(super) mapping: Mapping,
    /// Who may answer.
    pub(super) filtering: Filtering,
    /// What becomes of datagrams that nobody asked for.
    pub(super) closed: Closed,
}

/// Where datagrams get to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Everywhere.
    All,
    /// To the server alone.
    ServerOnly,
    /// Nowhere.
    Nothing,
}

/// Which port others see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mapping {
    /// Everybody sees the same.
    Independent,
    /// It depends on whom datagrams are for.
    Dependent,
}

/// From where datagrams come in at a mapped port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filtering {
    /// From everywhere.
    Independent,
    /// From addresses that were sent to.
    Address,
    /// From addresses and ports that were sent to.
    AddressAndPort,
}

/// What becomes of datagrams to a port that is not mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// There is no NAT.
    Absent,
    /// They vanish.
    Silent,
    /// The sender is told.
    Refused,
    /// The NAT takes them for its own and remembers them: an answer of the host behind it then gets
    /// another port. Who sends too early spoils the port.
    Remembered,
}

/// What must become of two peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Packets go from one to the other.
    Direct,
    /// Packets go by way of the server.
    Routed,
    /// They do not meet.
    Nothing,
}

/// What must become of peers behind these two, if each knows the address of the other that the server
/// sees, both send, and neither sends before the other one's NAT is ready for it.
#[must_use]
pub(super) fn outcome(one: Behaviour, other: Behaviour) -> Outcome {
    let reaches = |reach| one.reach == reach || other.reach == reach;
    if reaches(Reach::Nothing) {
        return Outcome::Nothing;
    }
    if reaches(Reach::ServerOnly) || !(hears(one, other) || hears(other, one)) {
        return Outcome::Routed;
    }
    // Who hears one datagram knows where to answer, and has sent there or may be answered from there.
    Outcome::Direct
}

/// Whether a first datagram of `from` comes in at `to`, which has sent to where it expects `from`.
fn hears(to: Behaviour, from: Behaviour) -> bool {
    let expected = from.mapping == Mapping::Independent;
    let arrives = match to.filtering {
        Filtering::Independent | Filtering::Address => true,
        Filtering::AddressAndPort => expected,
    };
    // And `from` must know where: the port that the server saw is right, or it has heard `to`.
    arrives && to.mapping == Mapping::Independent
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    fn of(one: Kind, other: Kind) -> Outcome {
        outcome(one.behaviour(), other.behaviour())
    }

    #[test]
    fn only_a_symmetric_nat_and_a_port_that_must_be_known_stay_apart() {
        for one in Kind::ALL {
            for other in Kind::ALL {
                let outcome = of(one, other);
                assert_eq!(outcome, of(other, one), "{one:?} {other:?}");
                let either = |kind| one == kind || other == kind;
                let ports = [
                    Kind::PortDrop,
                    Kind::PortReject,
                    Kind::PortAccept,
                    Kind::Symmetric,
                    Kind::Carrier,
                ];
                let apart =
                    either(Kind::Symmetric) && ports.contains(&one) && ports.contains(&other);
                let expected = if either(Kind::NoUdp) {
                    Outcome::Nothing
                } else if either(Kind::ServerOnly) || apart {
                    Outcome::Routed
                } else {
                    Outcome::Direct
                };
                assert_eq!(outcome, expected, "{one:?} {other:?}");
            }
        }
    }
}
