//! CUBIC (RFC 9438) in integers, with HyStart++ and the undo of undeserved slowdowns.

use core::time::Duration;

use super::hystart::{Growth, HyStart};
use super::tolerance::{self, Tolerance, Verdict};
use super::usage::Usage;
use super::{Controller, FIRST_BOUND, INITIAL_PACKETS, MIN_PACKETS, NEAR, Signs, per_second};
use crate::recovery::Rtt;
use crate::time::Instant;

/// Grows along a cubic curve that is flat where the last loss was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cubic {
    /// What a slowdown changes and an undo restores. All windows are in bytes.
    state: State,
    /// The state before the last slowdown, while it can be taken back.
    saved: Option<State>,
    /// When a packet was last acknowledged, or left while none was in flight.
    last_ack: Option<Instant>,
    hystart: HyStart,
    usage: Usage,
    /// None if every loss is answered.
    tolerance: Option<Tolerance>,
    mtu: u16,
}

#[derive(Clone, Copy, Debug)]
struct State {
    window: u64,
    /// Slow start ends here.
    threshold: u64,
    /// Where the curve is flat.
    w_max: u64,
    /// The window just before the last slowdown.
    prior: u64,
    /// When the last slowdown was: what was sent before has been answered for.
    recovery_start: Option<Instant>,
    /// When the current curve began.
    epoch_start: Option<Instant>,
    /// How long after `epoch_start` the curve reaches `w_max`, in milliseconds.
    k: u64,
    /// The window that Reno would have, and the acknowledged bytes not yet turned into growth
    /// of it, times `RENO_UNIT`.
    estimate: u64,
    credit: u64,
}

impl Cubic {
    /// A fresh path in slow start, on which losses are not answered while no queue is seen.
    pub(super) const fn tolerant(mtu: u16) -> Self {
        Self { tolerance: Some(Tolerance::new()), ..Self::new(mtu) }
    }

    /// A fresh path in slow start.
    pub(super) const fn new(mtu: u16) -> Self {
        Self {
            state: State {
                window: INITIAL_PACKETS * mtu as u64,
                threshold: u64::MAX,
                w_max: 0,
                prior: 0,
                recovery_start: None,
                epoch_start: None,
                k: 0,
                estimate: 0,
                credit: 0,
            },
            saved: None,
            last_ack: None,
            hystart: HyStart::new(),
            usage: Usage::new(),
            tolerance: None,
            mtu,
        }
    }

    /// Whether losses are answered only if a queue is seen.
    pub(super) const fn is_tolerant(&self) -> bool {
        self.tolerance.is_some()
    }

    pub(super) const fn mtu(&self) -> u16 {
        self.mtu
    }

    const fn in_slow_start(&self) -> bool {
        self.state.window < self.state.threshold
    }

    fn floor(&self) -> u64 {
        MIN_PACKETS * u64::from(self.mtu)
    }

    fn slow_start(&mut self, now: Instant, sent_at: Instant, bytes: u64, rtt: &Rtt) {
        if self.state.threshold < u64::MAX {
            // Only the first slow start looks for its end (RFC 9406 section 4.3).
            return self.grow(bytes);
        }
        if self.state.window >= FIRST_BOUND && rtt.min().is_some_and(|least| least <= NEAR) {
            self.state.threshold = self.state.window;
            return;
        }
        match self.hystart.on_ack(now, sent_at, rtt.latest()) {
            Growth::Full => self.grow(bytes),
            Growth::Cautious => self.grow(bytes / CAUTIOUS_DIVISOR),
            Growth::Done => self.state.threshold = self.state.window,
        }
    }

    fn avoid_congestion(&mut self, now: Instant, bytes: u64, rtt: &Rtt) {
        let start = self.state.epoch_start.unwrap_or_else(|| self.begin_epoch(now));
        let elapsed = now.saturating_since(start);
        let window = self.state.window;
        self.grow_estimate(bytes);
        if self.curve(elapsed) < self.state.estimate {
            self.grow(self.state.estimate.saturating_sub(window));
        } else {
            let ahead = self.curve(elapsed.saturating_add(rtt.smoothed()));
            let missing = ahead.clamp(window, window + window / 2) - window;
            self.grow(missing.saturating_mul(bytes) / window);
        }
    }

    fn begin_epoch(&mut self, now: Instant) -> Instant {
        let state = &mut self.state;
        state.w_max = state.w_max.max(state.window);
        // K = cbrt((w_max - window) / C), with C = 0.4 packets per cubic second (RFC 9438 section 4.2).
        let below = u128::from(state.w_max - state.window);
        let cube = below * CUBIC_MILLIS_PER_PACKET / u128::from(self.mtu.max(1));
        state.k = cube_root(u64::try_from(cube).unwrap_or(u64::MAX)).min(LONGEST_MILLIS);
        state.estimate = state.window;
        state.credit = 0;
        state.epoch_start = Some(now);
        now
    }

    /// The cubic window `elapsed` after the epoch began (RFC 9438 section 4.2).
    fn curve(&self, elapsed: Duration) -> u64 {
        let elapsed = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).min(LONGEST_MILLIS);
        let distance = u128::from(elapsed.abs_diff(self.state.k));
        let rise = (u128::from(self.mtu) * distance.pow(3) * C_SCALED) >> C_SHIFT;
        let rise = u64::try_from(rise).unwrap_or(u64::MAX);
        if elapsed < self.state.k {
            self.state.w_max.saturating_sub(rise)
        } else {
            self.state.w_max.saturating_add(rise)
        }
    }

    /// Whether the curve has been above what was borne for half as long as it took to get there.
    pub(super) fn is_beyond(&self, now: Instant) -> bool {
        let over = Duration::from_millis(self.state.k.saturating_mul(2));
        self.state.epoch_start.is_some_and(|start| start + over <= now)
    }

    /// Reno's growth: alpha packets per window acknowledged, alpha = 3 (1 - 0.7) / (1 + 0.7) until
    /// it is back where it fell from, then 1 (RFC 9438 section 4.3).
    fn grow_estimate(&mut self, bytes: u64) {
        let state = &mut self.state;
        let alpha = if state.estimate < state.prior { RENO_ALPHA } else { RENO_UNIT };
        state.credit = state.credit.saturating_add(bytes.saturating_mul(alpha));
        let price = state.window * RENO_UNIT;
        let packets = state.credit / price;
        state.credit %= price;
        let grown = state.estimate.saturating_add(packets.saturating_mul(self.mtu.into()));
        state.estimate = grown.min(MAX_WINDOW);
    }

    fn grow(&mut self, bytes: u64) {
        self.state.window = self.state.window.saturating_add(bytes).min(MAX_WINDOW);
    }

    /// The path bears `borne` bytes, or less. Who hears of it by a mark was told early, and gives up less.
    pub(super) fn slow_down(&mut self, now: Instant, borne: u64, marked: bool) {
        let floor = self.floor();
        let state = &mut self.state;
        // Fast convergence (RFC 9438 section 4.7): a flow that fell short of its last peak leaves bandwidth
        // to others. 17/20 is (1 + 0.7) / 2.
        let fell_short = borne < state.w_max;
        state.w_max = if fell_short { borne * 17 / 20 } else { borne };
        state.prior = borne;
        // Multiplicative decrease (RFC 9438 section 4.6, RFC 8511 section 3.1).
        let kept = if marked { KEPT_AFTER_MARK } else { KEPT_AFTER_LOSS };
        state.window = (borne * kept / 100).max(floor);
        state.threshold = state.window;
        state.recovery_start = Some(now);
        state.epoch_start = None;
    }

    /// What the path bears, if the signs are ones of congestion.
    fn judge(&mut self, signs: &Signs, rtt: &Rtt) -> Option<u64> {
        let window = self.state.window;
        let Some(tolerance) = self.tolerance.as_mut().filter(|_| !signs.ecn) else {
            return Some(window);
        };
        let growth = if self.state.window < self.state.threshold {
            tolerance::Growth::Fast
        } else {
            tolerance::Growth::Slow
        };
        match tolerance.on_loss(signs, rtt, growth, self.mtu) {
            Verdict::Excused if !signs.persistent => None,
            Verdict::Excused | Verdict::Queue => Some(window),
            // Half of a window that doubled was borne a round trip ago.
            Verdict::Overrun if growth == tolerance::Growth::Fast => {
                Some(tolerance.borne(window).max(window / 2))
            }
            Verdict::Overrun => Some(window),
        }
    }

    /// The time since the last acknowledgement. The next one counts from `now`.
    fn since_last_ack(&mut self, now: Instant) -> Duration {
        let last = self.last_ack.replace(now);
        last.map_or(Duration::ZERO, |last| now.saturating_since(last))
    }

    /// The window was not used for so long: the curve's time stood still (RFC 9438 section 5.8).
    fn skip(&mut self, pause: Duration) {
        self.state.epoch_start = self.state.epoch_start.map(|start| start + pause);
    }
}

impl Controller for Cubic {
    fn on_sent(&mut self, now: Instant, bytes: u64, in_flight: u64) {
        if in_flight <= bytes {
            // Nothing was in flight since the last acknowledgement.
            let pause = self.since_last_ack(now);
            self.skip(pause);
        }
        self.usage.on_sent(in_flight);
    }

    fn on_ack(&mut self, now: Instant, sent_at: Instant, bytes: u64, rtt: &Rtt) {
        let pause = self.since_last_ack(now);
        self.usage.on_ack(now, sent_at);
        self.tolerance.iter_mut().for_each(|known| known.on_ack(now, sent_at, bytes, rtt));
        if !self.usage.fills(self.state.window) {
            self.skip(pause);
        } else if self.state.recovery_start.is_some_and(|start| sent_at <= start) {
            // Sent before the slowdown: it shows nothing about the window after it.
        } else if self.in_slow_start() {
            self.slow_start(now, sent_at, bytes, rtt);
        } else {
            self.avoid_congestion(now, bytes, rtt);
        }
    }

    fn on_congestion(&mut self, now: Instant, signs: &Signs, rtt: &Rtt) -> bool {
        let news = self.state.recovery_start.is_none_or(|start| signs.sent_at > start);
        let answered = if news { self.judge(signs, rtt) } else { None };
        if let Some(borne) = answered {
            // A router's mark cannot turn out spurious.
            let earlier = self.saved.take().filter(|_| signs.is_continued);
            self.saved = earlier.or(Some(self.state)).filter(|_| !signs.ecn);
            self.slow_down(now, borne, signs.ecn);
            self.tolerance.iter_mut().for_each(|known| known.begin(now));
        }
        if signs.persistent {
            self.state.window = self.floor();
            self.state.epoch_start = None;
        }
        answered.is_some() || signs.persistent
    }

    fn on_spurious(&mut self, _: Instant) {
        // RFC 9438 section 4.9.2.
        if let Some(saved) = self.saved.take() {
            let window = saved.window.max(self.state.window);
            self.state = State { window, ..saved };
        }
    }

    fn on_mtu(&mut self, mtu: u16) {
        let initial = INITIAL_PACKETS * u64::from(self.mtu);
        let untried = self.state.window == initial && self.in_slow_start();
        self.mtu = mtu;
        let least = if untried { INITIAL_PACKETS * u64::from(mtu) } else { self.floor() };
        self.state.window = self.state.window.max(least);
    }

    fn on_absence(&mut self, span: Duration) {
        // The curve depends on time (RFC 9438 section 4.2), but not on time in which nothing was sent.
        self.state.epoch_start = self.state.epoch_start.map(|start| start + span);
        self.last_ack = self.last_ack.map(|at| at + span);
    }

    fn on_idle(&mut self) {
        self.state.epoch_start = None;
        self.hystart = HyStart::new();
    }

    fn window(&self) -> u64 {
        self.state.window
    }

    fn pacing_rate(&self, rtt: &Rtt) -> Option<u64> {
        // Slow start doubles the window each round trip, so the rate must run ahead of it.
        self.in_slow_start()
            .then(|| per_second(self.state.window.saturating_mul(2), rtt.smoothed()))
    }
}

/// The integer cube root, rounded down, by deciding one bit after the other.
fn cube_root(value: u64) -> u64 {
    let mut root = 0u64;
    for bit in (0..=21).rev() {
        let tried = root | 1 << bit;
        if u128::from(tried).pow(3) <= u128::from(value) {
            root = tried;
        }
    }
    root
}

/// 1 / C: in cubic milliseconds per packet.
const CUBIC_MILLIS_PER_PACKET: u128 = 2_500_000_000;
/// C = 0.4 packets per cubic second = 0.4e-9 per cubic millisecond, times 2^48.
const C_SCALED: u128 = 112_590;
const C_SHIFT: u32 = 48;
/// 17 minutes: far beyond any curve that matters, and its cube still fits.
const LONGEST_MILLIS: u64 = 1 << 20;
/// alpha = 9 / 17 (RFC 9438 section 4.3).
const RENO_ALPHA: u64 = 9;
const RENO_UNIT: u64 = 17;
/// What is left of the window, in percent.
const KEPT_AFTER_LOSS: u64 = 70;
const KEPT_AFTER_MARK: u64 = 85;
/// `CSS_GROWTH_DIVISOR` of RFC 9406 section 4.3.
const CAUTIOUS_DIVISOR: u64 = 4;
/// 64 GiB.
const MAX_WINDOW: u64 = 1 << 36;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MTU: u64 = 1200;

    fn path(millis: u64) -> Rtt {
        let mut rtt = Rtt::new();
        rtt.update(Duration::from_millis(millis), Duration::ZERO, Duration::ZERO);
        rtt
    }

    fn at(millis: u64) -> Instant {
        Instant::from_micros(1 + millis * 1000)
    }

    /// Sends one full window and acknowledges it a round trip later, at `now`.
    fn round(cubic: &mut Cubic, now: u64, rtt: &Rtt) {
        let (window, sent_at) = (cubic.window(), at(now).saturating_sub(rtt.smoothed()));
        let packets = window / MTU;
        (1..=packets).for_each(|n| cubic.on_sent(sent_at, MTU, n * MTU));
        (0..packets).for_each(|_| cubic.on_ack(at(now), sent_at, MTU, rtt));
    }

    /// The same of a single small packet.
    fn trickle(cubic: &mut Cubic, now: u64, rtt: &Rtt) {
        let sent_at = at(now).saturating_sub(rtt.smoothed());
        cubic.on_sent(sent_at, 90, 90);
        cubic.on_ack(at(now), sent_at, 90, rtt);
    }

    fn lost(sent_at: u64) -> Signs {
        let sent_at = at(sent_at);
        Signs { sent_at, bytes: MTU, persistent: false, ecn: false, is_continued: false }
    }

    fn lose(cubic: &mut Cubic, now: u64) -> bool {
        cubic.on_congestion(at(now), &lost(now - 1), &path(50))
    }

    #[test]
    fn slow_start_doubles_and_a_loss_takes_three_tenths_once() {
        let rtt = path(50);
        let mut cubic = Cubic::new(1200);
        assert_eq!(cubic.window(), 10 * MTU);
        for (number, now) in [50, 100, 150].into_iter().enumerate() {
            round(&mut cubic, now, &rtt);
            assert_eq!(cubic.window(), (20 << number) * MTU);
        }
        assert_eq!(cubic.pacing_rate(&rtt), Some(cubic.window() * 2 * 20));
        assert!(lose(&mut cubic, 200));
        assert_eq!((cubic.window(), cubic.pacing_rate(&rtt)), (56 * MTU, None));
        assert!(!cubic.on_congestion(at(220), &lost(200), &rtt), "sent before the slowdown");
        cubic.on_ack(at(230), at(200), MTU, &rtt);
        assert_eq!(cubic.window(), 56 * MTU, "and its acknowledgement is no reason to grow");
        assert!(lose(&mut cubic, 260));
    }

    #[test]
    fn the_curve_returns_to_the_old_peak_after_k_and_then_goes_beyond() {
        let rtt = path(100);
        let mut cubic = Cubic::new(1200);
        cubic.state.window = 1000 * MTU;
        lose(&mut cubic, 1000);
        // K = cbrt(300 / 0.4) = 9.085 s.
        let mut now = 1100;
        let mut at_k = 0;
        while now < 17_000 {
            round(&mut cubic, now, &rtt);
            now += 100;
            if now == 10_100 {
                at_k = cubic.window();
            }
        }
        assert_eq!(cubic.state.k, 9085);
        assert!(at_k.abs_diff(1000 * MTU) < 5 * MTU, "{at_k}");
        // 0.4 * (15.9 - 9.085)^3 = 126 packets more.
        assert!(cubic.window().abs_diff(1126 * MTU) < 10 * MTU, "{}", cubic.window());
    }

    #[test]
    fn on_short_paths_it_grows_no_slower_than_reno() {
        let rtt = path(5);
        let mut cubic = Cubic::new(1200);
        cubic.state.window = 20 * MTU;
        lose(&mut cubic, 1000);
        (1..100).for_each(|turn| round(&mut cubic, 1000 + 5 * turn, &rtt));
        // 14 packets and 9/17 a round to 20, then one a round: about 100 after 99 rounds.
        assert!(cubic.window() > 95 * MTU && cubic.window() < 108 * MTU, "{}", cubic.window());
    }

    #[test]
    fn a_flow_that_fell_short_of_its_peak_aims_lower() {
        let mut cubic = Cubic::new(1200);
        cubic.state.window = 100 * MTU;
        lose(&mut cubic, 10);
        lose(&mut cubic, 20);
        assert_eq!((cubic.state.w_max, cubic.window()), (70 * MTU * 17 / 20, 49 * MTU));
    }

    #[test]
    fn an_undeserved_slowdown_is_taken_back_but_not_one_a_router_asked_for() {
        let mut cubic = Cubic::new(1200);
        cubic.state.window = 100 * MTU;
        lose(&mut cubic, 10);
        cubic.on_spurious(at(15));
        assert_eq!((cubic.window(), cubic.state.threshold), (100 * MTU, u64::MAX));
        cubic.on_spurious(at(15));
        assert!(lose(&mut cubic, 16), "losses count again");
        let mark = Signs { ecn: true, ..lost(29) };
        assert!(cubic.on_congestion(at(30), &mark, &path(50)));
        let window = cubic.window();
        cubic.on_spurious(at(31));
        assert_eq!(cubic.window(), window);
    }

    #[test]
    fn thin_flows_keep_four_packets_and_idle_time_earns_nothing() {
        let rtt = path(50);
        let mut cubic = Cubic::new(1200);
        (1..20).for_each(|turn| _ = lose(&mut cubic, turn * 100));
        cubic.on_congestion(at(2000), &Signs { persistent: true, ..lost(1999) }, &rtt);
        assert_eq!(cubic.window(), 4 * MTU);
        (21..2000).for_each(|turn| trickle(&mut cubic, turn * 100, &rtt));
        assert_eq!(cubic.window(), 4 * MTU);
        cubic.on_mtu(1400);
        assert_eq!(cubic.window(), 4 * 1400);
    }

    #[test]
    fn a_window_grows_to_twice_of_what_was_in_flight_and_bursts_count_whole() {
        let rtt = path(50);
        let mut cubic = Cubic::new(1200);
        // Seven packets each 100 ms, then nine at a time, which come in turn.
        for (turn, burst) in (1..1000).zip([7, 7, 9].into_iter().cycle()) {
            (1..=burst).for_each(|n| cubic.on_sent(at(turn * 100), MTU, n * MTU));
            (1..=burst).for_each(|_| {
                cubic.on_ack(at(turn * 100 + 50), at(turn * 100), MTU, &rtt);
            });
        }
        let window = cubic.window() / MTU;
        assert!((18..=18 + 9).contains(&window), "{window} packets");
    }

    #[test]
    fn the_curve_stands_still_while_the_window_is_not_used() {
        let rtt = path(100);
        let mut cubic = Cubic::new(1200);
        cubic.state.window = 100 * MTU;
        lose(&mut cubic, 1000);
        (11..20).for_each(|turn| round(&mut cubic, turn * 100, &rtt));
        let before = cubic.window();
        (20..600).for_each(|turn| trickle(&mut cubic, turn * 100, &rtt));
        assert!(cubic.window() < before + MTU, "{before} {}", cubic.window());
        round(&mut cubic, 60_100, &rtt);
        assert!(cubic.window() < before + 5 * MTU, "{before} {}", cubic.window());
        // Nor does it go on while nothing is sent at all.
        round(&mut cubic, 600_000, &rtt);
        assert!(cubic.window() < before + 9 * MTU, "{before} {}", cubic.window());
    }

    #[test]
    fn an_idle_peer_carries_little() {
        assert!(size_of::<Cubic>() <= 312);
    }

    proptest! {
        #[test]
        fn cube_roots_are_exact(value in any::<u64>()) {
            let root = u128::from(cube_root(value));
            prop_assert!(root.pow(3) <= value.into() && (root + 1).pow(3) > value.into());
        }

        #[test]
        fn nothing_overflows_and_the_window_keeps_its_bounds(
            mtu in 1u16..,
            events in prop::collection::vec((0u8..7, any::<u64>(), any::<u64>(), any::<bool>()), 1..200),
        ) {
            let mut cubic = if mtu % 2 == 0 { Cubic::new(mtu) } else { Cubic::tolerant(mtu) };
            let mut rtt = Rtt::new();
            let mut now = Instant::from_micros(1);
            for (kind, a, b, flag) in events {
                now += Duration::from_micros(a >> (b % 64));
                let sent_at = now.saturating_sub(Duration::from_micros(b));
                match kind {
                    0 => {
                        let signs = Signs { sent_at, bytes: b, persistent: flag, ecn: a % 2 == 0, is_continued: a % 3 == 0 };
                        cubic.on_congestion(now, &signs, &rtt);
                    }
                    1 => cubic.on_spurious(now),
                    2 => cubic.on_idle(),
                    3 => rtt.update(Duration::from_micros(b), Duration::ZERO, Duration::ZERO),
                    4 => cubic.on_sent(now, a, b),
                    _ => cubic.on_ack(now, sent_at, b >> (a % 64), &rtt),
                }
                prop_assert!(cubic.window() >= 4 * u64::from(mtu));
                prop_assert!(cubic.window() <= MAX_WINDOW);
                prop_assert!(cubic.pacing_rate(&rtt).is_none_or(|rate| rate > 0 || rtt.smoothed() > Duration::from_secs(100)));
            }
        }
    }
}
