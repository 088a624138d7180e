//! The loop: what happens next, to whom, and what comes of it.

use std::net::SocketAddr;
use std::time::Duration;

use handfast_core::{Instant, Origin, Transmit, canonical};

use crate::app::{App, Cx};
use crate::audit::Audit;
use crate::contract::{self, Breach, FUEL};
use crate::link::{Outcome, micros};
use crate::machine::Machine;
use crate::network::{Datagram, NodeId};
use crate::trace::{outcome_text, packet_name};
use crate::world::World;

impl<M: Machine> World<M> {
    /// Runs until `time` after the world began.
    pub fn run_until(&mut self, time: Duration) {
        self.run_until_with(time, &mut ());
    }

    /// Runs until `time` after the world began, with an application on the nodes.
    pub fn run_until_with(&mut self, time: Duration, app: &mut impl App<M>) {
        while self.step(time, app) {}
        self.time = self.time.max(time);
    }

    /// Runs for `span` of virtual time.
    pub fn run_for(&mut self, span: Duration) {
        self.run_until(self.time + span);
    }

    /// When something happens next, if nobody interferes.
    #[must_use]
    pub fn next_time(&self) -> Option<Duration> {
        if !self.waiting.is_empty() {
            return Some(self.time);
        }
        let arrival = self.network.next_arrival();
        let timer = self.timers.first().map(|timer| timer.0);
        let due = self.due.first().map(|due| Duration::from_micros(due.0));
        [arrival, timer, due].into_iter().flatten().min().map(|time| time.max(self.time))
    }

    /// Lets the next thing happen unless it is later than `limit`. False if there was none.
    pub fn step(&mut self, limit: Duration, app: &mut impl App<M>) -> bool {
        let Some(time) = self.next_time().filter(|&time| time <= limit) else {
            return false;
        };
        self.time = time;
        if let Some(datagram) = self.waiting.pop_front() {
            self.arrive(datagram, app);
        } else if self.network.next_arrival().is_some_and(|at| at <= time) {
            if let Some(datagram) = self.network.receive(time) {
                self.arrive(datagram, app);
            }
        } else if self.timers.first().is_some_and(|timer| timer.0 <= time) {
            self.fire_timer(app);
        } else if let Some(&(_, node)) = self.due.first() {
            self.fire_deadline(node, app);
        }
        true
    }

    /// Ensures that a node's next deadline is met.
    pub(crate) fn reschedule(&mut self, id: NodeId, deadline: Option<Instant>) {
        let node = &mut self.nodes[id.0 as usize];
        if let Some(old) = node.due.take() {
            self.due.remove(&(old, id));
        }
        let awake = deadline.filter(|_| node.suspended.is_none());
        let due = awake.map(|deadline| node.world_micros(deadline).max(micros(self.time)));
        node.due = due.map(|due| due.next_multiple_of(self.timer_grain));
        self.due.extend(node.due.map(|due| (due, id)));
    }

    /// Drains a node after an input, checks the contract and schedules it anew. `before` is its
    /// deadline before the input; none means that the input was its timeout.
    pub(crate) fn settle(
        &mut self,
        node: NodeId,
        app: &mut impl App<M>,
        before: Option<Option<Instant>>,
    ) {
        let mut machine = self.node_mut(node).machine.take().expect("only nodes that are up");
        let mut buffer = std::mem::take(&mut self.buffer);
        let now = self.clock(node);
        let drained = self.drain(node, &mut machine, &mut buffer, app).and_then(|()| {
            let next = machine.poll_timeout();
            match before {
                None => contract::deadline_after_timeout(now, next)?,
                Some(before) => contract::deadline_after_input(now, before, next)?,
            }
            contract::amplification(machine.unverified_bytes())?;
            self.audit.check()
        });
        if let Err(breach) = drained {
            self.fail(node, &breach);
        }
        self.reschedule(node, machine.poll_timeout());
        self.buffer = buffer;
        self.node_mut(node).machine = Some(machine);
    }

    /// Sends and reports until the node has nothing more, not even when asked again.
    fn drain(
        &mut self,
        node: NodeId,
        machine: &mut M,
        buffer: &mut [u8],
        app: &mut impl App<M>,
    ) -> Result<(), Breach> {
        let now = self.clock(node);
        let limit = M::max_datagram(&self.node(node).setup);
        let mut fuel = FUEL;
        loop {
            while let Some(transmit) = machine.poll_transmit(now, buffer) {
                contract::burn(&mut fuel)?;
                contract::transmit(&transmit, buffer.len(), limit)?;
                self.launch(node, &transmit, &buffer[..transmit.len]);
            }
            let mut touched = false;
            while let Some(event) = machine.poll_event() {
                contract::burn(&mut fuel)?;
                if let Some(wish) = M::socket_wish(&event) {
                    self.grant(node, machine, wish);
                    touched = true;
                    continue;
                }
                touched |= self.report(node, machine, event, app);
            }
            if !touched {
                break;
            }
        }
        if let Some(transmit) = machine.poll_transmit(now, buffer) {
            return Err(format!("a second drain gave {transmit:?}"));
        }
        match machine.poll_event() {
            Some(event) => Err(format!("a second drain gave {event:?}")),
            None => Ok(()),
        }
    }

    /// Hands an event to the application; whether that touched the endpoint.
    fn report(
        &mut self,
        node: NodeId,
        machine: &mut M,
        event: M::Event,
        app: &mut impl App<M>,
    ) -> bool {
        self.events += 1;
        self.trace.note(&[u64::MAX, micros(self.time), u64::from(node.0)]);
        self.trace.note_debug(&event);
        self.tell(node, || format!("{event:?}"));
        let touched = self.in_context(node, machine, |cx| app.on_event(cx, &event));
        let time = self.time;
        self.node_mut(node).log.push((time, event));
        touched
    }

    fn in_context(
        &mut self,
        node: NodeId,
        machine: &mut M,
        act: impl FnOnce(&mut Cx<'_, M>),
    ) -> bool {
        let (time, now) = (self.time, self.clock(node));
        let mut cx = Cx { node, time, now, machine, touched: false, timers: Vec::new() };
        act(&mut cx);
        let Cx { touched, timers, .. } = cx;
        for (at, token) in timers {
            self.set_timer(node, at, token);
        }
        touched
    }

    /// Asks for [`App::on_timer`] on a node with `token`, at `time` after the world began.
    pub fn set_timer(&mut self, node: NodeId, time: Duration, token: u64) {
        self.timers_set += 1;
        self.timers.insert((time, self.timers_set, node, token));
    }

    /// Puts the datagrams of a transmit on the network.
    fn launch(&mut self, from: NodeId, transmit: &Transmit, bytes: &[u8]) {
        let destination = canonical(transmit.destination);
        let segment = transmit.segment.map_or(bytes.len(), |size| usize::from(size.get()));
        let source = self.node(from).address_of_socket(transmit.socket, destination);
        for datagram in bytes.chunks(segment) {
            let source = source.map(|address| address.public);
            self.launch_one(from, source, destination, transmit, datagram);
        }
    }

    fn launch_one(
        &mut self,
        from: NodeId,
        source: Option<SocketAddr>,
        destination: SocketAddr,
        transmit: &Transmit,
        bytes: &[u8],
    ) {
        self.datagrams += 1;
        let route = source.and_then(|source| self.route(from, source, destination));
        // Few hops lead through the node's own NAT, and to nobody.
        let route = route.map(|(source, to)| (source, to.filter(|_| transmit.hop_limit.is_none())));
        let to = route.and_then(|(_, to)| to);
        let whom = to.map_or(u64::MAX, |to| u64::from(to.0));
        self.trace.note(&[micros(self.time), u64::from(from.0), whom]);
        self.trace.note_bytes(bytes);
        let fate = match route {
            Some((source, to)) => {
                let (to, ecn, bytes) = (to.unwrap_or(NodeId::NOBODY), transmit.ecn, bytes.to_vec());
                let datagram = Datagram { from, to, source, destination, ecn, bytes };
                if self.holds {
                    self.held.push(datagram);
                    Err("held")
                } else {
                    self.post(datagram)
                }
            }
            None => Err("unroutable"),
        };
        let outcome = fate.unwrap_or_else(|reason| {
            self.network.faults_mut().unroutable += u64::from(reason == "unroutable");
            Outcome::Dropped(reason)
        });
        let Self { trace, nodes, .. } = self;
        trace.line(self.time, || {
            let name = |id: NodeId| nodes[id.0 as usize].name.as_str();
            let (from, to) = (name(from), to.map_or("nobody", name));
            let (packet, len, fate) = (packet_name(bytes), bytes.len(), outcome_text(outcome));
            format!("{from} -> {to}  {packet}, {len} bytes{fate}")
        });
    }

    /// Puts a datagram on the network, past the attacker; what became of it, or why it is lost.
    pub(crate) fn post(&mut self, datagram: Datagram) -> Result<Outcome, &'static str> {
        if let Some(attacker) = &mut self.attacker {
            let verdict = attacker.observe(self.time, &datagram, self.network.faults_mut());
            for (at, forged) in attacker.take_sent() {
                self.network.inject(at, forged);
            }
            verdict?;
        }
        if datagram.to == NodeId::NOBODY {
            return Err("unroutable");
        }
        Ok(self.network.send(self.time, datagram))
    }

    /// Hands a datagram over; whether somebody is there.
    pub(crate) fn arrive(&mut self, mut datagram: Datagram, app: &mut impl App<M>) -> bool {
        let Datagram { from, to, source, destination, ecn, .. } = datagram;
        self.trace.note(&[micros(self.time), u64::from(to.0), datagram.bytes.len() as u64]);
        let reached = self.reached(from, source, destination);
        let Some((id, address)) = reached.filter(|(id, _)| self.endpoint(*id).is_some()) else {
            self.network.faults_mut().unroutable += 1;
            return false;
        };
        if let Some(suspended) = &mut self.node_mut(id).suspended {
            let held = suspended.hold(datagram);
            let faults = self.network.faults_mut();
            faults.held += u64::from(held);
            faults.overflowed += u64::from(!held);
            return true;
        }
        let (now, socket) = (self.clock(id), self.node(id).socket_of(&address));
        let Some(machine) = self.node_mut(id).machine.as_mut() else { return false };
        let before = machine.poll_timeout();
        let mut origin = Origin::from_remote(source);
        (origin.local, origin.ecn) = (Some(address.local), ecn);
        origin.socket = socket;
        Audit::begin();
        machine.handle_datagram(now, origin, &mut datagram.bytes);
        self.settle(id, app, Some(before));
        true
    }

    fn fire_deadline(&mut self, id: NodeId, app: &mut impl App<M>) {
        let now = self.clock(id);
        if let Some(machine) = self.node_mut(id).machine.as_mut() {
            Audit::begin();
            machine.handle_timeout(now);
            self.settle(id, app, None);
        }
    }

    fn fire_timer(&mut self, app: &mut impl App<M>) {
        let Some((_, _, id, token)) = self.timers.pop_first() else { return };
        if let Some(suspended) = &mut self.node_mut(id).suspended {
            suspended.hold_timer(token);
            return;
        }
        let Some(mut machine) = self.node_mut(id).machine.take() else { return };
        let before = machine.poll_timeout();
        Audit::begin();
        self.in_context(id, &mut machine, |cx| app.on_timer(cx, token));
        self.node_mut(id).machine = Some(machine);
        self.settle(id, app, Some(before));
    }

    fn fail(&self, node: NodeId, breach: &str) -> ! {
        let (seed, time, name) = (self.seed, self.time, &self.node(node).name);
        panic!("contract broken (seed {seed}, at {time:?}, {name}): {breach}");
    }
}
