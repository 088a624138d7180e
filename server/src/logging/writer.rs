//! Writes lines from a thread of its own, so that nobody else ever waits for whoever reads them.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Takes lines, and never waits. When the reader is slow, up to a mebibyte waits for it; beyond that
/// lines are dropped and counted.
#[derive(Clone, Debug)]
pub struct Writer(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Whole lines.
    waiting: Vec<u8>,
    /// Some are being written.
    is_writing: bool,
    dropped: u64,
    /// Of these, how many no line has told of.
    untold: u64,
}

impl Writer {
    /// Starts the thread, which writes to `sink`. What the sink refuses is lost. `tell` is to tell how many
    /// lines were dropped, once there is room for more.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(
        sink: impl Write + Send + 'static,
        tell: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let writer = Self(Arc::clone(&shared));
        let write = move || shared.write_to(sink, tell);
        thread::Builder::new().name("log".to_owned()).spawn(write)?;
        Ok(writer)
    }

    /// Takes a line, its end included; drops it when there is no room.
    pub fn push(&self, line: &[u8]) {
        let mut state = self.0.lock();
        if state.waiting.len() + line.len() > MOST_BYTES {
            state.dropped += 1;
            state.untold += 1;
            return;
        }
        state.waiting.extend_from_slice(line);
        drop(state);
        self.0.changed.notify_all();
    }

    /// How many lines were dropped so far.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.lock().dropped
    }

    /// Waits until everything is written, but no longer than this.
    pub fn flush(&self, patience: Duration) {
        let is_busy = |state: &mut State| state.is_writing || !state.waiting.is_empty();
        let waited = self.0.changed.wait_timeout_while(self.0.lock(), patience, is_busy);
        drop(waited);
    }
}

impl Shared {
    /// Only this thread ever waits for the sink.
    fn write_to(&self, mut sink: impl Write, tell: impl Fn(u64)) {
        loop {
            let mut state = self.lock();
            while state.waiting.is_empty() {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let lines = mem::take(&mut state.waiting);
            let untold = mem::take(&mut state.untold);
            state.is_writing = true;
            drop(state);
            if untold > 0 {
                // They came after these lines, and now there is room for a line about them.
                tell(untold);
            }
            // Nobody may be reading any more: there is nobody to complain to.
            sink.write_all(&lines).and_then(|()| sink.flush()).ok();
            self.lock().is_writing = false;
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line comes in one call.
impl Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Writer {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// What waits for the reader at most; as much again may be on its way to it.
const MOST_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// Takes no more than it is told to.
    struct Slow {
        turns: Receiver<()>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.turns.recv().map_err(io::Error::other)?;
            self.written.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_the_reader_and_what_is_dropped_is_counted() {
        let (turn, turns) = channel();
        let (written, out) = channel();
        let writer = Writer::start(Slow { turns, written }, |_| {}).expect("a thread");
        let line = [b'x'; 1024];
        for _ in 0..4096 {
            writer.push(&line);
        }
        let dropped = writer.dropped();
        assert!((2048..=3072).contains(&dropped), "{dropped}");
        // The reader comes back: all the rest arrives, whole.
        turn.send(()).expect("waiting");
        turn.send(()).expect("waiting");
        let mut bytes = out.recv().expect("written").len();
        while bytes < (4096 - usize::try_from(dropped).expect("few")) * line.len() {
            bytes += out.recv_timeout(Duration::from_secs(60)).expect("written").len();
        }
        assert_eq!(bytes % line.len(), 0);
        writer.push(b"again\n");
        turn.send(()).expect("waiting");
        assert_eq!(out.recv().expect("written"), b"again\n");
        assert_eq!(writer.dropped(), dropped);
    }

    #[test]
    fn a_flush_waits_for_what_was_pushed_and_for_a_dead_reader_not_for_ever() {
        let (turn, turns) = channel();
        let (written, out) = channel();
        let writer = Writer::start(Slow { turns, written }, |_| {}).expect("a thread");
        writer.push(b"one\n");
        writer.flush(Duration::from_millis(1));
        assert!(out.try_recv().is_err(), "it was not its turn");
        turn.send(()).expect("waiting");
        writer.flush(Duration::from_secs(60));
        assert_eq!(out.try_recv().expect("written"), b"one\n");
    }

    #[test]
    fn what_was_dropped_is_told_once_the_reader_is_back() {
        let (turn, turns) = channel();
        let (written, out) = channel();
        let (tell, told) = channel();
        let tell = move |count| tell.send(count).expect("somebody hears");
        let writer = Writer::start(Slow { turns, written }, tell).expect("a thread");
        writer.push(b"the first\n");
        // However late the thread begins, it has these lines alone.
        while !writer.0.lock().is_writing {
            thread::yield_now();
        }
        for _ in 0..4096 {
            writer.push(&[b'x'; 1024]);
        }
        assert!(told.try_recv().is_err(), "nobody reads");
        // The first line, and those that waited behind it.
        turn.send(()).expect("waiting");
        turn.send(()).expect("waiting");
        drop(out.recv_timeout(Duration::from_secs(60)).expect("written"));
        assert_eq!(told.recv_timeout(Duration::from_secs(60)), Ok(writer.dropped()));
        writer.flush(Duration::from_secs(60));
        assert!(told.try_recv().is_err(), "once");
    }
}
