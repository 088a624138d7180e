//! Which counters arrived on a path, and what of that the peer was not told yet.

use core::mem;
use core::ops::RangeInclusive;

use smallvec::SmallVec;

use crate::pack::pack;
use crate::wire::MAX_ACK_RANGES;

/// Counters that arrived, in runs: sorted, disjoint, not touching. One run costs no heap memory.
#[derive(Debug, Default)]
pub(super) struct ReceivedRuns {
    /// Lowest first: counters mostly arrive in order, so changes are at the cheap end.
    runs: SmallVec<[Run; 1]>,
}

pack!(ReceivedRuns: runs);

/// Counters without a gap between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    start: u64,
    /// One more than the last.
    end: u64,
    /// An acknowledgement is owed for some of them, and none was sent that names them.
    is_news: bool,
}

pack!(Run: start, end, is_news);

impl ReceivedRuns {
    /// The highest counter.
    pub(super) fn max(&self) -> Option<u64> {
        self.runs.last().map(|run| run.end - 1)
    }

    /// Into how many runs the counters fall.
    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    /// Adds a counter. `is_news`: the peer is to be told. Returns whether it was missing.
    pub(super) fn insert(&mut self, counter: u64, is_news: bool) -> bool {
        if let Some(last) = self.runs.last_mut().filter(|last| last.end == counter) {
            last.end += 1;
            last.is_news |= is_news;
            return true;
        }
        let at = self.runs.partition_point(|run| run.end < counter);
        let next_start = self.runs.get(at + 1).map(|next| next.start);
        match self.runs.get_mut(at) {
            Some(run) if (run.start..run.end).contains(&counter) => return false,
            Some(run) if run.end == counter => {
                run.end += 1;
                run.is_news |= is_news;
                if next_start == Some(run.end) {
                    let next = self.runs.remove(at + 1);
                    self.runs[at].end = next.end;
                    self.runs[at].is_news |= next.is_news;
                }
            }
            Some(run) if run.start == counter + 1 => {
                run.start = counter;
                run.is_news |= is_news;
            }
            _ => self.open(at, Run { start: counter, end: counter + 1, is_news }),
        }
        true
    }

    /// What to tell the peer now, newest first, as many runs as an `Ack` holds: the highest, then those
    /// with news, then others. So a packet that fills an old gap is told of, however many gaps are open.
    pub(super) fn report(&self) -> impl Iterator<Item = RangeInclusive<u64>> + '_ {
        let mut is_chosen = self.selection();
        let chosen = self.runs.iter().rev().filter(move |run| is_chosen(run));
        chosen.map(|run| run.start..=run.end - 1)
    }

    /// How many runs `report` has.
    pub(super) fn report_len(&self) -> usize {
        self.runs.len().min(MAX_ACK_RANGES)
    }

    /// What `report` says was sent. Returns whether there is more news.
    pub(super) fn on_reported(&mut self) -> bool {
        if self.runs.len() <= MAX_ACK_RANGES {
            self.runs.iter_mut().for_each(|run| run.is_news = false);
            return false;
        }
        let mut is_chosen = self.selection();
        let mut is_rest = false;
        for run in self.runs.iter_mut().rev() {
            if is_chosen(run) {
                run.is_news = false;
            }
            is_rest |= run.is_news;
        }
        is_rest
    }

    /// The peer needs to hear no more of counters below `floor`, but for news.
    pub(super) fn forget_below(&mut self, floor: u64) {
        self.runs.retain(|run| {
            if !run.is_news {
                run.start = run.start.max(floor);
            }
            run.start < run.end
        });
    }

    /// Chooses among the runs, newest first, those for the next acknowledgement.
    fn selection(&self) -> impl FnMut(&Run) -> bool + use<> {
        let further = MAX_ACK_RANGES - 1;
        // Mostly there is room for all.
        let (mut news_left, mut others_left) = (further, further);
        if self.runs.len() > MAX_ACK_RANGES {
            let others = self.runs.iter().rev().skip(1);
            news_left = others.filter(|run| run.is_news).count().min(further);
            others_left = further - news_left;
        }
        let mut is_highest = true;
        move |run| {
            if mem::take(&mut is_highest) {
                return true;
            }
            let left = if run.is_news { &mut news_left } else { &mut others_left };
            let fits = *left > 0;
            *left -= usize::from(fits);
            fits
        }
    }

    /// Adds a run. Where there are too many, the oldest that holds no news gives way.
    fn open(&mut self, at: usize, run: Run) {
        self.runs.insert(at, run);
        if self.runs.len() > MAX_RUNS {
            let below_highest = &self.runs[..MAX_RUNS];
            let oldest = below_highest.iter().position(|run| !run.is_news).unwrap_or(0);
            self.runs.remove(oldest);
        }
    }
}

/// Four acknowledgements full: 3 KiB.
const MAX_RUNS: usize = 4 * MAX_ACK_RANGES;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Arrive(u64, bool),
        Report,
        ForgetBelow(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            20 => (0u64..200, any::<bool>()).prop_map(|(counter, news)| Step::Arrive(counter, news)),
            3 => Just(Step::Report),
            1 => (0u64..200).prop_map(Step::ForgetBelow),
        ]
    }

    proptest! {
        /// Nothing is told that did not arrive, and all news is told, in as few reports as hold it.
        #[test]
        fn all_news_is_told_and_nothing_else_is_made_up(
            steps in prop::collection::vec(step(), 1..400),
        ) {
            let mut runs = ReceivedRuns::default();
            let (mut arrived, mut news, mut floor) = (BTreeSet::new(), BTreeSet::new(), 0);
            for step in steps.into_iter().chain([Step::Report; 4]) {
                match step {
                    Step::Arrive(counter, is_news) => {
                        let fresh = runs.insert(counter, is_news);
                        prop_assert!(fresh == arrived.insert(counter) || (fresh && counter < floor));
                        if fresh && is_news {
                            news.insert(counter);
                        }
                    }
                    Step::Report => {
                        let report: Vec<_> = runs.report().collect();
                        prop_assert_eq!(report.len(), runs.report_len());
                        prop_assert!(report.windows(2).all(|two| two[1].end() + 1 < *two[0].start()));
                        prop_assert_eq!(report.first().map(|range| *range.end()), runs.max());
                        let told: BTreeSet<_> = report.iter().cloned().flatten().collect();
                        prop_assert!(told.is_subset(&arrived));
                        news.retain(|counter| !told.contains(counter));
                        prop_assert_eq!(runs.on_reported(), !news.is_empty());
                        prop_assert!(news.is_empty() || report.len() == MAX_ACK_RANGES);
                    }
                    Step::ForgetBelow(below) => {
                        floor = floor.max(below);
                        runs.forget_below(below);
                    }
                }
            }
            prop_assert!(news.is_empty(), "never told: {news:?}");
        }
    }

    #[test]
    fn an_old_gap_that_is_filled_is_told_before_what_was_told_already() {
        let mut runs = ReceivedRuns::default();
        (0..100).for_each(|n| _ = runs.insert(10 * n, true));
        while runs.on_reported() {}
        assert!(runs.insert(45, true));
        let report: Vec<_> = runs.report().collect();
        assert_eq!((report.len(), report.last()), (MAX_ACK_RANGES, Some(&(45..=45))));
        assert_eq!(report[..31], (69..100).rev().map(|n| 10 * n..=10 * n).collect::<Vec<_>>());
        assert!(!runs.on_reported());
        assert_eq!(runs.report().last(), Some(680..=680), "once");
    }

    #[test]
    fn memory_is_bounded_and_what_was_told_gives_way_first() {
        let mut runs = ReceivedRuns::default();
        (0..10_000).for_each(|n| _ = runs.insert(10 * n, n == 1));
        assert_eq!(runs.len(), MAX_RUNS);
        assert_eq!(runs.report().last(), Some(10..=10));
        (0..10_000).for_each(|n| _ = runs.insert(10 * n + 5, true));
        assert_eq!((runs.len(), runs.max()), (MAX_RUNS, Some(99_995)));
    }
}
