//! Where many records are: what they have in common is kept once.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroizing;

use super::{LARGEST, Pack, Packed, Packer, Unpacker, WHOLE};

/// Makes records that are read with its help alone.
///
/// Half of a record of a peer is what all have: limits, places of lists, zeros. Once there are many, [`Common`] has that, and
/// records name it. A record begins with how it is written: [`WHOLE`] or [`SHORT`].
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    packer: Packer,
    common: Option<Box<Common>>,
}

impl Shelf {
    /// The record of a value; `None` if it cannot be written, or is too large for a record.
    pub(crate) fn pack<T: Pack>(&mut self, value: &T) -> Option<Packed> {
        let packed = self.packer.pack(value)?;
        let short = self.common.as_ref().and_then(|common| {
            let mut short = Zeroizing::new([0; LARGEST]);
            let len = common.shorten(packed.bytes(), &mut short)?;
            let mut record = Vec::with_capacity(1 + len);
            record.push(SHORT);
            record.extend_from_slice(&short[..len]);
            Some(Packed(record.into_boxed_slice()))
        });
        Some(short.unwrap_or(packed))
    }

    /// What `read` makes of the beginning of a record.
    pub(crate) fn begin<T>(
        &self,
        record: &Packed,
        read: impl FnOnce(&mut Unpacker<'_>) -> Option<T>,
    ) -> Option<T> {
        let (how, bytes) = record.0.split_first()?;
        if *how == WHOLE {
            return read(&mut Unpacker::new(bytes));
        }
        let mut whole = Zeroizing::new([0; LARGEST]);
        let len = self.common.as_ref()?.restore(bytes, &mut whole)?;
        read(&mut Unpacker::new(&whole[..len]))
    }

    /// Whether records are as short as they can be.
    pub(crate) const fn is_shared(&self) -> bool {
        self.common.is_some()
    }

    /// What these two records have in common is kept once from now on, for those that are made later. No key is: two peers
    /// have none in common.
    pub(crate) fn share(&mut self, one: &Packed, other: &Packed) {
        if let (None, [WHOLE, one @ ..], [WHOLE, other @ ..]) = (&self.common, &*one.0, &*other.0) {
            self.common = Some(Box::new(Common::of(one, other)));
        }
    }
}

/// Bytes of which records repeat some. A secret that all peers share may be among them.
struct Common {
    bytes: Zeroizing<Vec<u8>>,
    /// The last place at which three bytes are that have this hash, and one more; 0 if there is none.
    last: [u16; HASHES],
    /// The place before each one that has the same hash, in the same way.
    before: Vec<u16>,
}

impl Common {
    fn new(bytes: Vec<u8>) -> Self {
        let bytes = Zeroizing::new(bytes);
        let (mut last, mut before) = ([0; HASHES], Vec::new());
        for (at, three) in bytes.windows(LEAST).enumerate() {
            before.push(core::mem::replace(&mut last[hash(three)], at as u16 + 1));
        }
        Self { bytes, last, before }
    }

    /// What is in both.
    fn of(one: &[u8], other: &[u8]) -> Self {
        let one = Self::new(one.to_vec());
        // It must not grow: that would leave bytes behind.
        let (mut bytes, mut at) = (Vec::with_capacity(MOST_COMMON), 0);
        while at < other.len() {
            let len = one.find(&other[at..]).map_or(0, |(_, len)| len);
            let end = at + len.max(1);
            // Of keys, three or four bytes may be the same by chance.
            if len > LEAST + 1 && bytes.len() + len <= MOST_COMMON {
                bytes.extend_from_slice(&other[at..end]);
            }
            at = end;
        }
        Self::new(bytes)
    }

    /// Where the longest part is with which this begins, of those that are looked at, and how long it is.
    fn find(&self, bytes: &[u8]) -> Option<(usize, usize)> {
        let mut place = self.last[hash(bytes.get(..LEAST)?)];
        let mut best = None;
        for _ in 0..LOOKS {
            let Some(at) = usize::from(place).checked_sub(1) else { break };
            let pairs = self.bytes[at..].iter().zip(bytes).take(LONGEST);
            let len = pairs.take_while(|(one, other)| one == other).count();
            if len >= LEAST && best.is_none_or(|(_, most)| len > most) {
                best = Some((at, len));
            }
            place = self.before[at];
        }
        best
    }

    /// Writes a record as parts of the common bytes and of its own. Returns the length; `None` if it is not shorter so.
    fn shorten(&self, record: &[u8], into: &mut [u8; LARGEST]) -> Option<usize> {
        let mut writer = Short { bytes: into, len: 0, most: record.len() };
        let (mut own, mut at) = (0, 0);
        while at < record.len() {
            if let Some((from, len)) = self.find(&record[at..]) {
                writer.own(&record[own..at])?;
                writer.common(from, len)?;
                at += len;
                own = at;
            } else {
                at += 1;
            }
        }
        writer.own(&record[own..])?;
        Some(writer.len)
    }

    /// Writes the record of which this was made. Returns its length.
    fn restore(&self, mut short: &[u8], into: &mut [u8; LARGEST]) -> Option<usize> {
        let mut len = 0;
        while let Some((first, rest)) = short.split_first() {
            let part = if *first < COMMON {
                let (own, rest) = rest.split_at_checked(usize::from(*first) + 1)?;
                short = rest;
                own
            } else {
                let (low, rest) = rest.split_first()?;
                short = rest;
                let from = usize::from(*first >> 5 & 3) << 8 | usize::from(*low);
                self.bytes.get(from..from + usize::from(*first & 31) + LEAST)?
            };
            into.get_mut(len..len + part.len())?.copy_from_slice(part);
            len += part.len();
        }
        Some(len)
    }
}

impl fmt::Debug for Common {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Common").field("len", &self.bytes.len()).finish_non_exhaustive()
    }
}

/// Writes a short record.
struct Short<'s> {
    bytes: &'s mut [u8; LARGEST],
    len: usize,
    /// It is of no use if it is as long.
    most: usize,
}

impl Short<'_> {
    /// Bytes as they are: how many less one, and they.
    fn own(&mut self, bytes: &[u8]) -> Option<()> {
        for part in bytes.chunks(COMMON.into()) {
            self.put(&[part.len() as u8 - 1])?;
            self.put(part)?;
        }
        Some(())
    }

    /// Two bytes: a bit, ten of a place, and five of how many are meant from there.
    fn common(&mut self, from: usize, len: usize) -> Option<()> {
        self.put(&[COMMON | (from >> 8 << 5) as u8 | (len - LEAST) as u8, from as u8])
    }

    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len + bytes.len();
        if end >= self.most {
            return None;
        }
        self.bytes.get_mut(self.len..end)?.copy_from_slice(bytes);
        self.len = end;
        Some(())
    }
}

fn hash(three: &[u8]) -> usize {
    let number = three.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    (number.wrapping_mul(0x9e37_79b1) >> 24) as usize
}

/// How a record begins that is read with the help of what is in common.
const SHORT: u8 = 1;
/// This bit tells that what follows is in common.
const COMMON: u8 = 0x80;
/// The least and the most bytes that are named at once.
const LEAST: usize = 3;
const LONGEST: usize = LEAST + 31;
/// A place has ten bits.
const MOST_COMMON: usize = 1 << 10;
const HASHES: usize = 1 << 8;
/// So many places are looked at.
const LOOKS: usize = 6;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    /// Records that have much in common: the parts of all in the same order, and others between.
    fn records() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let part = || prop::collection::vec(prop_oneof![Just(0), Just(0xff), any::<u8>()], 0..40);
        let own = prop::collection::vec(part(), 12);
        (prop::collection::vec(part(), 12), prop::collection::vec(own, 3)).prop_map(
            |(common, all)| {
                let record = |own: Vec<Vec<u8>>| {
                    common.iter().zip(own).flat_map(|(a, b)| [a.clone(), b].concat()).collect()
                };
                all.into_iter().map(record).collect()
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_short_is_restored(records in records()) {
            let common = Common::of(&records[0], &records[1]);
            prop_assert!(common.bytes.len() <= MOST_COMMON);
            for record in &records {
                let (mut short, mut whole) = ([0; LARGEST], [0; LARGEST]);
                let Some(len) = common.shorten(record, &mut short) else { continue };
                prop_assert!(len < record.len());
                prop_assert_eq!(common.restore(&short[..len], &mut whole), Some(record.len()));
                prop_assert_eq!(&whole[..record.len()], &**record);
            }
        }

        #[test]
        fn what_is_on_a_shelf_is_read(values: Vec<(Vec<u64>, [u8; 32])>) {
            let mut shelf = Shelf::default();
            let records: Vec<_> = values.iter().filter_map(|value| shelf.pack(value)).collect();
            if let [one, other, ..] = &*records {
                shelf.share(one, other);
            }
            for value in &values {
                let Some(record) = shelf.pack(value) else { continue };
                let read = shelf.begin(&record, Pack::unpack);
                prop_assert_eq!(read.as_ref(), Some(value));
            }
        }
    }

    #[test]
    fn much_in_common_takes_little_and_keys_are_not_common() {
        let value = |key: u8| {
            let key: [u8; 32] = core::array::from_fn(|at| key ^ (at as u8).wrapping_mul(key));
            (vec![3_u64, 1 << 40, 0, 0, 0, 7, 1 << 30, 9, 1 << 20], key, vec![5_u64; 40])
        };
        let mut shelf = Shelf::default();
        let [one, other] = [11, 23].map(|key| shelf.pack(&value(key)).expect("small"));
        shelf.share(&one, &other);
        let third = shelf.pack(&value(37)).expect("small");
        assert!(third.len() < 45, "{} of {} bytes", third.len(), one.len());
        assert_eq!(shelf.begin(&third, Pack::unpack), Some(value(37)));
        assert_eq!(shelf.begin(&one, Pack::unpack), Some(value(11)), "made before");
        let common = &shelf.common.as_ref().expect("there are two").bytes;
        let holds =
            |key: u8| common.windows(8).any(|part| value(key).1.windows(8).any(|it| it == part));
        assert!(!holds(11) && !holds(23));
    }
}
