//! A graph of nodes that exchange messages with delays, of which links and nodes fail.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::vec::Vec;

use super::*;

pub(super) struct Shape {
    pub(super) seed: u64,
    pub(super) most_nodes: usize,
    pub(super) strict: bool,
    /// What is lost and repeated by sessions, in percent.
    pub(super) loss: u64,
    /// Of updates, in percent: they never arrive. Sessions do better, and circles must not close even so.
    pub(super) gone: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// A message, by its place in `Graph::under_way`.
    Arrives(u64),
    Wakes(usize),
}

struct UnderWay {
    from: usize,
    to: usize,
    life: u64,
    message: Message,
}

#[derive(Clone, Copy)]
struct Edge {
    /// Microseconds one way.
    delay: u64,
    /// Counts up with each failure; odd while it is down.
    life: u64,
}

pub(super) struct Graph {
    shape: Shape,
    now: u64,
    pub(super) nodes: Vec<Router>,
    /// The next hop of each node to each: what the tables said last. They are asked a million times.
    hops: Vec<Vec<Option<u32>>>,
    /// The least number of a node that each is connected to, so long as no link changes.
    component: Option<Vec<usize>>,
    dead: Vec<bool>,
    edges: BTreeMap<(usize, usize), Edge>,
    queue: BinaryHeap<Reverse<(u64, u64, What)>>,
    under_way: BTreeMap<u64, UnderWay>,
    alarms: Vec<u64>,
    next: u64,
    random: u64,
    pub(super) circles: usize,
    pub(super) bytes: u64,
}

impl Graph {
    /// A connected graph with about twice as many links as nodes.
    pub(super) fn random(shape: Shape) -> Self {
        let mut graph = Self {
            now: 1_000_000,
            nodes: Vec::new(),
            hops: Vec::new(),
            component: None,
            dead: Vec::new(),
            edges: BTreeMap::new(),
            queue: BinaryHeap::new(),
            under_way: BTreeMap::new(),
            alarms: Vec::new(),
            next: 0,
            random: shape.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            circles: 0,
            bytes: 0,
            shape,
        };
        let nodes = 10.min(graph.shape.most_nodes) + graph.below(graph.shape.most_nodes - 9);
        for n in 0..nodes {
            graph.nodes.push(graph.node(n, 1));
            graph.hops.push(std::vec![None; nodes]);
            graph.dead.push(false);
            graph.alarms.push(u64::MAX);
        }
        for n in 1..nodes {
            let other = graph.below(n);
            graph.link(n, other);
        }
        for _ in 0..nodes {
            let (a, b) = (graph.below(nodes), graph.below(nodes));
            graph.link(a, b);
        }
        let all: Vec<_> = graph.edges.keys().copied().collect();
        all.into_iter().for_each(|edge| graph.raise(edge));
        graph
    }

    fn node(&self, n: usize, epoch: u64) -> Router {
        let now = Instant::from_micros(self.now);
        let random = self.shape.seed ^ (n as u64) << 20 ^ self.now;
        let mut router = Router::new(now, id(n), Some(epoch), random, &Checksum);
        if !self.shape.strict {
            router.switch_feasibility_off();
        }
        router
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as usize % bound.max(1)
    }

    fn link(&mut self, a: usize, b: usize) {
        if a != b {
            let delay = 2_500 + self.below(57_500) as u64;
            self.edges.insert((a.min(b), a.max(b)), Edge { delay, life: 1 });
        }
    }

    fn raise(&mut self, (a, b): (usize, usize)) {
        let Some(edge) = self.edges.get_mut(&(a, b)) else { return };
        edge.life += edge.life % 2;
        self.component = None;
        for (node, other) in [(a, b), (b, a)] {
            self.raise_end(node, other);
        }
    }

    fn raise_end(&mut self, node: usize, other: usize) {
        let edge = self.edges[&(node.min(other), node.max(other))];
        let rtt = Some(Duration::from_micros(2 * edge.delay));
        let link = Link { id: id(other), transit: true, listens: true, incarnation: edge.life };
        self.nodes[node].on_up(Instant::from_micros(self.now), other as u32, link, rtt);
        self.after(node);
    }

    fn cut(&mut self, (a, b): (usize, usize)) {
        let Some(edge) = self.edges.get_mut(&(a, b)) else { return };
        if edge.life % 2 == 1 {
            return;
        }
        edge.life += 1;
        self.component = None;
        for (node, other) in [(a, b), (b, a)] {
            self.nodes[node].on_down(Instant::from_micros(self.now), other as u32);
            self.after(node);
        }
    }

    /// One end of a link takes the other for silent, which never notices. Meanwhile something else may fail.
    pub(super) fn doubt_one(&mut self) {
        let is_up = |(_, edge): &(&(usize, usize), &Edge)| edge.life % 2 == 0;
        let up: Vec<_> = self.edges.iter().filter(is_up).map(|(ends, _)| *ends).collect();
        if up.is_empty() {
            return;
        }
        let (a, b) = up[self.below(up.len())];
        let (node, other) = if self.below(2) == 0 { (a, b) } else { (b, a) };
        let life = self.edges[&(a, b)].life;
        self.nodes[node].on_down(Instant::from_micros(self.now), other as u32);
        self.after(node);
        if self.below(2) == 0 {
            self.fail_something();
        }
        let ms = self.below(3000) as u64;
        self.run(ms);
        if self.edges[&(a, b)].life == life {
            self.raise_end(node, other);
        }
    }

    /// A link or a node fails, or one of them comes back. Whether a way was cut off.
    pub(super) fn fail_something(&mut self) -> bool {
        let edges: Vec<_> = self.edges.keys().copied().collect();
        let node = self.below(self.nodes.len());
        match self.below(4) {
            0 | 1 => {
                let edge = edges[self.below(edges.len())];
                self.cut(edge);
            }
            2 if !self.dead[node] => {
                self.dead[node] = true;
                let of_it = edges.iter().filter(|(a, b)| *a == node || *b == node);
                of_it.for_each(|edge| self.cut(*edge));
            }
            _ => {
                // Some forget what they said; one without a clock begins where it began before.
                for node in 0..self.nodes.len() {
                    if core::mem::take(&mut self.dead[node]) {
                        let epoch = if self.below(2) == 0 { 1 } else { self.now };
                        self.nodes[node] = self.node(node, epoch);
                        self.hops[node].fill(None);
                    }
                }
                edges.into_iter().for_each(|edge| {
                    if self.edges[&edge].life % 2 == 1 {
                        self.raise(edge);
                    }
                });
            }
        }
        !self.is_whole()
    }

    pub(super) fn run(&mut self, ms: u64) {
        let end = self.now + ms * 1000;
        while let Some(Reverse((at, _, what))) = self.queue.peek().copied() {
            if at > end {
                break;
            }
            self.queue.pop();
            self.now = at;
            self.act(what);
        }
        self.now = end;
    }

    /// Milliseconds until every node reaches all that it is connected to; `None` if that takes longer.
    pub(super) fn run_until_whole(&mut self, longest: u64) -> Option<u64> {
        let began = self.now;
        while !self.is_whole() {
            if self.now - began > longest * 1000 {
                return None;
            }
            self.run(10);
        }
        Some((self.now - began) / 1000)
    }

    fn act(&mut self, what: What) {
        let now = Instant::from_micros(self.now);
        let node = match what {
            What::Wakes(node) => {
                if self.alarms[node] != self.now {
                    return;
                }
                self.alarms[node] = u64::MAX;
                if self.dead[node] {
                    return;
                }
                self.nodes[node].on_timeout(now, &Checksum);
                node
            }
            What::Arrives(n) => {
                let Some(UnderWay { from, to, life, message }) = self.under_way.remove(&n) else {
                    return;
                };
                if self.edges[&(from.min(to), from.max(to))].life != life {
                    return;
                }
                self.nodes[to].on_message(now, from as u32, &message, &Checksum);
                to
            }
        };
        self.after(node);
    }

    /// Sends what a node says, looks for circles, and sets its alarm.
    fn after(&mut self, node: usize) {
        while let Some(destination) = self.nodes[node].poll_change() {
            let to = number(&destination);
            self.hops[node][to] = self.nodes[node].next_hop(&destination);
            let mut at = node;
            for _ in 0..self.nodes.len() {
                let Some(next) = self.hops[at][to] else { break };
                at = next as usize;
                if at == node {
                    self.circles += 1;
                    break;
                }
            }
        }
        while let Some((to, message)) = self.nodes[node].poll_output() {
            let to = to as usize;
            let edge = self.edges[&(node.min(to), node.max(to))];
            let gone = (self.below(100) as u64) < self.shape.gone;
            let lost = (self.below(100) as u64) < self.shape.loss;
            self.bytes += len(&message);
            if gone && matches!(message, Message::Update(_)) {
                continue;
            }
            let again = if lost { 3 * edge.delay } else { 0 };
            let jitter = self.below(edge.delay as usize / 2 + 1) as u64;
            let arrives = self.now + edge.delay + jitter + again;
            self.under_way.insert(self.next, UnderWay { from: node, to, life: edge.life, message });
            self.queue.push(Reverse((arrives, self.next, What::Arrives(self.next))));
            self.next += 1;
        }
        let deadline = self.nodes[node].deadline().map_or(u64::MAX, Instant::as_micros);
        let deadline = deadline.max(self.now);
        if deadline != u64::MAX && deadline < self.alarms[node] {
            self.alarms[node] = deadline;
            self.queue.push(Reverse((deadline, self.next, What::Wakes(node))));
            self.next += 1;
        }
    }

    /// Whether every node has a way to each of some destinations that it is connected to.
    fn is_whole(&mut self) -> bool {
        let component = self.component.take().unwrap_or_else(|| self.components());
        let is_whole = self.reaches_all(&component);
        self.component = Some(component);
        is_whole
    }

    fn reaches_all(&self, component: &[usize]) -> bool {
        let step = self.nodes.len().div_ceil(24);
        (0..self.nodes.len()).step_by(step).filter(|to| !self.dead[*to]).all(|to| {
            let mut good = std::vec![false; self.nodes.len()];
            good[to] = true;
            (0..self.nodes.len()).all(|from| {
                if self.dead[from] || component[from] != component[to] {
                    return true;
                }
                let mut way = Vec::new();
                let mut at = from;
                while !good[at] && way.len() < self.nodes.len() {
                    way.push(at);
                    let Some(next) = self.hops[at][to] else { return false };
                    at = next as usize;
                }
                let arrives = good[at];
                way.into_iter().for_each(|node| good[node] = arrives);
                arrives
            })
        })
    }

    fn components(&self) -> Vec<usize> {
        let mut component: Vec<usize> = (0..self.nodes.len()).collect();
        loop {
            let mut changed = false;
            for ((a, b), edge) in &self.edges {
                let least = component[*a].min(component[*b]);
                if edge.life % 2 == 0 && component[*a] != component[*b] {
                    (component[*a], component[*b], changed) = (least, least, true);
                }
            }
            if !changed {
                return component;
            }
        }
    }
}

/// Which node has this identity.
fn number(id: &PeerId) -> usize {
    let first = id.as_bytes().first_chunk().copied().unwrap_or_default();
    u64::from_be_bytes(first) as usize
}

/// The bytes of a frame.
fn len(message: &Message) -> u64 {
    match message {
        Message::Update(_) => 119,
        Message::Retraction { .. } => 37,
        Message::SeqnoRequest { .. } => 46,
        Message::RouteRequest { .. } | Message::TableRequest => 34,
    }
}
