//! How numbers, times and addresses are written.

use alloc::boxed::Box;
use core::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use core::ops::Range;
use core::time::Duration;

use zeroize::Zeroizing;

use super::{Pack, Packer, Unpacker, pack_plain, unzigzag, zigzag};
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

    #[inline]
    fn pack_like(&self, like: &Self, into: &mut Packer) -> Option<()> {
        into.plain(self, like)
    }

    #[inline]
    fn unpack_like(like: &Self, from: &mut Unpacker<'_>) -> Option<Self> {
        from.plain(like)
    }

    fn pack_array_like<const N: usize>(
        values: &[Self; N],
        like: &[Self; N],
        into: &mut Packer,
    ) -> Option<()> {
        into.plain(values, like)
    }

    fn unpack_array_like<const N: usize>(
        like: &[Self; N],
        from: &mut Unpacker<'_>,
    ) -> Option<[Self; N]> {
        from.plain(like)
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

    /// One that differs, by how much.
    #[inline]
    fn pack_like(&self, like: &Self, into: &mut Packer) -> Option<()> {
        if self == like {
            into.same();
            return Some(());
        }
        into.number(zigzag(self.wrapping_sub(*like)))
    }

    #[inline]
    fn unpack_like(like: &Self, from: &mut Unpacker<'_>) -> Option<Self> {
        if from.is_same() {
            return Some(*like);
        }
        Some(like.wrapping_add(unzigzag(from.number()?)))
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

pub(super) fn unpack_large(first: u8, from: &mut Unpacker<'_>) -> Option<u64> {
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

            #[inline]
            fn pack_like(&self, like: &Self, into: &mut Packer) -> Option<()> {
                u64::try_from(*self).ok()?.pack_like(&u64::try_from(*like).ok()?, into)
            }

            #[inline]
            fn unpack_like(like: &Self, from: &mut Unpacker<'_>) -> Option<Self> {
                u64::unpack_like(&u64::try_from(*like).ok()?, from)?.try_into().ok()
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

    /// To differ says all.
    #[inline]
    fn pack_like(&self, like: &Self, into: &mut Packer) -> Option<()> {
        if self == like {
            into.same();
            return Some(());
        }
        into.differs()
    }

    #[inline]
    fn unpack_like(like: &Self, from: &mut Unpacker<'_>) -> Option<Self> {
        if from.is_same() { Some(*like) } else { from.own(|_| Some(!*like)) }
    }
}

/// By what it differs from the one before, the sign in the lowest bit. The end of time, which is nearly as frequent as all
/// others, is 0.
impl Pack for Instant {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        if *self == Self::MAX {
            return 0_u64.pack(into);
        }
        let before = core::mem::replace(&mut into.instants.own, self.as_micros());
        let later = self.as_micros() >= before;
        let apart = self.as_micros().abs_diff(before);
        apart.checked_mul(2)?.checked_add(1 + u64::from(later))?.pack(into)
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        let Some(written) = u64::unpack(from)?.checked_sub(1) else { return Some(Self::MAX) };
        let (apart, before) = (written / 2, from.instants.own);
        let later = written % 2 == 1;
        from.instants.own =
            if later { before.checked_add(apart)? } else { before.checked_sub(apart)? };
        Some(Self::from_micros(from.instants.own))
    }

    /// The same if it is as far from the one before. 0 is the end of time, which no other number can mean.
    fn pack_like(&self, like: &Self, into: &mut Packer) -> Option<()> {
        let expected = match *like {
            Self::MAX if *self == Self::MAX => {
                into.same();
                return Some(());
            }
            Self::MAX => into.instants.own,
            like => into.instants.expect(like.as_micros()),
        };
        if *self == Self::MAX {
            return into.number(0);
        }
        into.instants.own = self.as_micros();
        let apart = self.as_micros().wrapping_sub(expected);
        if apart == 0 && *like != Self::MAX {
            into.same();
            return Some(());
        }
        into.number(zigzag(apart))
    }

    fn unpack_like(like: &Self, from: &mut Unpacker<'_>) -> Option<Self> {
        let is_same = from.is_same();
        let expected = match *like {
            Self::MAX if is_same => return Some(Self::MAX),
            Self::MAX => from.instants.own,
            like => from.instants.expect(like.as_micros()),
        };
        let number = if is_same { 0 } else { from.number()? };
        if number == 0 && !is_same && *like != Self::MAX {
            return Some(Self::MAX);
        }
        from.instants.own = expected.wrapping_add(unzigzag(number));
        Some(Self::from_micros(from.instants.own))
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

    pack_plain!();
}

impl<T: Pack> Pack for Option<T> {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        self.is_some().pack(into)?;
        self.iter().try_for_each(|value| value.pack(into))
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        if bool::unpack(from)? { T::unpack(from).map(Some) } else { Some(None) }
    }

    fn pack_like(&self, like: &Self, into: &mut Packer) -> Option<()> {
        match (self, like) {
            (None, None) => into.same(),
            (Some(value), Some(like)) => {
                into.same();
                value.pack_like(like, into)?;
            }
            (Some(value), None) => into.own(value)?,
            (None, Some(_)) => into.differs()?,
        }
        Some(())
    }

    fn unpack_like(like: &Self, from: &mut Unpacker<'_>) -> Option<Self> {
        match (from.is_same(), like) {
            (true, None) => Some(None),
            (true, Some(like)) => T::unpack_like(like, from).map(Some),
            (false, None) => from.own(T::unpack).map(Some),
            (false, Some(_)) => from.own(|_| Some(None)),
        }
    }
}

impl<T: Pack> Pack for Box<T> {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        (**self).pack(into)
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        T::unpack(from).map(Self::new)
    }

    fn pack_like(&self, like: &Self, into: &mut Packer) -> Option<()> {
        (**self).pack_like(like, into)
    }

    fn unpack_like(like: &Self, from: &mut Unpacker<'_>) -> Option<Self> {
        T::unpack_like(like, from).map(Self::new)
    }
}

/// Secrets are read to where they stay, and no two are the same.
impl<const N: usize> Pack for Zeroizing<[u8; N]> {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        (**self).pack(into)
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        let mut secret = Self::new([0; N]);
        from.secret(&mut *secret)?;
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

    fn pack_like(&self, like: &Self, into: &mut Packer) -> Option<()> {
        T::pack_array_like(self, like, into)
    }

    fn unpack_like(like: &Self, from: &mut Unpacker<'_>) -> Option<Self> {
        T::unpack_array_like(like, from)
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

    fn pack_like(&self, like: &Self, into: &mut Packer) -> Option<()> {
        self.0.pack_like(&like.0, into)?;
        self.1.pack_like(&like.1, into)
    }

    fn unpack_like(like: &Self, from: &mut Unpacker<'_>) -> Option<Self> {
        Some((A::unpack_like(&like.0, from)?, B::unpack_like(&like.1, from)?))
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

    fn pack_like(&self, like: &Self, into: &mut Packer) -> Option<()> {
        self.0.pack_like(&like.0, into)?;
        self.1.pack_like(&like.1, into)?;
        self.2.pack_like(&like.2, into)
    }

    fn unpack_like(like: &Self, from: &mut Unpacker<'_>) -> Option<Self> {
        let (a, b) = (A::unpack_like(&like.0, from)?, B::unpack_like(&like.1, from)?);
        Some((a, b, C::unpack_like(&like.2, from)?))
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

    fn pack_like(&self, like: &Self, into: &mut Packer) -> Option<()> {
        self.start.pack_like(&like.start, into)?;
        self.end.pack_like(&like.end, into)
    }

    fn unpack_like(like: &Self, from: &mut Unpacker<'_>) -> Option<Self> {
        Some(T::unpack_like(&like.start, from)?..T::unpack_like(&like.end, from)?)
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

    pack_plain!();
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

    /// Of one family, part by part: many are behind one address, or have the same port.
    fn pack_like(&self, like: &Self, into: &mut Packer) -> Option<()> {
        let (Self::V4(own), Self::V4(other)) = (self, like) else {
            return into.plain(self, like);
        };
        into.same();
        into.plain(&own.ip().octets(), &other.ip().octets())?;
        own.port().pack_like(&other.port(), into)
    }

    fn unpack_like(like: &Self, from: &mut Unpacker<'_>) -> Option<Self> {
        let Self::V4(other) = like else { return from.plain(like) };
        if !from.is_same() {
            return from.own(Self::unpack);
        }
        let ip = from.plain(&other.ip().octets())?;
        let port = u16::unpack_like(&other.port(), from)?;
        Some(Self::V4(SocketAddrV4::new(ip.into(), port)))
    }
}
