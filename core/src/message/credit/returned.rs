//! What was given back of each channel, and which of that the peer is to be told.

use alloc::vec::Vec;

use crate::pack::pack;

/// Channels of which something was given back, in the order of their numbers. Few peers use many.
#[derive(Debug, Default)]
pub(super) struct Returned {
    channels: Vec<Channel>,
    /// How many of them the peer was not told the newest value of.
    news: usize,
    /// None before this place has news.
    first: usize,
    /// Where the channel is of which something was given back last: mostly more of the same is.
    recent: usize,
}

pack!(Returned: channels, news, first, recent);

/// What was given back of one.
#[derive(Debug)]
struct Channel {
    number: u16,
    is_news: bool,
    bytes: u64,
}

pack!(Channel: number, is_news, bytes);

impl Returned {
    /// So much more of a channel was given back.
    #[inline]
    pub(super) fn add(&mut self, number: u16, bytes: u64) {
        if let Some(channel) = self.channels.get_mut(self.recent)
            && channel.number == number
            && channel.is_news
        {
            channel.bytes += bytes;
        } else {
            self.add_news(number, bytes);
        }
    }

    fn add_news(&mut self, number: u16, bytes: u64) {
        let at = self.place(number).unwrap_or_else(|at| {
            self.channels.insert(at, Channel { number, is_news: false, bytes: 0 });
            at
        });
        self.recent = at;
        self.channels[at].bytes += bytes;
        self.mark(at);
    }

    /// Whether the peer is to be told of some channel.
    pub(super) const fn has_news(&self) -> bool {
        self.news > 0
    }

    /// The first channel of which the peer is to be told, and all that was given back of it.
    pub(super) fn take_news(&mut self) -> Option<(u16, u64)> {
        if self.news == 0 {
            return None;
        }
        let at = self.first + self.channels[self.first..].iter().position(|it| it.is_news)?;
        self.news -= 1;
        self.first = at + 1;
        let channel = &mut self.channels[at];
        channel.is_news = false;
        Some((channel.number, channel.bytes))
    }

    /// What the peer was told of a channel did not arrive. False if nothing of it was given back.
    pub(super) fn repeat(&mut self, number: u16) -> bool {
        let place = self.place(number);
        place.is_ok_and(|at| {
            self.mark(at);
            true
        })
    }

    fn mark(&mut self, at: usize) {
        self.news += usize::from(!self.channels[at].is_news);
        self.channels[at].is_news = true;
        self.first = self.first.min(at);
    }

    fn place(&self, number: u16) -> Result<usize, usize> {
        self.channels.binary_search_by_key(&number, |channel| channel.number)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A map and a set know the same.
        #[test]
        fn news_of_channels_are_told_in_order_and_none_is_missed(
            steps in prop::collection::vec((0_u8..4, 0_u16..12), 1..200),
        ) {
            let mut returned = Returned::default();
            let (mut sums, mut news) = (BTreeMap::<u16, u64>::new(), BTreeSet::new());
            for (step, number) in steps {
                match step {
                    0 | 1 => {
                        returned.add(number, u64::from(number) + 1);
                        *sums.entry(number).or_default() += u64::from(number) + 1;
                        news.insert(number);
                    }
                    2 => {
                        prop_assert_eq!(returned.repeat(number), sums.contains_key(&number));
                        news.extend(sums.get_key_value(&number).map(|(number, _)| *number));
                    }
                    _ => {
                        let first = news.pop_first().map(|number| (number, sums[&number]));
                        prop_assert_eq!(returned.take_news(), first);
                    }
                }
                prop_assert_eq!(returned.has_news(), !news.is_empty());
            }
        }
    }
}
