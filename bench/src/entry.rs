//! Figures as they are read: of this run, or of a file of JSON.

use crate::figure::Figure;

/// One figure, of a run or of a line of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Entry<'a> {
    pub(crate) bench: &'a str,
    pub(crate) case: &'a str,
    pub(crate) system: &'a str,
    pub(crate) metric: &'a str,
    pub(crate) value: f64,
    pub(crate) unit: &'a str,
}

impl<'a> Entry<'a> {
    /// Reads a line that [`Figure`] wrote; `None` if it is none.
    pub(crate) fn parse(line: &'a str) -> Option<Self> {
        let parts: Vec<&str> = line.split('"').collect();
        #[rustfmt::skip]
        let [
            "{", "bench", ":", bench, ",", "case", ":", case, ",", "system", ":", system, ",",
            "metric", ":", metric, ",", "value", value, "unit", ":", unit, "}",
        ] = parts[..] else {
            return None;
        };
        let value = value.strip_prefix(':')?.strip_suffix(',')?.parse().ok()?;
        Some(Self { bench, case, system, metric, value, unit })
    }
}

impl<'a> From<&'a Figure> for Entry<'a> {
    fn from(figure: &'a Figure) -> Self {
        let Figure { bench, case, system, metric, value, unit } = figure;
        Self { bench, case, system, metric, value: *value, unit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_nothing_else() {
        let figure = Figure {
            bench: "loss",
            case: "100 Mbit/s, 1 % loss".into(),
            system: "rusty_enet (no encryption)".into(),
            metric: "goodput",
            value: 0.125,
            unit: "MiB/s",
        };
        let line = figure.to_string();
        assert_eq!(Entry::parse(line.trim_end()), Some(Entry::from(&figure)));
        for wrong in ["", "{}", &line.replace("0.125", "much"), &line.replace("metric", "metre")] {
            assert_eq!(Entry::parse(wrong.trim_end()), None, "{wrong}");
        }
    }
}
