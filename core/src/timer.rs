//! Deadlines: a few per peer, and the earliest one of every peer.

use alloc::vec::Vec;

use crate::pack::{Pack, Packer, Unpacker};
use crate::time::Instant;

/// What a peer's timers are for: a fieldless enum of `N` kinds.
pub(crate) trait TimerKind<const N: usize>: Copy {
    /// Every kind, each at its own `index`.
    const ALL: [Self; N];

    /// The place of this kind in `ALL`.
    fn index(self) -> usize;
}

/// One optional deadline for each of `N` kinds. The end of time stands for none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timers<const N: usize> {
    deadlines: [Instant; N],
    /// The earliest of them: it is asked for much more often than it moves.
    first: Instant,
}

impl<const N: usize> Pack for Timers<N> {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        self.deadlines.pack(into)?;
        self.first.pack(into)
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        Some(Self { deadlines: Pack::unpack(from)?, first: Pack::unpack(from)? })
    }

    fn pack_like(&self, like: &Self, into: &mut Packer) -> Option<()> {
        self.deadlines.pack_like(&like.deadlines, into)?;
        self.first.pack_like(&like.first, into)
    }

    fn unpack_like(like: &Self, from: &mut Unpacker<'_>) -> Option<Self> {
        let deadlines = Pack::unpack_like(&like.deadlines, from)?;
        Some(Self { deadlines, first: Pack::unpack_like(&like.first, from)? })
    }
}

impl<const N: usize> Timers<N> {
    /// No timer is set.
    pub(crate) const fn new() -> Self {
        Self { deadlines: [Instant::MAX; N], first: Instant::MAX }
    }

    /// Sets the deadline of `kind`, or clears it.
    #[inline]
    pub(crate) fn set<K: TimerKind<N>>(&mut self, kind: K, deadline: Option<Instant>) {
        let deadline = deadline.unwrap_or(Instant::MAX);
        let before = core::mem::replace(&mut self.deadlines[kind.index()], deadline);
        if deadline <= self.first {
            self.first = deadline;
        } else if before == self.first {
            self.first = self.deadlines.into_iter().fold(Instant::MAX, Instant::min);
        }
    }

    /// Clears the deadline of `kind`.
    pub(crate) fn clear<K: TimerKind<N>>(&mut self, kind: K) {
        self.set(kind, None);
    }

    /// The deadline of `kind`.
    pub(crate) fn get<K: TimerKind<N>>(&self, kind: K) -> Option<Instant> {
        set(self.deadlines[kind.index()])
    }

    /// The earliest deadline.
    pub(crate) fn min(&self) -> Option<Instant> {
        set(self.first)
    }

    /// The kind whose deadline is earliest, if `now` has reached it; ties go to the first in `ALL`.
    ///
    /// The deadline is cleared before the caller acts on it, so a handler that sets its own timer
    /// again is heard, and one that forgets to cannot fire for ever.
    pub(crate) fn take_due<K: TimerKind<N>>(&mut self, now: Instant) -> Option<K> {
        self.min().filter(|deadline| *deadline <= now)?;
        let due = |kind: &K| self.get(*kind).filter(|deadline| *deadline <= now);
        let (_, kind) =
            K::ALL.into_iter().filter_map(|kind| Some((due(&kind)?, kind))).min_by_key(|d| d.0)?;
        self.clear(kind);
        Some(kind)
    }
}

fn set(deadline: Instant) -> Option<Instant> {
    (deadline != Instant::MAX).then_some(deadline)
}

/// The earlier of two deadlines, as far as there are any.
#[inline]
pub(crate) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    set(one.unwrap_or(Instant::MAX).min(other.unwrap_or(Instant::MAX)))
}

/// The earliest deadline of many peers: a 4-ary heap that knows where each slot is, so a peer's
/// deadline moves in O(log n) and leaves no stale entry behind. 16 bytes a slot.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    /// The heap's keys, apart from the slots: the four children of a node share a cache line.
    keys: Vec<Instant>,
    /// The slot of each key.
    slots: Vec<u32>,
    /// Where each slot is in the heap, or `ABSENT`.
    positions: Vec<u32>,
}

impl Deadlines {
    /// No deadline is set; allocates nothing.
    pub(crate) const fn new() -> Self {
        Self { keys: Vec::new(), slots: Vec::new(), positions: Vec::new() }
    }

    /// The earliest deadline and its slot; equal deadlines come in the order of their slots.
    pub(crate) fn peek(&self) -> Option<(Instant, u32)> {
        Some((*self.keys.first()?, *self.slots.first()?))
    }

    /// The earliest deadline of all slots but this one.
    #[inline]
    pub(crate) fn first_beside(&self, slot: u32) -> Option<Instant> {
        if self.slots.first() != Some(&slot) {
            return self.keys.first().copied();
        }
        // All others are behind these.
        self.keys.iter().skip(1).take(ARITY).min().copied()
    }

    #[cfg(test)]
    /// The deadline of `slot`.
    pub(crate) fn get(&self, slot: u32) -> Option<Instant> {
        self.keys.get(self.position(slot)?).copied()
    }

    /// Sets, moves or (with `None`) removes the deadline of `slot`.
    ///
    /// Slots must be dense: memory grows with the highest slot seen.
    pub(crate) fn set(&mut self, slot: u32, deadline: Option<Instant>) {
        match (self.position(slot), deadline) {
            (Some(at), Some(deadline)) => {
                if self.keys[at] != deadline {
                    self.keys[at] = deadline;
                    self.restore(at);
                }
            }
            (Some(at), None) => self.remove(at),
            (None, Some(deadline)) => self.push(slot, deadline),
            (None, None) => {}
        }
    }

    fn position(&self, slot: u32) -> Option<usize> {
        self.positions.get(slot as usize).filter(|at| **at != ABSENT).map(|at| *at as usize)
    }

    fn push(&mut self, slot: u32, deadline: Instant) {
        if self.positions.len() <= slot as usize {
            self.positions.resize(slot as usize + 1, ABSENT);
        }
        let at = self.keys.len();
        self.keys.push(deadline);
        self.slots.push(slot);
        self.positions[slot as usize] = heap_position(at);
        self.sift_up(at);
    }

    fn remove(&mut self, at: usize) {
        self.positions[self.slots[at] as usize] = ABSENT;
        self.keys.swap_remove(at);
        self.slots.swap_remove(at);
        if at < self.keys.len() {
            self.positions[self.slots[at] as usize] = heap_position(at);
            self.restore(at);
        }
    }

    /// Moves a node whose key changed, whichever way it must go.
    fn restore(&mut self, at: usize) {
        if self.sift_up(at) == at {
            self.sift_down(at);
        }
    }

    fn sift_up(&mut self, mut at: usize) -> usize {
        while at > 0 {
            let parent = (at - 1) / ARITY;
            if self.order(parent) <= self.order(at) {
                break;
            }
            self.swap(at, parent);
            at = parent;
        }
        at
    }

    fn sift_down(&mut self, mut at: usize) {
        loop {
            let first = at * ARITY + 1;
            let children = first..(first + ARITY).min(self.keys.len());
            let Some(least) = children.min_by_key(|child| self.order(*child)) else { return };
            if self.order(at) <= self.order(least) {
                return;
            }
            self.swap(at, least);
            at = least;
        }
    }

    fn order(&self, at: usize) -> (Instant, u32) {
        (self.keys[at], self.slots[at])
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.keys.swap(a, b);
        self.slots.swap(a, b);
        self.positions[self.slots[a] as usize] = heap_position(a);
        self.positions[self.slots[b] as usize] = heap_position(b);
    }
}

/// A place in the heap as it is stored. There are never more nodes than slots.
fn heap_position(at: usize) -> u32 {
    u32::try_from(at).expect("slots are u32, so is their number")
}

const ARITY: usize = 4;
const ABSENT: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Kind {
        First,
        Second,
        Third,
    }

    impl TimerKind<3> for Kind {
        const ALL: [Self; 3] = [Self::First, Self::Second, Self::Third];

        fn index(self) -> usize {
            self as usize
        }
    }

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    #[test]
    fn due_timers_fire_once_in_the_order_of_their_deadlines() {
        let mut timers = Timers::<3>::new();
        timers.set(Kind::First, Some(at(30)));
        timers.set(Kind::Second, Some(at(10)));
        timers.set(Kind::Third, Some(at(10)));
        assert_eq!(timers.min(), Some(at(10)));
        assert_eq!(timers.take_due::<Kind>(at(9)), None);
        assert_eq!(timers.take_due(at(10)), Some(Kind::Second), "due means at the deadline");
        assert_eq!(timers.get(Kind::Second), None);
        assert_eq!(timers.take_due(at(99)), Some(Kind::Third));
        assert_eq!(timers.take_due(at(99)), Some(Kind::First));
        assert_eq!(timers.take_due::<Kind>(at(99)), None);
    }

    proptest! {
        /// The earliest is right whatever is set, moved and cleared.
        #[test]
        fn timers_agree_with_a_list(
            steps in prop::collection::vec((0usize..3, prop::option::of(1u64..20)), 1..60),
        ) {
            let (mut timers, mut model) = (Timers::<3>::new(), [None; 3]);
            for (kind, deadline) in steps {
                timers.set(Kind::ALL[kind], deadline.map(at));
                model[kind] = deadline.map(at);
                prop_assert_eq!(timers.min(), model.into_iter().flatten().min());
                prop_assert_eq!(timers.get(Kind::ALL[kind]), model[kind]);
            }
            let mut fired = Vec::new();
            while let Some(kind) = timers.take_due::<Kind>(at(99)) {
                fired.push(model[kind.index()]);
            }
            prop_assert!(fired.is_sorted());
            prop_assert_eq!(fired.len(), model.into_iter().flatten().count());
            prop_assert_eq!(earlier(model[0], model[1]), model[0].into_iter().chain(model[1]).min());
        }

        #[test]
        fn the_heap_agrees_with_a_sorted_map(
            operations in prop::collection::vec((0u32..40, prop::option::of(1u64..50)), 1..400),
        ) {
            let mut heap = Deadlines::new();
            let mut model = BTreeMap::new();
            for (slot, deadline) in operations {
                heap.set(slot, deadline.map(at));
                match deadline {
                    Some(deadline) => model.insert(slot, at(deadline)),
                    None => model.remove(&slot),
                };
                let earliest = model.iter().map(|(slot, deadline)| (*deadline, *slot)).min();
                prop_assert_eq!(heap.peek(), earliest);
                let beside = model.iter().filter(|(other, _)| **other != slot).map(|(_, at)| *at);
                prop_assert_eq!(heap.first_beside(slot), beside.min());
                prop_assert_eq!(heap.get(slot), model.get(&slot).copied());
            }
            let mut drained = Vec::new();
            while let Some((deadline, slot)) = heap.peek() {
                drained.push((deadline, slot));
                heap.set(slot, None);
            }
            let mut sorted: Vec<_> = model.into_iter().map(|(slot, at)| (at, slot)).collect();
            sorted.sort_unstable();
            prop_assert_eq!(drained, sorted);
        }
    }
}
