//! Puts a run before the readers: the table in the README and the picture beside it, from a file of JSON.

use std::fs;

use crate::about;
use crate::entry::Entry;
use crate::goals::{self, markdown, svg};

/// The first word of the command line.
pub(crate) const WORD: &str = "publish";

/// Writes the table of the run in the named file into the README, and its picture to `docs`.
///
/// # Errors
/// When a file cannot be read or written, or is not what it should be.
pub(crate) fn run(words: &[String]) -> Result<(), String> {
    let [file] = words else { return Err("name the file that `all --json FILE` wrote".into()) };
    let text = read(file)?;
    let run = Run::parse(&text).map_err(|error| format!("{file}: {error}"))?;
    let readme =
        with_block(&read(README)?, &run.block()).ok_or("the README lacks the two marks")?;
    write(README, &readme)?;
    write(PICTURE, &svg(&run.entries, &run.caption()))?;
    print!("{}", goals::text(&run.entries));
    Ok(())
}

fn read(file: &str) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))
}

fn write(file: &str, text: &str) -> Result<(), String> {
    fs::write(file, text).map_err(|error| format!("{file}: {error}"))
}

/// What a file of a run says.
struct Run<'a> {
    entries: Vec<Entry<'a>>,
    about: Vec<(&'a str, &'a str)>,
}

impl<'a> Run<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let mut run = Self { entries: Vec::new(), about: Vec::new() };
        for line in text.lines() {
            if let Some(entry) = Entry::parse(line) {
                run.entries.push(entry);
            } else {
                let told = about::parse(line);
                run.about.push(told.ok_or_else(|| format!("this line makes no sense: {line}"))?);
            }
        }
        match about::TOLD.iter().find(|about| run.about(about).is_none()) {
            None => Ok(run),
            Some(missing) => Err(format!("it does not tell its {missing}")),
        }
    }

    fn about(&self, about: &str) -> Option<&'a str> {
        self.about.iter().find(|(name, _)| *name == about).map(|(_, text)| *text)
    }

    /// What stands between the marks.
    fn block(&self) -> String {
        let about = |name| self.about(name).unwrap_or_default();
        format!(
            "{}\n![How many times better than the best peer](docs/bench.svg)\n\nOne run of `{}` on {}: {}, load average before it {}, {}; allocator of all programs: {}; {}; {}; handfast {}.\n",
            markdown(&self.entries),
            about("command"),
            about("date"),
            about("machine"),
            about("load"),
            about("system"),
            about("allocator"),
            about("peers"),
            about("compiler"),
            about("handfast"),
        )
    }

    /// What stands under the picture.
    fn caption(&self) -> String {
        let about = |name| self.about(name).unwrap_or_default();
        format!("{}, {}; {}", about("date"), about("machine"), about("peers"))
    }
}

/// The text with another block between its marks; `None` if it does not have both.
fn with_block(text: &str, block: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{block}\n{END}{after}"))
}

const BEGIN: &str = "<!-- begin: written by `bench -- publish`, not by hand -->";
const END: &str = "<!-- end of what the bench wrote -->";
/// This program is built where it is used.
const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
const PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/bench.svg");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Figure;
    use crate::goals::GOALS;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let text = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let once = with_block(&text, "new\n").expect("both marks");
        assert_eq!(once, format!("before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"));
        assert_eq!(with_block(&once, "new\n"), Some(once.clone()));
        assert_eq!(with_block(&format!("{BEGIN} alone"), ""), None);
    }

    #[test]
    fn a_file_that_does_not_tell_where_it_is_from_is_refused() {
        let words = ["all".to_owned(), "--quick".to_owned()];
        let figure = Figure {
            bench: "bulk",
            case: "bulk".into(),
            system: "handfast, tokio".into(),
            metric: "throughput",
            value: 123.0,
            unit: "MiB/s",
        };
        let text = about::json(&words) + &figure.to_string();
        let run = Run::parse(&text).expect("whole");
        assert!(
            run.block().contains("| 123 |")
                && run.block().contains("One run of `all --quick` on 2")
        );
        assert!(run.caption().contains("quinn 0."));
        let (_, less) = text.split_once('\n').expect("lines");
        assert!(Run::parse(less).is_err_and(|error| error.contains("date")));
        assert!(Run::parse("what\n").is_err_and(|error| error.contains("makes no sense")));
    }

    /// A goal that was changed since the README was written would be told wrongly there.
    #[test]
    fn the_readme_has_the_goals_of_today() {
        let readme = read(README).expect("it is there");
        assert_eq!((readme.matches(BEGIN).count(), readme.matches(END).count()), (1, 1));
        let picture = read(PICTURE).expect("it is there");
        for goal in GOALS.iter().filter(|goal| !goal.is_of_the_full_run()) {
            assert!(readme.contains(&format!("| {}, ", goal.name())), "{}", goal.name());
        }
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
    }
}
