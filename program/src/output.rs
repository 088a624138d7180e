//! What a program says on stdout.

use std::io::{self, Write};

use handfast_udp::explain;

use crate::Error;

/// Prints what was asked for.
///
/// # Errors
/// When stdout is closed or full.
pub fn print(text: &str) -> Result<(), Error> {
    write(text).map_err(|error| Error::Run(format!("cannot write to stdout: {}", explain(&error))))
}

/// Writes to stdout, at once.
///
/// # Errors
/// That of stdout.
pub fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
