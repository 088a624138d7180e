//! Ends at every moment: in the middle of a handshake, of a transfer, of another end. Whoever waits
//! is told, and the other side goes on.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use handfast_core::{
    Admission, Config, Delivery, DisconnectOptions, EndReason, Fate, Identity, Target,
};
use handfast_tests::{loopback, within};
use handfast_tokio::{ConnectError, Endpoint, Peer, SendError, Stopped, entropy};
use tokio::runtime::{Builder, Runtime};

/// A single thread: a step of the test is a step of everyone.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn run(test: impl Future<Output = ()> + Send + 'static) {
    within(HANG, || runtime().block_on(test));
}

fn identity() -> Identity {
    Identity::from_seed(entropy().expect("entropy"))
}

fn endpoint(config: Config) -> Endpoint {
    Endpoint::bind(config, identity(), loopback()).expect("bound")
}

fn target(endpoint: &Endpoint) -> Target {
    Target::new(endpoint.id(), endpoint.local_addresses())
}

/// An application that takes everything of everyone.
async fn serve(server: Endpoint) {
    while let Some(peer) = server.accept().await {
        tokio::spawn(async move { while peer.recv().await.is_some() {} });
    }
}

/// An application that does everything at once until it cannot.
async fn be_busy(client: Endpoint, server: Target) {
    let Ok(peer) = client.connect(server).await else { return };
    let sender = |channel| {
        let peer = peer.clone();
        async move { while peer.send(Delivery::ordered(channel), vec![7; 20_000]).await.is_ok() {} }
    };
    let listener = async { while peer.recv().await.is_some() {} };
    let pinger = async { while peer.ping().await.is_ok() {} };
    let watcher = async { while client.peers().await.is_ok() {} };
    tokio::join!(sender(0), sender(1), listener, pinger, watcher);
}

async fn yield_times(turns: usize) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

async fn is_left_alone(server: &Endpoint) {
    while !server.peers().await.expect("it lives").is_empty() {
        tokio::task::yield_now().await;
    }
}

/// Everything still works for others.
async fn serves_on(server: &Endpoint) {
    let client = endpoint(Config::default());
    let peer = client.connect(target(server)).await.expect("connected");
    let receipt = peer.send_with_receipt(Delivery::ordered(0), "hello").await.expect("sent");
    assert_eq!(receipt.await, Fate::Acked);
    client.close(DisconnectOptions::default()).await.expect("closed");
}

#[test]
fn an_application_that_vanishes_at_any_moment_says_goodbye() {
    run(async {
        let server = endpoint(Config::default());
        tokio::spawn(serve(server.clone()));
        for turns in moments() {
            let busy = tokio::spawn(be_busy(endpoint(Config::default()), target(&server)));
            yield_times(turns).await;
            // With it go all its handles.
            busy.abort();
            assert!(busy.await.expect_err("it never ends by itself").is_cancelled());
            is_left_alone(&server).await;
        }
        serves_on(&server).await;
    });
}

#[test]
fn an_application_that_panics_at_any_moment_says_goodbye_and_harms_no_other() {
    run(async {
        let server = endpoint(Config::default());
        tokio::spawn(serve(server.clone()));
        let shared = endpoint(Config::default());
        for turns in moments().take(30) {
            let (own, server_target) = (endpoint(Config::default()), target(&server));
            let (other, other_target) = (shared.clone(), server_target.clone());
            let bystander = tokio::spawn(async move { other.connect(other_target).await });
            let panicking = tokio::spawn(async move {
                tokio::select! {
                    () = be_busy(own, server_target) => {}
                    () = yield_times(turns) => panic!("the application's own fault"),
                }
            });
            assert!(panicking.await.expect_err("it panicked").is_panic());
            let peer = bystander.await.expect("no panic").expect("connected");
            peer.ping().await.expect("a pong");
            peer.disconnect(DisconnectOptions::default()).await;
            is_left_alone(&server).await;
        }
        serves_on(&server).await;
    });
}

#[test]
fn a_close_at_any_moment_ends_everything_that_waits() {
    run(async {
        let server = endpoint(Config::default());
        tokio::spawn(serve(server.clone()));
        for turns in moments() {
            let client = endpoint(Config::default());
            let busy = tokio::spawn(be_busy(client.clone(), target(&server)));
            let accepting = tokio::spawn({
                let client = client.clone();
                async move { client.accept().await.is_none() }
            });
            yield_times(turns).await;
            // Two at once, and one after the end.
            let (one, other) = (client.clone(), client.clone());
            let linger = Duration::from_millis(if turns % 2 == 0 { 0 } else { 20 });
            let farewell = DisconnectOptions::after(linger);
            let (one, other) = tokio::join!(one.close(farewell.clone()), other.close(farewell));
            one.and(other).expect("closed in order");
            busy.await.expect("no panic");
            assert!(accepting.await.expect("no panic"));
            client.close(DisconnectOptions::default()).await.expect("closed already");
            is_left_alone(&server).await;
        }
        serves_on(&server).await;
    });
}

#[test]
fn a_runtime_that_is_dropped_at_any_moment_leaves_nobody_waiting() {
    within(HANG, || {
        let mut config = Config::default();
        (config.timers.heartbeat, config.timers.idle_timeout) =
            (Duration::from_millis(500), Duration::from_secs(1));
        let main = runtime();
        let server = main.block_on(async { endpoint(config) });
        main.spawn(serve(server.clone()));
        for turns in moments() {
            let doomed = runtime();
            let (client, peer) = doomed.block_on(async {
                let client = endpoint(Config::default());
                tokio::spawn(be_busy(client.clone(), target(&server)));
                let calling = tokio::spawn({
                    let (client, server) = (client.clone(), target(&server));
                    async move { client.connect(server).await }
                });
                // The server is on another runtime.
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                    main_turn(&main);
                }
                let peer = if calling.is_finished() { calling.await.ok() } else { None };
                (client, peer.and_then(Result::ok))
            });
            drop(doomed);
            main.block_on(all_is_over(client, peer, target(&server)));
        }
        main.block_on(async {
            is_left_alone(&server).await;
            serves_on(&server).await;
        });
    });
}

/// What handles say that outlive their endpoint.
async fn all_is_over(client: Endpoint, peer: Option<Peer>, server: Target) {
    assert_eq!(client.connect(server).await.expect_err("no driver"), ConnectError::Stopped);
    assert_eq!(client.peers().await.expect_err("no driver"), Stopped);
    // What it did can be asked for ever, and no longer changes.
    let last = client.stats().await.expect("the last ones");
    assert_eq!(client.stats().await, Ok(last));
    assert!(client.accept().await.is_none());
    assert!(client.peer_by_id(client.id()).await.is_none());
    client.close(DisconnectOptions::default()).await.expect_err("it was aborted");
    let Some(peer) = peer else { return };
    while peer.recv().await.is_some() {}
    let ended = EndReason::Disconnected { heard: false };
    assert_eq!(peer.closed().await, ended);
    peer.ping().await.expect_err("no driver");
    let sent = peer.send(Delivery::ordered(0), "hello").await;
    assert_eq!(sent, Err(SendError::Ended(ended.clone())));
    assert_eq!(peer.disconnect(DisconnectOptions::default()).await, ended);
}

/// Runs what is ready on another runtime, from within this one.
fn main_turn(main: &Runtime) {
    // A runtime must not be entered from within another, except on a thread of its own.
    std::thread::scope(|scope| {
        scope.spawn(|| main.block_on(yield_times(2)));
    });
}

#[test]
fn a_driver_that_dies_of_the_application_s_hook_tells_everyone() {
    run(async {
        let mut config = Config::default();
        config.admission = Admission::Ask(Arc::new(|_, _| panic!("the hook's own fault")));
        let (server, client) = (endpoint(config), endpoint(Config::default()));
        let accepting = {
            let server = server.clone();
            tokio::spawn(async move { server.accept().await.is_none() })
        };
        let target = target(&server);
        let mut dial = pin!(client.connect(target));
        while !accepting.is_finished() {
            assert!(poll(dial.as_mut()).is_none(), "nobody is there to answer");
            tokio::task::yield_now().await;
        }
        assert!(accepting.await.expect("no panic"));
        server.closed().await.expect_err("it did not end in order");
        assert_eq!(server.peers().await.expect_err("no driver"), Stopped);
        let last = server.stats().await.expect("the last ones").stats;
        assert!(last.datagrams_received > 0, "the request that it died of: {last:?}");
    });
}

fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// On mio an end is a value that is dropped, between two turns.
#[test]
fn a_mio_endpoint_may_be_dropped_or_closed_at_any_moment() {
    within(HANG, || {
        let bind = || {
            let mut config = Config::default();
            (config.timers.heartbeat, config.timers.idle_timeout) =
                (Duration::from_millis(500), Duration::from_secs(1));
            handfast_mio::Endpoint::bind(config, identity(), loopback()).expect("bound")
        };
        let mut server = bind();
        for turns in moments() {
            for close in [false, true] {
                let mut client = bind();
                let remote = client.remote();
                let to = Target::new(server.id(), server.local_addresses());
                let peer = client.connect(to).expect("a dial");
                for turn in 0..turns {
                    mio_turn(&mut client);
                    mio_turn(&mut server);
                    let payload = vec![7; 20_000];
                    if client.send(peer, Delivery::ordered(0), payload).is_ok() && turn % 5 == 0 {
                        client.ping(peer).ok();
                    }
                }
                if close {
                    client.close(DisconnectOptions::default());
                    while !client.is_closed() {
                        mio_turn(&mut client);
                        mio_turn(&mut server);
                    }
                }
                drop(client);
                remote.run(|_| ()).expect_err("nobody runs it");
            }
        }
        // Those that were dropped without a word time out.
        while server.peers().next().is_some() {
            mio_turn(&mut server);
        }
        let mut client = bind();
        let peer = client.connect(server.local_addresses()[0]).expect("a dial");
        client.send(peer, Delivery::ordered(0).with_receipt(), "hello").expect("it waits");
        while client.poll_event().is_none_or(|event| {
            !matches!(event, handfast_mio::Event::Fate { fate: Fate::Acked, .. })
        }) {
            client.turn(Some(Duration::ZERO)).expect("no fatal error");
            mio_turn(&mut server);
        }
    });
}

/// A turn that takes all messages.
fn mio_turn(endpoint: &mut handfast_mio::Endpoint) {
    endpoint.turn(Some(Duration::ZERO)).expect("no fatal error");
    while let Some(event) = endpoint.poll_event() {
        if let handfast_mio::Event::Readable { peer } = event {
            while endpoint.receive(peer).is_some() {}
        }
    }
}

/// Sends twenty megabytes, twenty messages of them, to a new peer of `server`.
async fn speak(client: &Endpoint, server: &Endpoint) -> (Peer, Peer) {
    let peer = client.connect(target(server)).await.expect("connected");
    for _ in 0..20 {
        peer.send(Delivery::ordered(0), vec![7; 1_000_000]).await.expect("it lives");
    }
    (peer, server.accept().await.expect("a peer"))
}

/// How many messages come up to the end, and whether that was all.
async fn hear(peer: &Peer) -> (usize, bool) {
    let mut heard = 0;
    while peer.recv().await.is_some() {
        heard += 1;
    }
    (heard, peer.closed().await.is_complete())
}

#[test]
fn who_reads_to_the_end_can_tell_whether_that_was_all() {
    run(async {
        let mut config = Config::default();
        (config.timers.heartbeat, config.timers.idle_timeout) =
            (Duration::from_millis(500), Duration::from_secs(2));
        let server = endpoint(config);
        // The usual goodbye, of one peer or of the whole endpoint.
        let client = endpoint(Config::default());
        for whole in [false, true] {
            let (peer, there) = speak(&client, &server).await;
            let hearing = tokio::spawn(async move { hear(&there).await });
            if whole {
                client.close(DisconnectOptions::default()).await.expect("in order");
            } else {
                let end = peer.disconnect(DisconnectOptions::default()).await;
                assert_eq!(end, EndReason::Disconnected { heard: true });
            }
            assert_eq!(hearing.await.expect("no panic"), (20, true));
        }
        // At once: megabytes are under way.
        let client = endpoint(Config::default());
        let (peer, there) = speak(&client, &server).await;
        let hearing = tokio::spawn(async move { hear(&there).await });
        peer.disconnect(DisconnectOptions::now()).await;
        drop(peer);
        let (heard, complete) = hearing.await.expect("no panic");
        assert!(heard < 20 && !complete, "{heard}");
        // All handles are dropped, even after everything arrived: nobody said that it was all.
        let (peer, there) = speak(&client, &server).await;
        for _ in 0..20 {
            there.recv().await.expect("a message");
        }
        drop((peer, client));
        assert_eq!(hear(&there).await, (0, false));
        // The process ends.
        let gone = runtime_of_its_own();
        let client = gone.spawn(async { endpoint(Config::default()) }).await.expect("no panic");
        let (_peer, there) = speak(&client, &server).await;
        gone.shutdown_background();
        let (_, complete) = hear(&there).await;
        assert!(!complete && there.ended() == Some(EndReason::IdleTimeout));
    });
}

fn runtime_of_its_own() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

/// The same on mio, where an application sees the events.
#[test]
fn on_mio_too_the_end_says_whether_that_was_all() {
    within(HANG, || {
        let bind = || {
            let mut config = Config::default();
            (config.timers.heartbeat, config.timers.idle_timeout) =
                (Duration::from_millis(500), Duration::from_secs(2));
            handfast_mio::Endpoint::bind(config, identity(), loopback()).expect("bound")
        };
        let ways = [Some(DisconnectOptions::default()), Some(DisconnectOptions::now()), None];
        for (way, complete) in ways.into_iter().zip([true, false, false]) {
            let (mut server, mut client) = (bind(), bind());
            let peer = client.connect(server.local_addresses()[0]).expect("a dial");
            for _ in 0..20 {
                client.send(peer, Delivery::ordered(0), vec![7; 100_000]).expect("room");
            }
            // A part of it arrives.
            let (mut heard, mut end) = (0, None);
            while heard == 0 {
                client.turn(Some(Duration::ZERO)).expect("no fatal error");
                heard += mio_hear(&mut server, &mut end);
            }
            let dropped = way.is_none();
            let mut client = way.map(|options| {
                client.disconnect(peer, options).expect("connected");
                client
            });
            while end.is_none() {
                if let Some(client) = &mut client {
                    client.turn(Some(Duration::ZERO)).expect("no fatal error");
                }
                heard += mio_hear(&mut server, &mut end);
            }
            let end = end.expect("it ended");
            assert_eq!((end.is_complete(), heard == 20), (complete, complete), "{end}: {heard}");
            assert_eq!(dropped, end == EndReason::IdleTimeout, "{end}");
        }
    });
}

/// A turn: returns how many messages came, and notes the end of a peer.
fn mio_hear(endpoint: &mut handfast_mio::Endpoint, end: &mut Option<EndReason>) -> usize {
    let mut heard = 0;
    endpoint.turn(Some(Duration::ZERO)).expect("no fatal error");
    while let Some(event) = endpoint.poll_event() {
        match event {
            handfast_mio::Event::Readable { peer } => {
                while endpoint.receive(peer).is_some() {
                    heard += 1;
                }
            }
            handfast_mio::Event::Ended { reason, .. } => *end = Some(reason),
            _ => {}
        }
    }
    heard
}

#[test]
fn a_job_that_panics_on_a_mio_endpoint_leaves_it_whole() {
    within(HANG, || {
        let mut endpoint =
            handfast_mio::Endpoint::bind(Config::default(), identity(), loopback()).expect("bound");
        let remote = endpoint.remote();
        remote.run(|_| panic!("the application's own fault")).expect("room");
        remote.run(|endpoint| endpoint.close(DisconnectOptions::default())).expect("room");
        let turn = AssertUnwindSafe(|| endpoint.turn(None).expect("no fatal error"));
        assert!(catch_unwind(turn).is_err());
        // The second job runs, though the waker told of both at once.
        while !endpoint.is_closed() {
            endpoint.turn(None).expect("no fatal error");
        }
    });
}

/// After so many turns: each of the first ones, then some in the middle of traffic.
fn moments() -> impl Iterator<Item = usize> {
    (0..40).chain([60, 100, 200])
}

const HANG: Duration = Duration::from_secs(120);
