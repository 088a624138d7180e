//! What the simulated world really did to its nodes, counted.

use std::ops::AddAssign;

macro_rules! faults {
    ($($(#[$meta:meta])* $field:ident,)*) => {
        /// Counts of what really happened, as opposed to what was configured to be likely.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Faults { $($(#[$meta])* pub $field: u64,)* }

        impl Faults {
            /// All counters by name, in the order of declaration.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$((stringify!($field), self.$field),)*].into_iter()
            }
        }

        impl AddAssign for Faults {
            fn add_assign(&mut self, other: Self) {
                $(self.$field += other.$field;)*
            }
        }
    };
}

faults! {
    /// Datagrams lost independently of each other.
    lost,
    /// Datagrams lost in a burst.
    lost_in_bursts,
    /// Datagrams dropped because the queue of the link was full.
    queue_drops,
    /// Datagrams larger than the link carries.
    mtu_drops,
    /// Datagrams dropped by a partition.
    partition_drops,
    /// Datagrams to an address that nobody has (any more), or to a node that is down.
    unroutable,
    /// Datagrams that arrived twice.
    duplicated,
    /// Datagrams that arrived after one that was sent later on the same link.
    reordered,
    /// Datagrams of which bits were flipped.
    corrupted,
    /// Datagrams marked "congestion experienced".
    ce_marked,
    /// Directed links that were blocked.
    partitions,
    /// Nodes that got another address.
    rebinds,
    /// Nodes that lost all state but their identity.
    restarts,
    /// Clocks that jumped ahead.
    clock_jumps,
}

impl Faults {
    /// Datagrams that never arrived, for whatever reason.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.lost
            + self.lost_in_bursts
            + self.queue_drops
            + self.mtu_drops
            + self.partition_drops
            + self.unroutable
    }
}
