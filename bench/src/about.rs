//! What a run was made with: the machine, the versions, the day and the command.

use std::process::Command;
use std::{fs, thread};

use crate::figure::must_be_escaped;

/// What is told, in this order.
pub(crate) const TOLD: [&str; 9] =
    ["date", "command", "allocator", "handfast", "machine", "load", "system", "compiler", "peers"];

/// What gives memory to all that is measured.
pub(crate) const ALLOCATOR: &str =
    if cfg!(feature = "mimalloc") { "mimalloc" } else { "that of the system" };

/// The lines of JSON that say what a run with these words is made with: `{"about", "text"}`.
pub(crate) fn json(words: &[String]) -> String {
    let texts = [
        time::OffsetDateTime::now_utc().date().to_string(),
        command(words),
        ALLOCATOR.to_owned(),
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

/// What comes after the version of the kernel names a build of it.
fn system() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let version = release.split('-').next().unwrap_or_default();
    format!("{} {}", std::env::consts::OS, version.trim()).trim_end().to_owned()
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
const PEERS: [&str; 6] = ["quinn", "quinn-proto", "s2n-quic", "rusty_enet", "tokio_kcp", "renet"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read_back_and_every_peer_has_a_version() {
        let words = ["all", "--json", "file", "a\"b\\c"].map(String::from);
        let text = json(&words);
        let told: Vec<_> = text.lines().map(|line| parse(line).expect("a line of ours")).collect();
        assert_eq!(told.iter().map(|(about, _)| *about).collect::<Vec<_>>(), TOLD);
        assert_eq!(told[1].1, "all a b c");
        for peer in PEERS {
            let peers = told[8].1.split(", ");
            assert!(peers.clone().any(|it| it.starts_with(&format!("{peer} "))), "{peer}");
        }
        assert_eq!(parse(r#"{"bench":"core"}"#), None);
    }
}
