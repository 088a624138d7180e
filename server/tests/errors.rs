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
    expect(&scratch, &["--identity", text], 2, &[text, "is a directory"]);
    expect(&scratch, &["--identity", "/dev/zero"], 2, &["/dev/zero", "is a device"]);
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
fn a_log_filter_that_names_nothing_of_ours_is_warned_of() {
    let scratch = Scratch::new("strange");
    for format in ["text", "json"] {
        let arguments = ["--log-format", format, "--listen", "192.0.2.77:4263"];
        let mut command = program(&scratch.0, &arguments);
        command.env("RUST_LOG", "p2p_server=debug");
        let (exit, text) = failure(command);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!((exit, lines.len()), (Some(1), 2), "{text}");
        for word in ["RUST_LOG", "(p2p_server)", "handfast_server", "handfast::packet"] {
            assert!(lines[0].contains(word), "{word} in {text}");
        }
    }
}

#[test]
fn errors_are_objects_where_the_log_is_json() {
    let scratch = Scratch::new("objects");
    let file = scratch.write("server.toml", "log-format = \"json\"\nunknown = 1\n");
    let file = file.to_str().expect("text");
    for (arguments, code) in [
        (&["--config", file][..], 2),
        (&["--log-format", "json", "--ecko"], 2),
        (&["--log-format=json", "--listen", "192.0.2.77:4263"], 1),
        (&["--log-format=json", "--identity", "/dev/zero"], 2),
    ] {
        let (exit, text) = failure(program(&scratch.0, arguments));
        assert_eq!(exit, Some(code), "{text}");
        let line = text.lines().next_back().expect("an error");
        let error: serde_json::Value = serde_json::from_str(line).expect(line);
        assert_eq!((&error["level"], &error["exit_code"]), (&"ERROR".into(), &code.into()));
        assert!(error["message"].is_string() && error["timestamp"].is_string(), "{error}");
        assert!(text.lines().all(|line| line.starts_with('{')), "{text}");
    }
}

#[test]
fn a_key_is_made_once_and_its_peer_id_is_shown() {
    let scratch = Scratch::new("genkey");
    let run = |arguments: &[&str]| {
        let output = program(&scratch.0, arguments).output().expect("started");
        let text = |bytes| String::from_utf8(bytes).expect("text").trim().to_owned();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, _, advice) = run(&["id"]);
    assert!(code == Some(2) && advice.contains("genkey"), "{advice}");
    let (code, id, _) = run(&["genkey"]);
    assert!(code == Some(0) && id.parse::<handfast_mio::PeerId>().is_ok(), "{id}");
    assert_eq!(run(&["id"]), (Some(0), id, String::new()));
    let (code, _, refusal) = run(&["genkey"]);
    assert!(code == Some(2) && refusal.contains("not replaced"), "{refusal}");

    let secret = scratch.0.join("network.secret");
    let secret = secret.to_str().expect("text");
    assert_eq!(run(&["genkey", secret]).0, Some(0));
    // It is good for a network, too: what is wrong comes after it was read.
    let arguments = ["--network-secret-file", secret, "--listen", "192.0.2.77:4263"];
    expect(&scratch, &arguments, 1, &["192.0.2.77:4263"]);
}

#[test]
fn what_an_operator_bounds_is_named_as_the_operator_knows_it() {
    let scratch = Scratch::new("bounds");
    expect(&scratch, &["--max-peers", "0"], 2, &["--max-peers", "at least 1"]);
    expect(&scratch, &["--max-message", "100MiB"], 2, &["--send-buffer", "--max-message"]);
    expect(&scratch, &["--send-buffer", "lots"], 2, &["--send-buffer", "64KiB"]);
    expect(&scratch, &["--budget-retries", "1/"], 2, &["--budget-retries", "200/400"]);
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
