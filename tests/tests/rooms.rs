//! How the core is built, seen from its source: rooms stay small, and the files of one type do not call
//! each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// About the most lines of a room without its tests, and the most files. Folders in it are rooms of
/// their own.
const MOST_LINES: usize = 2600;
const MOST_FILES: usize = 16;

fn core() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/src")
}

/// Every file of the core that ships, without the tests at its end.
fn sources() -> Vec<(PathBuf, String)> {
    let (mut folders, mut sources) = (vec![core()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of the core") {
            let path = entry.expect("an entry").path();
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            if name == "tests" || name == "testing" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = fs::read_to_string(&path).expect("text");
                let end = text.find("\n#[cfg(test)]\nmod tests").unwrap_or(text.len());
                sources.push((path, text[..end].to_owned()));
            }
        }
    }
    assert!(sources.len() > 100, "{} files of the core", sources.len());
    sources
}

/// The blocks of a file that begin with a line for which `begins`, up to the closing brace at its
/// margin.
fn blocks(text: &str, begins: impl Fn(&str) -> bool) -> Vec<&str> {
    let mut blocks = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if begins(line)
            && let Some(len) = text[at..].find("\n}\n").or_else(|| text[at..].find("\n}"))
        {
            blocks.push(&text[at..at + len]);
        }
        at += line.len();
    }
    blocks
}

/// The names that stand between `before` and an opening parenthesis.
fn names_after(text: &str, before: &str) -> BTreeSet<String> {
    let name = |rest: &str| {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
        let called = rest[end..].starts_with('(') || rest[end..].starts_with('<');
        called.then(|| rest[..end].to_owned())
    };
    // A chain of calls may continue on the next line.
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ").replace(" .", ".");
    joined.match_indices(before).filter_map(|(at, _)| name(&joined[at + before.len()..])).collect()
}

/// The type that an inherent `impl` at the margin is for.
fn implemented(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("impl")?;
    let rest = if rest.starts_with('<') { rest.split_once("> ")?.1 } else { rest.trim_start() };
    let name = rest.split(['<', ' ']).next()?;
    (!line.contains(" for ")).then_some(name)
}

/// Whether a line at the margin begins a function.
fn is_free_function(line: &str) -> bool {
    let words = line.split_once("fn ").map(|(before, _)| before);
    let is_qualifier = |word: &str| word.starts_with("pub") || word == "const";
    words.is_some_and(|words| !line.starts_with(' ') && words.split_whitespace().all(is_qualifier))
}

/// What the methods of one type are called and call, file by file.
#[derive(Default)]
struct Type {
    defined: BTreeMap<PathBuf, BTreeSet<String>>,
    called: BTreeMap<PathBuf, BTreeSet<String>>,
}

impl Type {
    fn add(&mut self, file: &Path, defined: BTreeSet<String>, called: BTreeSet<String>) {
        self.defined.entry(file.to_owned()).or_default().extend(defined);
        self.called.entry(file.to_owned()).or_default().extend(called);
    }

    /// The other files whose methods the methods in `file` call.
    fn next(&self, file: &Path) -> Vec<&PathBuf> {
        let Some(called) = self.called.get(file) else { return Vec::new() };
        let others = self.defined.iter().filter(|(other, _)| *other != file);
        others.filter(|(_, names)| !names.is_disjoint(called)).map(|(other, _)| other).collect()
    }

    /// Whether calls lead from `file` back to it.
    fn is_in_circle(&self, file: &PathBuf) -> bool {
        let (mut seen, mut todo) = (BTreeSet::new(), self.next(file));
        while let Some(at) = todo.pop() {
            if at == file {
                return true;
            }
            if seen.insert(at) {
                todo.extend(self.next(at));
            }
        }
        false
    }
}

/// All types of the core by name, with the free functions that may change one counted as its methods.
fn types() -> BTreeMap<String, Type> {
    let sources = sources();
    let mut types: BTreeMap<String, Type> = BTreeMap::new();
    for (file, text) in &sources {
        for block in blocks(text, |line| implemented(line).is_some()) {
            let name = implemented(block.lines().next().unwrap_or_default()).unwrap_or_default();
            let called = names_after(block, "self.");
            types.entry(name.to_owned()).or_default().add(file, names_after(block, "fn "), called);
        }
    }
    for (file, text) in &sources {
        for block in blocks(text, is_free_function) {
            let signature = block.split_once('{').map_or(block, |(signature, _)| signature);
            for (name, kind) in &mut types {
                let Some(at) = signature.find(&format!(": &mut {name}")) else { continue };
                let argument = signature[..at].rsplit(['(', ' ']).next().unwrap_or_default();
                let called = names_after(block, &format!("{argument}."));
                kind.add(file, names_after(signature, "fn "), called);
            }
        }
    }
    types
}

#[test]
fn no_type_is_spread_over_files_that_call_each_other_in_a_circle() {
    let types = types();
    assert!(types["Peer"].defined.len() >= 5 && types["Endpoint"].defined.len() >= 5);
    for (name, kind) in &types {
        let circle: Vec<_> = kind.defined.keys().filter(|file| kind.is_in_circle(file)).collect();
        assert!(circle.is_empty(), "{name}: {circle:?}");
    }
}

#[test]
fn rooms_stay_small() {
    let mut rooms: BTreeMap<PathBuf, (usize, usize)> = BTreeMap::new();
    for (file, text) in sources() {
        let room = rooms.entry(file.parent().expect("a folder").to_owned()).or_default();
        *room = (room.0 + 1, room.1 + text.lines().count());
    }
    // The root holds small tools and plain data; it is no room.
    rooms.remove(&core());
    for (room, (files, lines)) in rooms {
        assert!(files <= MOST_FILES, "{}: {files} files", room.display());
        assert!(lines <= MOST_LINES, "{}: {lines} lines", room.display());
    }
}

#[test]
fn a_circle_is_found() {
    let (a, b, c) = (PathBuf::from("a"), PathBuf::from("b"), PathBuf::from("c"));
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let mut kind = Type::default();
    kind.add(&a, set(&["one"]), set(&["two"]));
    kind.add(&b, set(&["two"]), set(&["three"]));
    kind.add(&c, set(&["three"]), set(&["elsewhere"]));
    assert!(![&a, &b, &c].into_iter().any(|file| kind.is_in_circle(file)));
    kind.add(&c, set(&[]), set(&["one"]));
    assert!([&a, &b, &c].into_iter().all(|file| kind.is_in_circle(file)));
    assert_eq!(
        names_after("fn a() { self\n    .b(); self.c.d(); self.e::<f>() }", "self."),
        set(&["b"])
    );
}

#[test]
fn functions_at_the_margin_are_seen_whatever_their_visibility() {
    for line in ["fn a(", "pub(super) fn a(", "pub(crate) const fn a("] {
        assert!(is_free_function(line), "{line}");
    }
    assert!(!is_free_function("    fn a(") && !is_free_function("// no fn here"));
}
