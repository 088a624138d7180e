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
    /// Datagrams dropped because they had waited too long in a queue with CoDel.
    codel_drops,
    /// Datagrams dropped by a policer.
    policed,
    /// Datagrams larger than the link carries.
    mtu_drops,
    /// Datagrams dropped by a partition.
    partition_drops,
    /// Those of them that were dropped while the other direction was open.
    one_way_drops,
    /// Datagrams to an address that nobody has (any more), or to a node that is down.
    unroutable,
    /// Datagrams that arrived twice.
    duplicated,
    /// Datagrams that arrived after one that was sent later on the same link.
    reordered,
    /// Datagrams of which bits were flipped.
    corrupted,
    /// Datagrams marked "congestion experienced" by a queue.
    ce_marked,
    /// Datagrams whose ECN codepoint was changed for no reason, and those that were dropped for having one.
    ecn_mangled,
    /// Directed links that were blocked.
    partitions,
    /// Nodes that got another address.
    rebinds,
    /// Nodes that lost all state but their identity.
    restarts,
    /// Nodes that came back as someone else.
    replacements,
    /// Clocks that jumped ahead.
    clock_jumps,
    /// Nodes that were suspended.
    suspensions,
    /// Datagrams that waited in the socket of a suspended node.
    held,
    /// Datagrams for which a suspended node's socket had no room.
    overflowed,
    /// Mappings that NATs made.
    nat_mappings,
    /// Mappings that were too old when they were wanted.
    nat_expiries,
    /// Datagrams that NATs did not let in, or not out.
    nat_drops,
    /// NATs that lost all mappings.
    nat_reboots,
    /// Old datagrams that an attacker sent again.
    attack_replays,
    /// Copies that an attacker cut, lengthened or changed.
    attack_mangled,
    /// Copies that an attacker sent ahead of the original from its own address.
    attack_races,
    /// Datagrams that an attacker held back.
    attack_delays,
    /// Datagrams that an attacker sent back to their sender.
    attack_reflections,
    /// Datagrams that an attacker made up for a session that it saw.
    attack_spoofs,
    /// Hints, retries and responses that an attacker built from what it saw.
    attack_forgeries,
    /// Datagrams that peers sent to the attacker itself, and that it passed on.
    attack_relays,
}

impl Faults {
    /// Datagrams that an attacker added, held back or passed on.
    #[must_use]
    pub const fn attacks(&self) -> u64 {
        self.attack_replays
            + self.attack_mangled
            + self.attack_races
            + self.attack_delays
            + self.attack_reflections
            + self.attack_spoofs
            + self.attack_forgeries
            + self.attack_relays
    }

    /// Datagrams lost by chance, alone or in bursts.
    #[must_use]
    pub const fn lost_all(&self) -> u64 {
        self.lost + self.lost_in_bursts
    }

    /// Datagrams that never arrived, for whatever reason.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.lost
            + self.lost_in_bursts
            + self.queue_drops
            + self.codel_drops
            + self.policed
            + self.mtu_drops
            + self.partition_drops
            + self.unroutable
            + self.nat_drops
            + self.overflowed
    }
}
