//! The server on tokio: a few loops side by side, each with its own interval, and one signal that
//! ends them all.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use handfast_core::{Config, Identity};
use handfast_tokio::{Endpoint, Events, Peer, PeerError, explain};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::app::App;
use crate::config::Settings;
use crate::error::Error;
use crate::{CLEANUP_INTERVAL, banner, options, signals, stats};

/// Serves until a signal.
///
/// # Errors
/// When the endpoint cannot be opened, or its sockets fail for good.
pub fn serve(settings: &Settings, config: Config, identity: Identity) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Error::Run(format!("cannot start tokio: {}", explain(&error))))?;
    runtime.block_on(async {
        let endpoint = Endpoint::bind(config, identity, settings.listen.clone());
        let endpoint = endpoint.map_err(|error| Error::bind(&error))?;
        let app = Arc::new(Mutex::new(App::new(settings.echo)));
        Server { endpoint, app, settings }.run().await
    })
}

struct Server<'a> {
    endpoint: Endpoint,
    app: SharedApp,
    settings: &'a Settings,
}

/// Locked for a moment at a time, never across an `await`.
type SharedApp = Arc<Mutex<App>>;

/// Becomes true when the server stops.
type Stopping = watch::Receiver<bool>;

impl Server<'_> {
    async fn run(&self) -> Result<(), Error> {
        let stopped = |error| Error::Run(format!("cannot start: {error}"));
        let events = self.endpoint.events().await.map_err(stopped)?;
        let signal = Arc::new(Notify::new());
        let notify = Arc::clone(&signal);
        signals::on_first(move || notify.notify_one())?;
        let (stop, stopping) = watch::channel(false);
        let (id, addresses) = (self.endpoint.id(), self.endpoint.local_addresses());
        banner::print(&banner::text("tokio", &id, &addresses))?;

        let (end, (), (), (), (), ()) = tokio::join!(
            self.live(&signal, stop),
            self.watch_events(events),
            self.welcome(),
            self.heartbeat(stopping.clone()),
            self.clean_up(stopping.clone()),
            self.report(stopping),
        );
        end.map_err(|error| Error::network(&error))
    }

    /// Waits for the signal, or for the endpoint to fail, and ends everything.
    async fn live(&self, signal: &Notify, stop: watch::Sender<bool>) -> io::Result<()> {
        let end = tokio::select! {
            () = signal.notified() => self.endpoint.close(options()).await,
            end = self.endpoint.closed() => end,
        };
        stop.send_replace(true);
        end
    }

    /// Ends with the endpoint.
    async fn watch_events(&self, mut events: Events) {
        while let Some(event) = events.recv().await {
            lock(&self.app).on_event(&event);
        }
    }

    /// Lets every peer talk in a task of its own: a slow one holds back nobody else.
    async fn welcome(&self) {
        let mut conversations = JoinSet::new();
        loop {
            tokio::select! {
                peer = self.endpoint.accept() => match peer {
                    Some(peer) => _ = conversations.spawn(converse(peer, Arc::clone(&self.app))),
                    None => break,
                },
                Some(end) = conversations.join_next() => report_panic(end),
            }
        }
        while let Some(end) = conversations.join_next().await {
            report_panic(end);
        }
    }

    /// Pings those who said nothing for a while. The answers come as events.
    async fn heartbeat(&self, stopping: Stopping) {
        let every = self.settings.heartbeat;
        let mut pings = JoinSet::new();
        let beat = async || {
            while let Some(end) = pings.try_join_next() {
                report_panic(end);
            }
            let chosen = lock(&self.app).peers_to_ping();
            for peer in chosen {
                if let Some(peer) = self.endpoint.peer(peer).await {
                    pings.spawn(ping(peer, every));
                }
            }
        };
        repeat(every, stopping, beat).await;
    }

    /// Drops what is kept for peers that are gone.
    async fn clean_up(&self, stopping: Stopping) {
        let sweep = async || {
            // Taken before the answer is: whoever connects in between is not in the answer.
            let recorded = lock(&self.app).peers();
            let Ok(peers) = self.endpoint.peers().await else { return };
            let known: BTreeSet<_> = peers.iter().map(|peer| peer.handle).collect();
            lock(&self.app).forget_ended(|peer| !recorded.contains(&peer) || known.contains(&peer));
        };
        repeat(CLEANUP_INTERVAL, stopping, sweep).await;
    }

    async fn report(&self, stopping: Stopping) {
        let Some(every) = self.settings.stats_interval else { return };
        let report = async || {
            let Ok(now) = self.endpoint.stats().await else { return };
            stats::log(&lock(&self.app), &now.stats, &now.drops, &now.sockets);
        };
        repeat(every, stopping, report).await;
    }
}

/// Runs `work` at every interval until the server stops. A tick that comes late moves the later
/// ones: after a busy spell there is no burst.
async fn repeat(every: Duration, mut stopping: Stopping, mut work: impl AsyncFnMut()) {
    // Beyond what the system's clock can express is never.
    let Some(first) = Instant::now().checked_add(every) else { return };
    let mut ticks = interval_at(first, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => work().await,
            // An error means that the sender is gone, and with it the server.
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
    }
}

/// Until the peer has ended and everything it said is taken.
async fn converse(peer: Peer, app: SharedApp) {
    while let Some(message) = peer.recv().await {
        let reply = lock(&app).on_message(peer.handle(), peer.id(), &message);
        if let Some(reply) = reply
            && let Err(error) = peer.send(reply.delivery, reply.payload).await
        {
            tracing::debug!(peer = %peer.id(), %error, "no echo");
        }
    }
}

/// Not to be waited for longer than until the next one.
async fn ping(peer: Peer, patience: Duration) {
    match timeout(patience, peer.ping()).await {
        Ok(Ok(_) | Err(PeerError::Ended(_))) => {}
        Ok(Err(error)) => tracing::debug!(peer = %peer.id(), %error, "no ping"),
        Err(_) => tracing::info!(peer = %peer.id(), "no pong"),
    }
}

/// A panic in one conversation is no reason to end the others.
fn report_panic(end: Result<(), tokio::task::JoinError>) {
    if let Err(error) = end {
        tracing::error!(%error, "a task failed");
    }
}

/// Counters are sound even if a task panicked while it held them.
fn lock(app: &Mutex<App>) -> MutexGuard<'_, App> {
    app.lock().unwrap_or_else(PoisonError::into_inner)
}
