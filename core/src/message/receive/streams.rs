//! The streams of the peer that are open, by their keys.

use alloc::vec::Vec;

use crate::message::receive_stream::ReceiveStream;
use crate::pack::{Pack, Packer, Unpacker};
use crate::wire::StreamKey;

/// Streams in the order of their keys. Most peers have a few, for which a list takes a fraction of what a tree would; of
/// many, one is found in as few steps.
#[derive(Debug, Default)]
pub(super) struct Streams {
    list: Vec<ReceiveStream>,
    /// Where the stream was that was found last: most messages are of the same as those before them.
    recent: usize,
}

impl Pack for Streams {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        self.list.pack(into)
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        Vec::unpack(from).map(|list| Self { list, recent: 0 })
    }

    fn pack_like(&self, like: &Self, into: &mut Packer) -> Option<()> {
        self.list.pack_like(&like.list, into)
    }

    fn unpack_like(like: &Self, from: &mut Unpacker<'_>) -> Option<Self> {
        Vec::unpack_like(&like.list, from).map(|list| Self { list, recent: 0 })
    }
}

impl Streams {
    pub(super) const fn new() -> Self {
        Self { list: Vec::new(), recent: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.list.len()
    }

    #[cfg(test)]
    pub(super) const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &ReceiveStream> {
        self.list.iter()
    }

    pub(super) fn contains_key(&self, key: &StreamKey) -> bool {
        self.place(key).is_ok()
    }

    pub(super) fn get(&self, key: &StreamKey) -> Option<&ReceiveStream> {
        self.list.get(self.place(key).ok()?)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: &StreamKey) -> Option<&mut ReceiveStream> {
        if self.list.get(self.recent).is_none_or(|stream| stream.key != *key) {
            self.recent = self.place(key).ok()?;
        }
        self.list.get_mut(self.recent)
    }

    /// Adds a stream that is not there yet.
    pub(super) fn insert(&mut self, stream: ReceiveStream) {
        if let Err(place) = self.place(&stream.key) {
            if self.list.len() == self.list.capacity() {
                self.list.reserve_exact(self.list.len().div_ceil(2).max(1));
            }
            self.list.insert(place, stream);
        }
    }

    pub(super) fn remove(&mut self, key: &StreamKey) {
        if let Ok(place) = self.place(key) {
            self.list.remove(place);
        }
    }

    pub(super) fn clear(&mut self) {
        self.list = Vec::new();
    }

    /// Where the stream with this key is, or would be.
    fn place(&self, key: &StreamKey) -> Result<usize, usize> {
        self.list.binary_search_by_key(key, |stream| stream.key)
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
