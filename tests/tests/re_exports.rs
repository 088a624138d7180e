//! Both runtimes re-export the same names of the core, and none of its public names is forgotten.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Names that a program on a runtime does not need from the core, with the reason.
const LEFT_OUT: [(&str, &str); 14] = [
    ("Endpoint", "each runtime has its own"),
    ("ConnectError", "tokio has its own; mio re-exports the core's"),
    ("SendError", "tokio has its own; mio re-exports the core's"),
    ("Exchange", "for drivers"),
    ("Transmit", "for drivers"),
    ("rand_core", "for Identity::generate; the runtimes have generate_identity"),
    ("canonical", "for drivers"),
    ("Handover", "for drivers with shards"),
    ("PackedInfo", "for drivers"),
    ("PeerMap", "for drivers with shards"),
    ("Redirect", "for drivers with shards"),
    ("Siblings", "for drivers with shards"),
    ("Steering", "for drivers with shards"),
    ("steer", "for drivers with shards"),
];

#[test]
fn both_runtimes_re_export_the_same_names_of_the_core() {
    let [core, tokio, mio] = ["core", "runtime-tokio", "runtime-mio"].map(lib);
    let (from_tokio, from_mio) = (names(&core_list(&tokio)), names(&core_list(&mio)));
    assert_eq!(from_tokio, from_mio);

    let public = uses(&core).flat_map(|list| names(&list)).collect::<BTreeSet<_>>();
    let left_out = LEFT_OUT.map(|(name, _)| name.to_owned()).into();
    assert!(from_tokio.is_disjoint(&left_out), "LEFT_OUT names something that is re-exported");
    assert_eq!(&from_tokio | &left_out, public, "re-export it in both, or say why not in LEFT_OUT");
}

#[test]
fn errors_of_commands_have_the_same_names_in_both() {
    fn is_error<T: std::error::Error>() {}
    is_error::<handfast_tokio::ConnectError>();
    is_error::<handfast_tokio::SendError>();
    is_error::<handfast_mio::ConnectError>();
    is_error::<handfast_mio::SendError>();
}

fn lib(directory: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read_to_string(root.join(directory).join("src/lib.rs")).expect("the crate is here")
}

/// What follows `pub use` in each such item.
fn uses(source: &str) -> impl Iterator<Item = String> {
    let items = source.split("\npub use ").skip(1);
    items.map(|item| item.split(';').next().unwrap_or_default().to_owned())
}

/// The long list of names of the core.
fn core_list(source: &str) -> String {
    let lists = uses(source).filter(|list| list.starts_with("handfast_core::"));
    lists.max_by_key(String::len).expect("a list")
}

/// The names in `a::b`, or in `a::{b, c}`.
fn names(list: &str) -> BTreeSet<String> {
    let last = match list.split_once('{') {
        Some((_, names)) => names.trim_end_matches('}'),
        None => list.rsplit("::").next().unwrap_or_default(),
    };
    let names = last.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}
