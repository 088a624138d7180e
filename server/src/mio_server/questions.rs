//! What other threads ask of the shards, and have them do.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use handfast_core::{PeerId, PeerInfo, Stats};
use handfast_mio::{Endpoint, Remote};

use crate::access::Access;
use crate::status::{Answer, Ask, Handler, Snapshot, farewell_to_the_kicked};
use crate::{farewell_to_the_unwelcome, is_unwelcome};

/// Answers who asks for the status, from threads of their own.
pub(super) fn handler(shards: Vec<Remote>) -> Handler {
    Arc::new(move |ask| {
        Some(match ask {
            Ask::Peers => Answer::Peers(Box::new(snapshot(&shards)?)),
            Ask::Kick(id) => {
                // One of them has it, if any has.
                let kicked = |shard| query(shard, move |endpoint| kick(endpoint, &id));
                let kicked = shards.iter().map(kicked).collect::<Option<Vec<_>>>()?;
                Answer::Kicked(kicked.contains(&true))
            }
        })
    })
}

/// From now on these may come in, and the others go. How many those are; `None` if a shard does not answer: it does so when
/// it has time.
pub(super) fn let_in(shards: &[Remote], access: &Access) -> Option<usize> {
    let parting = |shard| {
        let access = access.clone();
        query(shard, move |endpoint| let_into(endpoint, &access))
    };
    // Each is told, even if another does not answer.
    let gone: Vec<_> = shards.iter().map(parting).collect();
    gone.into_iter().sum()
}

fn snapshot(shards: &[Remote]) -> Option<Snapshot> {
    let (mut peers, mut routes, mut now) = (Vec::new(), Vec::new(), None);
    let mut stats = Stats::default();
    for shard in shards {
        peers.extend(all_peers(shard)?);
        let of = |endpoint: &mut Endpoint| {
            (endpoint.now(), *endpoint.stats(), endpoint.routes().collect::<Vec<_>>())
        };
        let (its_now, its_stats, its_routes) = query(shard, of)?;
        // They have one clock.
        now = Some(its_now);
        stats += its_stats;
        routes.extend(its_routes);
    }
    Some(Snapshot { now: now?, peers, stats, routes })
}

/// What `read` makes of the endpoint, on its thread; `None` if that does not answer.
fn query<R: Send + 'static>(
    remote: &Remote,
    read: impl FnOnce(&mut Endpoint) -> R + Send + 'static,
) -> Option<R> {
    let (sender, answer) = sync_channel(1);
    let job = move |endpoint: &mut Endpoint| {
        // Whoever asked may be gone.
        sender.send(read(endpoint)).ok();
    };
    remote.run(job).ok()?;
    answer.recv_timeout(PATIENCE).ok()
}

/// All peers of a shard, a few at a time: the thread has other work as well.
fn all_peers(remote: &Remote) -> Option<Vec<PeerInfo>> {
    let mut all: Vec<PeerInfo> = Vec::new();
    loop {
        let after = all.last().map(|last| last.handle);
        let some = move |endpoint: &mut Endpoint| -> Vec<PeerInfo> {
            let handles = endpoint.peer_handles(after).take(PEERS_AT_ONCE);
            handles.filter_map(|peer| endpoint.peer(peer)).collect()
        };
        let some = query(remote, some)?;
        if some.is_empty() {
            return Some(all);
        }
        all.extend(some);
    }
}

/// Parts from the peer with this identity, also if it is parting already. Whether there is one.
fn kick(endpoint: &mut Endpoint, id: &PeerId) -> bool {
    let peer = endpoint.peer_by_id(id);
    peer.map(|peer| endpoint.disconnect(peer, farewell_to_the_kicked()).ok());
    peer.is_some()
}

/// Returns how many have to go.
fn let_into(endpoint: &mut Endpoint, access: &Access) -> usize {
    endpoint.set_admission(access.admission());
    let (current, previous) = access.secrets();
    if let Err(error) = endpoint.set_secrets(current, previous) {
        tracing::error!(%error, "the network secret stays as it was");
    }
    let peers = endpoint.peers().filter(|peer| is_unwelcome(peer, access));
    let gone: Vec<_> = peers.map(|peer| peer.handle).collect();
    for peer in &gone {
        if let Err(error) = endpoint.disconnect(*peer, farewell_to_the_unwelcome()) {
            tracing::debug!(?peer, %error, "parting already");
        }
    }
    gone.len()
}

/// How long who asks something waits for the thread.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// To look at a peer that was quiet for long takes some microseconds.
const PEERS_AT_ONCE: usize = 32;
