//! The ways that packets take from node to node.

use std::collections::BTreeMap;

use super::plan::Plan;

/// One packet, passed on by one node. Nodes are numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass {
    pub(super) by: usize,
    pub(super) from: usize,
    pub(super) to: usize,
    /// Who made it, and whom it is for.
    pub(super) ends: (usize, usize),
    /// How often it may still be passed on.
    pub(super) hops: u8,
    /// The same for the same bytes: a handshake may be sent again, and by way of several neighbours.
    pub(super) packet: u64,
}

/// What was seen of them.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// The most nodes that passed one packet on.
    pub(super) hops: usize,
    /// Packets that came to a node again, as routes changed while they were under way.
    pub(super) returned: u64,
    /// How many packets between two ends took which way, so long as that is counted.
    ways: Option<BTreeMap<(usize, usize), Ways>>,
}

/// Ways as the nodes between the ends, and how many packets took each.
type Ways = BTreeMap<Vec<usize>, u32>;

impl Watch {
    /// Takes in what was passed on for a moment, in its order.
    ///
    /// # Errors
    /// A packet comes to a node for the third time, or is passed on too often.
    pub(super) fn on_passed(&mut self, passed: &[Pass]) -> Result<(), String> {
        let mut trails: BTreeMap<u64, Vec<(Pass, Vec<usize>)>> = BTreeMap::new();
        for pass in passed {
            let of_packet = trails.entry(pass.packet).or_default();
            let before = of_packet.iter().rfind(|(it, _)| {
                (it.by, it.to, it.hops) == (pass.from, pass.by, pass.hops.saturating_add(1))
            });
            let mut trail = before.map(|(_, trail)| trail.clone()).unwrap_or_default();
            let visits = trail.iter().filter(|node| **node == pass.by).count();
            self.returned += u64::from(visits == 1);
            if visits > 1 {
                return Err(format!("a packet comes to {} again and again: {trail:?}", pass.by));
            }
            trail.push(pass.by);
            self.hops = self.hops.max(trail.len());
            if trail.len() > HOP_LIMIT {
                return Err(format!("a packet is passed on too often: {trail:?}"));
            }
            let is_whole = usize::from(FIRST_HOPS - pass.hops) == trail.len();
            let is_through = is_whole && pass.to == pass.ends.1;
            if let Some(ways) = self.ways.as_mut().filter(|_| is_through) {
                *ways.entry(pass.ends).or_default().entry(trail.clone()).or_default() += 1;
            }
            of_packet.push((*pass, trail));
        }
        Ok(())
    }

    /// From now on it is counted which ways packets take.
    pub(super) fn count_ways(&mut self) {
        self.ways = Some(BTreeMap::new());
    }

    /// The first two leaves most of whose packets took a way that costs much more than the best.
    pub(super) fn detour(&mut self, plan: &Plan) -> Option<String> {
        let are_leaves = |ends: &(usize, usize)| ends.0.min(ends.1) >= plan.routers;
        for ((from, to), ways) in self.ways.take()?.into_iter().filter(|(ends, _)| are_leaves(ends))
        {
            let Some((way, _)) = ways.iter().max_by_key(|(_, count)| **count) else { continue };
            let nodes: Vec<_> = [from].into_iter().chain(way.iter().copied()).chain([to]).collect();
            let taken: u64 = nodes.windows(2).map(|two| cost(plan, two[0], two[1])).sum();
            let best = best(plan, from, to);
            if taken > best + best / 4 + TOLERANCE {
                return Some(format!(
                    "from {from} to {to} by {way:?}: {taken} where {best} would do"
                ));
            }
        }
        None
    }
}

/// What a link costs by what it does, as PROTOCOL section 20.5 reckons; much if there is none.
fn cost(plan: &Plan, a: usize, b: usize) -> u64 {
    let link = (a.min(b), a.max(b));
    let Some(at) = plan.links.iter().position(|it| *it == link) else { return NO_LINK };
    let conditions = &plan.conditions[at];
    let rtt = (conditions.latency * 2 + conditions.jitter).as_micros() as u64;
    16 + 150 * (rtt.clamp(10_000, 120_000) - 10_000) / 110_000
}

/// What the best way between two leaves costs, all links being whole: who is connected to the second passes packets
/// straight to it, and leaves pass nothing on.
fn best(plan: &Plan, from: usize, to: usize) -> u64 {
    let count = plan.routers + plan.leaves;
    let mut costs: Vec<_> = (0..count).map(|n| cost(plan, n, to)).collect();
    costs[to] = 0;
    for _ in 0..count {
        for (a, b) in &plan.links {
            for (a, b) in [(*a, *b), (*b, *a)] {
                let is_straight = b == to || cost(plan, b, to) < NO_LINK;
                if a < plan.routers && !is_straight {
                    costs[b] = costs[b].min(costs[a] + cost(plan, a, b));
                }
            }
        }
    }
    costs[from]
}

/// How often a packet may be passed on, and what it says of that when it is made.
const HOP_LIMIT: usize = 12;
const FIRST_HOPS: u8 = 12;
/// What measured round trips and losses may add to a way: who only receives on a link may know no sample without the delay
/// of an acknowledgement, which costs 34.
const TOLERANCE: u64 = 40;
const NO_LINK: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::conditions::Conditions;

    /// A packet from 8 to 9 by these nodes.
    fn passes(packet: u64, way: &[usize]) -> Vec<Pass> {
        let nodes: Vec<_> = [8].into_iter().chain(way.iter().copied()).chain([9]).collect();
        let pass = |(n, three): (usize, &[usize])| Pass {
            by: three[1],
            from: three[0],
            to: three[2],
            ends: (8, 9),
            hops: 11 - n as u8,
            packet,
        };
        nodes.windows(3).enumerate().map(pass).collect()
    }

    #[test]
    fn circles_are_told_from_packets_that_are_sent_again() {
        let mut watch = Watch::default();
        // The same bytes once more, and by another neighbour to the same node.
        let again = [passes(1, &[1, 2, 3]), passes(1, &[1, 2, 3]), passes(1, &[4, 5, 2, 3])];
        assert_eq!(watch.on_passed(&again.concat()), Ok(()));
        assert_eq!((watch.hops, watch.returned), (4, 0));
        assert_eq!(watch.on_passed(&passes(2, &[1, 2, 1, 3])), Ok(()));
        assert_eq!(watch.returned, 1);
        assert!(watch.on_passed(&passes(3, &[1, 2, 3, 1, 2, 3, 1])).is_err());
    }

    #[test]
    fn who_is_connected_to_the_end_passes_packets_straight_to_it() {
        let links = vec![(0, 1), (0, 2), (0, 3), (1, 3)];
        let link = |ms| Conditions { latency: Duration::from_millis(ms), ..Conditions::default() };
        let conditions = vec![link(1), link(1), link(60), link(1)];
        let (pause, troubles) = (Duration::ZERO, Vec::new());
        let plan = Plan { routers: 2, leaves: 2, links, conditions, pause, troubles };
        assert_eq!(best(&plan, 2, 3), 16 + 166);
        // Leaves choose whom they give their own packets to.
        assert_eq!(best(&plan, 3, 2), 3 * 16);
    }
}
