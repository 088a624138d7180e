//! The table of attacks names tests, files and functions in them: they must exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All Rust sources below `directory`.
fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(directory).expect("a directory of the repository");
    for entry in entries {
        let path = entry.expect("readable").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            sources(&path, found);
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

/// The names of all functions that are tests.
fn tests() -> BTreeSet<String> {
    let mut found = Vec::new();
    sources(&root(), &mut found);
    let mut names = BTreeSet::new();
    for path in found {
        let text = fs::read_to_string(&path).expect("UTF-8");
        let mut lines = text.lines().map(str::trim);
        while lines.by_ref().any(|line| line == "#[test]") {
            // Other attributes and comments may come between.
            let name = lines.by_ref().find_map(|line| line.strip_prefix("fn "));
            let name = name.and_then(|name| name.split(['(', '<']).next());
            names.insert(name.expect("a test has a name").to_owned());
        }
    }
    names
}

fn document() -> String {
    fs::read_to_string(root().join("docs/SECURITY-TESTS.md")).expect("the table is there")
}

/// What stands in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn is_path(name: &str) -> bool {
    name.contains('/') || name.ends_with(".rs") || name.ends_with(".md")
}

/// The two last cells of each row: what defends, and what attacks.
fn rows(document: &str) -> impl Iterator<Item = (&str, &str)> {
    let rows = document.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
    rows.map(|row| {
        let cells: Vec<_> = row.split('|').collect();
        let &[_, _, defence, tests] = cells.as_slice() else { panic!("four cells: {row}") };
        (defence, tests)
    })
}

#[test]
fn everything_that_defends_stands_in_the_file_named_before_it() {
    let document = document();
    let mut functions = 0;
    for (defence, _) in rows(&document) {
        let mut file = None;
        for name in quoted(defence) {
            if is_path(name) {
                let text = fs::read_to_string(root().join(name));
                file = Some((name, text.unwrap_or_else(|error| panic!("{name}: {error}"))));
                continue;
            }
            let (path, text) = file.as_ref().unwrap_or_else(|| panic!("{name} is in no file"));
            let last = name.rsplit("::").next().unwrap_or(name);
            let defined = ["(", "<"].iter().any(|next| text.contains(&format!("fn {last}{next}")));
            assert!(defined, "no function {name} in {path}");
            functions += 1;
        }
    }
    assert!(functions > 70, "{functions} functions: was the table moved?");
}

#[test]
fn every_test_and_file_that_the_table_names_exists() {
    let (document, tests) = (document(), tests());
    for path in quoted(&document).filter(|name| is_path(name)) {
        assert!(root().join(path).exists(), "no file {path}");
    }
    let named = rows(&document).flat_map(|(_, attacks)| quoted(attacks));
    let named: Vec<_> = named.filter(|name| !is_path(name)).collect();
    assert!(named.len() > 90, "{} tests: was the table moved?", named.len());
    for name in named {
        assert!(tests.contains(name), "{name} is no test");
    }
}

/// The other way round: an attack that is tested stands in the table.
#[test]
fn every_attack_that_is_tested_stands_in_the_table() {
    let document = document();
    let named: BTreeSet<_> = rows(&document).flat_map(|(_, attacks)| quoted(attacks)).collect();
    let attack = |name: &&String| name.starts_with("row_") || name.starts_with("ours_");
    for name in tests().iter().filter(attack) {
        assert!(named.contains(name.as_str()), "docs/SECURITY-TESTS.md does not mention {name}");
    }
}
