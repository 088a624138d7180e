//! Commanding an endpoint from other threads.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use mio::Waker;

use crate::Endpoint;
use crate::mapped::Mapped;

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
    mapped: Arc<Mapped>,
}

impl Jobs {
    pub(crate) fn new(waker: Waker) -> Self {
        let (jobs, queue) = sync_channel(MAX_WAITING);
        let remote = Remote { jobs, waker: Arc::new(waker) };
        Self { queue, remote, mapped: Arc::default() }
    }

    pub(crate) fn remote(&self) -> Remote {
        self.remote.clone()
    }

    pub(crate) fn next(&self) -> Option<Job> {
        self.queue.try_recv().ok()
    }

    /// Tells the endpoint of a mapped port, from another thread.
    pub(crate) fn mapped(&self) -> MappedSender {
        MappedSender { mapped: Arc::clone(&self.mapped), waker: Arc::clone(&self.remote.waker) }
    }

    /// What other shards ring when they have something for this one.
    pub(crate) fn bell(&self) -> Box<dyn Fn() + Send + Sync> {
        let waker = Arc::clone(&self.remote.waker);
        Box::new(move || {
            if let Err(error) = waker.wake() {
                // It takes it when something else wakes it.
                tracing::debug!(target: "handfast::driver", %error, "another shard was not woken");
            }
        })
    }

    /// The newest mapped port, unless it was taken already.
    pub(crate) fn take_mapped(&self) -> Option<Option<SocketAddr>> {
        self.mapped.take()
    }
}

/// Tells an endpoint of a mapped port.
pub(crate) struct MappedSender {
    mapped: Arc<Mapped>,
    waker: Arc<Waker>,
}

impl MappedSender {
    /// However busy the endpoint is: the newest counts.
    pub(crate) fn put(&self, address: Option<SocketAddr>) {
        self.mapped.put(address);
        if let Err(error) = self.waker.wake() {
            // It takes it when something else wakes it.
            tracing::debug!(target: "handfast::driver", %error, "not woken for a mapped port");
        }
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

    #[test]
    fn a_mapped_port_is_told_of_however_many_jobs_wait() {
        let (mut poll, jobs) = jobs();
        let (remote, mapped) = (jobs.remote(), jobs.mapped());
        while remote.run(|_| ()) == Ok(()) {}
        let mut events = Events::with_capacity(1);
        poll.poll(&mut events, Some(Duration::from_secs(60))).expect("polled");
        let address = |port: u16| Some(SocketAddr::from(([203, 0, 113, 7], port)));
        assert_eq!(jobs.take_mapped(), None);
        mapped.put(address(1));
        mapped.put(address(2));
        poll.poll(&mut events, Some(Duration::from_secs(60))).expect("polled");
        assert!(events.iter().any(|event| event.token() == Token(7)), "it wakes the endpoint");
        assert_eq!([jobs.take_mapped(), jobs.take_mapped()], [Some(address(2)), None]);
        mapped.put(None);
        assert_eq!(jobs.take_mapped(), Some(None));
    }
}
