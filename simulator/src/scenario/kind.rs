//! The kinds of trouble that scenarios are about.

/// A kind of fault that a scenario is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// Independent loss.
    Loss,
    /// Loss in bursts.
    Bursts,
    /// Datagrams that overtake each other.
    Reordering,
    /// Datagrams that arrive twice.
    Duplication,
    /// Flipped bits.
    Corruption,
    /// A slow link with a short queue.
    Congestion,
    /// A link that carries only small datagrams for a while.
    Mtu,
    /// Nodes cut off from each other both ways.
    Partition,
    /// Nodes of which one hears the other and not the reverse.
    OneWay,
    /// The same for longer than the idle timeout: one gives the other up, or each the other.
    Expiry,
    /// Addresses that change, with or without the node's knowledge.
    Rebind,
    /// Leaves behind a NAT that forgets them within seconds, and pauses in the traffic.
    Nat,
    /// Leaves behind a NAT that is switched off and on.
    NatReboot,
    /// Nodes that lose their state.
    Restart,
    /// Nodes that come back as someone else, with another key.
    NewIdentity,
    /// Nodes that are suspended and go on with the state they had.
    Suspend,
    /// Clocks that jump ahead.
    ClockJump,
    /// Someone on the path who replays, corrupts, delays and spoofs.
    Attack,
    /// No fault, but keys that change often.
    Rekey,
    /// No fault, but messages of many packets.
    Fragmentation,
}

impl Fault {
    /// All kinds. The scenario of a seed is about the kind at `seed % len`, and sometimes another.
    pub const ALL: [Self; 20] = [
        Self::Loss,
        Self::Bursts,
        Self::Reordering,
        Self::Duplication,
        Self::Corruption,
        Self::Congestion,
        Self::Mtu,
        Self::Partition,
        Self::OneWay,
        Self::Expiry,
        Self::Rebind,
        Self::Nat,
        Self::NatReboot,
        Self::Restart,
        Self::NewIdentity,
        Self::Suspend,
        Self::ClockJump,
        Self::Attack,
        Self::Rekey,
        Self::Fragmentation,
    ];
}
