//! How many peers are in each network, wide ones and narrow ones, and where a newcomer may take a place.
//!
//! Who has many addresses has them side by side, so that the widest networks in which two differ are
//! compared. A place moves only from a network with more peers to one that still has fewer afterwards: so
//! every move brings the numbers closer together, and no moves lead back to where they began. Counted by
//! sources alone, somebody with a peer at each of thousands of addresses would be the smallest of all, and
//! take the places of everybody behind one NAT.

use alloc::collections::BTreeMap;

use crate::admission::Source;

/// The number of peers in each network that has any.
#[derive(Debug, Default)]
pub(super) struct Census {
    levels: [Level; Source::LEVELS],
}

/// The networks of one width.
#[derive(Debug, Default)]
struct Level {
    counts: BTreeMap<Source, u32>,
    /// How many networks have so many peers.
    sizes: BTreeMap<u32, u32>,
}

/// Where a newcomer may find a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relief {
    /// In another of the widest networks.
    Elsewhere,
    /// Perhaps in its own.
    Within,
}

impl Census {
    /// A peer is at this source.
    pub(super) fn add(&mut self, source: &Source) {
        for (width, level) in self.levels.iter_mut().enumerate() {
            let network = source.network(width);
            let before = level.count(&network);
            level.set(network, before, before + 1);
        }
    }

    /// A peer is not at this source any more.
    pub(super) fn remove(&mut self, source: &Source) {
        for (width, level) in self.levels.iter_mut().enumerate() {
            let network = source.network(width);
            let before = level.count(&network);
            level.set(network, before, before.saturating_sub(1));
        }
    }

    /// How many peers are at this source.
    pub(super) fn count_at(&self, source: &Source) -> usize {
        self.crowding(source)[Source::LEVELS - 1] as usize
    }

    /// How many peers are in the networks of this source, the widest first.
    pub(super) fn crowding(&self, source: &Source) -> [u32; Source::LEVELS] {
        core::array::from_fn(|level| self.levels[level].count(&source.network(level)))
    }

    /// Whether the numbers come closer together when a peer at `from` gives way to a newcomer at `to`.
    pub(super) fn evens_out(&self, from: &Source, to: &Source) -> bool {
        let apart = (0..Source::LEVELS).find(|level| from.network(*level) != to.network(*level));
        apart.is_some_and(|level| {
            let count = |source: &Source| self.levels[level].count(&source.network(level));
            exceeds(count(from), count(to))
        })
    }

    /// Where a newcomer at this source may find a place, without a look at the peers. `None`: nowhere.
    pub(super) fn relief(&self, to: &Source) -> Option<Relief> {
        let crowding = self.crowding(to);
        let mut levels = self.levels.iter().zip(crowding);
        let is_found = |(level, count): (&Level, u32)| exceeds(level.most(), count);
        if levels.next().is_some_and(is_found) {
            return Some(Relief::Elsewhere);
        }
        levels.any(is_found).then_some(Relief::Within)
    }
}

impl Level {
    fn count(&self, network: &Source) -> u32 {
        self.counts.get(network).copied().unwrap_or(0)
    }

    /// The most peers of a network.
    fn most(&self) -> u32 {
        self.sizes.last_key_value().map_or(0, |(size, _)| *size)
    }

    fn set(&mut self, network: Source, before: u32, after: u32) {
        if let Some(others) = self.sizes.get_mut(&before) {
            *others -= 1;
            if *others == 0 {
                self.sizes.remove(&before);
            }
        }
        if after == 0 {
            self.counts.remove(&network);
        } else {
            self.counts.insert(network, after);
            *self.sizes.entry(after).or_default() += 1;
        }
    }
}

/// Whether `from` peers are at least two more than there would be with one more than `to`.
const fn exceeds(from: u32, to: u32) -> bool {
    from >= to + 3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::rng::Rng;
    use alloc::vec::Vec;

    /// Networks in networks, of which some share their beginning.
    fn source(rng: &mut Rng) -> Source {
        let mut byte = |most: u64| rng.below(most) as u8;
        if byte(2) == 0 {
            Source::V4([10, 0, byte(3), byte(3)])
        } else {
            Source::V6([0x20, 1, 0, byte(2), 0, byte(3), byte(2), byte(3)])
        }
    }

    /// How unequal the numbers are, the widest networks first.
    fn inequality(census: &Census) -> [u64; Source::LEVELS] {
        let squares = |level: &Level| level.counts.values().map(|n| u64::from(*n).pow(2)).sum();
        core::array::from_fn(|level| squares(&census.levels[level]))
    }

    #[test]
    fn whoever_comes_and_goes_each_eviction_brings_the_numbers_closer_together() {
        let (mut evictions, mut refusals, mut within) = (0, 0, 0);
        for seed in 0..60 {
            let mut rng = Rng::from_seed([seed; 32]);
            let (mut census, mut peers) = (Census::default(), Vec::new());
            for _ in 0..300 {
                let newcomer = source(&mut rng);
                // Now and then somebody leaves; one network grows faster than others.
                if rng.below(10) == 0 && !peers.is_empty() {
                    let at = rng.below(peers.len() as u64) as usize;
                    census.remove(&peers.swap_remove(at));
                }
                if peers.len() < 60 {
                    let favoured = Source::V4([10, 0, 0, 0]);
                    let arrival = if rng.below(2) == 0 { favoured } else { newcomer };
                    census.add(&arrival);
                    peers.push(arrival);
                    continue;
                }
                let victims: Vec<_> = (0..peers.len())
                    .filter(|at| census.evens_out(&peers[*at], &newcomer))
                    .collect();
                let relief = census.relief(&newcomer);
                assert!(relief.is_some() || victims.is_empty(), "seed {seed}: a place was missed");
                assert!(relief != Some(Relief::Elsewhere) || !victims.is_empty());
                if victims.is_empty() {
                    refusals += 1;
                    continue;
                }
                within += u32::from(relief == Some(Relief::Within));
                evictions += 1;
                let before = inequality(&census);
                let at = victims[rng.below(victims.len() as u64) as usize];
                census.remove(&peers[at]);
                census.add(&newcomer);
                peers[at] = newcomer;
                assert!(inequality(&census) < before, "seed {seed}: {before:?}");
            }
            for source in peers.drain(..) {
                census.remove(&source);
            }
            assert!(census.levels.iter().all(|level| level.counts.is_empty()));
            assert!(census.levels.iter().all(|level| level.sizes.is_empty()));
        }
        assert!(
            evictions > 1000 && refusals > 1000 && within > 50,
            "{evictions} {refusals} {within}"
        );
    }

    #[test]
    fn who_has_one_peer_at_each_of_many_addresses_takes_no_place_of_a_crowd_at_one() {
        let mut census = Census::default();
        let crowd = Source::V6([0x2a, 0, 0, 7, 0, 1, 0, 1]);
        (0..30).for_each(|_| census.add(&crowd));
        let many = |n: u8| Source::V6([0x20, 1, 0xd, 0xb8, 0, n, 0, 0]);
        (0..30).for_each(|n| census.add(&many(n)));
        assert!(!census.evens_out(&crowd, &many(99)));
        assert!(!census.evens_out(&many(1), &many(99)), "one at each");
        assert_eq!(census.relief(&many(99)), Some(Relief::Within), "a guess");
        let newcomer = Source::V4([192, 0, 2, 1]);
        assert!(census.evens_out(&many(1), &newcomer) && census.evens_out(&crowd, &newcomer));
        assert_eq!(census.relief(&newcomer), Some(Relief::Elsewhere));
        assert!(!census.evens_out(&crowd, &crowd), "nobody takes the place of one beside him");
    }
}
