//! Errors of the system in words of our own.

use std::fmt;
use std::io;

/// Shows `error` in English with the system's number behind: the text of the system itself is in
/// its own language on some systems and missing on others. An error that is not the system's is
/// shown as it is.
///
/// ```
/// let error = std::io::Error::from(std::io::ErrorKind::AddrInUse);
/// assert_eq!(handfast_udp::explain(&error).to_string(), "address in use");
/// ```
#[must_use]
pub fn explain(error: &io::Error) -> impl fmt::Display + '_ {
    Explained(error)
}

struct Explained<'a>(&'a io::Error);

impl fmt::Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(error) = self;
        match (error.raw_os_error(), words(error)) {
            (Some(number), Some(words)) => write!(f, "{words} (os error {number})"),
            // Unix has these texts at hand, in English. Elsewhere the number has to do.
            (Some(_), None) if cfg!(unix) => write!(f, "{error}"),
            (Some(number), None) => write!(f, "the system refused (os error {number})"),
            (None, _) => write!(f, "{error}"),
        }
    }
}

/// `None` for what is rare.
fn words(error: &io::Error) -> Option<&'static str> {
    use io::ErrorKind as Kind;
    let rare = || error.raw_os_error().and_then(winsock);
    Some(match error.kind() {
        Kind::NotFound => "no such file, directory or host",
        Kind::PermissionDenied => "permission denied",
        Kind::AlreadyExists => "it exists already",
        Kind::IsADirectory => "it is a directory",
        Kind::NotADirectory => "part of the path is no directory",
        Kind::ReadOnlyFilesystem => "the file system is read-only",
        Kind::StorageFull => "no space left",
        Kind::InvalidInput => "invalid argument",
        Kind::AddrInUse => "address in use",
        Kind::AddrNotAvailable => "address not available",
        Kind::ConnectionRefused => "connection refused",
        Kind::ConnectionReset => "connection reset",
        Kind::ConnectionAborted => "connection aborted",
        Kind::NetworkDown => "network down",
        Kind::NetworkUnreachable => "network unreachable",
        Kind::HostUnreachable => "host unreachable",
        Kind::OutOfMemory => "out of memory",
        Kind::Unsupported => "not supported",
        _ => return rare(),
    })
}

/// Errors of Windows Sockets that the standard library has no kind for.
fn winsock(number: i32) -> Option<&'static str> {
    if !cfg!(windows) {
        return None;
    }
    Some(match number {
        10_040 => "message too long",
        10_042 => "option not supported",
        10_045 => "operation not supported",
        10_047 => "address family not supported",
        10_055 => "no buffer space",
        11_001 => "no such host",
        11_002 => "the name server does not answer",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const IN_USE: i32 = if cfg!(windows) {
        10_048
    } else if cfg!(any(target_os = "linux", target_os = "android")) {
        98
    } else {
        48
    };

    #[test]
    fn our_words_come_first_and_the_number_behind() {
        let text = explain(&io::Error::from_raw_os_error(IN_USE)).to_string();
        assert_eq!(text, format!("address in use (os error {IN_USE})"));
    }

    #[test]
    fn every_number_is_shown_with_words_before_it() {
        for number in (1..200).chain(10_000..11_010) {
            let text = explain(&io::Error::from_raw_os_error(number)).to_string();
            let words = text.strip_suffix(&format!(" (os error {number})")).expect("a number");
            assert!(!words.is_empty() && !words.contains("FormatMessage"), "{text}");
        }
    }

    #[test]
    fn an_error_in_words_already_is_left_alone() {
        let error = io::Error::new(io::ErrorKind::AddrInUse, "port 7 is taken");
        assert_eq!(explain(&error).to_string(), "port 7 is taken");
    }
}
