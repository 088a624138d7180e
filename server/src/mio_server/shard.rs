//! A shard of the server: one thread, one loop, and timers in it.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use handfast_core::{Event, PeerHandle, SendError};
use handfast_mio::Endpoint;

use crate::CLEANUP_INTERVAL;
use crate::app::{App, Reply};
use crate::config::Settings;
use crate::stats::Totals;
use handfast_program::Error;

/// A shard with what the application knows of its peers: what one of them does concerns no other shard.
pub(super) struct Shard {
    endpoint: Endpoint,
    app: App,
    timers: Timers,
    inquiries: Receiver<Inquiry>,
    /// Echoes that found no room. Nothing more is taken from their peers until there is.
    unsent: BTreeMap<PeerHandle, Reply>,
}

/// Somebody wants to know what the shard counted so far.
pub(super) type Inquiry = Sender<Totals>;

impl Shard {
    pub(super) fn new(
        endpoint: Endpoint,
        inquiries: Receiver<Inquiry>,
        settings: &Settings,
    ) -> Self {
        let jobs = [
            (Job::Heartbeat, settings.heartbeat),
            (Job::CleanUp, CLEANUP_INTERVAL),
            (Job::Summary, settings.summary_interval()),
        ];
        let timers = Timers::new(jobs, Instant::now());
        let app = App::new(settings.echo);
        Self { endpoint, app, timers, inquiries, unsent: BTreeMap::new() }
    }

    /// Until the endpoint is closed. What it counted in all.
    pub(super) fn run(mut self) -> Result<Totals, Error> {
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
            while let Ok(inquiry) = self.inquiries.try_recv() {
                // Whoever asked may be gone.
                inquiry.send(self.totals()).ok();
            }
        }
        self.app.finish();
        Ok(self.totals())
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
        }
    }

    fn totals(&self) -> Totals {
        Totals {
            peers: self.app.connected(),
            counters: self.app.counters(),
            stats: *self.endpoint.stats(),
            drops: *self.endpoint.drops(),
            sockets: self.endpoint.socket_stats(),
            log_lines_dropped: 0,
        }
    }
}

/// What is to be done now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Job {
    Heartbeat,
    CleanUp,
    Summary,
}

/// When it is to be done.
struct Timers(Vec<Timer>);

struct Timer {
    job: Job,
    every: Duration,
    due: Instant,
}

impl Timers {
    fn new<const N: usize>(jobs: [(Job, Duration); N], now: Instant) -> Self {
        let timer = |(job, every): (_, Duration)| {
            // Beyond what the system's clock can express is never.
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

/// The sockets have their turn in between.
const EVENTS_PER_TURN: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_timer_fires_once_and_begins_anew() {
        let second = Duration::from_secs(1);
        let start = Instant::now();
        let never = (Job::Summary, Duration::MAX);
        let jobs = [(Job::Heartbeat, second), (Job::CleanUp, second * 3), never];
        let mut timers = Timers::new(jobs, start);
        assert_eq!(timers.wait(start), second);
        let late = start + second * 5 / 2;
        assert_eq!(timers.next_due(late), Some(Job::Heartbeat));
        assert_eq!(timers.next_due(late), None);
        assert_eq!(timers.wait(late), second / 2);
        assert_eq!(timers.next_due(late + second / 2), Some(Job::CleanUp));
    }
}
