//! The streams of the peer that are open, by their keys.

use alloc::vec::Vec;

use crate::message::receive_stream::ReceiveStream;
use crate::pack::{Pack, Packer, Unpacker};
use crate::wire::StreamKey;

/// Streams in the order of their keys. Most peers have a few, for which a list takes a fraction of what a tree would; of
/// many, one is found in as few steps.
#[derive(Debug, Default)]
pub(super) struct Streams(Vec<ReceiveStream>);

impl Pack for Streams {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        self.0.pack(into)
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        Vec::unpack(from).map(Self)
    }
}

impl Streams {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    #[cfg(test)]
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &ReceiveStream> {
        self.0.iter()
    }

    pub(super) fn contains_key(&self, key: &StreamKey) -> bool {
        self.place(key).is_ok()
    }

    pub(super) fn get(&self, key: &StreamKey) -> Option<&ReceiveStream> {
        self.0.get(self.place(key).ok()?)
    }

    pub(super) fn get_mut(&mut self, key: &StreamKey) -> Option<&mut ReceiveStream> {
        let place = self.place(key).ok()?;
        self.0.get_mut(place)
    }

    /// Adds a stream that is not there yet.
    pub(super) fn insert(&mut self, stream: ReceiveStream) {
        if let Err(place) = self.place(&stream.key) {
            if self.0.len() == self.0.capacity() {
                self.0.reserve_exact(self.0.len().div_ceil(2).max(1));
            }
            self.0.insert(place, stream);
        }
    }

    pub(super) fn remove(&mut self, key: &StreamKey) {
        if let Ok(place) = self.place(key) {
            self.0.remove(place);
        }
    }

    pub(super) fn clear(&mut self) {
        self.0 = Vec::new();
    }

    /// Where the stream with this key is, or would be.
    #[inline]
    fn place(&self, key: &StreamKey) -> Result<usize, usize> {
        self.0.binary_search_by_key(key, |stream| stream.key)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::Delivery;

    proptest! {
        #[test]
        fn streams_agree_with_a_map(steps in prop::collection::vec((0_u16..20, any::<bool>()), 0..200)) {
            let (mut streams, mut model) = (Streams::new(), BTreeMap::new());
            for (number, (channel, stays)) in steps.into_iter().enumerate() {
                let key = StreamKey::from(Delivery::ordered(channel));
                if stays {
                    streams.insert(ReceiveStream::new(key, number as u64));
                    model.entry(key).or_insert(number as u64);
                } else {
                    streams.remove(&key);
                    model.remove(&key);
                }
                prop_assert_eq!(streams.get(&key).map(|stream| stream.next), model.get(&key).copied());
                prop_assert_eq!(streams.contains_key(&key), model.contains_key(&key));
                let all = streams.values().map(|stream| (stream.key, stream.next));
                prop_assert!(all.eq(model.iter().map(|(key, next)| (*key, *next))));
                prop_assert_eq!(streams.len(), model.len());
            }
        }
    }
}
