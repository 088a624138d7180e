//! What handfast is to reach beside its peers, and what it reached in a run.

mod list;
mod plot;
mod table;

pub(crate) use list::GOALS;
pub(crate) use plot::svg;
pub(crate) use table::{markdown, text};

use crate::entry::Entry;

/// Something that is measured, and how much of it is enough.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal {
    /// What is done, in words.
    what: &'static str,
    bench: &'static str,
    /// The case of the bench; empty: the last in the file, which is the largest.
    case: &'static str,
    metric: &'static str,
    /// The metric of the figures that compare systems round by round; empty: there are none.
    ratio: &'static str,
    /// Whether more of it is better.
    more: bool,
    /// Systems of ours, on tokio first.
    ours: &'static [&'static str],
    /// Those that do the same, the best of which counts.
    peers: &'static [&'static str],
    /// For each of ours, or for all, what a socket without a protocol reaches.
    limits: &'static [&'static str],
    target: Target,
}

/// How much is enough.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Target {
    /// So many times better than the best of the peers.
    Peers(f64),
    /// At most so many times as much as a socket without a protocol.
    Limit(f64),
    /// The figure itself.
    Figure(f64),
    /// So much of our own figure in this case.
    Case(&'static str, f64),
}

/// What a run says of a goal.
#[derive(Clone, Debug, PartialEq)]
struct Verdict<'a> {
    unit: &'a str,
    /// Of each of ours that was measured.
    ours: Vec<Reached>,
    /// The best of the peers, and its figure.
    best: Option<(&'a str, f64)>,
    /// The goal in times better than the best of the peers.
    goal: Option<f64>,
}

/// What one of ours reached.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Reached {
    value: f64,
    /// How many times it is better than the best of the peers.
    better: Option<f64>,
    /// How much of the limit it reaches.
    of_limit: Option<f64>,
    /// Whether that is enough; `None` if what it is to be compared with was not measured.
    met: Option<bool>,
}

impl Goal {
    /// What is done, in words.
    #[cfg(test)]
    pub(crate) const fn name(&self) -> &'static str {
        self.what
    }

    /// Whether `--quick` leaves it out: its crowd is too large.
    #[cfg(test)]
    pub(crate) fn is_of_the_full_run(&self) -> bool {
        self.case == "100000 peers"
    }

    /// What these figures say of it; `None` if they do not have it.
    fn judge<'a>(&self, entries: &[Entry<'a>]) -> Option<Verdict<'a>> {
        let case = self.case_in(entries)?;
        let figures = Figures { entries, bench: self.bench, case };
        let first = figures.of(self.ours[0], self.metric)?;
        let best = self.best(&figures);
        let ours = self.ours.iter().enumerate();
        let ours = ours.filter_map(|(at, system)| self.reached(&figures, at, system, best));
        let goal = best.and_then(|(_, best)| match self.target {
            Target::Peers(times) => Some(times),
            Target::Limit(times) => Some(self.times(self.limit(&figures, 0)? * times, best)),
            Target::Figure(figure) => Some(self.times(figure, best)),
            Target::Case(..) => None,
        });
        Some(Verdict { unit: first.unit, ours: ours.collect(), best, goal })
    }

    fn case_in<'a>(&self, entries: &[Entry<'a>]) -> Option<&'a str> {
        let mut of_it =
            entries.iter().rev().filter(|it| it.bench == self.bench && it.metric == self.metric);
        of_it.find(|it| self.case.is_empty() || it.case == self.case).map(|it| it.case)
    }

    /// The best of the peers that were measured.
    fn best<'a>(&self, figures: &Figures<'_, 'a>) -> Option<(&'a str, f64)> {
        let there = self.peers.iter().filter_map(|peer| figures.of(peer, self.metric));
        // What failed has no figure, or none that counts.
        let there = there.filter(|it| it.value > 0.0).map(|it| (it.system, it.value));
        there.reduce(|one, other| if self.times(other.1, one.1) > 1.0 { other } else { one })
    }

    fn reached(
        &self,
        figures: &Figures<'_, '_>,
        at: usize,
        system: &str,
        best: Option<(&str, f64)>,
    ) -> Option<Reached> {
        let value = figures.of(system, self.metric)?.value;
        let better = best.map(|(peer, best)| {
            let by_rounds = || {
                let [ours, peer] = [system, peer].map(|it| figures.of(it, self.ratio));
                // Each says how many times the first of ours has as much as the system.
                Some(self.times(peer?.value, ours?.value))
            };
            by_rounds().unwrap_or_else(|| self.times(value, best))
        });
        let of_limit = self.limit(figures, at).map(|limit| self.times(value, limit));
        let met = match self.target {
            Target::Peers(times) => better.map(|better| better >= times),
            Target::Limit(times) => of_limit.map(|reached| reached * times >= 1.0),
            Target::Figure(figure) => Some(self.times(value, figure) >= 1.0),
            Target::Case(case, share) => {
                let own = Figures { case, ..*figures }.of(system, self.metric);
                own.map(|own| self.times(value, own.value) >= share)
            }
        };
        Some(Reached { value, better, of_limit, met })
    }

    fn limit(&self, figures: &Figures<'_, '_>, at: usize) -> Option<f64> {
        let name = self.limits.get(at).or(self.limits.first())?;
        Some(figures.of(name, self.metric)?.value)
    }

    /// How many times the one is better than the other.
    fn times(&self, one: f64, other: f64) -> f64 {
        if self.more { one / other } else { other / one }
    }
}

/// The figures of a case.
#[derive(Clone, Copy)]
struct Figures<'e, 'a> {
    entries: &'e [Entry<'a>],
    bench: &'e str,
    case: &'e str,
}

impl<'a> Figures<'_, 'a> {
    fn of(&self, system: &str, metric: &str) -> Option<Entry<'a>> {
        let Self { entries, bench, case } = *self;
        let is_it = |it: &&Entry<'a>| {
            it.bench == bench && it.case == case && it.system == system && it.metric == metric
        };
        entries.iter().find(is_it).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry<'a>(case: &'a str, system: &'a str, metric: &'a str, value: f64) -> Entry<'a> {
        Entry { bench: "b", case, system, metric, value, unit: "units" }
    }

    fn goal(more: bool, target: Target) -> Goal {
        Goal {
            what: "something",
            bench: "b",
            case: "c",
            metric: "m",
            ratio: "m_ratio",
            more,
            ours: &["tokio", "mio"],
            peers: &["quinn", "enet", "failed"],
            limits: &["raw"],
            target,
        }
    }

    const FIGURES: [(&str, f64); 6] = [
        ("tokio", 30.0),
        ("mio", 20.0),
        ("quinn", 10.0),
        ("enet", 15.0),
        ("failed", 0.0),
        ("raw", 60.0),
    ];

    fn judged(goal: Goal) -> Verdict<'static> {
        goal.judge(&FIGURES.map(|(system, value)| entry("c", system, "m", value)))
            .expect("measured")
    }

    fn met(goal: Goal) -> Vec<Option<bool>> {
        judged(goal).ours.iter().map(|it| it.met).collect()
    }

    #[test]
    fn the_best_peer_counts_and_what_failed_does_not() {
        let verdict = judged(goal(true, Target::Peers(1.5)));
        assert_eq!((verdict.best, verdict.goal), (Some(("enet", 15.0)), Some(1.5)));
        assert_eq!(verdict.ours[0].better, Some(2.0));
        assert_eq!((verdict.ours[0].of_limit, verdict.ours[0].met), (Some(0.5), Some(true)));
        assert_eq!(verdict.ours[1].met, Some(false));
        // Where less is better, the other one is the best, and ours are behind.
        let verdict = judged(goal(false, Target::Peers(1.0)));
        assert_eq!((verdict.best, verdict.ours[1].better), (Some(("quinn", 10.0)), Some(0.5)));
        assert_eq!(verdict.ours[1].met, Some(false));
    }

    #[test]
    fn every_kind_of_goal_is_met_at_its_figure_and_not_beside_it() {
        assert_eq!(met(goal(true, Target::Figure(20.0))), [Some(true), Some(true)]);
        assert_eq!(met(goal(true, Target::Figure(20.1))), [Some(true), Some(false)]);
        assert_eq!(met(goal(false, Target::Figure(20.0))), [Some(false), Some(true)]);
        // At most so many times as much as the limit.
        assert_eq!(met(goal(false, Target::Limit(0.5))), [Some(true), Some(true)]);
        assert_eq!(met(goal(false, Target::Limit(0.4))), [Some(false), Some(true)]);
        assert_eq!(judged(goal(false, Target::Limit(0.5))).goal, Some(10.0 / 30.0));
        let of_case = goal(true, Target::Case("clean", 0.9));
        assert_eq!(met(of_case), [None, None]);
        let figures =
            [("c", 9.0), ("clean", 10.0)].map(|(case, value)| entry(case, "tokio", "m", value));
        assert_eq!(of_case.judge(&figures).expect("measured").ours[0].met, Some(true));
        let less = Goal { target: Target::Case("clean", 0.91), ..of_case };
        assert_eq!(less.judge(&figures).expect("measured").ours[0].met, Some(false));
    }

    #[test]
    fn ratios_of_rounds_count_more_than_those_of_medians() {
        let mut figures = FIGURES.map(|(system, value)| entry("c", system, "m", value)).to_vec();
        for (system, ratio) in [("tokio", 1.0), ("mio", 2.0), ("enet", 3.0)] {
            figures.push(entry("c", system, "m_ratio", ratio));
        }
        let of = |more| {
            let verdict = goal(more, Target::Peers(1.0)).judge(&figures).expect("measured");
            verdict.ours.iter().map(|it| it.better).collect::<Vec<_>>()
        };
        assert_eq!(of(true), [Some(3.0), Some(1.5)]);
        // quinn is the best, and has none: medians.
        assert_eq!(of(false), [Some(1.0 / 3.0), Some(0.5)]);
    }

    #[test]
    fn a_goal_without_a_case_takes_the_last() {
        let figures = [entry("4", "tokio", "m", 1.0), entry("9", "tokio", "m", 2.0)];
        let goal = Goal { case: "", ..goal(false, Target::Figure(1.0)) };
        assert_eq!(goal.judge(&figures).expect("measured").ours[0].value, 2.0);
        assert_eq!(goal.judge(&[]), None);
    }
}
