//! How much may go to addresses that somebody only named: one table for all peers, which outlives them.

use alloc::collections::BTreeMap;
use core::net::{IpAddr, SocketAddr};

use crate::bucket::{Limit, TokenBucket};
use crate::time::Instant;

/// To one address: at most 84 packets in any ten minutes, which is seven rounds.
const ADDRESS: Limit = Limit::every(600_000_000 / 42, 42);
/// To one host (or network of 64 bits): at most 64 in any five seconds.
const HOST: Limit = Limit::every(5_000_000 / 32, 32);
/// The same for longer: at most 600 in any five minutes.
const HOST_LONG: Limit = Limit::every(300_000_000 / 300, 300);
/// To all together: 200 in a second.
const TOTAL: Limit = Limit::every(5_000, 100);
/// How many addresses and hosts are remembered. When there is no room, nothing goes to others.
const MAX_ENTRIES: usize = 2048;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Address(SocketAddr),
    Host(IpAddr),
}

/// What went where.
#[derive(Debug)]
pub(crate) struct ProbeBudgets {
    table: BTreeMap<Place, [TokenBucket; 2]>,
    total: TokenBucket,
}

impl Default for ProbeBudgets {
    fn default() -> Self {
        Self { table: BTreeMap::new(), total: TokenBucket::FULL }
    }
}

impl ProbeBudgets {
    /// Whether a packet may go to `address`; it counts as sent then.
    pub(crate) fn take(&mut self, address: SocketAddr, now: Instant) -> bool {
        let places = [Place::Address(address), Place::Host(host(address.ip()))];
        let limits = [[ADDRESS, ADDRESS], [HOST, HOST_LONG]];
        if !self.total.has(now, &TOTAL, 0) || !self.has_room_for(&places, now) {
            return false;
        }
        let both = || places.iter().zip(&limits);
        let may = both().all(|(place, limits)| {
            let known = self.table.get(place).copied().unwrap_or([TokenBucket::FULL; 2]);
            known.iter().zip(limits).all(|(bucket, limit)| bucket.has(now, limit, 0))
        });
        if may {
            self.total.take(now, &TOTAL, 0);
            for (place, limits) in both() {
                let known = self.table.entry(*place).or_insert([TokenBucket::FULL; 2]);
                known.iter_mut().zip(limits).for_each(|(one, limit)| _ = one.take(now, limit, 0));
            }
        }
        may
    }

    /// Whether the places are known or find room; those to which nothing went for a while give way.
    fn has_room_for(&mut self, places: &[Place], now: Instant) -> bool {
        let news = places.iter().filter(|place| !self.table.contains_key(place)).count();
        if self.table.len() + news > MAX_ENTRIES {
            self.table.retain(|_, buckets| !buckets.iter().all(|one| one.is_rested(now, 0)));
        }
        self.table.len() + news <= MAX_ENTRIES
    }
}

/// The part of an address that names a host, or the network that one has.
fn host(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(1_000_000_000 + seconds * 1_000_000)
    }

    /// How many go to ports of one host, one try each 10 ms, in so many seconds.
    fn sent(budgets: &mut ProbeBudgets, ports: u16, seconds: u64) -> usize {
        let tries =
            (0..seconds * 100).map(|n| (n, Instant::from_micros(at(0).as_micros() + n * 10_000)));
        let address =
            |n: u64| SocketAddr::from(([192, 0, 2, 7], 1 + (n % u64::from(ports)) as u16));
        tries.filter(|(n, now)| budgets.take(address(*n), *now)).count()
    }

    #[test]
    fn an_address_and_a_host_get_no_more_than_their_share_whoever_names_them() {
        assert!(sent(&mut ProbeBudgets::default(), 1, 600) <= 84);
        assert!(sent(&mut ProbeBudgets::default(), 1000, 5) <= 64);
        let many = sent(&mut ProbeBudgets::default(), 1000, 300);
        assert!((300..=600).contains(&many), "{many}");
    }

    #[test]
    fn a_network_of_ipv6_is_one_host_and_the_table_is_bounded() {
        let mut budgets = ProbeBudgets::default();
        let inside = |n: u16| SocketAddr::from(([0x2001, 0xdb8, 0, 0, n, 1, 2, 3], 5));
        assert!((0..1000).filter(|n| budgets.take(inside(*n), at(0))).count() <= 64);
        for second in 0..100 {
            for n in 0..200_u64 {
                let ip =
                    (u32::from_be_bytes([9, 0, 0, 0]) + (second * 200 + n) as u32).to_be_bytes();
                budgets.take(SocketAddr::from((ip, 5)), at(second));
            }
        }
        assert!(budgets.table.len() <= MAX_ENTRIES);
        assert!(budgets.take(inside(1), at(5000)), "it recovers");
    }
}
