//! How numbers, times, lists and addresses are written.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use core::ops::Range;
use core::time::Duration;

use slab::Slab;
use smallvec::{Array, SmallVec};
use zeroize::Zeroizing;

use super::{Pack, Packer, Unpacker};
use crate::time::Instant;

impl Pack for u8 {
    #[inline]
    fn pack(&self, into: &mut Packer) -> Option<()> {
        into.byte(*self)
    }

    #[inline]
    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        from.byte()
    }

    fn pack_array<const N: usize>(values: &[Self; N], into: &mut Packer) -> Option<()> {
        into.raw(values)
    }

    fn unpack_array<const N: usize>(from: &mut Unpacker<'_>) -> Option<[Self; N]> {
        let mut bytes = [0; N];
        from.raw(&mut bytes)?;
        Some(bytes)
    }
}

/// Seven bits a byte, the lowest first; all but the last have the highest bit. Most are one byte.
impl Pack for u64 {
    #[inline]
    fn pack(&self, into: &mut Packer) -> Option<()> {
        if *self < 0x80 { into.byte(*self as u8) } else { pack_large(*self, into) }
    }

    #[inline]
    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        let first = from.byte()?;
        if first < 0x80 { Some(first.into()) } else { unpack_large(first, from) }
    }
}

/// Only the first byte of a number can be one of many zeros: the others are written as they are.
fn pack_large(value: u64, into: &mut Packer) -> Option<()> {
    into.byte(value as u8 | 0x80)?;
    let (mut left, mut bytes, mut len) = (value >> 7, [0; 9], 0);
    while left >= 0x80 {
        *bytes.get_mut(len)? = left as u8 | 0x80;
        left >>= 7;
        len += 1;
    }
    *bytes.get_mut(len)? = left as u8;
    into.raw(bytes.get(..=len)?)
}

fn unpack_large(first: u8, from: &mut Unpacker<'_>) -> Option<u64> {
    let (mut value, mut shift) = (u64::from(first & 0x7f), 7);
    loop {
        let byte = from.next()?;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(value);
        }
        shift += 7;
    }
}

macro_rules! pack_number {
    ($($number:ty),+) => {$(
        impl Pack for $number {
            #[inline]
            fn pack(&self, into: &mut Packer) -> Option<()> {
                u64::try_from(*self).ok()?.pack(into)
            }

            #[inline]
            fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
                u64::unpack(from)?.try_into().ok()
            }
        }
    )+};
}

pack_number!(u16, u32, usize);

impl Pack for bool {
    #[inline]
    fn pack(&self, into: &mut Packer) -> Option<()> {
        into.byte((*self).into())
    }

    #[inline]
    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        Some(from.byte()? != 0)
    }
}

/// By what it differs from the one before, the sign in the lowest bit. The end of time, which is nearly as frequent as all
/// others, is 0.
impl Pack for Instant {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        if *self == Self::MAX {
            return 0_u64.pack(into);
        }
        let before = core::mem::replace(&mut into.instant, self.as_micros());
        let later = self.as_micros() >= before;
        let apart = self.as_micros().abs_diff(before);
        apart.checked_mul(2)?.checked_add(1 + u64::from(later))?.pack(into)
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        let Some(written) = u64::unpack(from)?.checked_sub(1) else { return Some(Self::MAX) };
        let (apart, before) = (written / 2, from.instant);
        let later = written % 2 == 1;
        from.instant =
            if later { before.checked_add(apart)? } else { before.checked_sub(apart)? };
        Some(Self::from_micros(from.instant))
    }
}

/// Nearly all are whole microseconds.
impl Pack for Duration {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        let micros = u64::try_from(self.as_micros()).ok()?;
        (micros, (self.subsec_nanos() % 1000) as u16).pack(into)
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        let (micros, nanos): (_, u16) = Pack::unpack(from)?;
        Some(Self::from_micros(micros) + Self::from_nanos(nanos.into()))
    }
}

impl<T: Pack> Pack for Option<T> {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        self.is_some().pack(into)?;
        self.iter().try_for_each(|value| value.pack(into))
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        if bool::unpack(from)? { T::unpack(from).map(Some) } else { Some(None) }
    }
}

impl<T: Pack> Pack for Box<T> {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        (**self).pack(into)
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        T::unpack(from).map(Self::new)
    }
}

/// Secrets are read to where they stay.
impl<const N: usize> Pack for Zeroizing<[u8; N]> {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        (**self).pack(into)
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        let mut secret = Self::new([0; N]);
        from.raw(&mut *secret)?;
        Some(secret)
    }
}

impl<T: Pack, const N: usize> Pack for [T; N] {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        T::pack_array(self, into)
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        T::unpack_array(from)
    }
}

impl<A: Pack, B: Pack> Pack for (A, B) {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        self.0.pack(into)?;
        self.1.pack(into)
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        Some((A::unpack(from)?, B::unpack(from)?))
    }
}

impl<A: Pack, B: Pack, C: Pack> Pack for (A, B, C) {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        self.0.pack(into)?;
        self.1.pack(into)?;
        self.2.pack(into)
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        Some((A::unpack(from)?, B::unpack(from)?, C::unpack(from)?))
    }
}

impl<T: Pack> Pack for Range<T> {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        self.start.pack(into)?;
        self.end.pack(into)
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        Some(T::unpack(from)?..T::unpack(from)?)
    }
}

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

macro_rules! pack_list {
    ($($list:ident),+) => {$(
        impl<T: Pack> Pack for $list<T> {
            fn pack(&self, into: &mut Packer) -> Option<()> {
                pack_all(self.iter(), into)
            }

            fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
                unpack_all(from)
            }
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
}

impl<T: Pack + Ord> Pack for BTreeSet<T> {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        pack_all(self.iter(), into)
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        unpack_all(from)
    }
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
}

/// What is in it keeps its place.
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
}

impl Pack for IpAddr {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        self.is_ipv6().pack(into)?;
        match self {
            Self::V4(address) => address.octets().pack(into),
            Self::V6(address) => address.octets().pack(into),
        }
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        if bool::unpack(from)? {
            <[u8; 16]>::unpack(from).map(Self::from)
        } else {
            <[u8; 4]>::unpack(from).map(Self::from)
        }
    }
}

impl Pack for SocketAddr {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        self.ip().pack(into)?;
        self.port().pack(into)?;
        match self {
            Self::V4(_) => Some(()),
            Self::V6(address) => (address.flowinfo(), address.scope_id()).pack(into),
        }
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        Some(match Pack::unpack(from)? {
            (IpAddr::V4(ip), port) => Self::V4(SocketAddrV4::new(ip, port)),
            (IpAddr::V6(ip), port) => {
                let (flow, scope) = Pack::unpack(from)?;
                Self::V6(SocketAddrV6::new(ip, port, flow, scope))
            }
        })
    }
}
