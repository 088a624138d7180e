//! The command line.

use std::path::PathBuf;

use crate::matrix::Options;

/// What to measure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Bench {
    /// Protocols alone, in memory.
    #[default]
    Core,
    /// Messages in bad networks, in virtual time.
    Matrix,
    /// What waits beside a busy endpoint.
    Fairness,
    /// What passes packets on between two ends.
    Relay,
}

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) bench: Bench,
    /// Fewer and shorter rounds, and what only the matrix knows.
    pub(crate) options: Options,
    /// Where to write the figures, a JSON object a line.
    pub(crate) json: Option<PathBuf>,
}

impl Arguments {
    /// Reads the words after the name of the program.
    ///
    /// # Errors
    /// Names the first word that is wrong or missing.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let bench = match words.next().as_deref() {
            Some("core") => Bench::Core,
            Some("matrix") => Bench::Matrix,
            Some("fairness") => Bench::Fairness,
            Some("relay") => Bench::Relay,
            Some(other) => return Err(format!("there is no bench `{other}`")),
            None => return Err("no bench is named".into()),
        };
        let mut arguments = Self { bench, ..Self::default() };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--quick" => arguments.options.quick = true,
                "--more-seeds" if bench == Bench::Matrix => arguments.options.more_seeds = true,
                "--commit" if bench == Bench::Matrix => arguments.options.commit = true,
                "--targets" if bench == Bench::Matrix => arguments.options.targets = true,
                "--only" if bench == Bench::Matrix => {
                    arguments.options.only.push(words.next().ok_or("--only needs a text")?);
                }
                "--json" => {
                    let file = words.next().ok_or("--json needs the name of a file")?;
                    arguments.json = Some(file.into());
                }
                other => return Err(format!("`{other}` is not known")),
            }
        }
        Ok(arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split_whitespace().map(String::from))
    }

    #[test]
    fn choices_come_in_any_order() {
        let json = Some("rows.json".into());
        let options = Options { quick: true, ..Options::default() };
        let expected = Ok(Arguments { bench: Bench::Core, options, json });
        assert_eq!(parse("core --quick --json rows.json"), expected);
        assert_eq!(parse("core --json rows.json --quick"), expected);
        assert_eq!(parse("core"), Ok(Arguments::default()));
        assert_eq!(parse("fairness").map(|it| it.bench), Ok(Bench::Fairness));
        assert_eq!(parse("relay").map(|it| it.bench), Ok(Bench::Relay));
        let options = parse("matrix --only bulk --commit --only Hz").expect("right").options;
        assert!(options.commit && !options.targets && options.only == ["bulk", "Hz"]);
        assert!(parse("matrix --targets").expect("right").options.targets);
    }

    #[test]
    fn the_word_that_is_wrong_is_named() {
        assert!(parse("").is_err_and(|error| error.contains("no bench")));
        assert!(parse("cor").is_err_and(|error| error.contains("`cor`")));
        assert!(parse("core --fast").is_err_and(|error| error.contains("`--fast`")));
        assert!(parse("core --commit").is_err_and(|error| error.contains("`--commit`")));
        assert!(parse("core --json").is_err_and(|error| error.contains("needs the name")));
    }
}
