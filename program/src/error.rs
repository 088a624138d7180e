//! Why the program stopped, in one line.

use std::fmt;
use std::io;

use handfast_udp::explain;

/// A failure that ends the program. Its text is one line that says what is wrong and what to do.
#[derive(Debug)]
pub enum Error {
    /// The command line, the configuration or a file named there is at fault.
    Usage(String),
    /// Something failed while running.
    Run(String),
    /// Somebody does not want what was asked of him.
    Refused(String),
}

impl Error {
    /// What the process exits with.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Run(_) => 1,
            Self::Usage(_) => 2,
            Self::Refused(_) => 3,
        }
    }

    /// Says that the sockets failed for good.
    #[must_use]
    pub fn network(error: &io::Error) -> Self {
        Self::Run(format!("the network failed: {}", explain(error)))
    }

    /// Explains why the endpoint could not be opened.
    #[must_use]
    pub fn bind(error: &io::Error) -> Self {
        let advice = match error.kind() {
            // The configuration was checked before: this is for completeness.
            io::ErrorKind::InvalidInput => return Self::Usage(error.to_string()),
            io::ErrorKind::AddrInUse => {
                "another program uses this port: stop it, or choose another with --listen"
            }
            io::ErrorKind::AddrNotAvailable if cfg!(windows) => {
                "this machine has no such address: see `ipconfig`, or leave --listen out"
            }
            io::ErrorKind::AddrNotAvailable => {
                "this machine has no such address: see `ip address`, or leave --listen out"
            }
            io::ErrorKind::PermissionDenied if cfg!(windows) => {
                "another program or the system has reserved this port: choose another with --listen"
            }
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 are reserved: choose another with --listen"
            }
            _ => "choose another address with --listen",
        };
        Self::Run(format!("{}; {advice}", explain(error)))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::Run(text) | Self::Refused(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}
