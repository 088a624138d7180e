//! Choices among names.

use clap::ValueEnum;
use serde::Deserialize;

use handfast_program::Error;

/// Which runtime drives the sockets. Each is built in by the feature of its name.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum RuntimeKind {
    /// Asynchronous tasks.
    Tokio,
    /// One thread and one poll loop.
    Mio,
}

impl RuntimeKind {
    /// The name of the runtime: on the command line, in the file, and as a feature.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tokio => "tokio",
            Self::Mio => "mio",
        }
    }

    /// Whether this build of the program has the runtime.
    #[must_use]
    pub const fn is_built_in(self) -> bool {
        match self {
            Self::Tokio => cfg!(feature = "tokio"),
            Self::Mio => cfg!(feature = "mio"),
        }
    }

    /// The error of choosing a runtime that this build does not have.
    pub(crate) fn not_built_in(self) -> Error {
        let (name, other) = (self.name(), Self::default().name());
        Error::Usage(format!(
            "the runtime {name} is not built into this program: choose --runtime {other}, or build \
             it with the feature `{name}` of handfast-server"
        ))
    }
}

impl Default for RuntimeKind {
    /// Tokio, or mio where tokio is not built in.
    fn default() -> Self {
        if Self::Tokio.is_built_in() { Self::Tokio } else { Self::Mio }
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// An object a line, for programs.
    Json,
}
