//! The test vectors of `docs/PROTOCOL.md`, reproduced byte for byte.
//!
//! The document holds them as `name = value` lines inside blocks fenced as `vectors`; a value is
//! hex (or, for names that end in `.text`, the text itself) and continues on indented lines. This
//! module lets real endpoints with fixed seeds talk, recomputes every intermediate value from the
//! primitives, and compares. When a change of the code changes them on purpose, for one how
//! randomness is drawn, this command writes the new values into the document:
//!
//! ```text
//! HANDFAST_VECTORS=write cargo test -p handfast-core --lib vectors
//! ```
//!
//! It keeps the names and blocks of the document, and appends names that are new to the last block. The
//! same values are in `docs/vectors.json`, for programs: one object, a name and a value per line.

mod frames;
mod handshake;
mod local;
mod refused;
mod script;

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write as _;

/// Values by name, in the order in which they came up.
#[derive(Default)]
struct Vectors {
    list: Vec<(String, String)>,
}

impl Vectors {
    /// Notes some bytes.
    fn hex(&mut self, name: &str, bytes: impl AsRef<[u8]>) {
        self.text(name, data_encoding::HEXLOWER.encode(bytes.as_ref()));
    }

    /// Notes a value that is text.
    fn text(&mut self, name: &str, value: impl ToString) {
        let value = value.to_string();
        match self.list.iter().find(|(known, _)| known == name) {
            Some((_, known)) => assert_eq!(*known, value, "{name} has one value"),
            None => self.list.push((name.into(), value)),
        }
    }

    fn by_name(&self) -> BTreeMap<&str, &str> {
        self.list.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

/// Everything that the document should say.
fn produce() -> Vectors {
    let mut vectors = Vectors::default();
    frames::varints(&mut vectors);
    handshake::identities(&mut vectors);
    handshake::by_address(&mut vectors);
    handshake::by_identity(&mut vectors);
    handshake::with_aes(&mut vectors);
    frames::examples(&mut vectors);
    refused::examples(&mut vectors);
    handshake::parted(&mut vectors);
    local::beacon(&mut vectors);
    local::stun(&mut vectors);
    vectors
}

/// The vectors of a document.
fn parse(document: &str) -> Vectors {
    let mut vectors = Vectors::default();
    let mut inside = false;
    for line in document.lines() {
        match line.split_once(" = ") {
            _ if line.starts_with("```") => inside = line == OPENING,
            _ if !inside => {}
            Some((name, value)) => vectors.list.push((name.into(), value.into())),
            None => match vectors.list.last_mut() {
                Some((_, value)) => value.push_str(line.trim()),
                None => panic!("a continuation of nothing: {line}"),
            },
        }
    }
    vectors
}

/// The document with the values of `vectors`; names it does not know go to the end of its last
/// block, and those that `vectors` lacks go away.
fn rewrite(document: &str, vectors: &Vectors) -> String {
    let known = parse(document);
    let known = known.by_name();
    let values = vectors.by_name();
    let blocks = document.lines().filter(|line| *line == OPENING).count();
    let (mut out, mut inside, mut block) = (String::new(), false, 0);
    for line in document.lines() {
        let name = line.split_once(" = ").map(|(name, _)| name);
        if line.starts_with("```") {
            if inside && block == blocks {
                for (name, value) in &vectors.list {
                    if !known.contains_key(name.as_str()) {
                        push_vector(&mut out, name, value);
                    }
                }
            }
            inside = line == OPENING;
            block += usize::from(inside);
        } else if inside {
            if let Some((name, value)) = name.and_then(|name| values.get_key_value(name)) {
                push_vector(&mut out, name, value);
            }
            continue;
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}

fn push_vector(out: &mut String, name: &str, value: &str) {
    let (first, mut rest) = value.split_at(value.len().min(HEX_PER_LINE));
    writeln!(out, "{name} = {first}").expect("strings take everything");
    while !rest.is_empty() {
        let (line, later) = rest.split_at(rest.len().min(HEX_PER_LINE));
        writeln!(out, "    {line}").expect("strings take everything");
        rest = later;
    }
}

/// The same for programs. Names and values need no escapes.
fn json(vectors: &Vectors) -> String {
    let line = |(name, value): &(String, String)| {
        assert!(!value.contains(['"', '\\']), "{value} needs an escape");
        alloc::format!("  \"{name}\": \"{value}\"")
    };
    let lines: Vec<_> = vectors.list.iter().map(line).collect();
    alloc::format!("{{\n{}\n}}\n", lines.join(",\n"))
}

const OPENING: &str = "```vectors";
/// 32 bytes.
const HEX_PER_LINE: usize = 64;
/// In this crate `docs/PROTOCOL.md` is a link to the file of the repository; in a package, a copy of it.
const DOCUMENT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/PROTOCOL.md"));
const FOR_PROGRAMS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/vectors.json"));

#[test]
fn the_document_says_what_endpoints_do() {
    let produced = produce();
    if std::env::var_os("HANDFAST_VECTORS").is_some_and(|wish| wish == "write") {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/PROTOCOL.md");
        std::fs::write(path, rewrite(DOCUMENT, &produced)).expect("the document is writable");
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/vectors.json");
        std::fs::write(path, json(&produced)).expect("the file is writable");
        return;
    }
    assert_eq!(json(&produced), FOR_PROGRAMS, "docs/vectors.json: see this module on rewriting");
    let documented = parse(DOCUMENT);
    let (documented, produced) = (documented.by_name(), produced.by_name());
    for (name, value) in &produced {
        assert_eq!(documented.get(name), Some(value), "{name}: see this module on rewriting");
    }
    let stray: Vec<_> = documented.keys().filter(|name| !produced.contains_key(*name)).collect();
    assert!(stray.is_empty(), "nothing produces {stray:?}");
}

#[test]
fn rewriting_changes_values_and_nothing_else() {
    let document = "a = 1\n```vectors\na = 00\n    11\nb = 22\n```\nb = 3\n";
    let mut vectors = Vectors::default();
    vectors.hex("a", [1; 33]);
    vectors.hex("c", [3]);
    let line = "01".repeat(32);
    let expected = std::format!("a = 1\n```vectors\na = {line}\n    01\nc = 03\n```\nb = 3\n");
    assert_eq!(rewrite(document, &vectors), expected);
    assert_eq!(parse(&expected).by_name(), vectors.by_name());
}
