//! A timer that is only touched when the deadline changes.

use std::pin::Pin;

use handfast_core::Instant;
use handfast_udp::Clock;
use tokio::time::{Instant as TokioInstant, Sleep, sleep_until};

/// Wakes the driver at a deadline. To reset a [`Sleep`] takes the runtime's timer lock, and most
/// turns leave the deadline as it was.
pub(super) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    deadline: Option<Instant>,
}

impl Alarm {
    pub(super) fn new() -> Self {
        Self { sleep: Box::pin(sleep_until(TokioInstant::now())), deadline: None }
    }

    /// Sets the deadline, or that there is none.
    pub(super) fn set(&mut self, deadline: Option<Instant>, clock: &Clock) {
        if self.deadline == deadline {
            return;
        }
        let at = deadline.and_then(|deadline| clock.deadline(deadline));
        self.deadline = at.and(deadline);
        if let Some(at) = at {
            self.sleep.as_mut().reset(at.into());
        }
    }

    /// Completes at the deadline, never without one.
    pub(super) async fn notify(&mut self) {
        if self.deadline.is_none() {
            return std::future::pending().await;
        }
        self.sleep.as_mut().await;
        // Elapsed for good: the same deadline once more must be set anew.
        self.deadline = None;
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
}
