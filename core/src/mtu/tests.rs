//! A path in small: packets pass if they are not too large, and if chance has it.

use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

const BASE: u16 = 1200;
const MOST: u16 = 1452;
/// A round trip, which is also how long a probe is waited for.
const ROUND_TRIP: Duration = Duration::from_millis(50);

/// What is sent on a path and what becomes of it, a round trip at a time.
struct Bench {
    mtu: Mtu,
    now: Instant,
    next: u64,
    /// The largest size that passes.
    passes: u16,
    news: Vec<News>,
    /// Sizes of probes.
    probes: Vec<u16>,
}

impl Bench {
    fn new(most: u16, passes: u16) -> Self {
        let mut mtu = Mtu::new(BASE);
        mtu.set_most(most);
        let now = Instant::from_micros(1_000_000);
        Self { mtu, now, next: 0, passes, news: Vec::new(), probes: Vec::new() }
    }

    /// Sends packets of these sizes, and a probe if one is due; those arrive that fit and for which `arrives`.
    /// Losses are known last, as in an acknowledgement.
    fn round(&mut self, sizes: &[u16], mut arrives: impl FnMut() -> bool) {
        let was = self.mtu.size();
        let (mut acked, mut lost) = (Vec::new(), Vec::new());
        self.mtu.want();
        let probe = self.mtu.is_wanted().then(|| self.mtu.due(self.now, ROUND_TRIP)).flatten();
        if let Some(size) = probe {
            self.probes.push(size);
            self.mtu.on_probe(self.next, size, self.now);
            if size <= self.passes && arrives() {
                acked.push((self.next, size));
            }
            self.next += 1;
        }
        for size in sizes {
            let list = if *size <= self.passes && arrives() { &mut acked } else { &mut lost };
            list.push((self.next, *size));
            self.next += 1;
        }
        self.now += ROUND_TRIP;
        acked.iter().for_each(|(counter, size)| self.mtu.on_acked(*counter, *size));
        lost.iter().for_each(|(counter, size)| self.mtu.on_lost(*counter, *size));
        if self.mtu.is_alert() {
            self.news.extend(self.mtu.review(was, self.next));
        }
    }

    /// A round of bulk, with a small packet at its end.
    fn bulk(&mut self, arrives: impl FnMut() -> bool) {
        let full = self.mtu.size();
        self.round(&[full, full, full, full, 100], arrives);
    }

    /// Rounds until nothing more is tried.
    fn settle(&mut self) -> u16 {
        (0..150).for_each(|_| self.bulk(|| true));
        self.mtu.size()
    }
}

proptest! {
    /// Whatever passes is found to within 8 bytes, whatever is lost beside, and never more than passes.
    #[test]
    fn what_passes_is_found(
        most in 1200u16..2049,
        passes in 1200u16..2100,
        losses in proptest::collection::vec(0u8..100, 50..100),
    ) {
        let mut bench = Bench::new(most, passes);
        let mut losses = losses.into_iter().cycle();
        // Two searches: chance may have spoiled the first.
        for _ in 0..1_000 {
            bench.bulk(|| losses.next().is_some_and(|chance| chance >= 10));
            prop_assert!(bench.mtu.size() <= passes.min(most));
        }
        let found = bench.mtu.size();
        prop_assert!(passes.min(most) - found < 8, "{} of {} and {}", found, passes, most);
    }

    /// Whatever a peer acknowledges, in whatever order, the size stays within what was agreed on, and so do probes.
    #[test]
    fn a_liar_makes_datagrams_neither_smaller_than_the_base_nor_larger_than_agreed(
        steps in proptest::collection::vec((0u8..6, 0u64..40, 1u16..4000, 0u64..30_000), 1..400),
    ) {
        let mut mtu = Mtu::new(BASE);
        let (mut most, mut now, mut next) = (BASE, Instant::from_micros(1), 0u64);
        for (step, back, size, ms) in steps {
            let was = mtu.size();
            match step {
                0 => {
                    most = size.max(BASE);
                    mtu.set_most(size);
                }
                1 => {
                    mtu.want();
                    if mtu.is_wanted() && let Some(size) = mtu.due(now, ROUND_TRIP) {
                        prop_assert!(size > mtu.size() && size <= most, "{} of {}", size, most);
                        mtu.on_probe(next, size, now);
                    }
                }
                2 => mtu.on_lost(next.saturating_sub(back), size),
                3 => mtu.restart(BASE, most, next),
                4 => now += Duration::from_millis(ms),
                _ => mtu.on_acked(next.saturating_sub(back), size),
            }
            next += 1;
            _ = mtu.review(was, next);
            prop_assert!((BASE..=most).contains(&mtu.size()), "{} of {}", mtu.size(), most);
            prop_assert!(mtu.limit_of_probe(back as u8) >= 548);
        }
    }

    /// Packets that are lost by chance, however many, large and small, are no black hole.
    #[test]
    fn chance_is_no_black_hole(
        seed in any::<u64>(),
        percent in 0u64..21,
        large in 1usize..6,
        small in 0usize..6,
    ) {
        let mut bench = Bench::new(MOST, MOST);
        bench.settle();
        let mut state = seed;
        let mut chance = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % 100 >= percent
        };
        let sizes: Vec<u16> = core::iter::repeat_n(MOST, large)
            .chain(core::iter::repeat_n(100, small))
            .collect();
        for _ in 0..2_000 {
            bench.round(&sizes, &mut chance);
            prop_assert_eq!(bench.mtu.size(), MOST);
        }
    }
}

#[test]
fn what_most_paths_carry_is_tried_first_and_nothing_once_it_passed() {
    let mut bench = Bench::new(MOST, 1472);
    assert_eq!((bench.settle(), bench.probes), (MOST, alloc::vec![MOST]));
}

#[test]
fn nothing_is_tried_where_larger_ones_are_of_no_use() {
    let mut mtu = Mtu::new(BASE);
    mtu.set_most(MOST);
    assert!(!mtu.is_wanted());
    mtu.want();
    assert!(mtu.is_wanted());
    mtu.set_most(BASE);
    assert!(!mtu.is_wanted(), "nor where none are allowed");
}

#[test]
fn a_size_that_stops_passing_is_left_and_looked_for_again_less_and_less_often() {
    let mut bench = Bench::new(MOST, MOST);
    bench.settle();
    let mut pauses = Vec::new();
    for _ in 0..9 {
        bench.passes = 1280;
        let rounds = (0..).take_while(|_| {
            bench.bulk(|| true);
            bench.mtu.size() > BASE
        });
        let rounds = rounds.count();
        assert!(rounds < 5, "{rounds} round trips");
        let fallen_at = bench.now;
        // It is tried three times more, to be sure.
        (0..10).for_each(|_| bench.bulk(|| true));
        let probes = bench.probes.len();
        bench.passes = MOST;
        while bench.mtu.size() == BASE {
            bench.bulk(|| true);
        }
        assert_eq!(bench.probes.len(), probes + 1);
        pauses.push(bench.now.saturating_since(fallen_at).as_secs());
    }
    assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 600, 600, 600]);
    bench.now += Duration::from_secs(1_300);
    bench.passes = 1280;
    (0..15).for_each(|_| bench.bulk(|| true));
    let fallen_at = bench.now;
    assert_eq!(bench.mtu.size(), BASE);
    bench.passes = MOST;
    while bench.mtu.size() == BASE {
        bench.bulk(|| true);
    }
    let pause = bench.now.saturating_since(fallen_at);
    assert!(pause < Duration::from_secs(11), "a rare one counts as the first");
}

#[test]
fn a_late_acknowledgement_shows_that_it_was_not_the_size() {
    let mut bench = Bench::new(MOST, MOST);
    bench.settle();
    let first = bench.next;
    bench.passes = 1280;
    (0..5).for_each(|_| bench.bulk(|| true));
    assert_eq!(bench.mtu.size(), BASE);
    // What was sent before it went wrong proves nothing.
    let was = bench.mtu.size();
    bench.mtu.on_acked(first - 2, MOST);
    assert_eq!(bench.mtu.review(was, bench.next), None);
    bench.mtu.on_acked(first + 1, MOST);
    let news = bench.mtu.review(was, bench.next);
    assert_eq!((news, bench.mtu.size()), (Some(News::Resized), MOST));
}

#[test]
fn an_outage_in_which_all_is_lost_is_no_black_hole() {
    let mut bench = Bench::new(MOST, MOST);
    bench.settle();
    for _ in 0..20 {
        (0..10).for_each(|_| bench.bulk(|| false));
        // The first that arrives is small.
        bench.round(&[100], || true);
        bench.bulk(|| true);
        assert_eq!(bench.mtu.size(), MOST);
    }
}

#[test]
fn a_path_too_narrow_for_the_base_is_reported_once() {
    let mut bench = Bench::new(MOST, 1000);
    (0..200).for_each(|_| bench.bulk(|| true));
    assert_eq!((bench.mtu.size(), bench.news), (BASE, alloc::vec![News::TooNarrow]));
}

#[test]
fn nothing_that_went_another_way_counts() {
    let mut bench = Bench::new(MOST, MOST);
    bench.settle();
    let (old, next) = (bench.next - 1, bench.next);
    bench.mtu.restart(BASE, MOST, next);
    bench.mtu.on_probe(next, MOST, bench.now);
    bench.mtu.on_acked(old, MOST);
    assert_eq!(bench.mtu.size(), BASE);
    bench.mtu.on_acked(next, MOST);
    assert_eq!(bench.mtu.size(), MOST);
}

#[test]
fn what_carries_the_packets_is_followed_down_at_once_and_up_by_probes() {
    let mut bench = Bench::new(MOST, MOST);
    bench.settle();
    assert!(bench.mtu.set_most(1300));
    assert_eq!(bench.mtu.size(), 1300);
    assert!(!bench.mtu.set_most(1400), "it does not grow by itself");
    assert_eq!((bench.mtu.size(), bench.settle()), (1300, 1400));
}
