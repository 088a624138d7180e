//! The list of peers that may come in.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use handfast_core::PeerId;
use handfast_udp::explain;

use handfast_program::Error;

/// Reads a list: one [`PeerId`] a line, alone or as `ID@ADDRESS`, as the log shows who was refused; `#`
/// begins a comment. The address counts for nothing: a peer may come from anywhere.
///
/// # Errors
/// When the file cannot be read or a line is not a `PeerId`; names the file and the line.
pub fn read(path: &Path) -> Result<BTreeSet<PeerId>, Error> {
    let peers = list(path)?;
    if peers.is_empty() {
        tracing::warn!(file = %path.display(), "the list of peers is empty: nobody may come in");
    }
    Ok(peers)
}

/// The same of a list for another purpose.
///
/// # Errors
/// As [`read`].
pub fn list(path: &Path) -> Result<BTreeSet<PeerId>, Error> {
    let text = fs::read_to_string(path).map_err(|error| {
        let error = explain(&error);
        Error::Usage(format!("cannot read the list of peers {}: {error}", path.display()))
    })?;
    parse(&text)
        .map_err(|(line, what)| Error::Usage(format!("{}, line {line}: {what}", path.display())))
}

/// On error, the number of the line and what is wrong with it.
fn parse(text: &str) -> Result<BTreeSet<PeerId>, (usize, String)> {
    let mut peers = BTreeSet::new();
    for (number, line) in (1..).zip(text.lines()) {
        let id = line.split('#').next().unwrap_or_default().trim();
        if !id.is_empty() {
            let (id, _) = id.split_once('@').unwrap_or((id, ""));
            peers.insert(id.parse().map_err(|error| (number, format!("{error}")))?);
        }
    }
    Ok(peers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use handfast_core::Identity;

    fn id(seed: u8) -> PeerId {
        Identity::from_seed([seed; 32]).id()
    }

    #[test]
    fn comments_and_blank_lines_are_passed_over() {
        let text = format!("# friends\n\n{}\n  {}  # Bob's laptop\r\n{}\n", id(1), id(2), id(1));
        assert_eq!(parse(&text), Ok(BTreeSet::from([id(1), id(2)])));
    }

    #[test]
    fn an_address_behind_the_id_is_passed_over() {
        let text = format!("{}@192.0.2.7:4263 # refused\n{}@[2001:db8::1]:7\n", id(1), id(2));
        assert_eq!(parse(&text), Ok(BTreeSet::from([id(1), id(2)])));
        assert!(parse("@192.0.2.7:4263\n").is_err());
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        let whole = id(1).to_string();
        let (line, what) = parse(&format!("# one\n{whole}\n{}\n", &whole[1..])).expect_err("short");
        assert_eq!(line, 3);
        assert!(what.contains("51"), "{what}");
        let (line, _) = parse(&format!("{whole} {whole}\n")).expect_err("two on a line");
        assert_eq!(line, 1);
    }
}
