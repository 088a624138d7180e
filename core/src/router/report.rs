//! What is reported about routes.

use super::{Hop, Router};
use crate::PeerId;
use crate::time::Instant;

impl Router {
    /// The route to a destination, if it leads by another neighbour than was reported last, or if there is none any
    /// more: then `Some(None)`. That a neighbour itself came or went is no news about routes.
    pub(crate) fn report(&mut self, now: Instant, destination: &PeerId) -> Option<Option<Hop>> {
        let next = self.next_hop_id(destination);
        let record = self.records.get_mut(destination)?;
        let before = core::mem::replace(&mut record.reported, next);
        let far = |hop: Option<PeerId>| hop.filter(|hop| hop != destination);
        if next == before || (far(next).is_none() && far(before).is_none()) {
            return None;
        }
        Some(next.and_then(|_| self.route_to(now, destination)))
    }
}
