//! The command line.

use std::path::PathBuf;

use crate::matrix::Options;

/// What to measure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Bench {
    /// Protocols alone, in memory.
    #[default]
    Core,
    /// As many bytes as the sockets carry.
    Bulk,
    /// As many small messages as the sockets carry.
    Messages,
    /// How long a small message takes there and back.
    Echo,
    /// How often peers meet and part.
    Handshakes,
    /// What servers remember of a peer that is silent.
    Idle,
    /// What waits beside a busy endpoint.
    Fairness,
    /// What passes packets on between two ends.
    Relay,
    /// Bulk over paths that lose datagrams.
    Loss,
    /// What peers cost, and packets beside many peers.
    Scale,
    /// All of the above, and a table of them together.
    All,
    /// Messages in bad networks, in virtual time.
    Matrix,
    /// One server with several tasks, on as many cores as there are.
    Shards,
}

impl Bench {
    /// All of them, as they are called.
    const NAMES: [(&str, Self); 13] = [
        ("core", Self::Core),
        ("bulk", Self::Bulk),
        ("messages", Self::Messages),
        ("echo", Self::Echo),
        ("handshakes", Self::Handshakes),
        ("idle", Self::Idle),
        ("fairness", Self::Fairness),
        ("relay", Self::Relay),
        ("loss", Self::Loss),
        ("scale", Self::Scale),
        ("all", Self::All),
        ("matrix", Self::Matrix),
        ("shards", Self::Shards),
    ];

    /// How the command line is written.
    pub(crate) fn usage() -> String {
        let names: Vec<_> = Self::NAMES.iter().map(|(name, _)| *name).collect();
        format!("{} [--quick] [--json FILE]` or `publish FILE", names.join("|"))
    }
}

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) bench: Bench,
    /// Fewer and shorter rounds, and what only the matrix knows.
    pub(crate) options: Options,
    /// So many peers instead of the usual numbers.
    #[cfg_attr(
        not(feature = "sockets"),
        allow(dead_code, reason = "only rows on sockets know it")
    )]
    pub(crate) peers: Option<u32>,
    /// Where to write the figures, a JSON object a line.
    pub(crate) json: Option<PathBuf>,
}

impl Arguments {
    /// Reads the words after the name of the program.
    ///
    /// # Errors
    /// Names the first word that is wrong or missing.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let named = words.next().ok_or("no bench is named")?;
        let known = Bench::NAMES.iter().find(|(name, _)| *name == named);
        let bench = known.ok_or_else(|| format!("there is no bench `{named}`"))?.1;
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
                "--peers" if matches!(bench, Bench::Idle | Bench::Scale) => {
                    let many = words.next().and_then(|many| many.parse().ok());
                    let many = many.filter(|many| (2..=1_000_000).contains(many));
                    arguments.peers = Some(many.ok_or("--peers needs a number, 2 to 1000000")?);
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
        let expected = Ok(Arguments { bench: Bench::Core, options, peers: None, json });
        assert_eq!(parse("core --quick --json rows.json"), expected);
        assert_eq!(parse("core --json rows.json --quick"), expected);
        assert_eq!(parse("core"), Ok(Arguments::default()));
        for (name, bench) in Bench::NAMES {
            assert_eq!(parse(name).map(|it| it.bench), Ok(bench));
        }
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
        assert_eq!(parse("idle --peers 20000").map(|it| it.peers), Ok(Some(20_000)));
        for wrong in ["scale --peers", "scale --peers 1", "idle --peers many", "bulk --peers 5"] {
            assert!(parse(wrong).is_err_and(|error| error.contains("--peers")), "{wrong}");
        }
    }
}
