//! Where many records are: what they have in common is kept once.

use alloc::boxed::Box;
use core::fmt;

use super::{LIKE, Pack, Packed, Packer, Unpacker};

/// Makes records that are read with its help alone.
///
/// Most of a record of a peer is what all have: limits, places of lists, what never happened. Once there are many, one of them
/// is the *model*, and the records that are made from then on hold what differs from it. That is as quick as it is short:
/// what is the same is compared, and copied.
pub(crate) struct Shelf<T> {
    packer: Packer,
    /// It has no secrets.
    model: Option<Box<T>>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { packer: Packer::default(), model: None }
    }
}

impl<T: Pack> Shelf<T> {
    /// The record of a value; `None` if it cannot be written, or is too large for a record.
    pub(crate) fn pack(&mut self, value: &T) -> Option<Packed> {
        let like = self.packer.pack_given(value, self.model.as_deref());
        // What has little in common with the model may be too large so, and fit as it is.
        like.or_else(|| self.packer.pack(value))
    }

    /// The value of which the record was made here.
    pub(crate) fn unpack(&self, record: &Packed) -> Option<T> {
        self.begin(record, |model, from| match model {
            Some(model) => T::unpack_like(model, from),
            None => T::unpack(from),
        })
    }

    /// What `read` makes of the beginning of a record that was made here, given the model that it needs.
    pub(crate) fn begin<R>(
        &self,
        record: &Packed,
        read: impl FnOnce(Option<&T>, &mut Unpacker<'_>) -> Option<R>,
    ) -> Option<R> {
        if record.0.first() == Some(&LIKE) {
            read(Some(self.model.as_deref()?), &mut Unpacker::like(record.bytes()))
        } else {
            read(None, &mut Unpacker::new(record.bytes()))
        }
    }

    /// Whether there is a model.
    pub(crate) const fn is_shared(&self) -> bool {
        self.model.is_some()
    }

    /// That of which this record was made is the model from now on, for those that are made later. It is kept without its
    /// secrets: its keys must end when they are due.
    pub(crate) fn share(&mut self, record: &Packed) {
        if self.model.is_none() && record.0.first() != Some(&LIKE) {
            let mut from = Unpacker::new(record.bytes());
            from.is_discreet = true;
            self.model = T::unpack(&mut from).map(Box::new);
        }
    }
}

impl<T> fmt::Debug for Shelf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf").field("has_model", &self.model.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
    use alloc::vec::Vec;
    use core::net::{IpAddr, SocketAddr};
    use core::time::Duration;

    use proptest::prelude::*;
    use zeroize::Zeroizing;

    use super::*;
    use crate::time::Instant;

    type Lists = (Vec<u64>, VecDeque<u16>, BTreeMap<u16, Option<u32>>);
    type Things = (
        (Lists, BTreeSet<u8>, [u8; 4]),
        (Vec<Instant>, Option<Instant>, [Instant; 3]),
        (Vec<SocketAddr>, Option<Box<Duration>>, (u64, bool)),
    );

    fn instants() -> impl Strategy<Value = Instant> {
        let micros = prop_oneof![Just(u64::MAX), 1..5_u64, 1..u64::MAX / 4];
        micros.prop_map(Instant::from_micros)
    }

    fn numbers() -> impl Strategy<Value = u64> {
        prop_oneof![Just(0), Just(u64::MAX), 0..4_u64, any::<u64>()]
    }

    /// Few values of each kind, so that two often have the same.
    fn things() -> impl Strategy<Value = Things> {
        let lists = (
            prop::collection::vec(numbers(), 0..4),
            prop::collection::vec_deque(0..3_u16, 0..4),
            prop::collection::btree_map(0..4_u16, prop::option::of(0..3_u32), 0..4),
        );
        let places = prop_oneof![Just(IpAddr::from([127, 0, 0, 1])), any::<IpAddr>()];
        let places = (places, 1..3_u16).prop_map(SocketAddr::from);
        (
            (lists, prop::collection::btree_set(0..4_u8, 0..4), prop::array::uniform4(0..2_u8)),
            (
                prop::collection::vec(instants(), 0..4),
                prop::option::of(instants()),
                prop::array::uniform3(instants()),
            ),
            (
                prop::collection::vec(places, 0..3),
                prop::option::of((0..3_u64).prop_map(|s| Box::new(Duration::from_secs(s)))),
                (numbers(), any::<bool>()),
            ),
        )
    }

    proptest! {
        /// Whatever the model is, and however much of it is the same.
        #[test]
        fn what_is_on_a_shelf_is_read(values in prop::collection::vec(things(), 1..5)) {
            let mut shelf = Shelf::default();
            let first = shelf.pack(&values[0]).expect("small");
            shelf.share(&first);
            for value in &values {
                let record = shelf.pack(value).expect("small");
                prop_assert_eq!(record.0[0], LIKE);
                let read = shelf.unpack(&record);
                prop_assert_eq!(read.as_ref(), Some(value));
                let begun = shelf.begin(&record, |model, from| {
                    Pack::unpack_like(&model.expect("shared").0, from)
                });
                prop_assert_eq!(begun.as_ref(), Some(&value.0));
            }
            let before = shelf.unpack(&first);
            prop_assert_eq!(before.as_ref(), Some(&values[0]), "made before");
            let same = shelf.pack(&values[0]).expect("small");
            prop_assert!(same.len() <= 1, "{:?} for nothing new", same);
        }
    }

    #[test]
    fn what_has_too_little_in_common_is_written_as_it_is() {
        let [ones, twos] = [1_u64, 2].map(|number| [number; 1500].to_vec());
        let mut shelf = Shelf::default();
        let first = shelf.pack(&ones).expect("small");
        shelf.share(&first);
        let record = shelf.pack(&twos).expect("small enough");
        assert_ne!(record.0[0], LIKE);
        assert_eq!(shelf.unpack(&record), Some(twos));
    }

    #[test]
    fn much_in_common_takes_little_and_secrets_are_not_kept() {
        let value = |key: u8| {
            let key: [u8; 32] = core::array::from_fn(|at| key ^ (at as u8).wrapping_mul(key));
            let limits = [3_u64, 1 << 40, 0, 0, 0, 7, 1 << 30, 9, 1 << 20].to_vec();
            (limits, Zeroizing::new(key), [5_u64; 300].to_vec())
        };
        let mut shelf = Shelf::default();
        let one = shelf.pack(&value(11)).expect("small");
        shelf.share(&one);
        let other = shelf.pack(&value(37)).expect("small");
        assert!(other.len() <= 34, "{} of {} bytes", other.len(), one.len());
        assert_eq!(shelf.unpack(&other), Some(value(37)));
        assert_eq!(shelf.unpack(&one), Some(value(11)), "made before");
        assert_eq!(*shelf.model.expect("it is shared").1, [0; 32]);
    }
}
