//! Asking again and again before waiting, for those who buy latency with processor time.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

/// Completes with `future`, or with `None` as soon as `found` says that there is something to do. For `longest` both are asked
/// again and again, in turns with all other tasks; then the task waits for `future` alone. A thread that waits has to be woken
/// by the system, which takes longer than all that happens between two that talk.
pub(super) async fn poll<T>(
    future: impl Future<Output = T>,
    longest: Duration,
    found: impl Fn() -> bool,
) -> Option<T> {
    let mut future = pin!(future);
    // By the system's clock: by one that is held it would never be time to wait.
    let until = Instant::now().checked_add(longest);
    while !longest.is_zero() && until.is_none_or(|until| Instant::now() < until) {
        let asked = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(done) = asked {
            return Some(done);
        }
        if found() {
            return None;
        }
        tokio::task::yield_now().await;
    }
    Some(future.await)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn what_comes_meanwhile_is_found_without_a_wake_and_others_run_in_between() {
        let (asked, others) = (Cell::new(0), Cell::new(0));
        let found = || asked.replace(asked.get() + 1) == 100;
        let spin = poll(pending::<()>(), Duration::MAX, found);
        let beside = async {
            loop {
                others.set(others.get() + 1);
                tokio::task::yield_now().await;
            }
        };
        let end = tokio::select! { end = spin => end, () = beside => Some(()) };
        assert_eq!(end, None);
        assert!(asked.get() == 101 && others.get() >= 90, "{} {}", asked.get(), others.get());
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_by_the_systems_clock_though_another_is_held() {
        let asked = Cell::new(0);
        let nothing = || {
            asked.set(asked.get() + 1);
            false
        };
        let sleep = tokio::time::sleep(Duration::from_secs(3600));
        assert_eq!(poll(sleep, Duration::from_millis(5), nothing).await, Some(()));
        assert!(asked.get() > 0);
        asked.set(0);
        assert_eq!(poll(async { 7 }, Duration::ZERO, nothing).await, Some(7));
        assert_eq!(asked.get(), 0, "it is off");
    }
}
