//! What a path does to datagrams.

use std::time::Duration;

use handfast_sim::{Conditions, Probability};

/// A path, the same both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) seed: u64,
    /// In bytes per second, headers included.
    pub(crate) rate: u64,
    /// So many in a million are lost, each on its own.
    pub(crate) lost: u32,
    /// So many in a million come late.
    pub(crate) late: u32,
}

/// A path with a name.
pub(super) struct Path {
    pub(super) name: &'static str,
    pub(super) link: Link,
}

/// All of them, in the order in which they are measured.
pub(super) const PATHS: [Path; 6] = [
    Path { name: "100 Mbit/s, no loss", link: lossy(0) },
    Path { name: "100 Mbit/s, 1 % loss", link: lossy(1) },
    Path { name: "100 Mbit/s, 5 % loss", link: lossy(5) },
    Path { name: "100 Mbit/s, 10 % loss", link: lossy(10) },
    Path { name: "200 Mbit/s, no loss", link: Link { rate: 2 * RATE, ..lossy(0) } },
    Path {
        name: "200 Mbit/s, 2 % come 5 ms late",
        link: Link { rate: 2 * RATE, late: 2 * PERCENT, ..lossy(0) },
    },
];

const fn lossy(percent: u32) -> Link {
    Link { seed: 1, rate: RATE, lost: percent * PERCENT, late: 0 }
}

impl Link {
    /// As words of a command line.
    pub(super) fn words(&self) -> Vec<String> {
        let Self { seed, rate, lost, late } = self;
        [*seed, *rate, (*lost).into(), (*late).into()].map(|word| word.to_string()).to_vec()
    }

    /// Reads the words that [`Self::words`] makes.
    pub(super) fn parse(words: &[String]) -> Option<Self> {
        let [seed, rate, lost, late] = words else { return None };
        Some(Self {
            seed: seed.parse().ok()?,
            rate: rate.parse().ok()?,
            lost: lost.parse().ok()?,
            late: late.parse().ok()?,
        })
    }

    /// For the simulator's network.
    pub(super) fn conditions(&self) -> Conditions {
        Conditions {
            latency: Duration::from_millis(25),
            loss: Probability::per_million(self.lost),
            reordering: Probability::per_million(self.late),
            reordering_delay: Duration::from_millis(5),
            header: HEADER,
            rate: Some(self.rate),
            queue: 1000 * (1452 + HEADER),
            ..Conditions::default()
        }
    }
}

/// 100 Mbit/s in bytes.
const RATE: u64 = 12_500_000;
const PERCENT: u32 = 10_000;
/// Headers of Ethernet, IPv4 and UDP.
const HEADER: usize = 42;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_tell_the_whole_link() {
        for Path { name, link } in PATHS {
            let link = Link { seed: 77, ..link };
            assert_eq!(Link::parse(&link.words()), Some(link), "{name}");
        }
        assert_eq!(Link::parse(&[]), None);
    }
}
