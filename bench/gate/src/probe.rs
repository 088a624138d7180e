//! The two functions that valgrind looks for by name.

use std::hint::black_box;

/// Runs `operation`. Valgrind counts instructions inside this function only.
#[inline(never)]
pub(crate) fn counted<R>(operation: impl FnOnce() -> R) -> R {
    // A tail call would leave this function before the operation runs.
    black_box(operation())
}

/// Says that a row is complete: valgrind writes what it counted, and starts again from zero.
#[inline(never)]
pub(crate) fn row_ends() {
    black_box(());
}

/// The name of [`counted`] in a profile, whatever the operation.
pub(crate) const COUNTED: &str = "handfast_gate::probe::counted";

/// The name of [`row_ends`] in a profile.
pub(crate) const ROW_ENDS: &str = "handfast_gate::probe::row_ends";
