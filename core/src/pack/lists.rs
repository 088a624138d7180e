//! How lists, sets and maps are written: how many are in it, then one after the other.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use slab::Slab;
use smallvec::{Array, SmallVec};

use super::{Pack, Packer, Unpacker};

fn pack_all<'v, T: Pack + 'v>(
    values: impl ExactSizeIterator<Item = &'v T>,
    into: &mut Packer,
) -> Option<()> {
    values.len().pack(into)?;
    let mut values = values;
    values.try_for_each(|value| value.pack(into))
}

fn unpack_all<T: Pack, C: FromIterator<T>>(from: &mut Unpacker<'_>) -> Option<C> {
    let len = usize::unpack(from)?;
    core::iter::repeat_with(|| T::unpack(from)).take(len).collect()
}

/// One after the other, each by what it differs from the one in its place.
fn pack_all_like<'v, T: Pack + 'v>(
    values: impl ExactSizeIterator<Item = &'v T>,
    like: impl ExactSizeIterator<Item = &'v T>,
    into: &mut Packer,
) -> Option<()> {
    values.len().pack_like(&like.len(), into)?;
    let mut like = like;
    let mut values = values;
    values.try_for_each(|value| match like.next() {
        Some(like) => value.pack_like(like, into),
        None => into.own(value),
    })
}

fn unpack_all_like<'v, T: Pack + 'v, C: FromIterator<T>>(
    like: impl ExactSizeIterator<Item = &'v T>,
    from: &mut Unpacker<'_>,
) -> Option<C> {
    let len = usize::unpack_like(&like.len(), from)?;
    let mut like = like;
    let next = || match like.next() {
        Some(like) => T::unpack_like(like, from),
        None if from.is_same() => None,
        None => from.own(T::unpack),
    };
    core::iter::repeat_with(next).take(len).collect()
}

/// How what is `like` another list is written and read.
macro_rules! pack_list_like {
    () => {
        fn pack_like(&self, like: &Self, into: &mut Packer) -> Option<()> {
            pack_all_like(self.iter(), like.iter(), into)
        }

        fn unpack_like(like: &Self, from: &mut Unpacker<'_>) -> Option<Self> {
            unpack_all_like(like.iter(), from)
        }
    };
}

macro_rules! pack_list {
    ($($list:ident),+) => {$(
        impl<T: Pack> Pack for $list<T> {
            fn pack(&self, into: &mut Packer) -> Option<()> {
                pack_all(self.iter(), into)
            }

            fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
                unpack_all(from)
            }

            pack_list_like!();
        }
    )+};
}

pack_list!(Vec, VecDeque);

impl<A: Array> Pack for SmallVec<A>
where
    A::Item: Pack,
{
    fn pack(&self, into: &mut Packer) -> Option<()> {
        pack_all(self.iter(), into)
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        unpack_all(from)
    }

    pack_list_like!();
}

impl<T: Pack + Ord> Pack for BTreeSet<T> {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        pack_all(self.iter(), into)
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        unpack_all(from)
    }

    pack_list_like!();
}

impl<K: Pack + Ord, V: Pack> Pack for BTreeMap<K, V> {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        self.len().pack(into)?;
        self.iter().try_for_each(|(key, value)| {
            key.pack(into)?;
            value.pack(into)
        })
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        unpack_all(from)
    }

    fn pack_like(&self, like: &Self, into: &mut Packer) -> Option<()> {
        self.len().pack_like(&like.len(), into)?;
        let mut like = like.iter();
        self.iter().try_for_each(|(key, value)| match like.next() {
            Some((like, alike)) => {
                key.pack_like(like, into)?;
                value.pack_like(alike, into)
            }
            None => {
                into.own(key)?;
                into.own(value)
            }
        })
    }

    fn unpack_like(like: &Self, from: &mut Unpacker<'_>) -> Option<Self> {
        let len = usize::unpack_like(&like.len(), from)?;
        let mut like = like.iter();
        let next = || match like.next() {
            Some((like, alike)) => {
                Some((K::unpack_like(like, from)?, V::unpack_like(alike, from)?))
            }
            None if from.is_same() => None,
            None => Some((from.own(K::unpack)?, from.own(V::unpack)?)),
        };
        core::iter::repeat_with(next).take(len).collect()
    }
}

/// What is in it keeps its place. Nearly all have nothing.
impl<T: Pack> Pack for Slab<T> {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        self.len().pack(into)?;
        self.iter().try_for_each(|(place, value)| {
            place.pack(into)?;
            value.pack(into)
        })
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        unpack_all(from)
    }

    fn pack_like(&self, like: &Self, into: &mut Packer) -> Option<()> {
        if self.is_empty() && like.is_empty() {
            into.same();
            return Some(());
        }
        into.own(self)
    }

    fn unpack_like(_: &Self, from: &mut Unpacker<'_>) -> Option<Self> {
        if from.is_same() { Some(Self::new()) } else { from.own(Self::unpack) }
    }
}
