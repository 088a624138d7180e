//! What is thrown at the server.

use handfast_core::PeerId;
use handfast_sim::Rng;

use super::forge::Forge;

/// A kind of flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Random bytes of random length, half of them behind the first bytes of a real packet.
    Random,
    /// Real packets cut short.
    Truncated,
    /// Requests with a valid first MAC, one in eight of them genuine throughout.
    Requests,
    /// Captured packets of a live session and answers to it, as they were.
    Replays,
    /// Anything that is like what live peers send, from their addresses.
    Spoofed,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Random, Self::Truncated, Self::Requests, Self::Replays, Self::Spoofed];

    /// How often, in a hundred when all are wanted.
    const fn share(self) -> u64 {
        match self {
            Self::Random => 25,
            Self::Truncated => 15,
            Self::Requests | Self::Replays | Self::Spoofed => 20,
        }
    }

    /// One of `wanted` by its share.
    pub(super) fn pick(wanted: &[Self], rng: &mut Rng) -> Self {
        let shares: u64 = wanted.iter().map(|kind| kind.share()).sum();
        let mut at = rng.range(0..=shares - 1);
        let mut chosen = wanted.iter().filter(|kind| {
            let rest = at.checked_sub(kind.share());
            at = rest.unwrap_or(0);
            rest.is_none()
        });
        *chosen.next().expect("a kind is wanted")
    }
}

/// Makes datagrams of every kind.
pub(super) struct Arsenal {
    rng: Rng,
    noise: Vec<u8>,
    forge: Forge,
    captured: Vec<Vec<u8>>,
}

impl Arsenal {
    /// Against this server, with what was captured of a live session.
    pub(super) fn new(server: PeerId, captured: Vec<Vec<u8>>, seed: u64) -> Self {
        let mut rng = Rng::from_seed(seed);
        let noise = (0..NOISE / 32).flat_map(|_| rng.bytes()).collect();
        let forge = Forge::new(server, GENUINE, &mut rng);
        Self { rng, noise, forge, captured }
    }

    pub(super) const fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// Fills `out` with a datagram.
    pub(super) fn load(&mut self, kind: Kind, out: &mut Vec<u8>) {
        out.clear();
        match kind {
            Kind::Random => self.random(out),
            Kind::Truncated => self.truncated(out),
            Kind::Requests if self.rng.index(8) == 0 => self.forge.genuine(&mut self.rng, out),
            Kind::Requests => self.forge.nonsense(&mut self.rng, out),
            Kind::Replays => self.replay(out),
            Kind::Spoofed => match self.rng.index(8) {
                0 => self.forge.nonsense(&mut self.rng, out),
                1 => self.replay(out),
                2 => self.random(out),
                _ => self.almost(out),
            },
        }
    }

    fn random(&mut self, out: &mut Vec<u8>) {
        let len = self.rng.index(MOST) + 1;
        if self.rng.index(2) == 0 {
            self.replay(out);
            out.truncate(self.rng.index(16) + 1);
        }
        let at = self.rng.index(self.noise.len() - len);
        out.extend_from_slice(&self.noise[at..at + len]);
    }

    fn truncated(&mut self, out: &mut Vec<u8>) {
        if self.rng.index(4) == 0 {
            self.forge.genuine(&mut self.rng, out);
        } else {
            self.replay(out);
        }
        out.truncate(self.rng.index(out.len()).max(1));
    }

    /// Often a handshake packet, of which there are few.
    fn replay(&mut self, out: &mut Vec<u8>) {
        let all = self.captured.len();
        let among = if self.rng.index(8) == 0 { all.min(FIRST) } else { all };
        out.extend_from_slice(&self.captured[self.rng.index(among)]);
    }

    /// A captured packet, a bit of which is flipped; in half of them a bit of the counter, so that
    /// it is no repetition and the server has to look at the tag.
    fn almost(&mut self, out: &mut Vec<u8>) {
        self.replay(out);
        let counter = self.rng.index(2) == 0 && out.len() > 16;
        let at = if counter { 8 + self.rng.index(7) } else { self.rng.index(out.len()) };
        out[at] ^= 1 << self.rng.index(8);
    }
}

const NOISE: usize = 1 << 20;
const GENUINE: usize = 2048;
/// A session's first packets.
const FIRST: usize = 4;
/// The longest random datagram, in bytes.
const MOST: usize = 1200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_come_by_their_shares_and_unwanted_ones_not_at_all() {
        let (mut rng, mut counts) = (Rng::from_seed(1), [0; Kind::ALL.len()]);
        let wanted = [Kind::Random, Kind::Truncated];
        for _ in 0..4000 {
            counts[Kind::pick(&wanted, &mut rng) as usize] += 1;
        }
        assert!((2300..2700).contains(&counts[0]) && counts[1] == 4000 - counts[0], "{counts:?}");
        assert!(Kind::ALL.iter().all(|kind| Kind::pick(&[*kind], &mut rng) == *kind));
    }
}
