//! The file of counts: lines of words. Three name the setting, the others are rows.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use crate::rows::{ROWS, Row};
use crate::setting::Setting;

/// What `counts.txt` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Committed {
    /// What it was counted with.
    pub(crate) setting: Setting,
    /// Rows by name.
    pub(crate) rows: BTreeMap<String, Count>,
}

/// Instructions of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        let mut counts = Self::default();
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        for line in lines {
            counts.take(line).ok_or_else(|| format!("this line makes no sense: {line}"))?;
        }
        Ok(counts)
    }

    /// Takes a line; `None` if it makes no sense.
    fn take(&mut self, line: &str) -> Option<()> {
        let (name, value) = line.split_once(' ')?;
        let value = value.trim();
        match name {
            "rustc" => self.setting.rustc = value.into(),
            "target" => self.setting.target = value.into(),
            "features" => self.setting.features = value.into(),
            _ => {
                let (committed, first) = value.split_once(' ')?;
                let committed = committed.parse().ok()?;
                let count = Count { committed, first: first.trim().parse().ok()? };
                self.rows.insert(name.into(), count);
            }
        }
        Some(())
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
        let mut text = format!("{HEAD}\nrustc {rustc}\ntarget {target}\nfeatures {features}\n\n");
        text.push_str("# row                     committed      first\n");
        for Row { name, .. } in &ROWS {
            if let Some(Count { committed, first }) = self.rows.get(*name) {
                writeln!(text, "{name:25} {committed:>9}  {first:>9}")
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
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.txt");

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
    fn a_line_that_makes_no_sense_is_named() {
        for line in ["seal 100", "seal 100 many", "seal", "seal 1 2 3"] {
            let error = Committed::parse(&format!("# rows\n\n{line}\n")).expect_err("no row");
            assert_eq!(error, format!("this line makes no sense: {line}"));
        }
    }
}
