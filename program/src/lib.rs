//! What the programs of handfast have in common, so that they look alike to whoever runs them.
//!
//! [`Error`] is one line with its exit code, [`in_one_line`] makes one of what clap says. [`places`] says where
//! the system keeps files, [`keys`] what is done with those that hold keys. [`addresses`] are those of this machine,
//! [`values`] what is written on command lines, [`signals`] what the system tells a program, [`output`] its stdout.
#![forbid(unsafe_code)]

pub mod addresses;
mod error;
pub mod keys;
pub mod output;
pub mod places;
pub mod signals;
pub mod values;

pub use error::Error;

/// Keeps what is wrong and what might be meant, of the several lines that clap writes.
#[must_use]
pub fn in_one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let lines =
        lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let parts: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    let text = parts.join("; ");
    format!("{} (see --help)", text.strip_prefix("error: ").unwrap_or(&text))
}
