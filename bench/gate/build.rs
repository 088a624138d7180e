//! Notes what built the binary: counts of another compiler, or with other flags, are no measure.

use std::env;
use std::process::Command;

fn main() {
    let rustc = env::var_os("RUSTC").expect("cargo names the compiler");
    let output = Command::new(rustc).arg("-V").output().expect("the compiler tells its version");
    let mut version =
        String::from_utf8(output.stdout).expect("a version is text").trim().to_owned();
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    if !flags.is_empty() {
        version = format!("{version} with {}", flags.replace('\x1f', " "));
    }
    println!("cargo::rustc-env=COMPILER={version}");
    println!("cargo::rustc-env=TARGET={}", env::var("TARGET").expect("cargo names the target"));
    println!("cargo::rerun-if-changed=build.rs");
}
