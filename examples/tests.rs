//! What the examples say to somebody who has just started them. `cargo test` builds them before.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// The built `simple_client`.
fn simple_client() -> Command {
    let tests = env::current_exe().expect("this program");
    let built = tests.parent().and_then(|deps| deps.parent()).expect("where programs are built");
    let name = format!("simple_client{}", env::consts::EXE_SUFFIX);
    let program: PathBuf = [built, "examples".as_ref(), name.as_ref()].iter().collect();
    assert!(program.exists(), "`cargo build -p handfast-examples --examples` builds it");
    let mut command = Command::new(program);
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A program that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            sender.send(line).ok();
        }
    });
    receiver
}

#[test]
fn simple_client_explains_itself() {
    for flag in ["--help", "-h"] {
        let Output { status, stdout, stderr } = simple_client().arg(flag).output().expect("run");
        let text = String::from_utf8(stdout).expect("text");
        assert!(status.success() && stderr.is_empty(), "{flag}: {status}");
        for word in
            ["Usage: simple_client", "HOST:PORT", "PEERID@HOST:PORT", "-h, --help", "RUST_LOG"]
        {
            assert!(text.contains(word), "{word} in {text}");
        }
    }
}

#[test]
fn simple_client_refuses_what_it_does_not_know() {
    for (arguments, named) in
        [(&["--verbose"][..], "--verbose"), (&["127.0.0.1:1", "more"], "more")]
    {
        let Output { status, stdout, stderr } =
            simple_client().args(arguments).output().expect("run");
        let text = String::from_utf8(stderr).expect("text");
        assert_eq!((status.code(), stdout.len()), (Some(2), 0), "{text}");
        assert!(text.contains(named) && text.contains("--help"), "{text}");
    }
}

#[test]
fn simple_client_says_that_it_is_still_trying_and_then_what_may_be_wrong() {
    // Whatever comes here is dropped.
    let silent = UdpSocket::bind("127.0.0.1:0").expect("bound");
    let address = silent.local_addr().expect("an address").to_string();
    let mut child = simple_client().arg(&address).spawn().expect("started");
    let (out, errors) =
        (lines(child.stdout.take().expect("piped")), lines(child.stderr.take().expect("piped")));
    let _running = Running(child);
    let mut said = Vec::new();
    loop {
        match out.recv_timeout(PATIENCE) {
            Ok(line) => said.push(line),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => panic!("it does not end: {said:#?}"),
        }
    }
    assert!(said.iter().any(|line| line.contains("still trying")), "{said:#?}");
    assert!(!said.iter().any(|line| line.contains("connected")), "{said:#?}");
    let error = errors.recv_timeout(PATIENCE).expect("an error");
    for word in [&address, "nobody", "port", "network secret", "firewall"] {
        assert!(error.contains(word), "{word} in {error}");
    }
}

/// Guards against a hang; nothing takes nearly as long.
const PATIENCE: Duration = Duration::from_secs(60);
