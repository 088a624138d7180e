//! The same on mio, where each shard is an endpoint of its own, with a thread of ours.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::panic::resume_unwind;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use handfast_core::{
    Config, Delivery, DisconnectOptions, EndReason, Event, ForwardingPolicy, Identity, PeerHandle,
    PeerId, SocketId, Target,
};
use handfast_mio::{ConnectError, Endpoint as Shard, Reconnect, Remote, SocketError, SocketStats};
use handfast_tests::{loopback, within};
use handfast_tokio::{Endpoint, Peer};
use handfast_udp::faults::steer_in_kernel;

use super::{Client, HANG, client, echo, exchange, threads};

/// Shards with a thread each, which send back what they receive.
struct Server {
    address: SocketAddr,
    shards: Vec<(Remote, JoinHandle<SocketStats>)>,
    events: Receiver<Event>,
}

impl Server {
    fn start(config: Config, count: u16) -> Self {
        let own = Identity::from_seed([99; 32]);
        let bound = Shard::bind_shards(config, own, loopback(), count).expect("bound");
        let address = bound[0].local_addresses()[0];
        assert!(bound.iter().all(|shard| shard.local_addresses() == [address]));
        let (tell, events) = mpsc::channel();
        let start = |shard: Shard| {
            let (remote, tell) = (shard.remote(), tell.clone());
            (remote, thread::spawn(move || serve(shard, &tell)))
        };
        Self { address, shards: bound.into_iter().map(start).collect(), events }
    }

    /// What a shard says, on its thread.
    fn ask<T: Send + 'static>(
        &self,
        shard: usize,
        question: impl FnOnce(&mut Shard) -> T + Send + 'static,
    ) -> T {
        let (sender, answer) = mpsc::channel();
        let job = move |shard: &mut Shard| sender.send(question(shard)).expect("it is waited for");
        self.shards[shard].0.run(job).expect("it lives");
        answer.recv().expect("an answer")
    }

    /// Which peer has which handle.
    fn hosts(&self) -> BTreeMap<PeerId, PeerHandle> {
        let mut all = BTreeMap::new();
        for shard in 0..self.shards.len() {
            for peer in self.ask(shard, |shard| shard.peers().collect::<Vec<_>>()) {
                assert_eq!(usize::from(peer.handle.shard()), shard);
                if let Some(id) = peer.id {
                    assert_eq!(all.insert(id, peer.handle), None, "twice");
                }
            }
        }
        all
    }

    /// Waits for such an event.
    fn hear(&self, is_it: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.events.recv().expect("an event");
            if is_it(&event) {
                return event;
            }
        }
    }

    fn close(&self) {
        for (remote, _) in &self.shards {
            remote.run(|shard| shard.close(DisconnectOptions::default())).expect("it lives");
        }
    }

    /// Waits until all have ended. What they counted, and the events that nobody heard.
    fn end(self) -> (SocketStats, Vec<Event>) {
        let mut sum = SocketStats::default();
        for (_, thread) in self.shards {
            sum += thread.join().expect("no panic");
        }
        (sum, self.events.iter().collect())
    }
}

fn serve(mut shard: Shard, tell: &Sender<Event>) -> SocketStats {
    let answer = |shard: &mut Shard, event: Event| {
        if let Event::Readable { peer } = event {
            while let Some(message) = shard.receive(peer) {
                shard.send(peer, message.delivery, message.payload).ok();
            }
        }
        tell.send(event).ok();
        ControlFlow::Continue(())
    };
    shard.run(answer).expect("no fatal error");
    shard.socket_stats()
}

/// Clients on tokio, until each shard has some.
async fn settle(server: &Server) -> BTreeMap<PeerId, (Endpoint, Peer)> {
    let mut clients = BTreeMap::new();
    loop {
        let number = u8::try_from(clients.len()).expect("chance is not as blind");
        let (endpoint, peer) = client(number, server.address).await;
        exchange(&peer).await;
        clients.insert(endpoint.id(), (endpoint, peer));
        let used: BTreeSet<u8> = server.hosts().values().map(|peer| peer.shard()).collect();
        if clients.len() >= 6 && used.len() == server.shards.len() {
            return clients;
        }
    }
}

#[test]
fn clients_of_shards_meet_one_endpoint() {
    for (shards, steered) in [(3, true), (2, false)] {
        let sockets = within(HANG, move || {
            steer_in_kernel(steered);
            let server = Server::start(Config::default(), shards);
            threads(2).block_on(meet(server))
        });
        let crossed = sockets.datagrams_handed_over;
        println!("{shards} shards, steered {steered}: {crossed} handed over");
        assert_eq!(sockets.handovers_dropped, 0);
        assert!(steered || crossed > 0);
    }
}

async fn meet(server: Server) -> SocketStats {
    let address = server.address;
    let mut clients = settle(&server).await;
    let number = u8::try_from(clients.len()).expect("few");
    let doomed = tokio::task::spawn_blocking(move || Client::start(number, address));
    let doomed = doomed.await.expect("started");
    exchange(&doomed.peer).await;
    let before = server.hosts();

    // One is killed, and comes back from elsewhere; others move to other ports.
    let killed = tokio::task::spawn_blocking(|| doomed.kill()).await.expect("killed");
    let back = client(number, address).await;
    exchange(&back.1).await;
    for (endpoint, peer) in clients.values() {
        endpoint.add_socket(loopback()).await.expect("added");
        endpoint.remove_socket(SocketId(0)).await.expect("removed");
        exchange(peer).await;
        exchange(peer).await;
    }
    clients.insert(killed, back);
    assert_eq!(server.hosts(), before, "nobody goes to another shard, nor becomes another peer");

    // Whichever shard dials, there is one peer with that identity.
    let mut found = 0;
    for (id, (endpoint, _)) in &clients {
        let (id, at, is) = (*id, endpoint.local_addresses()[0], before[id]);
        for shard in 0..server.shards.len() {
            let named = server.ask(shard, move |shard| shard.connect(Target::new(id, [at])));
            let is_its = shard == usize::from(is.shard());
            let there = ConnectError::OtherShard(is.shard());
            let expected = if is_its { ConnectError::AlreadyConnected(is) } else { there };
            assert_eq!(named, Err(expected));
        }
        let other = (usize::from(is.shard()) + 1) % server.shards.len();
        let dial = server.ask(other, move |shard| shard.connect(at)).expect("a dial");
        let end = server.hear(|event| matches!(event, Event::Ended { peer, .. } if *peer == dial));
        let Event::Ended { reason: EndReason::OtherShard { id: met, shard, .. }, .. } = end else {
            panic!("{end:?}");
        };
        assert_eq!((met, shard), (id, is.shard()));
        found += 1;
    }
    assert_eq!(found, before.len());
    let refused =
        server.ask(1, |shard| (shard.add_socket(loopback()), shard.remove_socket(SocketId(0))));
    assert!(matches!(refused, (Err(SocketError::Sharded), Err(SocketError::Sharded))));

    server.close();
    for (_, peer) in clients.values() {
        let reason = peer.closed().await;
        assert!(matches!(reason, EndReason::PeerDisconnected { .. }), "{reason}");
    }
    let (stats, events) = server.end();
    let ended = events.iter().filter(|event| matches!(event, Event::Ended { .. }));
    let ended: BTreeSet<_> = ended.filter_map(Event::peer).collect();
    assert_eq!(ended, before.into_values().collect(), "the application is told of each end");
    stats
}

/// They know each other by name, and meet at the server, whichever shards have them.
#[test]
fn clients_of_different_shards_meet_at_the_server() {
    let sockets = within(HANG, || {
        let mut config = Config::default();
        config.forwarding.policy = ForwardingPolicy::Anyone;
        let server = Server::start(config, 2);
        threads(2).block_on(async {
            let clients = settle(&server).await;
            let of = server.hosts();
            let (some, others): (Vec<_>, Vec<_>) =
                clients.values().partition(|(endpoint, _)| of[&endpoint.id()].shard() == 0);
            others.iter().for_each(|(endpoint, _)| drop(tokio::spawn(echo(endpoint.clone()))));
            for (one, _) in &some {
                for (other, _) in &others {
                    exchange(&one.connect(other.id()).await.expect("connected")).await;
                }
            }
            server.close();
            server.end().0
        })
    });
    assert!(sockets.datagrams_handed_over > 0);
    assert_eq!(sockets.handovers_dropped, 0);
}

/// Its peers are told, and those of the others notice nothing. Whoever comes then is taken by another.
#[test]
fn a_shard_that_closes_leaves_its_place_to_the_others() {
    within(HANG, || {
        let mut server = Server::start(Config::default(), 2);
        threads(2).block_on(async {
            let clients = settle(&server).await;
            let before = server.hosts();
            let (remote, thread) = server.shards.remove(0);
            remote.run(|shard| shard.close(DisconnectOptions::default())).expect("it lives");
            thread.join().expect("no panic");
            for (id, (endpoint, peer)) in &clients {
                if before[id].shard() == 1 {
                    exchange(peer).await;
                    continue;
                }
                let reason = peer.closed().await;
                assert!(matches!(reason, EndReason::PeerDisconnected { .. }), "{reason}");
                let again = endpoint.connect(server.address).await.expect("connected");
                exchange(&again).await;
            }
            let after = server.ask(0, |shard| shard.peers().count());
            assert_eq!(after, clients.len());
        });
    });
}

/// Its thread panicked: the others say that its sessions are gone.
#[test]
fn peers_of_a_shard_that_died_are_back_by_themselves_with_another() {
    for steered in [true, false] {
        within(HANG, move || {
            steer_in_kernel(steered);
            let mut server = Server::start(Config::default(), 2);
            threads(2).block_on(async {
                let clients = settle(&server).await;
                let (remote, thread) = server.shards.remove(0);
                // Without the message of a panic.
                remote.run(|_| resume_unwind(Box::new("dead"))).expect("it lives");
                thread.join().expect_err("a panic");
                for (_, peer) in clients.values() {
                    // What was sent before the restart was noticed may be lost with the session.
                    let first = peer.send(Delivery::ordered(1), "anyone?").await;
                    first.expect("sent");
                    exchange_at_last(peer).await;
                }
                let count =
                    |shard: &mut Shard| (shard.peers().count(), shard.stats().unknown_session_sent);
                let (after, told) = server.ask(0, count);
                assert_eq!(after, clients.len());
                assert!(told > 0, "they were told, and did not have to wait for their timeouts");
            });
        });
    }
}

/// Until something comes back.
async fn exchange_at_last(peer: &Peer) {
    let mut number = 0_u32;
    loop {
        number += 1;
        let bytes = number.to_le_bytes().to_vec();
        peer.send(Delivery::ordered(0), bytes).await.expect("sent");
        if tokio::time::timeout(Duration::from_millis(50), peer.recv()).await.is_ok() {
            return;
        }
    }
}

/// What is kept connected waits while another shard has the peer.
#[test]
fn who_leaves_one_shard_is_dialled_by_another_that_keeps_to_it() {
    within(HANG, || {
        let server = Server::start(Config::default(), 2);
        threads(2).block_on(async {
            let (endpoint, peer) = client(0, server.address).await;
            exchange(&peer).await;
            let (id, at) = (endpoint.id(), endpoint.local_addresses()[0]);
            let is = server.hosts()[&id];
            let other = 1 - usize::from(is.shard());
            let keep = move |shard: &mut Shard| {
                let mut reconnect = Reconnect::default();
                reconnect.first = Duration::from_millis(5);
                reconnect.longest = Duration::from_millis(20);
                shard.keep_connected(at, reconnect)
            };
            let dial = server.ask(other, keep).expect("a dial");
            server.hear(|event| matches!(event, Event::Ended { peer, .. } if *peer == dial));
            exchange(&peer).await;
            peer.disconnect(DisconnectOptions::default()).await;
            let is_new =
                |event: &Event| matches!(event, Event::Connected { id: new, .. } if *new == id);
            let Event::Connected { peer: new, .. } = server.hear(is_new) else { unreachable!() };
            assert_eq!(usize::from(new.shard()), other);
        });
    });
}
