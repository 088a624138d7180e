//! Messages that are given up, by a deadline or by their sender: what both applications hear of it, on both
//! runtimes, over a path that loses everything until then.

use std::thread;
use std::time::Duration;

use handfast_core::{CommandError, Delivery, Fate, PeerHandle};
use handfast_sim::{Conditions, Probability};
use handfast_tests::{Happening, Node, Outgoing, Proxy, ProxyConfig, Runtime, Setup, What, within};

/// The sender, and the receiver on the other runtime, with what each calls the other.
struct Pair {
    sender: Node,
    peer: PeerHandle,
    receiver: Node,
    from: PeerHandle,
    path: Proxy,
}

impl Pair {
    fn connected(sender_on: Runtime) -> Self {
        let other = Runtime::ALL.into_iter().find(|runtime| *runtime != sender_on);
        let receiver = Node::start(Setup::new(other.expect("two runtimes"), 2));
        let sender = Node::start(Setup::new(sender_on, 1));
        let path = Proxy::start(ProxyConfig::both_ways(4, calm()), receiver.address());
        let path = path.expect("a proxy");
        let peer = sender.connect(path.address()).expect("connected");
        let from = receiver.accept();
        Self { sender, peer, receiver, from, path }
    }

    fn send(&self, tag: u64, delivery: Delivery, len: usize) {
        let payload = vec![tag as u8; len].into();
        self.sender.send(self.peer, Outgoing { tag, delivery, payload });
    }

    /// From now on the receiver hears nothing. The first message is lost on the way, and the second, on a channel of its
    /// own, waits behind one that is longer than the sender may send before it hears of the receiver.
    fn lose_and_queue(&self, delivery: fn(u16) -> Delivery) {
        self.path.set(Conditions { loss: Probability::ALWAYS, ..calm() }, calm());
        let lost = self.path.counters().faults.lost;
        self.send(ON_THE_WAY, delivery(0), 100);
        while self.path.counters().faults.lost == lost {
            thread::yield_now();
        }
        self.send(LONG, Delivery::ordered(1), 300_000);
        self.send(QUEUED, delivery(1), 100);
    }

    /// The next fate that the sender is told.
    fn fate(&self) -> (u64, Fate) {
        match self.sender.next() {
            Happening { peer, what: What::Fate(tag, fate) } if peer == self.peer => (tag, fate),
            other => panic!("{other:?}"),
        }
    }

    /// Mends the path. The message that was lost on the way meets this fate now, and the receiver's application gets
    /// those that were not given up, and only those: both channels step over the others.
    fn mend(self, expected: Fate) {
        self.path.set(calm(), calm());
        for channel in [0, 1] {
            self.send(LAST + u64::from(channel), Delivery::ordered(channel).with_receipt(), 1);
        }
        let mut fates = [self.fate(), self.fate(), self.fate()];
        fates.sort_by_key(|(tag, _)| *tag);
        let acked = [(LAST, Fate::Acked), (LAST + 1, Fate::Acked)];
        assert_eq!(fates, [(ON_THE_WAY, expected), acked[0], acked[1]]);
        let mut heard = [0; 3].map(|_| match self.receiver.next() {
            Happening { peer, what: What::Message(message) } if peer == self.from => {
                (message.delivery.channel, u64::from(message.payload[0]))
            }
            other => panic!("{other:?}"),
        });
        // Each channel keeps its order.
        heard.sort_by_key(|(channel, _)| *channel);
        assert_eq!(heard, [(0, LAST), (1, LONG), (1, LAST + 1)]);
        assert_eq!((self.receiver.try_next(), self.sender.try_next()), (None, None));
    }
}

#[test]
fn a_deadline_that_passes_is_told_to_the_sender_and_the_receiver_gets_what_comes_after() {
    on_both(|runtime| {
        let pair = Pair::connected(runtime);
        let mortal = |channel| Delivery::ordered(channel).with_receipt().with_deadline(DEADLINE);
        pair.lose_and_queue(mortal);
        // Nothing of it was sent, so this end knows all about it. The other's deadline has passed before.
        assert_eq!(pair.fate(), (QUEUED, Fate::Expired { may_have_arrived: false }));
        // The receiver is to hear of that first.
        assert_eq!(pair.sender.try_next(), None);
        pair.mend(Fate::Expired { may_have_arrived: true });
    });
}

#[test]
fn a_message_that_is_withdrawn_is_told_to_the_sender_and_the_receiver_gets_what_comes_after() {
    on_both(|runtime| {
        let pair = Pair::connected(runtime);
        pair.lose_and_queue(|channel| Delivery::ordered(channel).with_receipt());
        assert_eq!(pair.sender.cancel(pair.peer, QUEUED), Ok(()));
        assert_eq!(pair.fate(), (QUEUED, Fate::Cancelled { may_have_arrived: false }));
        assert_eq!(pair.sender.cancel(pair.peer, ON_THE_WAY), Ok(()));
        // It is given up already, which the receiver is to hear; and of the other all is known.
        for tag in [ON_THE_WAY, QUEUED] {
            assert_eq!(pair.sender.cancel(pair.peer, tag), Err(CommandError::TooLate), "{tag}");
        }
        assert_eq!(pair.sender.try_next(), None);
        pair.mend(Fate::Cancelled { may_have_arrived: true });
    });
}

/// A message that arrived is withdrawn before its sender knows that: the receiver has it once, and the sender is not
/// told that it has not.
#[test]
fn a_message_that_arrived_may_have_arrived_when_it_is_withdrawn() {
    on_both(|runtime| {
        let Pair { sender, peer, receiver, path, .. } = &Pair::connected(runtime);
        // The receiver hears, and its acknowledgements are lost.
        path.set(calm(), Conditions { loss: Probability::ALWAYS, ..calm() });
        let delivery = Delivery::ordered(0).with_receipt();
        sender.send(*peer, Outgoing { tag: 7, delivery, payload: vec![7].into() });
        let heard = receiver.next().what;
        assert!(matches!(&heard, What::Message(message) if *message.payload == [7]), "{heard:?}");
        assert_eq!(sender.cancel(*peer, 7), Ok(()));
        path.set(calm(), calm());
        // One acknowledgement for it and for the word that it is withdrawn does not tell which came first.
        let told = sender.next().what;
        let truths = [Fate::Acked, Fate::Cancelled { may_have_arrived: true }];
        assert!(truths.map(|fate| What::Fate(7, fate)).contains(&told), "{told:?}");
        assert_eq!((sender.try_next(), receiver.try_next()), (None, None));
    });
}

/// On each runtime at the same time: they wait more than they work.
fn on_both(test: fn(Runtime)) {
    let tests =
        Runtime::ALL.map(|runtime| thread::spawn(move || within(HANG, move || test(runtime))));
    for test in tests {
        test.join().expect("a test");
    }
}

fn calm() -> Conditions {
    Conditions { latency: Duration::from_millis(1), ..Conditions::default() }
}

const ON_THE_WAY: u64 = 1;
const LONG: u64 = 2;
const QUEUED: u64 = 3;
/// And the next.
const LAST: u64 = 4;
/// Longer than an end takes to write a packet.
const DEADLINE: Duration = Duration::from_secs(2);
const HANG: Duration = Duration::from_secs(120);
