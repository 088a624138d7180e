//! The time that this thread has spent on a processor: what others do meanwhile does not count.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// CPU time of this thread so far, in user mode and in the kernel.
pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let parts = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    let (Ok(seconds), Ok(nanos)) = parts else { return Duration::ZERO };
    Duration::new(seconds, nanos)
}
