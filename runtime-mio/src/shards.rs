//! Making an endpoint of one shard or of several.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use handfast_core::{Config, Identity, ValidConfig};
use handfast_udp::{Beacons, Clock, Listen, Recent, ShardPorts, Shards, Traffic, entropy};
use mio::{Events, Poll, Waker};

use crate::Endpoint;
use crate::endpoint::WAKER;
use crate::kept::Kept;
use crate::port::Port;
use crate::remote::{Jobs, MappedSender};

/// Opens the sockets, and makes an endpoint of those of each shard.
pub(crate) fn bind(
    config: Config,
    identity: &Identity,
    listen: &Listen,
    count: u16,
) -> io::Result<Vec<Endpoint>> {
    let plan = Shards::plan(config, count)?;
    let loops = (0..count).map(|_| wakeable()).collect::<io::Result<Vec<_>>>()?;
    let bells = loops.iter().map(|(_, jobs)| jobs.bell()).collect();
    let all = All {
        identity,
        clock: Clock::start(),
        shards: loops.iter().map(|(_, jobs)| jobs.mapped()).collect(),
    };
    let parts = plan.open(listen, bells)?.into_iter().zip(loops);
    let shards: io::Result<Vec<_>> =
        parts.map(|((config, ports), (poll, jobs))| all.shard(config, ports, poll, jobs)).collect();
    let shards = shards?;
    if let Some(first) = shards.first() {
        let (id, addresses) = (first.id(), first.local_addresses());
        tracing::info!(target: "handfast::driver", %id, ?addresses, shards = count, "listening");
    }
    Ok(shards)
}

/// A poll, and what wakes it.
fn wakeable() -> io::Result<(Poll, Jobs)> {
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), WAKER)?;
    Ok((poll, Jobs::new(waker)))
}

/// What all shards have in common.
struct All<'a> {
    identity: &'a Identity,
    /// Cookies of one are good at another by the same time.
    clock: Clock,
    /// Tells each of a mapped port.
    shards: Arc<[MappedSender]>,
}

impl All<'_> {
    fn shard(
        &self,
        config: ValidConfig,
        ports: ShardPorts,
        poll: Poll,
        jobs: Jobs,
    ) -> io::Result<Endpoint> {
        let (seed, now) = (entropy()?, self.clock.now());
        let discovery = Beacons::new(config.discovery, now);
        let mut core = handfast_core::Endpoint::new(config, self.identity.for_shard(), seed, now);
        let make = |socket, io| Port::new(io, socket, poll.registry());
        Ok(Endpoint {
            traffic: Traffic::with_sockets(&mut core, now, ports, LONGEST_TURN, make)?,
            discovery,
            core,
            clock: self.clock,
            recent: Recent::default(),
            jobs,
            shards: Arc::clone(&self.shards),
            kept: Kept::default(),
            next_event: None,
            more_jobs: false,
            more_to_send: false,
            busy_poll: Duration::ZERO,
            readiness: Events::with_capacity(READINESS_PER_TURN),
            poll,
        })
    }
}

/// How many sockets a poll tells of at most; the next poll tells of the others.
const READINESS_PER_TURN: usize = 64;
/// Whoever calls for a turn has the thread to itself: the 64 datagrams of a turn end it sooner.
const LONGEST_TURN: Duration = Duration::from_millis(4);
