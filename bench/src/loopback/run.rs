//! What both ends of a job share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::cpu_time;
use crate::payload::{Inbox, Sequence};
use crate::trips::Trips;

/// What the ends do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    /// Bytes, reliably and in order, as fast as they are taken.
    Bulk,
    /// Messages of [`SMALL`] bytes, each with a call of its own.
    Messages {
        /// All of them, in order; or what arrives, in any order.
        reliable: bool,
    },
    /// A small message there and back, again and again.
    Echo,
    /// Connect and part, again and again, some at the same time. Handshakes are counted in the place of bytes.
    Handshakes,
}

/// A job while it is done.
pub(crate) struct Run {
    pub(crate) job: Job,
    pace: Option<u64>,
    begun: Mutex<Option<Sender<()>>>,
    over: AtomicBool,
    bytes: AtomicU64,
    /// What the thread of the receiver has computed, in nanoseconds, when it was asked last.
    receiver_cpu: AtomicU64,
    wrong: Mutex<Option<String>>,
    trips: Mutex<Vec<Duration>>,
}

impl Run {
    pub(super) const fn new(job: Job, pace: Option<u64>, begun: Sender<()>) -> Self {
        Self {
            job,
            pace,
            begun: Mutex::new(Some(begun)),
            over: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
            receiver_cpu: AtomicU64::new(0),
            wrong: Mutex::new(None),
            trips: Mutex::new(Vec::new()),
        }
    }

    /// In bytes per second, how fast those send bulk who know of no congestion; `None`: as fast as they can.
    pub(super) const fn pace(&self) -> Option<u64> {
        self.pace
    }

    /// The sender is connected.
    pub(super) fn begin(&self) {
        if let Some(begun) = lock(&self.begun).take() {
            begun.send(()).ok();
        }
    }

    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Completes when it is over, a little later.
    pub(super) async fn ended(&self) {
        while !self.is_over() {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Bytes that arrived.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// What the thread of the receiver has computed, as far as it told.
    pub(super) fn receiver_cpu(&self) -> Duration {
        Duration::from_nanos(self.receiver_cpu.load(Ordering::Relaxed))
    }

    /// The receiver, on its thread, tells what it has computed.
    pub(super) fn tell_cpu(&self) {
        let nanos = u64::try_from(cpu_time().as_nanos()).unwrap_or(u64::MAX);
        self.receiver_cpu.store(nanos, Ordering::Relaxed);
    }

    /// The sender shook hands once more.
    pub(super) fn shook_hands(&self) {
        self.bytes.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether so many bytes may be sent in all, for systems that take as many as memory holds.
    pub(super) fn has_room(&self, sent: u64) -> bool {
        sent < self.bytes() + UNDER_WAY
    }

    /// A small message came back after so long.
    pub(super) fn came_back(&self, after: Duration) {
        lock(&self.trips).push(after);
    }

    pub(super) fn forget_trips(&self) {
        lock(&self.trips).clear();
    }

    pub(super) fn trips(&self) -> Option<Trips> {
        Trips::of(std::mem::take(&mut lock(&self.trips)))
    }

    /// Whether all that arrived was right.
    pub(super) fn check(&self) -> Result<(), String> {
        lock(&self.wrong).take().map_or(Ok(()), Err)
    }

    /// Where the receiver puts what arrives.
    pub(super) fn taker(&self) -> Taker<'_> {
        Taker { run: self, inbox: Inbox::new(sequence()) }
    }
}

/// Compares what arrives with what was sent, and counts it.
pub(super) struct Taker<'r> {
    run: &'r Run,
    inbox: Inbox<'static>,
}

impl Taker<'_> {
    /// The next bytes, or the next message, of a stream that keeps the order.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.inbox.take(bytes);
        self.count(bytes.len(), self.inbox.check(self.inbox.bytes));
    }

    /// Any message of those that [`message`] makes.
    pub(super) fn take_any(&self, bytes: &[u8]) {
        let number = bytes.first_chunk().map_or(0, |number| u64::from(u16::from_le_bytes(*number)));
        let right =
            if bytes == message(number) { Ok(()) } else { Err("a message is wrong".into()) };
        self.count(bytes.len(), right);
    }

    /// Bytes that are compared with nothing.
    pub(super) fn count_alone(&self, len: usize) {
        self.count(len, Ok(()));
    }

    fn count(&self, len: usize, right: Result<(), String>) {
        self.run.bytes.fetch_add(len as u64, Ordering::Relaxed);
        if let Err(error) = right {
            lock(&self.run.wrong).get_or_insert(error);
        }
    }
}

/// What is sent in bulk, and as small messages that keep their order.
pub(super) fn sequence() -> &'static Sequence {
    static SEQUENCE: LazyLock<Sequence> = LazyLock::new(Sequence::new);
    &SEQUENCE
}

/// A small message that tells which one it is: the numbers repeat after [`MESSAGES`].
pub(super) fn message(number: u64) -> &'static [u8] {
    static ALL: LazyLock<Vec<[u8; SMALL]>> = LazyLock::new(|| {
        let one = |number: u16| {
            let mut message = [0; SMALL];
            message.copy_from_slice(sequence().piece(u64::from(number) * SMALL as u64, SMALL));
            message[..2].copy_from_slice(&number.to_le_bytes());
            message
        };
        (0..MESSAGES).map(one).collect()
    });
    &ALL[usize::try_from(number % u64::from(MESSAGES)).unwrap_or_default()]
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes of a small message.
pub(crate) const SMALL: usize = 64;
/// Bytes that are handed over at once in bulk.
pub(super) const LARGE: usize = 64 * 1024;
/// How many small messages differ.
const MESSAGES: u16 = 1024;
/// Bytes that were sent and have not arrived: more than any path here holds.
const UNDER_WAY: u64 = 4 << 20;
/// How often it is asked whether all is over.
const PAUSE: Duration = Duration::from_millis(10);
/// After so long a small message does not come back.
pub(super) const LOST: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn run() -> Run {
        Run::new(Job::Bulk, None, mpsc::channel().0)
    }

    #[test]
    fn what_arrives_is_compared_and_counted() {
        let run = run();
        let mut taker = run.taker();
        taker.take(sequence().piece(0, 100));
        taker.take(sequence().piece(100, 28));
        assert_eq!((run.bytes(), run.check()), (128, Ok(())));
        taker.take(sequence().piece(0, 64));
        assert!(run.check().is_err_and(|error| error.contains("from byte 128")));
    }

    #[test]
    fn a_message_in_any_order_is_one_of_those_that_are_sent() {
        let run = run();
        let taker = run.taker();
        for number in [0, 7, 1023, 1024, 5_000] {
            taker.take_any(message(number));
        }
        assert_eq!((run.bytes(), run.check()), (5 * 64, Ok(())));
        assert_eq!(message(1024), message(0));
        let mut wrong = message(3).to_vec();
        wrong[63] ^= 1;
        for wrong in [&wrong[..], &message(3)[..63], &[]] {
            taker.take_any(wrong);
            assert!(run.check().is_err(), "{wrong:?}");
        }
    }
}
