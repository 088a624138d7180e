//! Values as operators write them, the same on the command line and in the file.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use handfast_core::Budget;
use handfast_program::values;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

/// A span of time, written as `500ms`, `60s` or `2m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        values::time(text).map(Self)
    }
}

/// A number of bytes, written as `65536`, `64KiB`, `16MiB` or `1GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let factor = match &text[digits.len()..] {
            "" | "B" => Some(1),
            "KiB" => Some(1 << 10),
            "MiB" => Some(1 << 20),
            "GiB" => Some(1 << 30),
            _ => None,
        };
        let number = digits.trim_end().parse().ok();
        let bytes =
            number.zip(factor).and_then(|(number, factor): (u64, u64)| number.checked_mul(factor));
        bytes.map(Self).ok_or_else(|| "not a size: write 65536, 64KiB, 16MiB or 1GiB".to_owned())
    }
}

/// A budget, written as `200/400` (200 a second, 400 at once) or `200` (as many at once).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(pub Budget);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (per_second, burst) = text.split_once('/').unwrap_or((text, text));
        let numbers = per_second.trim().parse().ok().zip(burst.trim().parse().ok());
        let budget = numbers.map(|(per_second, burst)| Budget::new(per_second, burst));
        budget
            .map(Self)
            .ok_or_else(|| "not a budget: write PER_SECOND/AT_ONCE, as 200/400".to_owned())
    }
}

/// A rate of data, written as `500kbit`, `20Mbit` or `1Gbit`: so much a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitRate {
    /// In bytes per second.
    pub bytes: u64,
}

impl FromStr for BitRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let factor = match &text[digits.len()..] {
            "kbit" => Some(1_000),
            "Mbit" => Some(1_000_000),
            "Gbit" => Some(1_000_000_000),
            _ => None,
        };
        let number = digits.trim_end().parse().ok();
        let bits =
            number.zip(factor).and_then(|(number, factor): (u64, u64)| number.checked_mul(factor));
        bits.map(|bits| Self { bytes: bits / 8 })
            .ok_or_else(|| "not a rate: write 500kbit, 20Mbit or 1Gbit".to_owned())
    }
}

/// Reads a value from text, and from a number where the file has one.
struct Written<T>(std::marker::PhantomData<T>);

impl<T: FromStr<Err = String>> Visitor<'_> for Written<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or a number")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

/// They are read as on the command line.
macro_rules! read_as_written {
    ($($name:ident)*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Written(std::marker::PhantomData))
            }
        }
    )*};
}

read_as_written! { Span Size Rate BitRate }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_and_are_never_cut_off() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("65536", Some(65_536)),
            ("12B", Some(12)),
            ("64KiB", Some(65_536)),
            ("16 MiB", Some(16 << 20)),
            ("1GiB", Some(1 << 30)),
            ("17179869184GiB", None),
            ("1kb", None),
            ("-1", None),
            ("MiB", None),
            ("", None),
            ("é", None),
        ] {
            assert_eq!(text.parse::<Size>().ok().map(|size| size.0), bytes, "{text}");
        }
    }

    #[test]
    fn rates_of_data_have_units_of_bits() {
        for (text, bytes) in [
            ("80kbit", Some(10_000)),
            ("20Mbit", Some(2_500_000)),
            ("1 Gbit", Some(125_000_000)),
            ("20", None),
            ("20MB", None),
            ("99999999999999Gbit", None),
        ] {
            assert_eq!(text.parse::<BitRate>().ok().map(|rate| rate.bytes), bytes, "{text}");
        }
    }

    #[test]
    fn budgets_are_two_numbers_or_one() {
        for (text, budget) in [
            ("200/400", Some(Budget::new(200, 400))),
            ("7", Some(Budget::new(7, 7))),
            ("7/", None),
            ("/7", None),
            ("a lot", None),
            ("1/2/3", None),
        ] {
            assert_eq!(text.parse::<Rate>().ok().map(|rate| rate.0), budget, "{text}");
        }
    }
}
