//! Values as few bytes: what a peer at rest is kept as.
//!
//! A peer that nobody talks to is mostly fields that are zero, and room for what is not there. [`Packer`] writes it as
//! one small record, and [`Unpacker`] makes the same peer of that. Nothing is left out: a value that cannot be written,
//! such as a message that waits, keeps its peer as it is. Records never leave the process, so their layout is free.
//!
//! Peers at rest are much alike. So there are two ways to write a value: whole, or *like* another one of its type that the
//! reader has. Then a record is what differs: how many numbers, flags and the like are the same, in the order in which all are
//! visited, then the next that is not, and so on.

mod lists;
mod shelf;
mod values;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

pub(crate) use shelf::Shelf;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A value that can be written into a record.
pub(crate) trait Pack: Sized {
    /// Writes it; `None` if it cannot be written, or does not fit.
    fn pack(&self, into: &mut Packer) -> Option<()>;

    /// Reads what [`pack`](Self::pack) wrote.
    fn unpack(from: &mut Unpacker<'_>) -> Option<Self>;

    /// Writes it for a reader who has `like`: by what it differs from that.
    fn pack_like(&self, _like: &Self, into: &mut Packer) -> Option<()> {
        into.own(self)
    }

    /// Reads what [`pack_like`](Self::pack_like) wrote.
    fn unpack_like(_like: &Self, from: &mut Unpacker<'_>) -> Option<Self> {
        // It never says that it is the same.
        if from.is_same() { None } else { from.own(Self::unpack) }
    }

    /// Writes so many.
    fn pack_array<const N: usize>(values: &[Self; N], into: &mut Packer) -> Option<()> {
        values.iter().try_for_each(|value| value.pack(into))
    }

    /// Reads what [`pack_array`](Self::pack_array) wrote.
    fn unpack_array<const N: usize>(from: &mut Unpacker<'_>) -> Option<[Self; N]> {
        all(core::array::from_fn(|_| Self::unpack(from)))
    }

    /// Writes so many by what they differ from others.
    fn pack_array_like<const N: usize>(
        values: &[Self; N],
        like: &[Self; N],
        into: &mut Packer,
    ) -> Option<()> {
        values.iter().zip(like).try_for_each(|(value, like)| value.pack_like(like, into))
    }

    /// Reads what [`pack_array_like`](Self::pack_array_like) wrote.
    fn unpack_array_like<const N: usize>(
        like: &[Self; N],
        from: &mut Unpacker<'_>,
    ) -> Option<[Self; N]> {
        all(like.each_ref().map(|like| Self::unpack_like(like, from)))
    }
}

/// All of them, if none is missing.
fn all<T, const N: usize>(values: [Option<T>; N]) -> Option<[T; N]> {
    let are_there = values.iter().all(Option::is_some);
    are_there.then(|| values.map(|value| value.expect("it was looked at")))
}

/// A value that was written. It may hold keys. The first byte tells how: [`WHOLE`] or [`LIKE`].
pub(crate) struct Packed(Box<[u8]>);

impl Drop for Packed {
    fn drop(&mut self) {
        (*self.0).zeroize();
    }
}

impl ZeroizeOnDrop for Packed {}

impl Packed {
    /// The value of which a [`Packer`] made the record.
    pub(crate) fn unpack<T: Pack>(&self) -> Option<T> {
        T::unpack(&mut Unpacker::new(self.bytes()))
    }

    fn bytes(&self) -> &[u8] {
        self.0.get(1..).unwrap_or_default()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.bytes().len()
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packed").field("len", &self.bytes().len()).finish_non_exhaustive()
    }
}

/// Writes records. Takes no memory before the first.
///
/// Most bytes are zeros: three or more are written as [`MANY`] and how many they are, and that byte itself as if it were
/// none of them. Arrays of bytes are keys, for the most part, and written as they are. Instants are close to each other, so
/// each is written as what it differs by from the one before.
#[derive(Default)]
pub(crate) struct Packer {
    /// As long as a record may be, once there was one: growing would leave keys behind.
    bytes: Vec<u8>,
    /// So many of them are written.
    len: usize,
    /// So many zeros come next.
    zeros: usize,
    /// So many values that were visited last are the same as those of what is alike.
    same: usize,
    /// The last instants that were visited.
    instants: Instants,
}

impl Packer {
    /// The record of a value; `None` if it cannot be written, or is too large for a record.
    pub(crate) fn pack<T: Pack>(&mut self, value: &T) -> Option<Packed> {
        self.pack_given(value, None)
    }

    /// The same; it is read with `like`, if there is one.
    fn pack_given<T: Pack>(&mut self, value: &T, like: Option<&T>) -> Option<Packed> {
        self.bytes.resize(LARGEST, 0);
        self.put(if like.is_some() { LIKE } else { WHOLE });
        let written = match like {
            Some(like) => value.pack_like(like, self),
            None => value.pack(self).and_then(|()| self.end_zeros()),
        };
        let bytes = &mut self.bytes[..self.len];
        let packed = written.map(|()| Packed(Box::from(&*bytes)));
        bytes.zeroize();
        (self.len, self.zeros, self.same, self.instants) = (0, 0, 0, Instants::default());
        packed
    }

    /// The next value is the same as that of what is alike.
    #[inline]
    pub(crate) const fn same(&mut self) {
        self.same += 1;
    }

    /// The next value is not: it follows.
    fn differs(&mut self) -> Option<()> {
        let mut same = core::mem::take(&mut self.same);
        while same >= MOST_SAME {
            self.put(MOST_SAME as u8)?;
            same -= MOST_SAME;
        }
        self.put(same as u8)
    }

    /// The next value is not: this is what it is.
    pub(crate) fn own<T: Pack>(&mut self, value: &T) -> Option<()> {
        self.differs()?;
        value.pack(self)?;
        self.end_zeros()
    }

    /// The next value is this, where that of what is alike is `like`.
    #[inline]
    pub(crate) fn plain<T: Pack + PartialEq>(&mut self, value: &T, like: &T) -> Option<()> {
        if value == like {
            self.same();
            return Some(());
        }
        self.own(value)
    }

    /// The next value is not: a number says what it is.
    fn number(&mut self, mut number: u64) -> Option<()> {
        self.differs()?;
        while number >= 0x80 {
            self.put(number as u8 | 0x80)?;
            number >>= 7;
        }
        self.put(number as u8)
    }

    /// Writes a byte.
    #[inline]
    pub(crate) fn byte(&mut self, byte: u8) -> Option<()> {
        if byte == 0 {
            self.zeros += 1;
            return Some(());
        }
        self.nonzero(byte)
    }

    fn nonzero(&mut self, byte: u8) -> Option<()> {
        if self.zeros > 0 {
            self.end_zeros()?;
        }
        self.put(byte)?;
        if byte == MANY { self.put(0) } else { Some(()) }
    }

    /// Writes bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Option<()> {
        self.end_zeros()?;
        let end = self.len + bytes.len();
        self.bytes.get_mut(self.len..end)?.copy_from_slice(bytes);
        self.len = end;
        Some(())
    }

    fn end_zeros(&mut self) -> Option<()> {
        let mut left = core::mem::take(&mut self.zeros);
        while left > 2 {
            let some = left.min(u8::MAX.into());
            self.put(MANY)?;
            self.put(some as u8)?;
            left -= some;
        }
        (0..left).try_for_each(|_| self.put(0))
    }

    #[inline]
    fn put(&mut self, byte: u8) -> Option<()> {
        *self.bytes.get_mut(self.len)? = byte;
        self.len += 1;
        Some(())
    }
}

impl fmt::Debug for Packer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Packer")
    }
}

/// The last instants that were written or read, in microseconds.
#[derive(Debug, Default)]
struct Instants {
    own: u64,
    /// That of what is alike.
    like: u64,
}

impl Instants {
    /// The instant that is as far from the one before it as `like` is from the one before that.
    const fn expect(&mut self, like: u64) -> u64 {
        let before = core::mem::replace(&mut self.like, like);
        self.own.wrapping_add(like.wrapping_sub(before))
    }
}

/// A small number for one that is little more or less than zero.
const fn zigzag(apart: u64) -> u64 {
    apart << 1 ^ ((apart as i64) >> 63) as u64
}

const fn unzigzag(number: u64) -> u64 {
    number >> 1 ^ (number & 1).wrapping_neg()
}

/// Reads a record.
#[derive(Debug)]
pub(crate) struct Unpacker<'r> {
    rest: &'r [u8],
    zeros: u8,
    /// So many values that come next are the same as those of what is alike.
    same: usize,
    instants: Instants,
    /// Secrets are read as zeros.
    is_discreet: bool,
}

impl<'r> Unpacker<'r> {
    const fn new(bytes: &'r [u8]) -> Self {
        let instants = Instants { own: 0, like: 0 };
        Self { rest: bytes, zeros: 0, same: 0, instants, is_discreet: false }
    }

    /// Reads what differs.
    fn like(bytes: &'r [u8]) -> Self {
        let mut unpacker = Self::new(bytes);
        unpacker.count_same();
        unpacker
    }
}

impl Unpacker<'_> {
    /// Whether the next value is the same as that of what is alike.
    #[inline]
    pub(crate) const fn is_same(&mut self) -> bool {
        if self.same == 0 {
            return false;
        }
        self.same -= 1;
        true
    }

    /// Reads a value that is not.
    pub(crate) fn own<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let value = read(self)?;
        self.count_same();
        Some(value)
    }

    /// Reads what [`Packer::plain`] wrote.
    #[inline]
    pub(crate) fn plain<T: Pack + Copy>(&mut self, like: &T) -> Option<T> {
        if self.is_same() { Some(*like) } else { self.own(T::unpack) }
    }

    /// Reads a number that says what a value is that is not.
    #[inline]
    fn number(&mut self) -> Option<u64> {
        self.own(|from| {
            let first = from.next()?;
            if first < 0x80 { Some(first.into()) } else { values::unpack_large(first, from) }
        })
    }

    /// What is left behind the last that differs is the same.
    fn count_same(&mut self) {
        self.same = 0;
        loop {
            let Some(some) = self.next() else {
                self.same = usize::MAX;
                return;
            };
            self.same += usize::from(some);
            if usize::from(some) < MOST_SAME {
                return;
            }
        }
    }

    /// The next byte.
    #[inline]
    pub(crate) fn byte(&mut self) -> Option<u8> {
        if self.zeros > 0 {
            self.zeros -= 1;
            return Some(0);
        }
        let byte = self.next()?;
        if byte != MANY {
            return Some(byte);
        }
        match self.next()? {
            0 => Some(MANY),
            zeros => {
                self.zeros = zeros - 1;
                Some(0)
            }
        }
    }

    /// So many bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &mut [u8]) -> Option<()> {
        // Zeros never go on into them.
        let (read, rest) = self.rest.split_at_checked(bytes.len())?;
        bytes.copy_from_slice(read);
        self.rest = rest;
        Some(())
    }

    /// So many bytes as they are, which are a secret.
    pub(crate) fn secret(&mut self, bytes: &mut [u8]) -> Option<()> {
        self.raw(bytes)?;
        if self.is_discreet {
            bytes.fill(0);
        }
        Some(())
    }

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }
}

/// What follows is a number of zeros, or 0: then it is this byte.
const MANY: u8 = 0xff;
/// How a record begins that is read as it is, and one that is read with what is alike.
const WHOLE: u8 = 0;
const LIKE: u8 = 1;
/// So many and more that are the same are counted in another byte.
const MOST_SAME: usize = 255;
/// The most bytes of a record.
const LARGEST: usize = 2048;

/// Says how a struct with named fields is written: field by field.
macro_rules! pack {
    ($name:ident $(<$param:ident>)?: $($field:ident),+ $(,)?) => {
        impl $(<$param: Copy + $crate::pack::Pack>)? $crate::pack::Pack for $name $(<$param>)? {
            fn pack(&self, into: &mut $crate::pack::Packer) -> Option<()> {
                let Self { $($field),+ } = self;
                $($crate::pack::Pack::pack($field, into)?;)+
                Some(())
            }

            fn unpack(from: &mut $crate::pack::Unpacker<'_>) -> Option<Self> {
                Some(Self { $($field: $crate::pack::Pack::unpack(from)?),+ })
            }

            fn pack_like(&self, like: &Self, into: &mut $crate::pack::Packer) -> Option<()> {
                let Self { $($field),+ } = self;
                $($crate::pack::Pack::pack_like($field, &like.$field, into)?;)+
                Some(())
            }

            fn unpack_like(like: &Self, from: &mut $crate::pack::Unpacker<'_>) -> Option<Self> {
                Some(Self { $($field: $crate::pack::Pack::unpack_like(&like.$field, from)?),+ })
            }
        }
    };
}

/// Says how an enum without fields is written.
macro_rules! pack_enum {
    ($name:ident: $($variant:ident),+ $(,)?) => {
        impl $crate::pack::Pack for $name {
            fn pack(&self, into: &mut $crate::pack::Packer) -> Option<()> {
                // Every variant is named here.
                match self { $(Self::$variant => {})+ }
                let all = [$(Self::$variant),+];
                into.byte(all.iter().position(|one| one == self)? as u8)
            }

            fn unpack(from: &mut $crate::pack::Unpacker<'_>) -> Option<Self> {
                [$(Self::$variant),+].into_iter().nth(from.byte()?.into())
            }

            $crate::pack::pack_plain!();
        }
    };
}

/// Says that a value of this type is never written: it is work that is not done.
macro_rules! pack_never {
    ($($name:ty),+ $(,)?) => {$(
        impl $crate::pack::Pack for $name {
            fn pack(&self, _: &mut $crate::pack::Packer) -> Option<()> {
                None
            }

            fn unpack(_: &mut $crate::pack::Unpacker<'_>) -> Option<Self> {
                None
            }
        }
    )+};
}

/// Says in an implementation of [`Pack`] that a value is written whole, or not at all if it is the same.
macro_rules! pack_plain {
    () => {
        fn pack_like(&self, like: &Self, into: &mut $crate::pack::Packer) -> Option<()> {
            into.plain(self, like)
        }

        fn unpack_like(like: &Self, from: &mut $crate::pack::Unpacker<'_>) -> Option<Self> {
            from.plain(like)
        }
    };
}

/// Says how a type with one unnamed field is written: as that.
macro_rules! pack_as {
    ($name:ident: $inner:ty) => {
        impl $crate::pack::Pack for $name {
            fn pack(&self, into: &mut $crate::pack::Packer) -> Option<()> {
                $crate::pack::Pack::pack(&self.0, into)
            }

            fn unpack(from: &mut $crate::pack::Unpacker<'_>) -> Option<Self> {
                <$inner as $crate::pack::Pack>::unpack(from).map(Self)
            }

            fn pack_like(&self, like: &Self, into: &mut $crate::pack::Packer) -> Option<()> {
                $crate::pack::Pack::pack_like(&self.0, &like.0, into)
            }

            fn unpack_like(like: &Self, from: &mut $crate::pack::Unpacker<'_>) -> Option<Self> {
                <$inner as $crate::pack::Pack>::unpack_like(&like.0, from).map(Self)
            }
        }
    };
}

pub(crate) use {pack, pack_as, pack_enum, pack_never, pack_plain};

#[cfg(test)]
mod tests {
    use alloc::collections::{BTreeMap, VecDeque};
    use core::net::{IpAddr, SocketAddr};
    use core::time::Duration;
    use std::format;

    use proptest::prelude::*;
    use slab::Slab;

    use super::*;
    use crate::tests::values::assert_wiped;
    use crate::time::Instant;

    fn through<T: Pack>(value: &T) -> Option<T> {
        let mut shelf = Shelf::default();
        let packed = shelf.pack(value)?;
        shelf.unpack(&packed)
    }

    proptest! {
        /// Whatever is written is read as it was, and zeros cost next to nothing.
        #[test]
        fn what_is_written_is_read(
            numbers: Vec<u64>,
            bytes in prop::array::uniform32(prop_oneof![any::<u8>(), Just(0), Just(MANY)]),
            zeros in 0usize..1500,
            map: BTreeMap<u16, Option<u32>>,
            micros in prop::collection::vec(prop_oneof![1..u64::MAX / 4, Just(u64::MAX)], 0..8),
            span: (u32, u32),
            places: Vec<(IpAddr, u16)>,
        ) {
            let instants: Vec<_> = micros.into_iter().map(Instant::from_micros).collect();
            let span = Duration::new(span.0.into(), span.1 % 1_000_000_000);
            let places: Vec<_> = places.into_iter().map(SocketAddr::from).collect();
            let value = ((numbers.clone(), bytes, map), (instants, span), places);
            if let Some(same) = through(&value) {
                prop_assert_eq!(&same, &value);
            } else {
                let most = numbers.len() * 10 + value.0.2.len() * 9 + value.2.len() * 21;
                prop_assert!(most + 300 > LARGEST, "{} bytes at most", most + 300);
            }
            let nothing: VecDeque<u8> = (0..zeros).map(|_| 0).collect();
            let mut shelf = Shelf::default();
            let packed = shelf.pack(&nothing).expect("small");
            prop_assert!(packed.len() <= 6 + 2 * zeros.div_ceil(255));
            prop_assert_eq!(shelf.unpack(&packed), Some(nothing));
        }
    }

    #[test]
    fn what_is_too_large_is_not_written_and_the_next_one_is_none_the_worse() {
        let mut packer = Packer::default();
        assert!(packer.pack(&[0x55_u8; LARGEST + 1].to_vec()).is_none());
        let packed = packer.pack(&(7_u64, Instant::MAX)).expect("small");
        let mut from = Unpacker::new(packed.bytes());
        assert_eq!(Pack::unpack(&mut from), Some((7_u64, Instant::MAX)));
        assert_eq!(u64::unpack(&mut from), None, "it ends before that");
    }

    /// Keys are in it.
    #[test]
    fn a_record_does_not_show_what_is_in_it() {
        let mut packer = Packer::default();
        let packed = packer.pack(&[0x55_u8; 32]).expect("small");
        assert_wiped(&packed);
        assert_eq!(format!("{packed:?} {packer:?}"), "Packed { len: 32, .. } Packer");
        assert_eq!(packer.bytes, [0; LARGEST]);
    }

    #[test]
    fn places_in_a_slab_stay() {
        let mut slab: Slab<u32> = (0..5).map(|place| (place, place as u32 * 3)).collect();
        slab.remove(2);
        slab.remove(0);
        let same = through(&slab).expect("small");
        assert_eq!(same.iter().collect::<Vec<_>>(), slab.iter().collect::<Vec<_>>());
    }
}
