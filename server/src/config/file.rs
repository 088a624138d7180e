//! The configuration file: the same keys as the flags, in TOML.

use std::fs;
use std::path::Path;

use handfast_udp::explain;
use toml::de::DeTable;

use super::LogFormat;
use super::layer::{BACKSLASH, Layer, keys};
use handfast_program::Error;

/// Reads a configuration file. Relative paths in it start at the file's own directory, so that the
/// file means the same wherever the server is started.
///
/// # Errors
/// When it cannot be read, is not TOML, or has a key or value that is not understood: names the
/// file, the line and, for a key, the nearest one that exists.
pub fn read_file(path: &Path) -> Result<Layer, Error> {
    let text = fs::read_to_string(path).map_err(|error| {
        let error = explain(&error);
        Error::Usage(format!("cannot read the configuration {}: {error}", path.display()))
    })?;
    let mut layer = parse(&text).map_err(|Mistake { line, what }| {
        Error::Usage(format!("{}, line {line}: {what}", path.display()))
    })?;
    let directory = path.parent().unwrap_or_else(|| Path::new(""));
    let files = [&mut layer.identity, &mut layer.network_secret_file, &mut layer.allow];
    for file in files.into_iter().flatten() {
        *file = directory.join(&file);
    }
    Ok(layer)
}

/// What is wrong in a configuration file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) what: String,
}

pub(super) fn parse(text: &str) -> Result<Layer, Mistake> {
    let at = |offset: usize| {
        let before = text.as_bytes().iter().take(offset);
        before.filter(|&&byte| byte == b'\n').count() + 1
    };
    let mistake = |error: toml::de::Error| {
        let span = error.span().unwrap_or_default();
        let around = text.get(span.start.saturating_sub(1)..=span.start);
        let escape = around.is_some_and(|around| around.contains('\\'));
        let hint = if escape { format!("; {BACKSLASH}") } else { String::new() };
        Mistake { line: at(span.start), what: error.message().replace('\n', "; ") + &hint }
    };
    let known = keys();
    let table = DeTable::parse(text).map_err(mistake)?;
    let unknown = table.get_ref().keys().filter(|key| !known.iter().any(|k| k == key.get_ref()));
    if let Some(key) = unknown.min_by_key(|key| key.span().start) {
        let name = key.get_ref();
        let what = match nearest(name, &known) {
            Some(near) => format!("unknown key `{name}`: did you mean `{near}`?"),
            None => format!("unknown key `{name}`: the keys are {}", known.join(", ")),
        };
        return Err(Mistake { line: at(key.span().start), what });
    }
    toml::from_str(text).map_err(mistake)
}

/// The key that `name` was probably meant to be.
fn nearest<'a>(name: &str, keys: &'a [String]) -> Option<&'a str> {
    let distance = |key: &str| strsim::damerau_levenshtein(&name.to_lowercase(), key);
    let scored = keys.iter().map(|key| (distance(key), key.as_str()));
    let (distance, key) = scored.min()?;
    (distance <= (key.len() / 3).max(2)).then_some(key)
}

/// How the file wants log lines written, although it may be at fault otherwise; `None` if it does not say.
pub(crate) fn log_format(path: &Path) -> Option<LogFormat> {
    let text = fs::read_to_string(path).ok()?;
    let table: toml::Table = text.parse().ok()?;
    table.get("log-format")?.clone().try_into().ok()
}
