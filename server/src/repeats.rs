//! What repeats itself, summed up: strangers may knock as often as they like, and a line each would fill the
//! log.

use std::collections::BTreeMap;
use std::fmt;

use handfast_core::{PeerId, Refusal};
use tracing::{info, warn};

/// Tells of the first of a kind at once, and of those that follow in one line an interval.
#[derive(Debug)]
pub(crate) struct Repeats<K>(BTreeMap<K, Sum>);

/// What is the same line but for the peers that it names.
pub(crate) trait Kind: Copy + Ord {
    /// Logs the line.
    fn log(self, count: u64, peers: &Peers);
}

/// Why somebody has no place here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// It was not let in.
    Refused(Refusal),
    /// A newcomer got its place.
    Evicted,
}

impl Kind for Why {
    fn log(self, count: u64, peers: &Peers) {
        match self {
            Self::Refused(reason) => info!(count, %reason, callers = %peers, "refused"),
            Self::Evicted => info!(count, callers = %peers, "evicted"),
        }
    }
}

/// Of whom there are two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Twins {
    /// Another server has our key: these peers met it.
    Ours,
    /// These peers.
    Theirs,
}

impl Kind for Twins {
    fn log(self, count: u64, peers: &Peers) {
        match self {
            Self::Ours => warn!(
                count,
                told_by = %peers,
                "another server uses this server's key, and the two take each other's place: stop one of \
                 them, or give it a key of its own (p2p_server genkey)"
            ),
            Self::Theirs => warn!(
                count,
                peers = %peers,
                "two programs use one peer's key, and take each other's place (a copied disk, a program \
                 started twice): stop one of them, or give it a key of its own"
            ),
        }
    }
}

/// Those of one kind that no line has told of.
#[derive(Debug, Default)]
struct Sum {
    count: u64,
    peers: Peers,
}

impl<K: Kind> Repeats<K> {
    /// It happened with `id`, at the address `place` (or at several).
    pub(crate) fn note(&mut self, id: PeerId, place: String, kind: K) {
        if let Some(sum) = self.0.get_mut(&kind) {
            sum.add(id, place);
            return;
        }
        let mut first = Sum::default();
        first.add(id, place);
        kind.log(first.count, &first.peers);
        self.0.insert(kind, Sum::default());
    }

    /// An interval is over: a line for each kind.
    pub(crate) fn summarise(&mut self) {
        // After a quiet interval the next one is told of at once again.
        self.0.retain(|_, sum| sum.count > 0);
        for (kind, sum) in &mut self.0 {
            let Sum { count, peers } = std::mem::take(sum);
            kind.log(count, &peers);
        }
    }
}

#[cfg(test)]
impl<K: Ord> Repeats<K> {
    /// Those of a kind of whom no line has told.
    pub(crate) fn waiting(&self, kind: &K) -> Option<String> {
        self.0.get(kind).map(|sum| sum.peers.to_string())
    }
}

impl<K> Default for Repeats<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl Sum {
    fn add(&mut self, id: PeerId, place: String) {
        self.count += 1;
        let Peers(peers) = &mut self.peers;
        if peers.len() < MOST_PEERS || peers.contains_key(&id) {
            peers.insert(id, place);
        }
    }
}

/// Where each of them was last, as it can stand in a list of peers.
#[derive(Debug, Default)]
pub(crate) struct Peers(BTreeMap<PeerId, String>);

/// With spaces between, or in the alternate form as a list in JSON.
impl fmt::Display for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(peers) = self;
        let list: Vec<_> = peers.iter().map(|(id, place)| format!("{id}@{place}")).collect();
        if f.alternate() {
            write!(f, "{}", serde_json::Value::from(list))
        } else {
            f.write_str(&list.join(" "))
        }
    }
}

/// A line names no more: keys cost nothing.
const MOST_PEERS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use handfast_core::Identity;

    fn id(number: u8) -> PeerId {
        Identity::from_seed([number; 32]).id()
    }

    #[test]
    fn repetitions_are_one_sum_and_a_flood_of_keys_needs_no_memory() {
        let mut refusals = Repeats::default();
        let note = |refusals: &mut Repeats<_>, number| {
            refusals.note(
                id(number),
                format!("192.0.2.1:{number}"),
                Why::Refused(Refusal::NotAdmitted),
            );
        };
        note(&mut refusals, 1);
        let waiting = |refusals: &Repeats<_>| {
            let sum = refusals.0.get(&Why::Refused(Refusal::NotAdmitted));
            sum.map(|sum| (sum.count, sum.peers.0.len()))
        };
        assert_eq!(waiting(&refusals), Some((0, 0)), "the first was told of at once");
        for number in 0..=255 {
            note(&mut refusals, number);
        }
        assert_eq!(waiting(&refusals), Some((256, MOST_PEERS)));
        refusals.note(id(1), String::new(), Why::Evicted);
        refusals.summarise();
        assert_eq!(waiting(&refusals), Some((0, 0)));
        refusals.summarise();
        assert_eq!(waiting(&refusals), None, "a quiet interval");
    }

    #[test]
    fn peers_are_written_as_a_list_of_peers_has_them() {
        let peers = Peers(BTreeMap::from([(id(1), "192.0.2.1:7".to_owned())]));
        assert_eq!(peers.to_string(), format!("{}@192.0.2.1:7", id(1)));
        assert_eq!(format!("{peers:#}"), format!("[\"{}@192.0.2.1:7\"]", id(1)));
    }
}
