//! Commanding an endpoint from other threads.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use mio::Waker;

use crate::Endpoint;

/// Commands an endpoint from another thread, which it wakes for it.
#[derive(Clone)]
pub struct Remote {
    jobs: SyncSender<Job>,
    waker: Arc<Waker>,
}

impl Remote {
    /// Has the endpoint's thread run `job` in its next turn. Never blocks.
    ///
    /// To get an answer, let `job` send it through a channel of your own.
    ///
    /// # Errors
    /// When 1,024 jobs are waiting already, when the endpoint is gone, or when the system fails to
    /// wake it. In the last case alone the job stays queued.
    pub fn run(&self, job: impl FnOnce(&mut Endpoint) + Send + 'static) -> Result<(), RemoteError> {
        self.jobs.try_send(Box::new(job)).map_err(|error| match error {
            TrySendError::Full(_) => RemoteError::Full,
            TrySendError::Disconnected(_) => RemoteError::Stopped,
        })?;
        self.waker.wake().map_err(|error| RemoteError::Wake(error.kind()))
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Remote(..)")
    }
}

/// Why a job was not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoteError {
    /// Too many jobs are waiting: the endpoint's thread is busy. Try again later.
    Full,
    /// The endpoint is gone.
    Stopped,
    /// The job is queued, but the endpoint could not be woken: it runs when something else does.
    Wake(io::ErrorKind),
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("too many jobs are waiting for the endpoint"),
            Self::Stopped => f.write_str("the endpoint is gone"),
            Self::Wake(kind) => write!(f, "the endpoint could not be woken: {kind}"),
        }
    }
}

impl std::error::Error for RemoteError {}

/// Something to run on the endpoint's thread.
pub(crate) type Job = Box<dyn FnOnce(&mut Endpoint) + Send>;

/// The endpoint's side.
pub(crate) struct Jobs {
    queue: Receiver<Job>,
    remote: Remote,
}

impl Jobs {
    pub(crate) fn new(waker: Waker) -> Self {
        let (jobs, queue) = sync_channel(MAX_WAITING);
        Self { queue, remote: Remote { jobs, waker: Arc::new(waker) } }
    }

    pub(crate) fn remote(&self) -> Remote {
        self.remote.clone()
    }

    pub(crate) fn next(&self) -> Option<Job> {
        self.queue.try_recv().ok()
    }
}

const MAX_WAITING: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll, Token};
    use std::time::Duration;

    fn jobs() -> (Poll, Jobs) {
        let poll = Poll::new().expect("a poll");
        let waker = Waker::new(poll.registry(), Token(7)).expect("a waker");
        (poll, Jobs::new(waker))
    }

    #[test]
    fn a_job_wakes_a_sleeping_poll() {
        let (mut poll, jobs) = jobs();
        let remote = jobs.remote();
        let thread = std::thread::spawn(move || remote.run(|_| ()));
        let mut events = Events::with_capacity(1);
        poll.poll(&mut events, Some(Duration::from_secs(60))).expect("polled");
        assert!(events.iter().any(|event| event.token() == Token(7)));
        assert_eq!(thread.join().expect("no panic"), Ok(()));
        assert!(jobs.next().is_some());
        assert!(jobs.next().is_none());
    }

    #[test]
    fn a_full_queue_and_a_gone_endpoint_are_errors() {
        let (_poll, jobs) = jobs();
        let remote = jobs.remote();
        for _ in 0..MAX_WAITING {
            assert_eq!(remote.run(|_| ()), Ok(()));
        }
        assert_eq!(remote.run(|_| ()), Err(RemoteError::Full));
        drop(jobs);
        assert_eq!(remote.run(|_| ()), Err(RemoteError::Stopped));
    }
}
