//! Values as few bytes: what a peer at rest is kept as.
//!
//! A peer that nobody talks to is mostly fields that are zero, and room for what is not there. [`Packer`] writes it as
//! one small record, and [`Unpacker`] makes the same peer of that. Nothing is left out: a value that cannot be written,
//! such as a message that waits, keeps its peer as it is. Records never leave the process, so their layout is free.

mod shelf;
mod values;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

pub(crate) use shelf::Shelf;
use smallvec::SmallVec;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A value that can be written into a record.
pub(crate) trait Pack: Sized {
    /// Writes it; `None` if it cannot be written, or does not fit.
    fn pack(&self, into: &mut Packer) -> Option<()>;

    /// Reads what [`pack`](Self::pack) wrote.
    fn unpack(from: &mut Unpacker<'_>) -> Option<Self>;

    /// Writes so many.
    fn pack_array<const N: usize>(values: &[Self; N], into: &mut Packer) -> Option<()> {
        values.iter().try_for_each(|value| value.pack(into))
    }

    /// Reads what [`pack_array`](Self::pack_array) wrote.
    fn unpack_array<const N: usize>(from: &mut Unpacker<'_>) -> Option<[Self; N]> {
        let values: SmallVec<[Self; N]> =
            core::iter::repeat_with(|| Self::unpack(from)).take(N).collect::<Option<_>>()?;
        values.into_inner().ok()
    }
}

/// A value that was written. It may hold keys. The first byte tells a [`Shelf`] how.
pub(crate) struct Packed(Box<[u8]>);

impl Drop for Packed {
    fn drop(&mut self) {
        (*self.0).zeroize();
    }
}

impl ZeroizeOnDrop for Packed {}

impl Packed {
    /// The value of which the record was made.
    pub(crate) fn unpack<T: Pack>(&self) -> Option<T> {
        self.begin(T::unpack)
    }

    /// What `read` makes of the beginning of the record.
    pub(crate) fn begin<T>(&self, read: impl FnOnce(&mut Unpacker<'_>) -> T) -> T {
        read(&mut Unpacker::new(self.bytes()))
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
    /// In microseconds, the last that was written.
    instant: u64,
}

impl Packer {
    /// The record of a value; `None` if it cannot be written, or is too large for a record.
    pub(crate) fn pack<T: Pack>(&mut self, value: &T) -> Option<Packed> {
        self.bytes.resize(LARGEST, 0);
        self.put(WHOLE);
        let written = value.pack(self).and_then(|()| self.end_zeros());
        let bytes = &mut self.bytes[..self.len];
        let packed = written.map(|()| Packed(Box::from(&*bytes)));
        bytes.zeroize();
        (self.len, self.zeros, self.instant) = (0, 0, 0);
        packed
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

/// Reads a record.
#[derive(Debug)]
pub(crate) struct Unpacker<'r> {
    rest: &'r [u8],
    zeros: u8,
    instant: u64,
}

impl<'r> Unpacker<'r> {
    const fn new(bytes: &'r [u8]) -> Self {
        Self { rest: bytes, zeros: 0, instant: 0 }
    }
}

impl Unpacker<'_> {
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

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }
}

/// What follows is a number of zeros, or 0: then it is this byte.
const MANY: u8 = 0xff;
/// How a record begins that is read as it is.
const WHOLE: u8 = 0;
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

pub(crate) use {pack, pack_enum, pack_never};

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
        Packer::default().pack(value).and_then(|packed| packed.unpack())
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
            let packed = Packer::default().pack(&nothing).expect("small");
            prop_assert!(packed.len() <= 6 + 2 * zeros.div_ceil(255));
            prop_assert_eq!(packed.unpack::<VecDeque<u8>>(), Some(nothing));
        }
    }

    #[test]
    fn what_is_too_large_is_not_written_and_the_next_one_is_none_the_worse() {
        let mut packer = Packer::default();
        assert!(packer.pack(&[0x55_u8; LARGEST + 1].to_vec()).is_none());
        let packed = packer.pack(&(7_u64, Instant::MAX)).expect("small");
        assert_eq!(packed.unpack(), Some((7_u64, Instant::MAX)));
        assert!(packed.unpack::<(u64, (u64, u64))>().is_none(), "it ends before that");
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
