//! The file of counts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use serde::Deserialize;

use crate::rows::ROWS;
use crate::setting::Setting;

/// What `counts.toml` says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Committed {
    /// What it was counted with.
    pub(crate) setting: Setting,
    /// Rows by name.
    pub(crate) rows: BTreeMap<String, Count>,
}

/// Instructions of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Count {
    /// As committed last.
    pub(crate) committed: u64,
    /// As committed first.
    pub(crate) first: u64,
}

impl Committed {
    /// Reads the file; `None` if there is none yet.
    ///
    /// # Errors
    /// Says what is wrong with the file.
    pub(crate) fn load() -> Result<Option<Self>, String> {
        if !fs::exists(FILE).map_err(|error| format!("{FILE}: {error}"))? {
            return Ok(None);
        }
        let text = fs::read_to_string(FILE).map_err(|error| format!("{FILE}: {error}"))?;
        Self::parse(&text).map(Some).map_err(|error| format!("{FILE}: {error}"))
    }

    fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Says why it cannot be written.
    pub(crate) fn store(&self) -> Result<(), String> {
        fs::write(FILE, self.to_text()).map_err(|error| format!("{FILE}: {error}"))
    }

    fn to_text(&self) -> String {
        let Setting { rustc, target, features } = &self.setting;
        let mut text = format!(
            "{HEAD}\n[setting]\nrustc = {rustc:?}\ntarget = {target:?}\nfeatures = {features:?}\n\n[rows]\n"
        );
        for row in &ROWS {
            if let Some(Count { committed, first }) = self.rows.get(row.name) {
                let name = row.name;
                writeln!(text, "{name} = {{ committed = {committed}, first = {first} }}")
                    .expect("a string takes all that is written");
            }
        }
        text
    }

    /// What the file says after `counted` is committed.
    ///
    /// A row keeps its first count. In another setting that is moved as much as the count: a new
    /// compiler gives nobody room, and takes none.
    pub(crate) fn next(old: Option<&Self>, setting: Setting, counted: &[(&str, u64)]) -> Self {
        let same_setting = old.is_none_or(|old| old.setting == setting);
        let count = |name: &str, ours: u64| {
            let before = old.and_then(|old| old.rows.get(name));
            let first = before.map_or(ours, |before| match same_setting {
                true => before.first,
                false => before.first * ours / before.committed.max(1),
            });
            Count { committed: ours, first }
        };
        let rows = counted.iter().map(|(name, ours)| ((*name).to_owned(), count(name, *ours)));
        Self { setting, rows: rows.collect() }
    }
}

/// Where the counts are. This program is built where it is used.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.toml");

const HEAD: &str = "\
# Instructions of one operation, without AEADs and libc. Written by
# `cargo run --release --manifest-path bench/gate/Cargo.toml -- commit`.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(rustc: &str) -> Setting {
        Setting { rustc: rustc.into(), target: "here".into(), features: "aes".into() }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let counts = Committed::next(None, setting("rustc 1"), &[("seal", 100), ("ack", 7)]);
        assert_eq!(Committed::parse(&counts.to_text()), Ok(counts));
    }

    #[test]
    fn a_row_keeps_its_first_count_and_a_new_one_starts_there() {
        let old = Committed::next(None, setting("rustc 1"), &[("seal", 100)]);
        let new = Committed::next(Some(&old), setting("rustc 1"), &[("seal", 90), ("ack", 7)]);
        assert_eq!(new.rows["seal"], Count { committed: 90, first: 100 });
        assert_eq!(new.rows["ack"], Count { committed: 7, first: 7 });
    }

    #[test]
    fn another_compiler_moves_the_first_count_with_the_last() {
        let old = Committed::next(None, setting("rustc 1"), &[("seal", 100)]);
        let old = Committed::next(Some(&old), setting("rustc 1"), &[("seal", 80)]);
        let new = Committed::next(Some(&old), setting("rustc 2"), &[("seal", 88)]);
        assert_eq!(new.rows["seal"], Count { committed: 88, first: 110 });
    }

    #[test]
    fn a_word_that_is_not_known_is_an_error() {
        let counts = Committed::next(None, setting("rustc 1"), &[("seal", 100)]);
        let text = counts.to_text().replace("first", "frist");
        assert!(Committed::parse(&text).is_err_and(|error| error.contains("frist")));
    }
}
