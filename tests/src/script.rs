//! A conversation with all that the transport can do, and what must be the same wherever it is held.
//!
//! Both sides say all their [`Line`]s at once: every combination of reliability, order and receipt,
//! several channels, sizes from nothing to 200 KiB. Pings go along. When the server has all fates,
//! pongs and reliable lines it says so, and when the client has that and all of its own, it
//! disconnects with a reason. What each side saw is its [`Record`].

use std::collections::BTreeMap;
use std::time::Duration;

use handfast_core::{
    Bytes, Config, Delivery, DisconnectOptions, DisconnectReason, EndReason, Fate, Message, Order,
};
use handfast_sim::Rng;

use crate::digest;
use crate::node::{Outgoing, What};

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Dials and, at the end, disconnects.
    Client,
    /// The other one.
    Server,
}

/// A message of the script. Its number in the script is its tag.
#[derive(Clone, Debug)]
pub struct Line {
    /// How it is sent.
    pub delivery: Delivery,
    /// What is said.
    pub payload: Bytes,
}

/// A channel with reliability and order.
pub type Stream = (u16, bool, Order);

/// What one side saw, as far as it must be the same for everyone who plays the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Number and digest of the lines of each reliable stream: ordered ones in the order of
    /// arrival, unordered ones sorted, of sequenced ones the last.
    pub heard: BTreeMap<Stream, Vec<(usize, u64)>>,
    /// The fates of lines that are sure to arrive, by number.
    pub fates: BTreeMap<usize, Fate>,
    /// Pings that were answered.
    pub pongs: usize,
    /// Why it ended.
    pub end: EndReason,
}

/// What a speaker wants done.
#[derive(Debug)]
pub enum Action {
    /// Send this.
    Send(Outgoing),
    /// Ping.
    Ping,
    /// End the conversation.
    Disconnect(DisconnectOptions),
}

/// The choices of both ends: buffers so small that flow control has something to do.
#[must_use]
pub fn config() -> Config {
    let mut config = Config::default();
    config.flow.max_message = 256 << 10;
    config.flow.send_buffer = 512 << 10;
    config.flow.receive_window = 512 << 10;
    config.flow.unreliable_buffer = 4 << 20;
    config
}

/// What `side` says in the conversation called `seed`.
#[must_use]
pub fn lines(seed: u64, side: Side) -> Vec<Line> {
    let mut rng = Rng::from_seed(seed ^ side as u64);
    let mut deliveries = Vec::new();
    for reliable in [false, true] {
        for order in [Order::Unordered, Order::Sequenced, Order::Ordered] {
            for requires_ack in [false, true] {
                for channel in [0, 300] {
                    let mut delivery = Delivery::new(channel, reliable, order);
                    delivery.requires_ack = requires_ack;
                    deliveries.push(delivery);
                }
            }
        }
    }
    let mut lines = Vec::new();
    for round in 0..ROUNDS {
        for delivery in &deliveries {
            let len = match round {
                0 => 0,
                1 if delivery.channel == 0 => LARGEST,
                _ => match rng.range(0..=9) {
                    0..=2 => rng.range(1..=100),
                    3..=7 => rng.range(100..=3_000),
                    _ => rng.range(3_000..=20_000),
                },
            };
            let payload = digest::bytes(rng.next_u64(), len as usize);
            lines.push(Line { delivery: *delivery, payload });
        }
    }
    lines
}

/// One side of the conversation, wherever it is held: told what happens, it says what to do.
#[derive(Debug)]
pub struct Speaker {
    side: Side,
    lines: Vec<Line>,
    /// What the other side says, by stream: the numbers of its lines.
    expected: BTreeMap<Stream, Vec<usize>>,
    their_lines: Vec<Line>,
    /// Lines heard, by stream, in the order of arrival.
    heard: BTreeMap<Stream, Vec<usize>>,
    fates: BTreeMap<usize, Fate>,
    pongs: usize,
    last_word_said: bool,
    last_word_heard: bool,
    end: Option<EndReason>,
}

impl Speaker {
    /// A speaker for `side`.
    #[must_use]
    pub fn new(seed: u64, side: Side) -> Self {
        let other = if side == Side::Client { Side::Server } else { Side::Client };
        let their_lines = lines(seed, other);
        let mut expected = BTreeMap::<_, Vec<_>>::new();
        for (number, line) in their_lines.iter().enumerate() {
            expected.entry(stream(line.delivery)).or_default().push(number);
        }
        Self {
            side,
            lines: lines(seed, side),
            expected,
            their_lines,
            heard: BTreeMap::new(),
            fates: BTreeMap::new(),
            pongs: 0,
            last_word_said: false,
            last_word_heard: false,
            end: None,
        }
    }

    /// What to do once connected.
    #[must_use]
    pub fn begin(&self) -> Vec<Action> {
        let numbered = (0..).zip(&self.lines);
        let sends = numbered.map(|(tag, Line { delivery, payload })| {
            Action::Send(Outgoing { tag, delivery: *delivery, payload: payload.clone() })
        });
        let pings = (0..PINGS).map(|_| Action::Ping);
        sends.chain(pings).collect()
    }

    /// Something happened: what to do about it.
    ///
    /// # Panics
    /// When it must not happen.
    pub fn hear(&mut self, what: What) -> Option<Action> {
        assert_eq!(self.end, None, "{what:?} after the end");
        match what {
            What::Accepted => {}
            What::Message(message) if message.delivery.channel == LAST_WORD.channel => {
                assert!(!self.last_word_heard, "the last word twice");
                self.last_word_heard = true;
            }
            What::Message(message) => self.listen(&message),
            What::Fate(tag, fate) => {
                let number = usize::try_from(tag).expect("a small number");
                let again = self.fates.insert(number, fate);
                assert_eq!(again, None, "a second fate for line {number}");
            }
            What::Pong => self.pongs += 1,
            What::Restarted => panic!("nobody restarts"),
            What::Ended(reason) => self.end = Some(reason),
        }
        self.conclude()
    }

    /// Whether the conversation has ended.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.end.is_some()
    }

    /// Checks what is left to chance against what the other side knows, and makes a record of the
    /// rest.
    ///
    /// # Panics
    /// When a promise was broken.
    #[must_use]
    pub fn record(&self, other: &Self) -> Record {
        for (number, line) in self.lines.iter().enumerate() {
            let fate = self.fates.get(&number);
            assert_eq!(fate.is_some(), line.delivery.requires_ack, "line {number}: {fate:?}");
            let heard = other.heard.get(&stream(line.delivery));
            let arrived = heard.is_some_and(|heard| heard.contains(&number));
            if fate == Some(&Fate::Acked) && line.delivery.order == Order::Unordered {
                assert!(arrived, "{:?} was acked and did not arrive: line {number}", self.side);
            }
        }
        let fates = self.fates.iter().map(|(number, fate)| (*number, *fate));
        let (reliable, chancy): (BTreeMap<_, _>, BTreeMap<_, _>) =
            fates.partition(|(number, _)| self.is_sure(*number));
        for (number, fate) in &chancy {
            let delivery = self.lines[*number].delivery;
            let may_be = match fate {
                Fate::Acked => true,
                Fate::Lost => !delivery.reliable,
                Fate::Superseded { .. } => delivery.order == Order::Sequenced,
                _ => false,
            };
            assert!(may_be, "line {number}, {delivery:?}: {fate:?}");
        }
        let their_lines = &self.their_lines;
        let heard = self.heard.iter().filter(|((_, reliable, _), _)| *reliable);
        let heard = heard.map(|(stream, numbers)| {
            let mut numbers = numbers.clone();
            match stream.2 {
                Order::Ordered => {}
                Order::Sequenced => drop(numbers.drain(..numbers.len() - 1)),
                Order::Unordered => numbers.sort_unstable(),
            }
            let line = |n: usize| (n, digest::of(&their_lines[n].payload));
            (*stream, numbers.into_iter().map(line).collect())
        });
        Record {
            heard: heard.collect(),
            fates: reliable,
            pongs: self.pongs,
            end: self.end.clone().expect("it has ended"),
        }
    }

    /// Whether this line of ours must arrive: it is reliable, and no newer one may take its place.
    fn is_sure(&self, number: usize) -> bool {
        let of = stream(self.lines[number].delivery);
        let is_last = || self.lines[number + 1..].iter().all(|line| stream(line.delivery) != of);
        of.1 && (of.2 != Order::Sequenced || is_last())
    }

    /// A line arrived. Where none of its stream is left out, its place tells which it must be; elsewhere
    /// what it says does, since messages that were not sent have no numbers.
    fn listen(&mut self, message: &Message) {
        let stream = stream(message.delivery);
        let place = usize::try_from(message.sequence_number).expect("a small number");
        let numbers = self.expected.get(&stream).map_or(&[][..], Vec::as_slice);
        let is_it = |number: &&usize| {
            let Line { delivery, payload } = &self.their_lines[**number];
            (delivery, payload) == (&message.delivery, &message.payload)
        };
        let number = match stream.2 {
            Order::Ordered if stream.1 => numbers.get(place),
            // Short ones pass long ones.
            Order::Unordered => {
                let heard = self.heard.get(&stream).map_or(&[][..], Vec::as_slice);
                numbers.iter().filter(|number| !heard.contains(number)).find(is_it)
            }
            _ => numbers.iter().skip(place).find(is_it),
        };
        let number = *number.unwrap_or_else(|| panic!("{stream:?} {place} was never said"));
        let line = &self.their_lines[number];
        assert_eq!(message.delivery, line.delivery, "line {number}");
        assert!(message.payload == line.payload, "line {number} is garbled ({stream:?})");
        let heard = self.heard.entry(stream).or_default();
        assert!(!heard.contains(&number), "line {number} was delivered twice ({stream:?})");
        if stream.2 != Order::Unordered {
            let newer = heard.last().is_some_and(|last| *last > number);
            assert!(!newer, "line {number} was delivered after a newer one ({stream:?})");
        }
        heard.push(number);
    }

    fn conclude(&mut self) -> Option<Action> {
        let may = match self.side {
            Side::Client => self.last_word_heard,
            Side::Server => true,
        };
        if self.last_word_said || !may || !self.has_all() || self.is_over() {
            return None;
        }
        self.last_word_said = true;
        Some(match self.side {
            Side::Client => Action::Disconnect(
                DisconnectOptions::after(Duration::from_secs(30))
                    .with_reason(DisconnectReason::new(7, "the script is over")),
            ),
            Side::Server => Action::Send(Outgoing {
                tag: u64::MAX,
                delivery: LAST_WORD,
                payload: Bytes::from_static(b"that was all"),
            }),
        })
    }

    /// What it waits for, in words.
    #[must_use]
    pub fn missing(&self) -> String {
        let receipts = self.lines.iter().filter(|line| line.delivery.requires_ack).count();
        let numbers = |(stream, expected): (&Stream, &Vec<usize>)| {
            let heard = self.heard.get(stream).map_or(&[][..], Vec::as_slice);
            let missing = expected.iter().filter(|number| !heard.contains(number)).count();
            (stream.1 && missing > 0).then(|| format!("{missing} of {stream:?}"))
        };
        format!(
            "{:?}: {} of {receipts} fates, {} of {PINGS} pongs, lines: {:?}, last word: {} {}",
            self.side,
            receipts - self.fates.len(),
            PINGS - self.pongs,
            self.expected.iter().filter_map(numbers).collect::<Vec<_>>(),
            self.last_word_said,
            self.last_word_heard,
        )
    }

    /// Whether everything that is promised has come.
    fn has_all(&self) -> bool {
        let receipts = self.lines.iter().filter(|line| line.delivery.requires_ack).count();
        self.fates.len() == receipts
            && self.pongs == PINGS
            && self.expected.iter().filter(|((_, reliable, _), _)| *reliable).all(
                |(stream, expected)| {
                    let Some(heard) = self.heard.get(stream) else { return false };
                    match stream.2 {
                        Order::Sequenced => heard.last() == expected.last(),
                        _ => heard.len() == expected.len(),
                    }
                },
            )
    }
}

const fn stream(delivery: Delivery) -> Stream {
    (delivery.channel, delivery.reliable, delivery.order)
}

/// Said by the server when it has everything.
const LAST_WORD: Delivery = Delivery::ordered(u16::MAX);
const LARGEST: u64 = 200 << 10;
const PINGS: usize = 8;
const ROUNDS: usize = 8;
