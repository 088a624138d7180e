//! The server on mio: a thread for each shard, with a loop and timers in it, and this one, which sums up what they did.

mod questions;
mod shard;

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use handfast_core::Target;
use handfast_mio::{Endpoint, PortMapping, Reconnect, Remote, explain};

use crate::access::Access;
use crate::config::Settings;
use crate::logging::Writer;
use crate::stats::{Statistics, Totals, report_shards};
use crate::{Start, banner, options, signals, status};
use handfast_program::Error;

use questions::{PATIENCE, let_in};
use shard::{Inquiry, Shard};

/// Serves until a signal.
///
/// # Errors
/// When the endpoint cannot be opened, or its sockets fail for good.
pub fn serve(start: Start) -> Result<(), Error> {
    let Start { settings, access, config, identity, servers, log } = start;
    let listen = settings.listen.clone();
    let shards = Endpoint::bind_shards(config, identity, listen, settings.shards);
    let mut shards = shards.map_err(|error| Error::bind(&error))?;
    shards.iter_mut().for_each(|shard| shard.set_busy_poll(settings.busy_poll));
    let remotes: Vec<_> = shards.iter().map(Endpoint::remote).collect();
    catch_signals(remotes.clone(), settings.clone(), access, log.clone())?;
    let handler = questions::handler(remotes.clone());
    let _status = status::open(settings.status_socket.as_deref(), handler)?;
    let first = shards.first_mut().map(|first| introduce(first, &settings));
    let mapping = first.transpose()?.flatten();
    dial(&mut shards, servers);
    let end = Server::start(shards, remotes, &settings).and_then(|server| server.run(&log));
    mapping.into_iter().for_each(PortMapping::release);
    end
}

/// Opens what peers test their NAT with, says how to reach the server, and asks the router for a port if that was chosen.
fn introduce(first: &mut Endpoint, settings: &Settings) -> Result<Option<PortMapping>, Error> {
    let addresses = first.local_addresses();
    open_probe_ports(first, settings.probe_addresses(&addresses));
    banner::announce(banner::text("mio", &first.id(), &addresses))?;
    let map = |router| crate::mapping(first.map_port(router, |_| ()));
    Ok(settings.map_port.router().and_then(map))
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

/// Has the shards in turn stay connected to the servers. One that another shard has meanwhile, because it called, is left to
/// that until it goes.
fn dial(shards: &mut [Endpoint], servers: Vec<Target>) {
    let count = shards.len().max(1);
    for (at, server) in servers.into_iter().enumerate() {
        let Some(shard) = shards.get_mut(at % count) else { return };
        if let Err(error) = shard.keep_connected(server.clone(), Reconnect::default()) {
            tracing::warn!(?server, %error, "not dialled");
        }
    }
}

fn catch_signals(
    remotes: Vec<Remote>,
    settings: Settings,
    mut access: Access,
    log: Writer,
) -> Result<(), Error> {
    let stopping = remotes.clone();
    let stop = move || {
        for remote in &stopping {
            if let Err(error) = remote.run(|endpoint| endpoint.close(options())) {
                tracing::error!(%error, "cannot stop politely");
            }
        }
    };
    let reload = move || {
        let news = access.reload(&settings);
        match let_in(&remotes, &access) {
            Some(gone) => {
                if gone > 0 {
                    tracing::info!(
                        peers = gone,
                        "parting from those who are no longer on the list"
                    );
                }
                news.log();
            }
            None => tracing::error!("cannot change who may come in: the server has no time"),
        }
    };
    signals::watch(log, stop, reload)
}

/// All shards at work.
struct Server {
    shards: Vec<Running>,
    /// Whenever one ended: whether it was closed. Else it failed.
    endings: std::sync::mpsc::Receiver<bool>,
    statistics: Statistics,
    stats_interval: Option<Duration>,
}

/// A shard at work.
struct Running {
    remote: Remote,
    inquiries: Sender<Inquiry>,
    thread: JoinHandle<Result<Totals, Error>>,
}

impl Server {
    fn start(
        shards: Vec<Endpoint>,
        remotes: Vec<Remote>,
        settings: &Settings,
    ) -> Result<Self, Error> {
        let (ending, endings) = channel();
        let running =
            shards.into_iter().zip(remotes).enumerate().map(|(number, (endpoint, remote))| {
                let (inquiries, inquired) = channel();
                let shard = Shard::new(endpoint, inquired, settings);
                let ending = Ending { tell: ending.clone(), is_closed: false };
                let run = move || ending.after(|| shard.run());
                let thread = thread::Builder::new().name(format!("shard-{number}")).spawn(run)?;
                Ok(Running { remote, inquiries, thread })
            });
        let shards = running.collect::<io::Result<Vec<_>>>();
        let shards = shards
            .map_err(|error| Error::Run(format!("cannot start a thread: {}", explain(&error))))?;
        let (statistics, stats_interval) =
            (Statistics::new(Instant::now()), settings.stats_interval);
        Ok(Self { shards, endings, statistics, stats_interval })
    }

    /// Until all shards have ended. If one fails, the others part from their peers: a server stops as a whole.
    fn run(mut self, log: &Writer) -> Result<(), Error> {
        let next =
            |every: Option<Duration>| every.and_then(|every| Instant::now().checked_add(every));
        let (mut left, mut due) = (self.shards.len(), next(self.stats_interval));
        while left > 0 {
            let wait = due.map(|due| due.saturating_duration_since(Instant::now()));
            match self.endings.recv_timeout(wait.unwrap_or(Duration::MAX)) {
                Ok(is_closed) => {
                    left -= 1;
                    if !is_closed {
                        self.close();
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.report(log);
                    due = next(self.stats_interval);
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let ends = self.shards.into_iter().map(|shard| shard.thread.join());
        let panicked = |_| Err(Error::Run("a thread of the server failed".to_owned()));
        let totals = ends.map(|end| end.unwrap_or_else(panicked)).collect::<Result<Vec<_>, _>>()?;
        self.statistics.finish(Instant::now(), &sum(&totals, log));
        Ok(())
    }

    fn close(&self) {
        for Running { remote, .. } in &self.shards {
            // Those that have ended need not be told.
            remote.run(|endpoint| endpoint.close(options())).ok();
        }
    }

    /// A line for all together, and one for each if there are several. None while the server stops.
    fn report(&mut self, log: &Writer) {
        let Some(each) = self.totals() else { return };
        self.statistics.report(Instant::now(), &sum(&each, log));
        if each.len() > 1 {
            report_shards(each.iter().map(|Totals { stats, sockets, .. }| (stats, sockets)));
        }
    }

    /// What each shard counted; `None` if one does not answer. They are asked at the same time.
    fn totals(&self) -> Option<Vec<Totals>> {
        let ask = |Running { remote, inquiries, .. }: &Running| {
            let (reply, answer) = channel();
            inquiries.send(reply).ok()?;
            // It looks for inquiries after each turn.
            remote.run(|_| ()).ok()?;
            Some(answer)
        };
        let answers = self.shards.iter().map(ask).collect::<Option<Vec<_>>>()?;
        answers.into_iter().map(|answer| answer.recv_timeout(PATIENCE).ok()).collect()
    }
}

fn sum(each: &[Totals], log: &Writer) -> Totals {
    let mut sum = Totals { log_lines_dropped: log.dropped(), ..Totals::default() };
    each.iter().for_each(|totals| sum += *totals);
    sum
}

/// Tells that a shard ended, also if its thread panics.
struct Ending {
    tell: Sender<bool>,
    is_closed: bool,
}

impl Ending {
    fn after<T, E>(mut self, run: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let end = run();
        self.is_closed = end.is_ok();
        end
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        // Whoever listens may have failed.
        self.tell.send(self.is_closed).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_tells_of_its_end_however_it_ends() {
        let (tell, told) = channel();
        let ending = || Ending { tell: tell.clone(), is_closed: false };
        assert_eq!(ending().after(|| Ok::<_, ()>(7)), Ok(7));
        assert_eq!(ending().after(|| Err::<(), _>(8)), Err(8));
        let ending = ending();
        // Without the message of a panic.
        let panic =
            move || ending.after(|| -> Result<(), ()> { std::panic::resume_unwind(Box::new(9)) });
        thread::spawn(panic).join().expect_err("a panic");
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [true, false, false]);
    }
}
