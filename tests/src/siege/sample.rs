//! A server's counters, as it prints them and as they are read.

use std::collections::BTreeMap;
use std::fmt;

use crate::Report;

/// All counters of a server by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample(BTreeMap<String, u64>);

impl Sample {
    /// The counter of this name, zero if there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// How far the counter of this name went since `before`.
    #[must_use]
    pub fn since(&self, before: &Self, name: &str) -> u64 {
        self.get(name).saturating_sub(before.get(name))
    }

    /// What went on since `before` under names that begin with `prefix`, which is left out.
    pub fn all_since<'a>(
        &'a self,
        before: &'a Self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, u64)> {
        let named = self.0.keys().filter_map(move |name| Some((name, name.strip_prefix(prefix)?)));
        named.map(|(name, short)| (short, self.since(before, name))).filter(|(_, by)| *by > 0)
    }

    /// Reads a line as it is displayed.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let words = line.strip_prefix(HEAD)?.split_whitespace();
        let pair = |word: &str| {
            let (name, value) = word.split_once('=')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        words.map(pair).collect::<Option<_>>().map(Self)
    }
}

impl From<&Report> for Sample {
    fn from(report: &Report) -> Self {
        let stats = report.stats.iter().map(|(name, value)| (name.to_owned(), value));
        let drops = report.drops.iter().map(|(name, value)| (format!("drop.{name}"), value));
        Self(stats.chain(drops).collect())
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEAD)?;
        self.0.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}

const HEAD: &str = "counters";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_read() {
        let counters = [("received", 7), ("drop.malformed", 3), ("drop.full", 0)];
        let sample = Sample(counters.map(|(name, value)| (name.to_owned(), value)).into());
        assert_eq!(Sample::parse(&sample.to_string()), Some(sample.clone()));
        let before = Sample::default();
        let drops: Vec<_> = sample.all_since(&before, "drop.").collect();
        assert_eq!(drops, [("malformed", 3)]);
        assert_eq!((sample.get("received"), sample.get("unheard of")), (7, 0));
        assert_eq!(Sample::parse("something else"), None);
        assert_eq!(Sample::parse("counters received=many"), None);
    }
}
