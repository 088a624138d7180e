//! The networks, as data: the base, and one factor at a time that differs from it.

use std::time::Duration;

use handfast_sim::{Bursts, CoDel, Conditions, Policer, Probability};

use super::traffic::Load;

/// A network, and what happens to it.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// From the sender to the receiver, and back.
    pub(crate) there: Conditions,
    pub(crate) back: Conditions,
    /// What happens at which part of the time, in percent.
    pub(crate) acts: Vec<(u32, Act)>,
    /// Bulk is a chunk now and then for half of the time. Only what comes then is measured, and nothing but bulk.
    pub(crate) has_chunks: bool,
    /// A figure that gets worse by more percent than this fails.
    pub(crate) tolerance: u32,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// The links become these: there, and back.
    Change(Box<[Conditions; 2]>),
    /// The clocks of both ends jump ahead.
    JumpClocks(Duration),
    /// The sender is seen at another address, and does not know.
    Rebind,
    /// The sender has another address, and knows.
    Roam,
    /// Nothing passes for so long.
    Outage(Duration),
}

impl Row {
    fn new(name: &'static str) -> Self {
        let base = path(50);
        Self {
            name,
            there: base,
            back: base,
            acts: Vec::new(),
            has_chunks: false,
            tolerance: STEADY,
        }
    }

    /// Changes both directions.
    fn both(mut self, change: impl Fn(&mut Conditions)) -> Self {
        change(&mut self.there);
        change(&mut self.back);
        self
    }

    fn back(mut self, change: impl Fn(&mut Conditions)) -> Self {
        change(&mut self.back);
        self
    }

    /// Chance decides much of what is measured.
    fn by_chance(mut self) -> Self {
        self.tolerance = BY_CHANCE;
        self
    }

    fn at(mut self, percent: u32, act: Act) -> Self {
        self.acts.push((percent, act));
        self
    }

    /// What is sent begins with chunks.
    fn with_chunks(mut self) -> Self {
        self.has_chunks = true;
        self
    }

    /// Whether this load is measured in it.
    pub(crate) fn bears(&self, load: Load) -> bool {
        !self.has_chunks || load == Load::Bulk
    }

    /// Halfway, both directions become this.
    fn becomes(self, change: impl Fn(&mut Conditions)) -> Self {
        let (mut there, mut back) = (self.there, self.back);
        change(&mut there);
        change(&mut back);
        self.at(50, Act::Change(Box::new([there, back])))
    }
}

/// 50 ms each way, so many Mbit/s, and a queue of one BDP.
fn path(mbit: u64) -> Conditions {
    Conditions {
        latency: MS * 50,
        header: HEADER,
        rate: Some(rate(mbit)),
        queue: bdp(mbit),
        ..Conditions::default()
    }
}

const fn rate(mbit: u64) -> u64 {
    mbit * 1_000_000 / 8
}

/// The bytes of a round trip.
const fn bdp(mbit: u64) -> usize {
    (rate(mbit) / 10) as usize
}

fn at_rate(mbit: u64) -> impl Fn(&mut Conditions) {
    move |it| (it.rate, it.queue) = (path(mbit).rate, path(mbit).queue)
}

fn losing(per_million: u32) -> impl Fn(&mut Conditions) {
    move |it| it.loss = Probability::per_million(per_million)
}

fn late(percent: u32, millis: u32) -> impl Fn(&mut Conditions) {
    move |it| {
        (it.reordering, it.reordering_delay) = (Probability::percent(percent), MS * millis);
    }
}

fn bursts(millis: u32, percent: u32) -> impl Fn(&mut Conditions) {
    let lasting = Bursts::lasting(MS * millis, Probability::percent(percent));
    move |it| it.bursts_in_time = Some(lasting)
}

fn free(millis: u32) -> impl Fn(&mut Conditions) {
    move |it| it.free_jitter = MS * millis
}

fn in_order(millis: u32) -> impl Fn(&mut Conditions) {
    move |it| it.jitter = MS * millis
}

fn queue(bytes: usize) -> impl Fn(&mut Conditions) {
    move |it| it.queue = bytes
}

/// All rows, in the order in which they are printed.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = losses();
    rows.extend(disorders());
    rows.extend(lines());
    rows.extend(changes());
    rows
}

fn losses() -> Vec<Row> {
    let row = Row::new;
    vec![
        row("clean"),
        row("loss 0.1 %").both(losing(1_000)).by_chance(),
        row("loss 1 %").both(losing(10_000)).by_chance(),
        row("loss 5 %").both(losing(50_000)).by_chance(),
        row("loss 10 %").both(losing(100_000)).by_chance(),
        row("loss 20 %").both(losing(200_000)).by_chance(),
        row("bursts of 30 ms, 5 %").both(bursts(30, 5)).by_chance(),
        row("bursts of 60 ms, 5 %").both(bursts(60, 5)).by_chance(),
        row("bursts of 300 ms, 2 %").both(bursts(300, 2)).by_chance(),
        row("ack path loses 5 %").back(losing(50_000)).by_chance(),
        row("ack path loses 20 %").back(losing(200_000)).by_chance(),
    ]
}

fn disorders() -> Vec<Row> {
    let row = Row::new;
    vec![
        row("jitter in order 0-10 ms").both(in_order(10)),
        row("jitter in order 0-60 ms").both(in_order(60)),
        row("jitter in order 0-60 ms, loss 5 %")
            .both(in_order(60))
            .both(losing(50_000))
            .by_chance(),
        row("free jitter 0-10 ms").both(free(10)),
        row("free jitter 0-60 ms").both(free(60)).by_chance(),
        row("free jitter 0-10 ms, loss 5 %").both(free(10)).both(losing(50_000)).by_chance(),
        row("free jitter 0-60 ms, loss 5 %").both(free(60)).both(losing(50_000)).by_chance(),
        row("2 % late by 5 ms").both(late(2, 5)),
        row("25 % late by 5 ms").both(late(25, 5)),
        row("5 % late by 60 ms").both(late(5, 60)).by_chance(),
        row("duplication 10 %").both(|it| it.duplication = Probability::percent(10)),
    ]
}

fn lines() -> Vec<Row> {
    let row = Row::new;
    let policer = Policer { rate: rate(50), burst: 125_000 };
    vec![
        row("back 10:1").back(at_rate(5)),
        row("back 50:1").back(at_rate(1)),
        row("queue 1/4 BDP").both(queue(bdp(50) / 4)),
        row("queue 4 BDP").both(queue(bdp(50) * 4)),
        row("queue 60 KB").both(queue(60_000)),
        row("queue 60 KB, loss 1 %").both(queue(60_000)).both(losing(10_000)).by_chance(),
        row("queue 4 BDP with CoDel").both(|it| {
            (it.queue, it.codel) = (bdp(50) * 4, Some(CoDel::default()));
        }),
        row("policer 50 of 100 Mbit/s")
            .both(at_rate(100))
            .both(|it| it.policer = Some(policer))
            .by_chance(),
        row("5 Mbit/s").both(at_rate(5)),
        row("200 Mbit/s").both(at_rate(200)),
        row("200 Mbit/s, queue 60 KB").both(at_rate(200)).both(queue(60_000)),
        row("200 Mbit/s, 2 % late by 5 ms").both(at_rate(200)).both(late(2, 5)),
        row("200 Mbit/s, 25 % late by 5 ms").both(at_rate(200)).both(late(25, 5)),
        row("200 Mbit/s, free jitter 0-10 ms").both(at_rate(200)).both(free(10)),
        row("500 Mbit/s").both(at_rate(500)),
    ]
}

/// The queues that two flows share.
pub(crate) fn queue_rows() -> [Row; 3] {
    let row = Row::new;
    [
        row("queue 60 KB").both(queue(60_000)),
        row("queue 1 BDP"),
        row("queue 4 BDP").both(queue(bdp(50) * 4)),
    ]
}

fn changes() -> Vec<Row> {
    let row = Row::new;
    vec![
        row("rate 50 to 5").becomes(at_rate(5)),
        row("rate 5 to 50").both(at_rate(5)).becomes(at_rate(50)),
        row("latency 50 to 100 ms").becomes(|it| it.latency = MS * 100),
        row("MTU drops to 1,280").becomes(|it| it.mtu = 1_280 - HEADER),
        row("chunks then bulk").with_chunks(),
        row("clocks jump").at(30, Act::JumpClocks(MS * 5_000)).at(60, Act::JumpClocks(MS * 60_000)),
        row("seen elsewhere").at(50, Act::Rebind),
        row("address change").at(50, Act::Roam),
        row("moves to 5 Mbit/s").becomes(at_rate(5)).at(50, Act::Roam),
        row("outages of 2 s and 10 s")
            .at(20, Act::Outage(MS * 2_000))
            .at(50, Act::Outage(MS * 10_000)),
    ]
}

const MS: Duration = Duration::from_millis(1);

/// Bytes of the headers of IPv4 and UDP.
pub(crate) const HEADER: usize = 28;

/// Tolerances in percent.
const STEADY: u32 = 5;
pub(crate) const BY_CHANCE: u32 = 25;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_one_of_its_kind_and_fits_the_table() {
        let mut names: Vec<_> = rows().iter().map(|row| row.name).collect();
        assert!(names.len() >= 45 && names.iter().all(|name| !name.contains('|')));
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
