//! What a run was made with: the machine, the versions, the day and the command.

use std::process::Command;
use std::time::SystemTime;
use std::{fs, thread};

use crate::figure::must_be_escaped;

/// What is told, in this order.
pub(crate) const TOLD: [&str; 8] =
    ["date", "command", "handfast", "machine", "load", "system", "compiler", "peers"];

/// The lines of JSON that say what a run with these words is made with: `{"about", "text"}`.
pub(crate) fn json(words: &[String]) -> String {
    let texts = [
        date(SystemTime::now()),
        command(words),
        commit(),
        machine(),
        load(),
        system(),
        env!("COMPILER").to_owned(),
        versions(include_str!("../Cargo.lock")),
    ];
    let line = |(about, text): (&str, String)| {
        let text: String = text.chars().map(|it| if is_plain(it) { it } else { ' ' }).collect();
        format!("{{\"about\":\"{about}\",\"text\":\"{text}\"}}\n")
    };
    TOLD.into_iter().zip(texts).map(line).collect()
}

/// What a line of [`json`] says: about what, and the text. `None` if it is no such line.
pub(crate) fn parse(line: &str) -> Option<(&str, &str)> {
    let parts: Vec<&str> = line.split('"').collect();
    match parts[..] {
        ["{", "about", ":", about, ",", "text", ":", text, "}"] => Some((about, text)),
        _ => None,
    }
}

/// The words without the file that is written: where it is says nothing.
fn command(words: &[String]) -> String {
    let is_file = |at: usize| words[at] == "--json" || at > 0 && words[at - 1] == "--json";
    let told: Vec<_> = (0..words.len()).filter(|at| !is_file(*at)).map(|at| &*words[at]).collect();
    told.join(" ")
}

fn is_plain(it: char) -> bool {
    !must_be_escaped(it.encode_utf8(&mut [0; 4]))
}

/// The day in UTC, as 2026-11-30.
fn date(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |it| it.as_secs());
    let mut days = seconds / 86_400;
    let mut year = 1970;
    while days >= days_of(year) {
        days -= days_of(year);
        year += 1;
    }
    let february = if days_of(year) == 366 { 29 } else { 28 };
    let mut month = 1;
    for len in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < len {
            break;
        }
        days -= len;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", days + 1)
}

const fn days_of(year: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    if leap { 366 } else { 365 }
}

/// Which handfast was measured.
fn commit() -> String {
    let directory = env!("CARGO_MANIFEST_DIR");
    let git =
        Command::new("git").args(["-C", directory, "describe", "--always", "--dirty"]).output();
    let told = git.ok().filter(|told| told.status.success());
    let name = told.and_then(|told| String::from_utf8(told.stdout).ok());
    name.map_or_else(|| "not in a repository".into(), |name| name.trim().to_owned())
}

fn machine() -> String {
    let processors = thread::available_parallelism().map_or(0, usize::from);
    let list = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = list.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("unknown", |(_, model)| model.trim());
    format!("{processors} processors of {model}")
}

/// How many processes wanted a processor in the minute before.
fn load() -> String {
    let loads = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    loads.split(' ').next().filter(|it| !it.is_empty()).unwrap_or("unknown").to_owned()
}

fn system() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} {}", std::env::consts::OS, release.trim()).trim_end().to_owned()
}

/// The versions of the peers in a lock file.
fn versions(lock: &str) -> String {
    let of = |peer: &&str| {
        let (_, after) = lock.split_once(&format!("name = \"{peer}\"\nversion = \""))?;
        let (version, _) = after.split_once('"')?;
        Some(format!("{peer} {version}"))
    };
    PEERS.iter().filter_map(of).collect::<Vec<_>>().join(", ")
}

/// Their packages.
const PEERS: [&str; 5] = ["quinn", "quinn-proto", "s2n-quic", "rusty_enet", "tokio_kcp"];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_day_has_its_date() {
        let day =
            |days: u64| date(SystemTime::UNIX_EPOCH + Duration::from_secs(days * 86_400 + 86_399));
        let known =
            [(0, "1970-01-01"), (58, "1970-02-28"), (59, "1970-03-01"), (11_016, "2000-02-29")];
        for (days, expected) in
            known.into_iter().chain([(20_787, "2026-11-30"), (20_818, "2026-12-31")])
        {
            assert_eq!(day(days), expected);
        }
    }

    #[test]
    fn every_line_is_read_back_and_every_peer_has_a_version() {
        let words = ["all", "--json", "file", "a\"b\\c"].map(String::from);
        let text = json(&words);
        let told: Vec<_> = text.lines().map(|line| parse(line).expect("a line of ours")).collect();
        assert_eq!(told.iter().map(|(about, _)| *about).collect::<Vec<_>>(), TOLD);
        assert_eq!(told[1].1, "all a b c");
        for peer in PEERS {
            let peers = told[7].1.split(", ");
            assert!(peers.clone().any(|it| it.starts_with(&format!("{peer} "))), "{peer}");
        }
        assert_eq!(parse(r#"{"bench":"core"}"#), None);
    }
}
