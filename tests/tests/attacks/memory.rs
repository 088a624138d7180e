//! A test that floods an endpoint sees whether this thread grew.

use handfast_tests::memory::{Counting, Meter};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that this thread allocated and did not free.
pub(crate) fn held() -> isize {
    isize::try_from(Meter::read().live).expect("as many bits")
}

/// By how many bytes `run` made this thread grow.
pub(crate) fn growth<T>(run: impl FnOnce() -> T) -> (isize, T) {
    let before = held();
    let value = run();
    (held() - before, value)
}

#[test]
fn what_is_held_is_counted_and_what_is_freed_is_not() {
    let (grown, block) = growth(|| vec![1_u8; 1000]);
    assert!(grown >= 1000, "{grown}");
    let (grown, ()) = growth(move || drop(block));
    assert!(grown <= -1000, "{grown}");
}
