//! What happened at a socket.

use std::ops::AddAssign;

/// Counters of one socket, or of all sockets of a driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketStats {
    /// Calls to the system that received something.
    pub receives: u64,
    /// Datagrams received.
    pub datagrams_received: u64,
    /// Calls to the system that failed to receive, other than for want of datagrams.
    pub receive_errors: u64,
    /// Calls to the system that sent something.
    pub sends: u64,
    /// Datagrams sent.
    pub datagrams_sent: u64,
    /// Times the system's send buffer was full.
    pub sends_blocked: u64,
    /// Datagrams the system refused to send: lost, as far as the protocol is concerned.
    pub datagrams_refused: u64,
    /// Datagrams dropped because too many waited for a blocked socket already, or because it was
    /// still blocked a second after the endpoint was closed.
    pub datagrams_overflowed: u64,
    /// Batches that had to be sent datagram by datagram because segmentation offload failed.
    pub offload_failures: u64,
    /// Datagrams sent from an address of the system's choice because ours was gone.
    pub source_fallbacks: u64,
}

impl SocketStats {
    /// All counters by name, in the order of declaration.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("receives", self.receives),
            ("datagrams_received", self.datagrams_received),
            ("receive_errors", self.receive_errors),
            ("sends", self.sends),
            ("datagrams_sent", self.datagrams_sent),
            ("sends_blocked", self.sends_blocked),
            ("datagrams_refused", self.datagrams_refused),
            ("datagrams_overflowed", self.datagrams_overflowed),
            ("offload_failures", self.offload_failures),
            ("source_fallbacks", self.source_fallbacks),
        ]
        .into_iter()
    }
}

impl AddAssign for SocketStats {
    fn add_assign(&mut self, other: Self) {
        self.receives += other.receives;
        self.datagrams_received += other.datagrams_received;
        self.receive_errors += other.receive_errors;
        self.sends += other.sends;
        self.datagrams_sent += other.datagrams_sent;
        self.sends_blocked += other.sends_blocked;
        self.datagrams_refused += other.datagrams_refused;
        self.datagrams_overflowed += other.datagrams_overflowed;
        self.offload_failures += other.offload_failures;
        self.source_fallbacks += other.source_fallbacks;
    }
}
