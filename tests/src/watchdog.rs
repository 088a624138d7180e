//! A limit for tests that hang.

use std::panic::resume_unwind;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// Runs `test` on a thread of its own and panics if it is not through after `limit`, which should
/// be many times what it needs: this tells of a hang, never of slowness.
///
/// # Panics
/// When the time is up, or when `test` panics.
pub fn within<R: Send + 'static>(limit: Duration, test: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, result) = channel();
    let name = thread::current().name().unwrap_or("test").to_owned();
    let thread = thread::Builder::new()
        .name(name)
        .spawn(move || done.send(test()).expect("somebody waits"))
        .expect("a thread");
    match result.recv_timeout(limit) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => panic!("hangs: not through after {limit:?}"),
        Err(RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => resume_unwind(panic),
            Ok(()) => unreachable!("it sent a result"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_comes_through() {
        assert_eq!(within(Duration::from_secs(60), || 7), 7);
    }

    #[test]
    #[should_panic(expected = "the test itself")]
    fn a_panic_comes_through() {
        within(Duration::from_secs(60), || panic!("the test itself"));
    }

    #[test]
    #[should_panic(expected = "hangs")]
    fn a_hang_is_told() {
        within(Duration::from_millis(1), thread::park);
    }
}
