//! The applications on the nodes.

use std::time::Duration;

use handfast_core::{Endpoint, Instant};

use crate::machine::Machine;
use crate::network::NodeId;

/// Reacts to what the endpoints report. One value acts for the applications of all nodes, so that
/// it can compare what one sent with what another received. `()` does nothing.
pub trait App<M: Machine = Endpoint> {
    /// A node's endpoint reports something.
    fn on_event(&mut self, cx: &mut Cx<'_, M>, event: &M::Event);

    /// A time that was asked for with [`Cx::wake_after`] has come.
    fn on_timer(&mut self, _cx: &mut Cx<'_, M>, _token: u64) {}
}

impl<M: Machine> App<M> for () {
    fn on_event(&mut self, _cx: &mut Cx<'_, M>, _event: &M::Event) {}
}

/// A node, in the hands of its application.
pub struct Cx<'a, M: Machine = Endpoint> {
    pub(crate) node: NodeId,
    pub(crate) time: Duration,
    pub(crate) now: Instant,
    pub(crate) machine: &'a mut M,
    pub(crate) touched: bool,
    pub(crate) timers: Vec<(Duration, u64)>,
}

impl<M: Machine> Cx<'_, M> {
    /// The node.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// The time since the world began.
    #[must_use]
    pub const fn time(&self) -> Duration {
        self.time
    }

    /// The time by the node's own clock, as its endpoint wants it.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// The endpoint, for commands and queries. What it has to send is sent afterwards.
    pub const fn endpoint(&mut self) -> &mut M {
        self.touched = true;
        self.machine
    }

    /// Asks for [`App::on_timer`] on this node with `token`, `delay` from now.
    pub fn wake_after(&mut self, delay: Duration, token: u64) {
        self.timers.push((self.time + delay, token));
    }
}
