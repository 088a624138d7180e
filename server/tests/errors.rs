//! What the program says, and exits with, when something is wrong.

mod common;

use std::net::UdpSocket;

use common::{Scratch, failure, program, runtimes};

/// Runs the program, expects one line on stderr that contains all `words`, and this exit code.
#[track_caller]
fn expect(scratch: &Scratch, arguments: &[&str], code: i32, words: &[&str]) {
    let (exit, text) = failure(program(&scratch.0, arguments));
    assert_eq!(exit, Some(code), "{text}");
    // What it logged before is not the error.
    let errors: Vec<_> = text.lines().filter(|line| line.starts_with("p2p_server: ")).collect();
    assert_eq!(errors.len(), 1, "{text}");
    for word in words {
        assert!(errors[0].contains(word), "{word} in {text}");
    }
}

#[test]
fn a_port_in_use_is_named_on_every_runtime() {
    let scratch = Scratch::new("port");
    let taken = UdpSocket::bind("127.0.0.1:0").expect("bound");
    let address = taken.local_addr().expect("an address").to_string();
    for runtime in runtimes() {
        let arguments = ["--runtime", runtime, "--listen", &address];
        expect(&scratch, &arguments, 1, &[&address, "in use", "--listen"]);
    }
}

#[test]
fn a_runtime_that_is_not_built_in_is_an_error_of_usage() {
    let scratch = Scratch::new("absent");
    let absent = ["tokio", "mio"].into_iter().filter(|name| !runtimes().contains(name));
    for name in absent {
        let (feature, other) =
            (format!("feature `{name}`"), format!("--runtime {}", runtimes()[0]));
        expect(&scratch, &["--runtime", name], 2, &["not built into", &feature, &other]);
    }
}

#[test]
fn a_bad_address_is_an_error_of_usage_and_a_foreign_one_is_not() {
    let scratch = Scratch::new("address");
    expect(&scratch, &["--listen", "localhost"], 2, &["localhost", "0.0.0.0:4263"]);
    expect(&scratch, &["--listen", "192.0.2.77:4263"], 1, &["192.0.2.77:4263", "--listen"]);
}

#[test]
fn an_unknown_flag_and_an_unknown_key_are_named_with_the_nearest_known() {
    let scratch = Scratch::new("unknown");
    expect(&scratch, &["--ecko"], 2, &["--ecko", "--echo"]);
    let file = scratch.write("server.toml", "echo = true\nlsiten = []\n");
    let file = file.to_str().expect("text");
    expect(&scratch, &["--config", file], 2, &[file, "line 2", "`lsiten`", "`listen`"]);
    let missing = scratch.0.join("none.toml");
    let missing = missing.to_str().expect("text");
    expect(&scratch, &["--config", missing], 2, &[missing, "cannot read"]);
}

#[test]
fn a_bad_list_of_peers_is_named_with_its_line() {
    let scratch = Scratch::new("allow");
    let file = scratch.write("peers", "# nobody yet\nnot-an-id\n");
    let file = file.to_str().expect("text");
    let arguments = ["--listen", "127.0.0.1:0", "--allow", file];
    expect(&scratch, &arguments, 2, &[file, "line 2", "copy it again"]);
}

#[test]
fn times_that_do_not_fit_together_are_an_error_of_usage() {
    let scratch = Scratch::new("times");
    let arguments = ["--idle-timeout", "10s", "--heartbeat", "20s"];
    expect(&scratch, &arguments, 2, &["--idle-timeout", "--heartbeat"]);
}

#[cfg(unix)]
#[test]
fn a_key_that_cannot_be_trusted_or_read_is_refused() {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new("key");
    let file = scratch.write("server.key", &"a".repeat(52));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("set");
    let text = file.to_str().expect("text");
    expect(&scratch, &["--identity", text], 2, &[text, "0644", "chmod 600"]);
    // A directory is as unreadable as a file gets, even for root.
    let text = scratch.0.to_str().expect("text");
    fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o700)).expect("set");
    expect(&scratch, &["--identity", text], 2, &[text, "cannot read the key"]);
    expect(&scratch, &["--network-secret-file", "/nowhere/at/all"], 2, &["/nowhere/at/all"]);
}

#[test]
fn a_bad_log_filter_is_an_error_of_usage() {
    let scratch = Scratch::new("filter");
    let mut command = program(&scratch.0, &["--listen", "127.0.0.1:0"]);
    command.env("RUST_LOG", "info,handfast=loud");
    let (exit, text) = failure(command);
    assert_eq!((exit, text.lines().count()), (Some(2), 1), "{text}");
    assert!(text.contains("RUST_LOG"), "{text}");
}

#[test]
fn help_and_version_are_no_errors() {
    let scratch = Scratch::new("help");
    for flag in ["--help", "--version"] {
        let output = program(&scratch.0, &[flag]).output().expect("started");
        assert!(output.status.success() && output.stderr.is_empty());
        assert!(String::from_utf8_lossy(&output.stdout).contains("p2p_server"));
    }
}
