//! A small siege: that it works, and that the promises hold that do not depend on the machine.

#![cfg(target_os = "linux")]

use std::process::Command;
use std::time::Duration;

use handfast_tests::within;

#[test]
fn honest_clients_notice_nothing_of_a_small_flood() {
    let output = within(Duration::from_secs(120), || {
        let mut siege = Command::new(env!("CARGO_BIN_EXE_siege"));
        siege.args(["--lenient", "--seconds", "1", "--calm", "1", "--rate", "2000"]);
        siege.args(["--clients", "4"]).output().expect("run")
    });
    let text = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    println!("{text}");
    assert!(output.status.success(), "{text}{complaint}");
    assert_eq!(text.matches("under siege for").count(), 2, "both runtimes: {text}");
}
