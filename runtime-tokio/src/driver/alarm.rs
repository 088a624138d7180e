//! A timer that is only touched when the deadline comes to be earlier.

use std::pin::Pin;

use handfast_core::Instant;
use handfast_udp::Clock;
use tokio::time::{Instant as TokioInstant, Sleep, sleep_until};

/// Wakes the driver at a deadline, or once before. To reset a [`Sleep`] takes the runtime's timer lock, and most
/// packets put the deadline off: then the alarm rings when it was to, and is set anew.
pub(super) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    /// When it rings.
    set_to: Option<Instant>,
}

impl Alarm {
    pub(super) fn new() -> Self {
        Self { sleep: Box::pin(sleep_until(TokioInstant::now())), set_to: None }
    }

    /// Rings at this deadline at the latest.
    pub(super) fn set(&mut self, deadline: Option<Instant>, clock: &Clock) {
        let Some(deadline) = deadline else { return };
        if self.set_to.is_none_or(|set_to| deadline < set_to)
            && let Some(at) = clock.deadline(deadline)
        {
            self.set_to = Some(deadline);
            self.sleep.as_mut().reset(at.into());
        }
    }

    /// Completes when it rings, never if it was not set since.
    pub(super) async fn notify(&mut self) {
        if self.set_to.is_none() {
            return std::future::pending().await;
        }
        self.sleep.as_mut().await;
        self.set_to = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::task::{Context, Waker};
    use std::time::Duration;

    fn wakes(alarm: &mut Alarm) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        std::pin::pin!(alarm.notify()).poll(&mut cx).is_ready()
    }

    #[tokio::test]
    async fn an_alarm_rings_at_its_deadline_and_can_be_set_to_the_same_one_again() {
        let (clock, mut alarm) = (Clock::start(), Alarm::new());
        let now = clock.now();
        alarm.set(Some(now + Duration::from_secs(3600)), &clock);
        assert!(!wakes(&mut alarm));
        for _ in 0..2 {
            alarm.set(Some(now), &clock);
            alarm.notify().await;
        }
        alarm.set(None, &clock);
        assert!(!wakes(&mut alarm));
        alarm.set(Some(Instant::from_micros(u64::MAX)), &clock);
        assert!(!wakes(&mut alarm), "the end of time never comes");
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_is_put_off_moves_nothing_and_one_that_comes_earlier_does() {
        let clock = Clock::following(|| TokioInstant::now().into_std());
        let (mut alarm, start) = (Alarm::new(), clock.now());
        let after = |seconds| Some(start + Duration::from_secs(seconds));
        let mut rings = Vec::new();
        for deadlines in [&[5, 7, 9][..], &[9, 8], &[20, 30]] {
            deadlines.iter().for_each(|seconds| alarm.set(after(*seconds), &clock));
            alarm.notify().await;
            rings.push(clock.now().saturating_since(start).as_secs());
        }
        assert_eq!(rings, [5, 8, 20]);
        assert!(!wakes(&mut alarm), "it rings once");
    }
}
