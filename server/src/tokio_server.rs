//! The server on tokio: a few loops side by side, each with its own interval, and one signal that
//! ends them all.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use handfast_tokio::{
    Clock, Endpoint, EndpointStats, Events, Peer, PeerError, Reconnect, Stopped, Target, explain,
};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::access::{Access, News};
use crate::app::App;
use crate::config::Settings;
use crate::logging::Writer;
use crate::stats::{Statistics, Totals, report_shards};
use crate::status::{self, Answer, Ask, Handler, Snapshot, farewell_to_the_kicked};
use crate::{
    CLEANUP_INTERVAL, Start, banner, farewell_to_the_unwelcome, is_unwelcome, options, signals,
};
use handfast_program::Error;

/// Serves until a signal.
///
/// # Errors
/// When the endpoint cannot be opened, or its sockets fail for good.
pub fn serve(start: Start) -> Result<(), Error> {
    let Start { settings, access, config, identity, servers, log } = start;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Error::Run(format!("cannot start tokio: {}", explain(&error))))?;
    runtime.block_on(async {
        let clock = Clock::start();
        let listen = settings.listen.clone();
        let endpoint = Endpoint::bind_shards(config, identity, listen, settings.shards);
        let endpoint = endpoint.map_err(|error| Error::bind(&error))?;
        let stopped = |error| Error::Run(format!("cannot start: {error}"));
        endpoint.set_busy_poll(settings.busy_poll).await.map_err(stopped)?;
        let app = Arc::new(Mutex::new(App::new(settings.echo)));
        Server { endpoint, clock, app, settings, servers, log }.run(access).await
    })
}

struct Server {
    endpoint: Endpoint,
    /// The endpoint's, but for the moment that it took to open.
    clock: Clock,
    app: SharedApp,
    settings: Settings,
    servers: Vec<Target>,
    log: Writer,
}

/// Locked for a moment at a time, never across an `await`.
type SharedApp = Arc<Mutex<App>>;

/// Who may come in from now on, each time that it was read again.
type Reloads = mpsc::UnboundedReceiver<(Access, News)>;

/// Becomes true when the server stops.
type Stopping = watch::Receiver<bool>;

impl Server {
    async fn run(&self, access: Access) -> Result<(), Error> {
        let stopped = |error| Error::Run(format!("cannot start: {error}"));
        let events = self.endpoint.events().await.map_err(stopped)?;
        let signal = Arc::new(Notify::new());
        let reloads = self.catch_signals(&signal, access)?;
        let _status = status::open(self.settings.status_socket.as_deref(), self.status())?;
        let (stop, stopping) = watch::channel(false);
        let (id, addresses) = (self.endpoint.id(), self.endpoint.local_addresses());
        self.open_probe_ports(&addresses).await;
        banner::announce(banner::text("tokio", &id, &addresses))?;
        let router = self.settings.map_port.router();
        let map = |router| crate::mapping(self.endpoint.map_port(router, |_| ()));
        let mapping = router.and_then(map);

        let statistics = RefCell::new(Statistics::new(std::time::Instant::now()));
        let (end, (), (), (), (), (), (), ()) = tokio::join!(
            self.live(&signal, stop),
            self.serve(events),
            self.stay_connected(stopping.clone()),
            self.heartbeat(stopping.clone()),
            self.clean_up(stopping.clone()),
            self.change_admission(reloads, stopping.clone()),
            self.summarise(stopping.clone()),
            self.report(&statistics, stopping),
        );
        if let Some(mapping) = mapping {
            // It waits for the router, for a few seconds at most.
            report_panic(tokio::task::spawn_blocking(|| mapping.release()).await);
        }
        lock(&self.app).finish();
        if let Some(totals) = self.totals().await {
            statistics.borrow().finish(std::time::Instant::now(), &totals);
        }
        end.map_err(|error| Error::network(&error))
    }

    /// Opens what peers test their NAT with. The server serves without as well.
    async fn open_probe_ports(&self, addresses: &[SocketAddr]) {
        let mut sockets = Vec::new();
        for address in self.settings.probe_addresses(addresses) {
            match self.endpoint.add_socket(address).await {
                Ok(socket) => sockets.push(socket),
                // What is left would mislead: peers ask for the second by its place.
                Err(error) => {
                    tracing::warn!(%address, %error, "peers cannot test their NAT here");
                    break;
                }
            }
        }
        if let Err(error) = self.endpoint.set_probe_sockets(sockets).await {
            tracing::debug!(%error, "too late to have NATs tested");
        }
    }

    /// Returns where it comes out who may come in from now on.
    fn catch_signals(&self, signal: &Arc<Notify>, mut access: Access) -> Result<Reloads, Error> {
        let (settings, notify) = (self.settings.clone(), Arc::clone(signal));
        let (reloaded, reloads) = mpsc::unbounded_channel();
        let reload = move || {
            let news = access.reload(&settings);
            // Nobody takes it any more once the server stops.
            reloaded.send((access.clone(), news)).ok();
        };
        signals::watch(self.log.clone(), move || notify.notify_one(), reload)?;
        Ok(reloads)
    }

    /// Answers who asks for the status, from threads that are not tokio's.
    fn status(&self) -> Handler {
        let (endpoint, clock) = (self.endpoint.clone(), self.clock);
        let runtime = tokio::runtime::Handle::current();
        Arc::new(move |ask| {
            runtime.block_on(async {
                Some(match ask {
                    Ask::Peers => {
                        let peers = endpoint.peers().await.ok()?;
                        let EndpointStats { stats, .. } = endpoint.stats().await.ok()?;
                        let (now, routes) = (clock.now(), endpoint.routes().await.ok()?);
                        Answer::Peers(Box::new(Snapshot { now, peers, stats, routes }))
                    }
                    Ask::Kick(id) => {
                        let peer = endpoint.peer_by_id(id).await;
                        let is_there = peer.is_some();
                        peer.into_iter().for_each(|peer| _ = tokio::spawn(kick(peer)));
                        Answer::Kicked(is_there)
                    }
                })
            })
        })
    }

    async fn change_admission(&self, mut reloads: Reloads, mut stopping: Stopping) {
        let mut partings = JoinSet::new();
        loop {
            tokio::select! {
                Some((access, news)) = reloads.recv() => {
                    match self.let_in(&access, &mut partings).await {
                        Ok(()) => news.log(),
                        Err(error) => tracing::debug!(%error, "too late to change who may come in"),
                    }
                }
                Some(end) = partings.join_next() => report_panic(end),
                // An error means that the sender is gone, and with it the server.
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
        }
    }

    /// From now on these may come in, and the others go.
    async fn let_in(&self, access: &Access, partings: &mut JoinSet<()>) -> Result<(), Stopped> {
        self.endpoint.set_admission(access.admission()).await?;
        let (current, previous) = access.secrets();
        if let Err(error) = self.endpoint.set_secrets(current, previous).await {
            tracing::error!(%error, "the network secret stays as it was");
        }
        let peers = self.endpoint.peers().await?;
        let unwelcome = peers.iter().filter(|peer| is_unwelcome(peer, access));
        let mut gone = 0;
        for peer in unwelcome {
            let Some(peer) = self.endpoint.peer(peer.handle).await else { continue };
            gone += 1;
            partings.spawn(async move { drop(peer.disconnect(farewell_to_the_unwelcome()).await) });
        }
        if gone > 0 {
            tracing::info!(peers = gone, "parting from those who are no longer on the list");
        }
        Ok(())
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

    /// Takes note of what happens, and lets every peer talk in a task of its own: a slow one holds back
    /// nobody else, and one that takes no echoes itself alone. Ends with the endpoint.
    async fn serve(&self, mut events: Events) {
        let mut conversations = JoinSet::new();
        // Nobody talks before the log says that it connected.
        let mut early = BTreeMap::new();
        loop {
            tokio::select! {
                event = events.recv() => {
                    let Some(event) = event else { break };
                    lock(&self.app).on_event(&event);
                    if let Some(peer) = event.peer().and_then(|peer| early.remove(&peer)) {
                        conversations.spawn(self.conversation(peer));
                    }
                }
                Some(peer) = self.endpoint.accept() => {
                    if lock(&self.app).id(peer.handle()).is_some() {
                        conversations.spawn(self.conversation(peer));
                    } else {
                        early.insert(peer.handle(), peer);
                    }
                }
                Some(end) = conversations.join_next() => report_panic(end),
            }
        }
        // An endpoint that closes does not wait for whoever reads events.
        while let Some(peer) = self.endpoint.accept().await {
            conversations.spawn(self.conversation(peer));
        }
        early.into_values().for_each(|peer| _ = conversations.spawn(self.conversation(peer)));
        while let Some(end) = conversations.join_next().await {
            report_panic(end);
        }
    }

    /// Dials the servers, and dials again whoever is lost.
    async fn stay_connected(&self, mut stopping: Stopping) {
        let mut dials = JoinSet::new();
        for server in &self.servers {
            let app = Arc::clone(&self.app);
            let mut connections =
                self.endpoint.keep_connected(server.clone(), Reconnect::default());
            dials.spawn(async move {
                let error = loop {
                    match connections.next().await {
                        Ok(peer) => Conversation::begin(peer, &app).hold().await,
                        Err(error) => break error,
                    }
                };
                tracing::debug!(%error, "a server is not dialled again");
            });
        }
        // An error means that the sender is gone, and with it the server.
        drop(stopping.wait_for(|stopping| *stopping).await);
    }

    fn conversation(&self, peer: Peer) -> impl Future<Output = ()> + use<> {
        let conversation = Conversation::begin(peer, &self.app);
        async move { conversation.hold().await }
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
            let Ok(peers) = self.endpoint.peer_handles().await else { return };
            let known: BTreeSet<_> = peers.into_iter().collect();
            lock(&self.app).forget_ended(|peer| !recorded.contains(&peer) || known.contains(&peer));
        };
        repeat(CLEANUP_INTERVAL, stopping, sweep).await;
    }

    async fn summarise(&self, stopping: Stopping) {
        let sum_up = async || lock(&self.app).summarise();
        repeat(self.settings.summary_interval(), stopping, sum_up).await;
    }

    async fn report(&self, statistics: &RefCell<Statistics>, stopping: Stopping) {
        let Some(every) = self.settings.stats_interval else { return };
        let report = async || {
            let Some(totals) = self.totals().await else { return };
            statistics.borrow_mut().report(std::time::Instant::now(), &totals);
            if self.settings.shards > 1
                && let Ok(shards) = self.endpoint.stats_of_shards().await
            {
                let each =
                    shards.iter().map(|EndpointStats { stats, sockets, .. }| (stats, sockets));
                report_shards(each);
            }
        };
        repeat(every, stopping, report).await;
    }

    async fn totals(&self) -> Option<Totals> {
        let EndpointStats { stats, drops, sockets, .. } = self.endpoint.stats().await.ok()?;
        let app = lock(&self.app);
        let (peers, counters) = (app.connected(), app.counters());
        drop(app);
        let log_lines_dropped = self.log.dropped();
        Some(Totals { peers, counters, stats, drops, sockets, log_lines_dropped })
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

/// Takes what a peer says.
struct Conversation {
    peer: Peer,
    app: SharedApp,
}

impl Conversation {
    fn begin(peer: Peer, app: &SharedApp) -> Self {
        lock(app).begin_reading(peer.handle(), peer.id());
        Self { peer, app: Arc::clone(app) }
    }

    /// Until the peer has ended and everything it said is taken.
    async fn hold(&self) {
        let Self { peer, app } = self;
        while let Some(message) = peer.recv().await {
            let reply = lock(app).on_message(peer.handle(), peer.id(), &message);
            if let Some(reply) = reply
                && let Err(error) = peer.send(reply.delivery, reply.payload).await
            {
                tracing::debug!(peer = %peer.id(), %error, "no echo");
            }
        }
    }
}

/// However it ends, the log of the peer's end does not wait for it any longer.
impl Drop for Conversation {
    fn drop(&mut self) {
        lock(&self.app).end_reading(self.peer.handle(), self.peer.ended());
    }
}

async fn kick(peer: Peer) {
    let end = peer.disconnect(farewell_to_the_kicked()).await;
    tracing::debug!(peer = %peer.id(), %end, "kicked");
}

/// Not to be waited for longer than until the next one.
async fn ping(peer: Peer, patience: Duration) {
    match timeout(patience, peer.ping()).await {
        Ok(Ok(_) | Err(PeerError::Ended(_))) => {}
        Ok(Err(error)) => tracing::debug!(peer = %peer.id(), %error, "no ping"),
        Err(_) => tracing::debug!(peer = %peer.id(), "no pong"),
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
