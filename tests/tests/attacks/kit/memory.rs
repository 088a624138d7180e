//! A test that floods an endpoint sees whether that grew.

use handfast_tests::memory::{Counting, Meter};

use super::{Stage, VICTIM};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

impl Stage {
    /// Bytes that the victim allocated and did not free.
    pub(crate) fn held(&self) -> i64 {
        self.meter(VICTIM).live
    }
}

/// By how many bytes `run` made the victim grow.
pub(crate) fn growth<T>(stage: &mut Stage, run: impl FnOnce(&mut Stage) -> T) -> (i64, T) {
    let before = stage.held();
    let value = run(stage);
    (stage.held() - before, value)
}

#[test]
fn what_is_held_is_counted_and_what_is_freed_is_not() {
    let mut meter = Meter::default();
    let block = meter.measure(|| vec![1_u8; 1000]);
    assert!(meter.live >= 1000, "{meter:?}");
    meter.measure(move || drop(block));
    assert!(meter.live == 0 && meter.total >= 1000, "{meter:?}");
}
