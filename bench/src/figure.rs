//! Figures for programs: a JSON object a line, the same fields for every bench.

use std::fmt;

/// One figure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    /// The row of the command line.
    pub(crate) bench: &'static str,
    /// What was done.
    pub(crate) case: String,
    /// Who did it.
    pub(crate) system: String,
    pub(crate) metric: &'static str,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bench, case, system, metric, value, unit } = self;
        debug_assert!(
            ![bench, case.as_str(), system, metric, unit].iter().any(|it| must_be_escaped(it))
        );
        writeln!(
            f,
            r#"{{"bench":"{bench}","case":"{case}","system":"{system}","metric":"{metric}","value":{value:.3},"unit":"{unit}"}}"#
        )
    }
}

/// Whether JSON could not have this text as it is. No name here is such.
pub(crate) fn must_be_escaped(text: &str) -> bool {
    text.contains(['"', '\\']) || text.contains(char::is_control)
}

/// All of them, for programs.
pub(crate) fn json(figures: &[Figure]) -> String {
    figures.iter().map(Figure::to_string).collect()
}

/// Sorts, and returns the middle one, of an odd number; 0 if there is none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_a_line_with_six_fields() {
        let figure = Figure {
            bench: "core",
            case: "bulk".into(),
            system: "rusty_enet (no encryption)".into(),
            metric: "ratio",
            value: 0.5,
            unit: "handfast/system",
        };
        assert_eq!(
            json(&[figure.clone(), figure]).lines().last(),
            Some(
                r#"{"bench":"core","case":"bulk","system":"rusty_enet (no encryption)","metric":"ratio","value":0.500,"unit":"handfast/system"}"#
            )
        );
    }
}
