//! How many peers are in each network, wide ones and narrow ones, and where a newcomer may take a place.
//!
//! Who has many addresses has them side by side, so that the widest networks in which two differ are
//! compared. A place moves only from a network with more peers to one that still has fewer afterwards: so
//! every move brings the numbers closer together, and no moves lead back to where they began. Counted by
//! sources alone, somebody with a peer at each of thousands of addresses would be the smallest of all, and
//! take the places of everybody behind one NAT.

use alloc::collections::BTreeMap;

use crate::PeerId;
use crate::admission::Source;

/// The number of peers in each network that has any.
#[derive(Debug, Default)]
pub(super) struct Census {
    levels: [Level; Source::LEVELS],
}

/// The networks of one width.
#[derive(Debug, Default)]
struct Level {
    /// Those that are not the same at a wider level: there they are counted.
    counts: Counts,
    /// How many networks have so many peers.
    sizes: BTreeMap<u32, u32>,
}

/// A number for each network that has peers. Each kind is apart, or addresses would take the room of identities.
#[derive(Debug, Default)]
struct Counts {
    v4: BTreeMap<[u8; 4], u32>,
    v6: BTreeMap<[u8; 8], u32>,
    neighbours: BTreeMap<PeerId, u32>,
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
        self.change(source, |before| before + 1);
    }

    /// A peer is not at this source any more.
    pub(super) fn remove(&mut self, source: &Source) {
        self.change(source, |before| before.saturating_sub(1));
    }

    fn change(&mut self, source: &Source, count: impl Fn(u32) -> u32) {
        let crowding = self.crowding(source);
        for ((width, level), before) in self.levels.iter_mut().enumerate().zip(crowding) {
            let after = count(before);
            level.resize(before, after);
            if source.widest(width) == width {
                level.counts.set(source.network(width), after);
            }
        }
    }

    /// How many peers are in the network of this level in which this source is.
    fn count(&self, source: &Source, level: usize) -> u32 {
        self.levels[source.widest(level)].counts.get(&source.network(level))
    }

    /// How many peers are at this source.
    pub(super) fn count_at(&self, source: &Source) -> usize {
        self.crowding(source)[Source::LEVELS - 1] as usize
    }

    /// How many peers are in the networks of this source, the widest first.
    pub(super) fn crowding(&self, source: &Source) -> [u32; Source::LEVELS] {
        core::array::from_fn(|level| self.count(source, level))
    }

    /// Whether the numbers come closer together when a peer at `from` gives way to a newcomer at `to`.
    pub(super) fn evens_out(&self, from: &Source, to: &Source) -> bool {
        let apart = (0..Source::LEVELS).find(|level| from.network(*level) != to.network(*level));
        apart.is_some_and(|level| exceeds(self.count(from, level), self.count(to, level)))
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
    /// The most peers of a network.
    fn most(&self) -> u32 {
        self.sizes.last_key_value().map_or(0, |(size, _)| *size)
    }

    /// A network has so many peers now.
    fn resize(&mut self, before: u32, after: u32) {
        if let Some(others) = self.sizes.get_mut(&before) {
            *others -= 1;
            if *others == 0 {
                self.sizes.remove(&before);
            }
        }
        if after > 0 {
            *self.sizes.entry(after).or_default() += 1;
        }
    }
}

impl Counts {
    fn get(&self, network: &Source) -> u32 {
        let count = match network {
            Source::V4(bytes) => self.v4.get(bytes),
            Source::V6(bytes) => self.v6.get(bytes),
            Source::Neighbour(id) => self.neighbours.get(id),
        };
        count.copied().unwrap_or(0)
    }

    fn set(&mut self, network: Source, count: u32) {
        match network {
            Source::V4(bytes) => set(&mut self.v4, bytes, count),
            Source::V6(bytes) => set(&mut self.v6, bytes, count),
            Source::Neighbour(id) => set(&mut self.neighbours, id, count),
        }
    }
}

/// Networks without peers are left out.
fn set<K: Ord>(counts: &mut BTreeMap<K, u32>, network: K, count: u32) {
    if count == 0 {
        counts.remove(&network);
    } else {
        counts.insert(network, count);
    }
}

/// Whether `from` peers are at least two more than there would be with one more than `to`.
const fn exceeds(from: u32, to: u32) -> bool {
    from >= to + 3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Identity;
    use crate::crypto::rng::Rng;
    use alloc::vec::Vec;

    /// Networks in networks, of which some share their beginning.
    fn source(rng: &mut Rng) -> Source {
        let mut byte = |most: u64| rng.below(most) as u8;
        match byte(9) {
            0 => Source::Neighbour(Identity::from_seed([byte(2); 32]).id()),
            1..5 => Source::V4([10, 0, byte(3), byte(3)]),
            _ => Source::V6([0x20, 1, 0, byte(2), 0, byte(3), byte(2), byte(3)]),
        }
    }

    /// How unequal the numbers are, the widest networks first.
    fn inequality(census: &Census) -> [u64; Source::LEVELS] {
        let square = |(n, networks): (&u32, &u32)| u64::from(*n).pow(2) * u64::from(*networks);
        core::array::from_fn(|level| census.levels[level].sizes.iter().map(square).sum())
    }

    /// It tells of each peer what a look at all of them tells.
    fn assert_counted(census: &Census, peers: &[Source]) {
        for level in 0..Source::LEVELS {
            let mut networks: BTreeMap<Source, u32> = BTreeMap::new();
            for peer in peers {
                *networks.entry(peer.network(level)).or_default() += 1;
            }
            let mut sizes: BTreeMap<u32, u32> = BTreeMap::new();
            networks.values().for_each(|size| *sizes.entry(*size).or_default() += 1);
            assert_eq!(census.levels[level].sizes, sizes);
            for peer in peers {
                assert_eq!(census.crowding(peer)[level], networks[&peer.network(level)]);
            }
        }
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
            assert_counted(&census, &peers);
            for source in peers.drain(..) {
                census.remove(&source);
            }
            let is_empty = |Counts { v4, v6, neighbours }: &Counts| {
                v4.is_empty() && v6.is_empty() && neighbours.is_empty()
            };
            assert!(census.levels.iter().all(|level| is_empty(&level.counts)));
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
