//! Counting what code allocates, for tests that say how much memory something may take.
//!
//! A test binary installs [`Counting`] as its global allocator; [`Meter`] then tells what one
//! thread did. Counts are per thread, since tests run beside each other in one process.

#![allow(unsafe_code, reason = "an allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, counting.
#[derive(Debug)]
pub struct Counting;

/// What a thread allocated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    /// Bytes allocated and not freed, as asked for. Negative if more was freed than allocated: what
    /// one part of a program frees another may have allocated.
    pub live: i64,
    /// Bytes ever allocated, what was moved to grow included.
    pub total: u64,
}

thread_local! {
    static METER: Cell<Meter> = const { Cell::new(Meter { live: 0, total: 0 }) };
}

impl Meter {
    /// What this thread allocated so far. All zeros without [`Counting`].
    #[must_use]
    pub fn read() -> Self {
        METER.get()
    }

    /// Runs `work` and adds to this meter what it allocated and freed.
    pub fn measure<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let before = Self::read();
        let result = work();
        let after = Self::read();
        self.live += after.live - before.live;
        self.total += after.total - before.total;
        result
    }
}

fn count(allocated: usize, freed: usize) {
    // A thread that ends may free after its own storage is gone.
    let _gone = METER.try_with(|meter| {
        let Meter { live, total } = meter.get();
        let (allocated, freed) = (allocated as u64, freed as u64);
        let live = live.wrapping_add_unsigned(allocated).wrapping_sub_unsigned(freed);
        meter.set(Meter { live, total: total.wrapping_add(allocated) });
    });
}

// SAFETY: every call goes to the system's allocator unchanged; counting neither allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller keeps the same promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller keeps the same promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: the caller keeps the same promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size, layout.size());
        // SAFETY: the caller keeps the same promises.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}
