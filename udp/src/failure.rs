//! What an error of a socket means.

use std::io;
use std::time::{Duration, Instant};

/// How to go on after a failed send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendFailure {
    /// The system's buffer is full: wait until the socket is writable.
    Blocked,
    /// The datagram was larger than the way allows. Expected when probing for just that.
    TooLarge,
    /// Lost. This includes a full queue of the network card (`ENOBUFS`), which no readiness event
    /// ever ends on some systems, and whatever a firewall or a missing route makes of it.
    Lost,
}

impl SendFailure {
    pub(crate) fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock => Self::Blocked,
            _ if error.raw_os_error() == Some(EMSGSIZE) => Self::TooLarge,
            _ => Self::Lost,
        }
    }
}

/// How to go on after a failed receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReceiveFailure {
    /// Nothing to read: wait until the socket is readable.
    Drained,
    /// News of a datagram sent earlier (an ICMP message anyone can forge): ignore it and read on.
    Notice,
    /// The socket itself failed, or the system did for want of memory. Fatal if it persists.
    Broken,
}

impl ReceiveFailure {
    pub(crate) fn of(error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::WouldBlock => Self::Drained,
            Kind::ConnectionRefused
            | Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
            | Kind::Interrupted
            | Kind::TimedOut => Self::Notice,
            _ if NOTICES.iter().any(|number| error.raw_os_error() == Some(*number)) => Self::Notice,
            _ => Self::Broken,
        }
    }
}

/// Failures of a socket itself, one after the other.
///
/// Memory that is short for a moment fails any number of reads within a millisecond: so each
/// failure is followed by a pause, and it takes time as well as number to give a socket up.
#[derive(Debug)]
pub(crate) struct Breakage {
    since: Instant,
    count: u32,
    resumes: Instant,
}

impl Breakage {
    /// The first failure.
    pub(crate) fn new(now: Instant) -> Self {
        let mut breakage = Self { since: now, count: 0, resumes: now };
        breakage.repeat(now);
        breakage
    }

    /// One more.
    pub(crate) fn repeat(&mut self, now: Instant) {
        self.count = self.count.saturating_add(1);
        self.resumes = now + Duration::from_millis(1 << (self.count - 1).min(MAX_DOUBLINGS));
    }

    /// When to try again.
    pub(crate) const fn resumes(&self) -> Instant {
        self.resumes
    }

    /// Whether to give up.
    pub(crate) fn is_fatal(&self, now: Instant) -> bool {
        self.count >= FATAL_COUNT && now.saturating_duration_since(self.since) >= FATAL_TIME
    }
}

/// So many failures in a row, over so long a time, are fatal.
pub(crate) const FATAL_COUNT: u32 = 100;
pub(crate) const FATAL_TIME: Duration = Duration::from_secs(10);
/// The pauses grow from one millisecond to 128.
const MAX_DOUBLINGS: u32 = 7;

/// Lets one log line through per minute.
#[derive(Debug, Default)]
pub(crate) struct OncePerMinute {
    last: Option<Instant>,
}

impl OncePerMinute {
    /// Whether to speak at `now`.
    pub(crate) fn permits(&mut self, now: Instant) -> bool {
        let quiet =
            self.last.is_some_and(|last| now.saturating_duration_since(last) < Self::INTERVAL);
        if !quiet {
            self.last = Some(now);
        }
        !quiet
    }

    const INTERVAL: Duration = Duration::from_secs(60);
}

/// What the standard library has no name for: a datagram that was too long, and on Windows the
/// news that one sent earlier died on the way of its hop limit (`WSAENETRESET`).
const NOTICES: &[i32] = if cfg!(windows) { &[EMSGSIZE, 10_052] } else { &[EMSGSIZE] };

/// "Message too long", which the standard library has no name for.
pub(crate) const EMSGSIZE: i32 = if cfg!(windows) {
    10_040
} else if cfg!(any(target_os = "linux", target_os = "android")) {
    90
} else {
    40
};

#[cfg(test)]
mod tests {
    use super::*;

    const ENOBUFS: i32 = if cfg!(windows) {
        10_055
    } else if cfg!(any(target_os = "linux", target_os = "android")) {
        105
    } else {
        55
    };

    #[test]
    fn only_a_full_send_buffer_blocks() {
        assert_eq!(SendFailure::of(&io::ErrorKind::WouldBlock.into()), SendFailure::Blocked);
        assert_eq!(SendFailure::of(&io::Error::from_raw_os_error(ENOBUFS)), SendFailure::Lost);
        assert_eq!(SendFailure::of(&io::ErrorKind::PermissionDenied.into()), SendFailure::Lost);
        assert_eq!(SendFailure::of(&io::Error::from_raw_os_error(EMSGSIZE)), SendFailure::TooLarge);
    }

    #[test]
    fn what_a_stranger_can_cause_never_breaks_a_socket() {
        use io::ErrorKind as Kind;
        for kind in [Kind::ConnectionReset, Kind::ConnectionRefused, Kind::HostUnreachable] {
            assert_eq!(ReceiveFailure::of(&kind.into()), ReceiveFailure::Notice);
        }
        for number in NOTICES {
            let error = io::Error::from_raw_os_error(*number);
            assert_eq!(ReceiveFailure::of(&error), ReceiveFailure::Notice, "{error:?}");
        }
        assert_eq!(ReceiveFailure::of(&Kind::WouldBlock.into()), ReceiveFailure::Drained);
        assert_eq!(ReceiveFailure::of(&io::Error::other("bad file")), ReceiveFailure::Broken);
    }

    /// What a send to a closed port brings upon the next receive (`WSAECONNRESET`), and what ICMP
    /// messages that anyone can forge do.
    #[cfg(windows)]
    #[test]
    fn what_windows_reports_of_datagrams_sent_earlier_never_breaks_a_socket() {
        for number in [10_054, 10_052, 10_061, 10_065, 10_051, 10_050, 10_040] {
            let error = io::Error::from_raw_os_error(number);
            assert_eq!(ReceiveFailure::of(&error), ReceiveFailure::Notice, "{error:?}");
        }
        assert_eq!(
            ReceiveFailure::of(&io::Error::from_raw_os_error(10_035)),
            ReceiveFailure::Drained
        );
    }

    #[test]
    fn one_line_passes_per_minute() {
        let mut log = OncePerMinute::default();
        let start = Instant::now();
        assert!(log.permits(start));
        assert!(!log.permits(start + Duration::from_secs(59)));
        assert!(log.permits(start + Duration::from_secs(60)));
        assert!(!log.permits(start + Duration::from_secs(61)));
    }
}
