//! `RUST_LOG`: which lines are written.

use tracing_subscriber::filter::{LevelFilter, Targets};

use handfast_program::Error;

/// The filter that `text` asks for; that of `info` if it is missing or empty. The core's own word about
/// two endpoints with one key is left out unless it is named: the server says the same, summed up.
///
/// # Errors
/// When it is not understood.
pub(super) fn parse(text: Option<&str>) -> Result<Targets, Error> {
    let text = text.unwrap_or_default().trim();
    let filter = if text.is_empty() {
        Targets::new().with_default(LevelFilter::INFO)
    } else {
        text.parse().map_err(|error| {
            Error::Usage(format!("RUST_LOG is not understood: {error}; write RUST_LOG=debug, say"))
        })?
    };
    Ok(match targets(text).any(|target| target == SUMMED_UP) {
        true => filter,
        false => filter.with_target(SUMMED_UP, LevelFilter::OFF),
    })
}

/// What to say about the targets in `text` that are none of ours; `None` when there is none.
pub(super) fn warning(text: &str) -> Option<String> {
    let strange: Vec<_> = targets(text).filter(|target| !is_known(target)).collect();
    if strange.is_empty() {
        return None;
    }
    Some(format!(
        "RUST_LOG names what no line comes from ({}): the targets are {}",
        strange.join(", "),
        TARGETS.join(", ")
    ))
}

/// The targets that directives name, such as the first word of `handfast_server=debug`.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').filter_map(|directive| {
        let target = directive.split('=').next().unwrap_or_default().trim();
        let is_level = !directive.contains('=') && target.parse::<LevelFilter>().is_ok();
        (!target.is_empty() && !is_level).then_some(target)
    })
}

/// Whether a line may come from there. A directive means all targets that begin with its text.
fn is_known(target: &str) -> bool {
    TARGETS.iter().chain(&LIBRARIES).any(|known| {
        known.starts_with(target)
            || target.strip_prefix(known).is_some_and(|rest| rest.starts_with("::"))
    })
}

/// Where our lines come from.
const TARGETS: [&str; 9] = [
    "handfast_server",
    "handfast_udp",
    "handfast::driver",
    "handfast::handshake",
    "handfast::identity",
    "handfast::keys",
    "handfast::packet",
    "handfast::path",
    "handfast::route",
];
/// Where the core tells of what the server sums up.
const SUMMED_UP: &str = "handfast::identity";
/// Libraries that log as well.
const LIBRARIES: [&str; 3] = ["mio", "quinn_udp", "tokio"];

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::{collections::BTreeSet, fs};
    use tracing::Level;

    #[test]
    fn what_no_line_comes_from_is_named() {
        for good in [
            "",
            "debug",
            "off",
            "3",
            "handfast=debug",
            "info,handfast::packet=trace",
            "handfast_server::app=debug,quinn_udp=off",
        ] {
            assert_eq!(warning(good), None, "{good}");
            assert!(parse(Some(good)).is_ok(), "{good}");
        }
        for (bad, named) in [
            ("p2p_server=debug", "(p2p_server)"),
            ("info,handfast::pakcet=trace,hadnfast", "(handfast::pakcet, hadnfast)"),
            ("handfast_serve_r=info", "(handfast_serve_r)"),
        ] {
            let text = warning(bad).expect(bad);
            assert!(text.contains(named) && text.contains("handfast::packet"), "{text}");
        }
        assert!(parse(Some("info,handfast=loud")).is_err());
    }

    #[test]
    fn what_the_server_sums_up_is_not_told_twice_unless_it_is_asked_for() {
        let warns = |text| {
            let filter = parse(text).expect("understood");
            ["handfast::identity", "handfast::path"]
                .map(|target| filter.would_enable(target, &Level::WARN))
        };
        for text in [None, Some("debug"), Some("handfast=trace")] {
            assert_eq!(warns(text), [false, true], "{text:?}");
        }
        assert_eq!(warns(Some("info,handfast::identity=warn")), [true, true]);
    }

    #[test]
    fn the_list_of_targets_is_that_of_the_sources() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut found = BTreeSet::new();
        let crates = ["core", "udp", "runtime-tokio", "runtime-mio"];
        let mut directories: Vec<_> = crates.map(|name| root.join(name).join("src")).into();
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).expect("the crates are here") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    directories.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let text = fs::read_to_string(path).expect("text");
                    let named = text.split("target: \"").skip(1);
                    found.extend(named.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
                }
            }
        }
        let listed = TARGETS.iter().filter(|target| target.contains("::"));
        assert_eq!(found, listed.map(|target| (*target).to_owned()).collect());
    }
}
