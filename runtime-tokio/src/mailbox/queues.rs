//! The queues of a peer, and what is left of them while it is quiet.

use std::collections::BTreeSet;
use std::mem;

use super::incoming::Inbox;
use super::outgoing::{Outbox, Stream};

/// The queues of both ways. Most peers are quiet most of the time: of their queues, which are empty, only the names are kept.
#[derive(Default)]
pub(super) struct Queues {
    in_use: Option<Box<Both>>,
    /// While none is in use. Most have none.
    names: Option<Box<Names>>,
}

#[derive(Default)]
pub(super) struct Both {
    pub(super) outgoing: Outbox,
    pub(super) incoming: Inbox,
    /// Since the driver looked last.
    were_used: bool,
}

/// Which queues there are.
struct Names {
    /// Each takes one of the places that the peer gives us.
    streams: Box<[Stream]>,
    /// Channels that are received apart.
    apart: Box<[u16]>,
}

impl Queues {
    /// The queues, as something goes into one, or is about to.
    pub(super) fn for_use(&mut self) -> &mut Both {
        let Self { in_use, names } = self;
        let both = in_use.get_or_insert_with(|| {
            names.take().map(|names| Both::named(&names)).unwrap_or_default()
        });
        both.were_used = true;
        both
    }

    /// The queues; `None` if all are empty, and nobody waits for anything.
    pub(super) fn in_use(&self) -> Option<&Both> {
        self.in_use.as_deref()
    }

    /// The same, to take something out.
    pub(super) fn in_use_mut(&mut self) -> Option<&mut Both> {
        self.in_use.as_deref_mut()
    }

    /// The channels that are received apart.
    pub(super) fn apart(&self) -> BTreeSet<u16> {
        match &self.in_use {
            Some(both) => both.incoming.apart(),
            None => self.names.iter().flat_map(|names| names.apart.iter().copied()).collect(),
        }
    }

    /// Whether this channel is received apart.
    pub(super) fn is_apart(&self, channel: u16) -> bool {
        match &self.in_use {
            Some(both) => both.incoming.is_apart(channel),
            None => self.names.as_ref().is_some_and(|names| names.apart.contains(&channel)),
        }
    }

    /// Frees memory if nothing was put in since this was asked last. Whether none is in use now.
    pub(super) fn rest(&mut self) -> bool {
        let both = self.in_use_mut();
        let were_used = both.is_some_and(|both| mem::take(&mut both.were_used));
        !were_used && self.rest_now()
    }

    /// The same, whatever was put in since.
    pub(super) fn rest_now(&mut self) -> bool {
        let Some(both) = &self.in_use else { return true };
        if !both.incoming.is_at_rest() || !both.outgoing.is_at_rest() {
            return false;
        }
        let streams = both.outgoing.streams();
        let apart: Box<[_]> = both.incoming.apart().into_iter().collect();
        let has_names = !streams.is_empty() || !apart.is_empty();
        self.names = has_names.then(|| Box::new(Names { streams, apart }));
        self.in_use = None;
        true
    }
}

impl Both {
    /// Empty ones of these names.
    fn named(names: &Names) -> Box<Self> {
        Box::new(Self {
            outgoing: Outbox::with_streams(&names.streams),
            incoming: Inbox::with_apart(&names.apart),
            were_used: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use handfast_core::{Bytes, Delivery, Message, Order};

    use super::super::{Allowed, Aside, Mailbox, Outgoing, Push, UnderWay};

    /// Numbers that look random.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % bound
        }
    }

    /// A mailbox and the driver's part of it.
    struct End {
        mailbox: Mailbox,
        under_way: UnderWay,
    }

    impl End {
        fn new() -> Self {
            let mailbox = Mailbox::default();
            mailbox.lock().allowed = Some(Allowed { max_message: 1000, max_streams: 4 });
            Self { mailbox, under_way: UnderWay::default() }
        }

        /// Does something, and says all that is to be seen of it.
        fn act(&mut self, numbers: &mut Numbers) -> String {
            let Self { mailbox, under_way } = self;
            let channel = numbers.below(3) as u16;
            let whence = (numbers.below(2) == 0).then_some(channel);
            let order =
                [Order::Ordered, Order::Unordered, Order::Sequenced][numbers.below(3) as usize];
            let delivery = Delivery::new(channel, numbers.below(4) > 0, order);
            let payload = Bytes::from(vec![7; numbers.below(1002) as usize]);
            let acts = numbers.below(12);
            let seen = match acts {
                0 | 1 => match mailbox.push(&mut Outgoing::new(delivery, payload)) {
                    Push::Ended(_) => "ended".into(),
                    Push::Full => "full".into(),
                    Push::Refused(error) => error.to_string(),
                    Push::Queued { ring } => format!("queued, {ring}"),
                },
                2 | 3 => {
                    let mut aside = Aside::default();
                    let message = mailbox.pop(whence, &mut aside);
                    format!("{message:?}, {aside:?}")
                }
                4 => {
                    // As the driver does: for each kind what has room there.
                    let room = mailbox.room(whence);
                    let many = numbers.below(3) as usize;
                    let is_known = whence.is_none_or(|channel| mailbox.apart().contains(&channel));
                    let message = Message::new(delivery, 0, payload);
                    if is_known && whence.is_none_or(|whence| whence == channel) {
                        let mut messages = VecDeque::from(vec![message; many]);
                        mailbox.deposit(whence, &mut messages, numbers.below(8) == 0);
                    }
                    format!("{room:?}")
                }
                5 => {
                    mailbox.collect(under_way);
                    format!("{}", under_way.offer(|_| true))
                }
                6 => format!("{}", mailbox.has(&delivery)),
                7 if !mailbox.has(&delivery) => {
                    mailbox.forget(&delivery);
                    String::new()
                }
                8 => {
                    mailbox.answer();
                    String::new()
                }
                9 => format!("{:?}", mailbox.take_incoming()),
                _ => {
                    // All is taken, and the core has no more.
                    let mut taken = 0;
                    while {
                        mailbox.collect(under_way);
                        !under_way.is_empty()
                    } {
                        taken += under_way.offer(|_| true);
                    }
                    for channel in mailbox.apart().into_iter().map(Some).chain([None]) {
                        mailbox.deposit(channel, &mut VecDeque::new(), false);
                        while mailbox.pop(channel, &mut Aside::default()).is_some() {
                            taken += 1;
                        }
                    }
                    format!("{taken}")
                }
            };
            let sums = (mailbox.apart(), mailbox.unread(), mailbox.incoming_bytes());
            let waits = (mailbox.wants_more(), mailbox.has_outgoing(), mailbox.has_reliable());
            format!("{acts}: {seen}; {sums:?} {waits:?}")
        }
    }

    /// Whoever uses a mailbox does not notice that it was at rest.
    #[test]
    fn what_rests_is_found_as_it_was() {
        let mut rests = 0;
        for seed in 0..300 {
            let (mut plain, mut resting) = (End::new(), End::new());
            let (mut numbers, mut same) = (Numbers(seed), Numbers(seed));
            let mut chance = Numbers(!seed);
            for step in 0..100 {
                let was_in_use = resting.mailbox.lock().queues.in_use().is_some();
                if chance.below(3) == 0 {
                    let rested = [resting.mailbox.rest(), resting.mailbox.rest()];
                    rests += usize::from(was_in_use && rested[1]);
                }
                let (seen, other) = (plain.act(&mut numbers), resting.act(&mut same));
                assert_eq!(seen, other, "seed {seed}, step {step}");
            }
        }
        assert!(rests > 1000, "{rests} rests");
    }

    /// A message that is not taken is no use: the driver would not look whether the mailbox is quiet.
    #[test]
    fn a_message_that_is_refused_wakes_nobody() {
        let End { mailbox, .. } = End::new();
        let mut large = Outgoing::new(Delivery::reliable(0), vec![0; 1001].into());
        assert!(matches!(mailbox.push(&mut large), Push::Refused(_)));
        assert!(mailbox.lock().queues.in_use().is_none());
    }

    /// Who waits for room is told of it, however long that takes.
    #[test]
    fn nobody_who_waits_for_room_is_forgotten() {
        let End { mailbox, mut under_way } = End::new();
        let delivery = Delivery::ordered(0);
        let mut message = Outgoing::new(delivery, Bytes::new());
        assert!(matches!(mailbox.push(&mut message), Push::Queued { .. }));
        let room = mailbox.writable(&delivery);
        mailbox.collect(&mut under_way);
        assert_eq!([mailbox.rest(), mailbox.rest(), mailbox.rest()], [false; 3]);
        drop(room);
        assert!(mailbox.rest());
    }
}
