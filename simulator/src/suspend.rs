//! Processes that are suspended and resumed: no state is lost, time is.

use crate::link::micros;
use crate::machine::Machine;
use crate::network::NodeId;
use crate::node::Suspended;
use crate::world::World;

impl<M: Machine> World<M> {
    /// Suspends a node, as when its process is stopped or its host sleeps: it keeps its state, but
    /// does nothing until [`Self::resume`]. Up to `buffer` bytes of datagrams wait for it in its
    /// socket, more are lost. If `clock_stops`, its clock will not know how long it was away.
    ///
    /// # Panics
    /// When the node is down.
    pub fn suspend(&mut self, node: NodeId, buffer: usize, clock_stops: bool) {
        assert!(self.endpoint(node).is_some(), "the node is up");
        self.reschedule(node, None);
        let since = self.time;
        let suspended = Suspended::new(since, clock_stops, buffer);
        if self.node(node).suspended.is_none() {
            self.node_mut(node).suspended = Some(suspended);
            self.network.faults_mut().suspensions += 1;
            self.tell(node, || "suspended".to_owned());
        }
    }

    /// Lets a suspended node go on: what waits in its socket arrives, then what is overdue fires.
    pub fn resume(&mut self, node: NodeId) {
        let Some(suspended) = self.node_mut(node).suspended.take() else { return };
        if suspended.clock_stops {
            let away = i64::try_from(micros(self.time - suspended.since)).unwrap_or(i64::MAX);
            self.node_mut(node).clock_offset -= away;
        }
        self.tell(node, || format!("resumed, {} datagrams wait", suspended.held.len()));
        self.waiting.extend(suspended.held);
        for token in suspended.timers {
            self.set_timer(node, self.time, token);
        }
        let deadline = self.endpoint(node).and_then(M::poll_timeout);
        self.reschedule(node, deadline);
    }

    /// Whether a node is suspended.
    #[must_use]
    pub fn is_suspended(&self, node: NodeId) -> bool {
        self.node(node).suspended.is_some()
    }
}
