//! Choosing the public port of a new mapping.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Nat, Ports};

/// The lowest port that is given away.
pub(super) const FIRST: u16 = 1_024;
/// Ports tried at random before they are tried in order.
const TRIES: u32 = 32;

impl Nat {
    /// A port that no live mapping has, and at which `remote` is no stranger, if there is one.
    pub(super) fn choose_port(
        &mut self,
        now: Duration,
        wanted: u16,
        remote: SocketAddr,
    ) -> Option<u16> {
        match self.kind.ports {
            Ports::Preserving => self.free_from(now, wanted.max(FIRST), remote),
            Ports::Sequential => self.free_from(now, after(self.last_port), remote),
            Ports::Random => {
                let any = |nat: &mut Self| nat.rng.range(u64::from(FIRST)..=0xffff) as u16;
                for _ in 0..TRIES {
                    let port = any(self);
                    if self.is_free(now, port, remote) {
                        return Some(port);
                    }
                }
                let start = any(self);
                self.free_from(now, start, remote)
            }
        }
    }

    /// The first free port from `start` on, around to the one before it.
    fn free_from(&self, now: Duration, start: u16, remote: SocketAddr) -> Option<u16> {
        let mut port = start;
        loop {
            if self.is_free(now, port, remote) {
                return Some(port);
            }
            port = after(port);
            if port == start {
                return None;
            }
        }
    }

    fn is_free(&self, now: Duration, port: u16, remote: SocketAddr) -> bool {
        self.owner(now, port).is_none() && !self.is_stranger(now, port, remote)
    }
}

const fn after(port: u16) -> u16 {
    match port.checked_add(1) {
        Some(next) if next > FIRST => next,
        _ => FIRST,
    }
}
