//! The server on mio: one thread, one loop, and timers in it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use handfast_core::{Event, PeerHandle, PeerId, PeerInfo, SendError};
use handfast_mio::{Endpoint, PortMapping, Reconnect, Remote};

use crate::access::Access;
use crate::app::{App, Reply};
use crate::config::Settings;
use crate::logging::Writer;
use crate::stats::{Statistics, Totals};
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
    let endpoint = Endpoint::bind(config, identity, settings.listen.clone());
    let mut endpoint = endpoint.map_err(|error| Error::bind(&error))?;
    endpoint.set_busy_poll(settings.busy_poll);
    catch_signals(&endpoint, settings.clone(), access, log.clone())?;
    let _status = status::open(settings.status_socket.as_deref(), status(&endpoint))?;
    let addresses = endpoint.local_addresses();
    open_probe_ports(&mut endpoint, settings.probe_addresses(&addresses));
    banner::announce(banner::text("mio", &endpoint.id(), &addresses))?;
    let map = |router| crate::mapping(endpoint.map_port(router, |_| ()));
    let mapping = settings.map_port.router().and_then(map);

    for server in servers {
        if let Err(error) = endpoint.keep_connected(server.clone(), Reconnect::default()) {
            tracing::warn!(?server, %error, "not dialled");
        }
    }
    let now = Instant::now();
    let jobs = [
        (Job::Heartbeat, Some(settings.heartbeat)),
        (Job::CleanUp, Some(CLEANUP_INTERVAL)),
        (Job::Summary, Some(settings.summary_interval())),
        (Job::Report, settings.stats_interval),
    ];
    let timers = Timers::new(jobs, now);
    let (app, statistics) = (App::new(settings.echo), Statistics::new(now));
    let server = Server { endpoint, app, timers, statistics, log, unsent: BTreeMap::new() };
    let end = server.run();
    mapping.into_iter().for_each(PortMapping::release);
    end
}

/// Opens what peers test their NAT with. The server serves without as well.
fn open_probe_ports(endpoint: &mut Endpoint, addresses: Vec<SocketAddr>) {
    let mut sockets = Vec::new();
    for address in addresses {
        match endpoint.add_socket(address) {
            Ok(socket) => sockets.push(socket),
            // What is left would mislead: peers ask for the second by its place.
            Err(error) => {
                tracing::warn!(%address, %error, "peers cannot test their NAT here");
                break;
            }
        }
    }
    endpoint.set_probe_sockets(sockets);
}

fn catch_signals(
    endpoint: &Endpoint,
    settings: Settings,
    mut access: Access,
    log: Writer,
) -> Result<(), Error> {
    let (stopping, reloading) = (endpoint.remote(), endpoint.remote());
    let stop = move || {
        if let Err(error) = stopping.run(|endpoint| endpoint.close(options())) {
            tracing::error!(%error, "cannot stop politely");
        }
    };
    let reload = move || {
        let (news, now) = (access.reload(&settings), access.clone());
        let take_over = move |endpoint: &mut Endpoint| {
            let_in(endpoint, &now);
            news.log();
        };
        if let Err(error) = reloading.run(take_over) {
            tracing::error!(%error, "cannot change who may come in");
        }
    };
    signals::watch(log, stop, reload)
}

/// Answers who asks for the status, from threads of their own.
fn status(endpoint: &Endpoint) -> Handler {
    let remote = endpoint.remote();
    Arc::new(move |ask| {
        Some(match ask {
            Ask::Peers => {
                let peers = all_peers(&remote)?;
                let snapshot = move |endpoint: &mut Endpoint| {
                    let (stats, routes) = (*endpoint.stats(), endpoint.routes().collect());
                    Snapshot { now: endpoint.now(), peers, stats, routes }
                };
                Answer::Peers(Box::new(query(&remote, snapshot)?))
            }
            Ask::Kick(id) => Answer::Kicked(query(&remote, move |endpoint| kick(endpoint, &id))?),
        })
    })
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

/// All peers, a few at a time: the thread has other work as well.
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

/// From now on these may come in, and the others go.
fn let_in(endpoint: &mut Endpoint, access: &Access) {
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
    if !gone.is_empty() {
        tracing::info!(peers = gone.len(), "parting from those who are no longer on the list");
    }
}

struct Server {
    endpoint: Endpoint,
    app: App,
    timers: Timers,
    statistics: Statistics,
    log: Writer,
    /// Echoes that found no room. Nothing more is taken from their peers until there is.
    unsent: BTreeMap<PeerHandle, Reply>,
}

impl Server {
    fn run(mut self) -> Result<(), Error> {
        while !self.endpoint.is_closed() {
            let wait = self.timers.wait(Instant::now());
            let turned = self.endpoint.turn(Some(wait));
            turned.map_err(|error| Error::network(&error))?;
            for _ in 0..EVENTS_PER_TURN {
                let Some(event) = self.endpoint.poll_event() else { break };
                self.on_event(event);
            }
            // Each at most once, however short its interval: the sockets come in between.
            let now = Instant::now();
            while let Some(job) = self.timers.next_due(now) {
                self.perform(job);
            }
        }
        self.app.finish();
        self.statistics.finish(Instant::now(), &self.totals());
        Ok(())
    }

    fn on_event(&mut self, mut event: Event) {
        match &mut event {
            Event::Readable { peer } => self.converse(*peer),
            Event::Writable { peer, .. } => {
                if let Some(reply) = self.unsent.remove(peer) {
                    self.send(*peer, reply);
                    self.converse(*peer);
                }
            }
            Event::Ended { peer, unread, .. } => {
                // What it said before it ended counts, even if it waits for no answer.
                self.unsent.remove(peer);
                self.converse(*peer);
                *unread = 0;
            }
            _ => {}
        }
        self.app.on_event(&event);
    }

    /// Takes messages until there are none, or an echo must wait.
    fn converse(&mut self, peer: PeerHandle) {
        while !self.unsent.contains_key(&peer)
            && let Some(message) = self.endpoint.receive(peer)
        {
            let Some(id) = self.app.id(peer) else { continue };
            if let Some(reply) = self.app.on_message(peer, id, &message) {
                self.send(peer, reply);
            }
        }
    }

    fn send(&mut self, peer: PeerHandle, reply: Reply) {
        match self.endpoint.send(peer, reply.delivery, reply.payload.clone()) {
            Ok(_) => {}
            Err(SendError::Blocked | SendError::NoRoom) if reply.delivery.reliable => {
                tracing::debug!(?peer, "an echo waits for room");
                self.unsent.insert(peer, reply);
            }
            Err(error) => tracing::debug!(?peer, %error, "no echo"),
        }
    }

    fn perform(&mut self, job: Job) {
        match job {
            Job::Heartbeat => {
                for peer in self.app.peers_to_ping() {
                    // The answer comes as an event.
                    if let Err(error) = self.endpoint.ping(peer) {
                        tracing::debug!(?peer, %error, "no ping");
                    }
                }
            }
            Job::CleanUp => {
                let Self { app, endpoint, .. } = self;
                app.forget_ended(|peer| endpoint.has_peer(peer));
            }
            Job::Summary => self.app.summarise(),
            Job::Report => {
                let totals = self.totals();
                self.statistics.report(Instant::now(), &totals);
            }
        }
    }

    fn totals(&self) -> Totals {
        Totals {
            peers: self.app.connected(),
            counters: self.app.counters(),
            stats: *self.endpoint.stats(),
            drops: *self.endpoint.drops(),
            sockets: self.endpoint.socket_stats(),
            log_lines_dropped: self.log.dropped(),
        }
    }
}

/// What is to be done now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Job {
    Heartbeat,
    CleanUp,
    Summary,
    Report,
}

/// When it is to be done.
struct Timers(Vec<Timer>);

struct Timer {
    job: Job,
    every: Duration,
    due: Instant,
}

impl Timers {
    fn new<const N: usize>(jobs: [(Job, Option<Duration>); N], now: Instant) -> Self {
        let timer = |(job, every): (_, Option<Duration>)| {
            let every = every?;
            Some(Timer { job, every, due: now.checked_add(every)? })
        };
        Self(jobs.into_iter().filter_map(timer).collect())
    }

    fn wait(&self, now: Instant) -> Duration {
        let due = self.0.iter().map(|timer| timer.due).min();
        due.map_or(Duration::MAX, |due| due.saturating_duration_since(now))
    }

    /// The next job that is due. Its interval begins anew, however late it is: after a busy spell
    /// there is no burst.
    fn next_due(&mut self, now: Instant) -> Option<Job> {
        let timer = self.0.iter_mut().find(|timer| timer.due <= now)?;
        timer.due = now + timer.every;
        Some(timer.job)
    }
}

/// How long who asks for the status waits for the thread.
const PATIENCE: Duration = Duration::from_secs(5);
/// To look at a peer that was quiet for long takes some microseconds.
const PEERS_AT_ONCE: usize = 32;
/// The sockets have their turn in between.
const EVENTS_PER_TURN: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_timer_fires_once_and_begins_anew() {
        let second = Duration::from_secs(1);
        let start = Instant::now();
        let jobs = [(Job::Heartbeat, Some(second)), (Job::CleanUp, Some(second * 3))];
        let mut timers = Timers::new([jobs[0], jobs[1], (Job::Report, None)], start);
        assert_eq!(timers.wait(start), second);
        let late = start + second * 5 / 2;
        assert_eq!(timers.next_due(late), Some(Job::Heartbeat));
        assert_eq!(timers.next_due(late), None);
        assert_eq!(timers.wait(late), second / 2);
        assert_eq!(timers.next_due(late + second / 2), Some(Job::CleanUp));
    }
}
