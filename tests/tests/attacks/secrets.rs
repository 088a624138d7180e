//! What is secret stays out of logs and debug output, and secrets are compared in one place.

use std::fmt::{Debug, Write};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use data_encoding::{BASE32_NOPAD, BASE64, BASE64URL};
use handfast_core::{
    Config, Delivery, DisconnectOptions, DisconnectReason, EndReason, Endpoint, Identity, Instant,
    Message, NetworkSecret, Order, Retry, Target,
};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::kit::*;

/// Writes down everything that is traced, on every level.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<String>>);

impl Recorder {
    fn text(&self) -> String {
        self.0.lock().expect("not poisoned").clone()
    }
}

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).expect("a string takes it");
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut Fields(&mut self.0.lock().expect("not poisoned")));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Fields(&mut self.0.lock().expect("not poisoned")));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = self.0.lock().expect("not poisoned");
        event.record(&mut Fields(&mut text));
        text.push('\n');
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Every way in which bytes find their way into text, by pieces long enough not to be chance.
fn spellings(secret: &[u8]) -> Vec<String> {
    let list = |bytes: &[u8], format: fn(&u8) -> String, between: &str| {
        bytes.iter().map(format).collect::<Vec<_>>().join(between)
    };
    let mut found = Vec::new();
    for piece in secret.windows(6) {
        found.push(list(piece, |byte| format!("{byte:02x}"), ""));
        found.push(list(piece, |byte| format!("{byte:02X}"), ""));
        found.push(list(piece, |byte| format!("{byte:02x}"), " "));
        found.push(list(piece, |byte| format!("{byte:02x}"), ", "));
        found.push(list(piece, |byte| format!("{byte:02x}"), ":"));
        found.push(list(piece, u8::to_string, ", "));
        found.push(list(piece, |byte| format!("\\x{byte:02x}"), ""));
        found.push(piece.escape_ascii().to_string());
        found.push(String::from_utf8_lossy(piece).into_owned());
    }
    // Groups of 5 and 3 bytes, from wherever the grouping began.
    for start in 0..5 {
        let whole = BASE32_NOPAD.encode(&secret[start..start + 10]);
        found.extend([whole.to_lowercase(), whole]);
    }
    for start in 0..3 {
        let groups = &secret[start..start + 9];
        found.extend([BASE64.encode(groups), BASE64URL.encode(groups)]);
    }
    found.retain(|spelling| spelling.chars().count() >= 6 && !spelling.contains('\u{fffd}'));
    found
}

fn assert_kept(text: &str, secrets: &[(&str, Vec<u8>)]) {
    for (name, secret) in secrets {
        for spelling in spellings(secret) {
            let at = text.find(&spelling);
            let line = at.map(|at| text[..at].rsplit('\n').next().unwrap_or_default().to_owned());
            assert!(at.is_none(), "{name} is shown as {spelling:?} after {line:?}");
        }
    }
}

static PAYLOAD: &[u8] = b"meet me at the old mill at nine and burn this letter";
static LONG: [u8; 9_000] = [0xe7; 9_000];

fn config() -> Config {
    let mut config = Config::default();
    config.network_secret = Some(NetworkSecret::new(secret(200)));
    config.keys.rekey_after = Duration::from_secs(1);
    config.keys.rekey_after_idle = Duration::from_secs(1);
    config.flow.max_message = 1 << 20;
    config
}

fn secrets() -> Vec<(&'static str, Vec<u8>)> {
    let mut secrets = vec![
        ("the network secret", secret(200).to_vec()),
        ("a payload", PAYLOAD.to_vec()),
        ("a long payload", LONG[..16].to_vec()),
    ];
    for side in 0..3 {
        secrets.push(("the seed of an identity", secret(side + 1).to_vec()));
        secrets.push(("the seed of an endpoint", secret(0x70 + side).to_vec()));
    }
    secrets
}

/// A life with all that there is in it: handshakes of every kind, all kinds of messages, changes
/// of keys, another address, violations, goodbyes. Returns what it looks like to a debugger.
fn eventful_life() -> String {
    let mut shown = String::new();
    let mut demanding = config();
    demanding.retry = Retry::Always;
    let mut stage = Stage::with_honest(demanding, config());
    for round in 0..40 {
        for order in [Order::Unordered, Order::Sequenced, Order::Ordered] {
            for reliable in [false, true] {
                let delivery = stream(3, reliable, order).delivery(round % 2 == 0);
                for (from, to) in [(HONEST, VICTIM), (VICTIM, HONEST)] {
                    stage.send(from, to, delivery, PAYLOAD).expect("room");
                    stage.send(from, to, delivery, &LONG).expect("room");
                }
            }
        }
        stage.step(Duration::from_millis(100));
        let peer = stage.peer_of(VICTIM, HONEST).expect("connected");
        if let Some(message) = stage.with(VICTIM, |victim, now| victim.receive(now, peer)) {
            write!(shown, "{message:?}{message:#?}").expect("a string takes it");
        }
        for side in [VICTIM, HONEST] {
            stage.read(side, [HONEST, LIAR, VICTIM][side]);
        }
        write!(shown, "{:?}", stage.endpoint(VICTIM)).expect("a string takes it");
        write!(shown, "{:#?}", stage.endpoint(VICTIM).peer(peer)).expect("a string takes it");
    }
    let peer = stage.peer_of(VICTIM, HONEST).expect("connected");
    let info = stage.endpoint(VICTIM).peer(peer).expect("connected");
    assert!(info.stats.rekeys > 2, "{} changes of keys", info.stats.rekeys);
    stage.lie(0, &frame(handfast_core::wire::Frame::PathChallenge { token: [1; 8] }));
    stage.lie(0, &[0x1f]);
    stage.step(Duration::from_secs(2));
    stage.restart_liar();
    let peer = stage.peer_of(HONEST, VICTIM).expect("connected");
    let goodbye = DisconnectOptions::now().with_reason(DisconnectReason::new(7, "enough"));
    let part = stage.with(HONEST, |honest, now| honest.disconnect(now, peer, goodbye));
    part.expect("alive");
    stage.step(Duration::from_secs(10));
    assert!(stage.reason().is_some_and(|reason| matches!(reason, EndReason::Violation(_))));
    // And a call to an address, whoever is there.
    let target = Target::from(stage.ends[VICTIM].address);
    dial(&mut stage, HONEST, target);
    stage.step(Duration::from_secs(2));
    assert!(stage.peer_of(HONEST, VICTIM).is_some());
    shown
}

#[test]
fn a_whole_life_leaves_no_secret_in_any_log_line() {
    let recorder = Recorder::default();
    // While there is only one listener, tracing asks the thread that comes first to a place whether
    // anyone listens there: other tests would silence places for this one.
    let second = tracing::Dispatch::new(Recorder::default());
    let shown = tracing::subscriber::with_default(recorder.clone(), eventful_life);
    drop(second);
    let text = recorder.text();
    for line in ["KeyRequest", "HandshakeRetry", "RekeyRequest", "Data", "violation", "Disconnect"]
    {
        assert!(text.contains(line), "{line} was not logged: nothing is proved");
    }
    assert_kept(&text, &secrets());
    assert!(shown.contains("9000 bytes"), "no message was shown");
    assert_kept(&shown, &secrets());
}

#[test]
fn nothing_public_shows_its_secrets_to_a_debugger() {
    let identity = Identity::from_seed(secret(1));
    let message = Message::new(Delivery::ordered(0), 7, bytes::Bytes::from_static(PAYLOAD));
    let mut text = format!("{identity:?} {identity:#?} {message:?} {:?} {:#?}", config(), config());
    let now = Instant::from_micros(1);
    let endpoint = Endpoint::new(config().validate().expect("valid"), identity, secret(0x70), now);
    write!(text, "{endpoint:?} {endpoint:#?} {:?}", endpoint.config()).expect("a string takes it");
    assert_kept(&text, &secrets());
}

/// The search itself finds what it looks for.
#[test]
fn a_secret_in_a_text_is_found_however_it_is_spelled() {
    let bytes = secret(1);
    for text in [
        format!("{bytes:?}"),
        format!("{bytes:02x?}"),
        format!("{bytes:02X?}").replace(", ", ""),
        BASE64.encode(&bytes),
        BASE32_NOPAD.encode(&bytes).to_lowercase(),
        BASE64.encode(&[&[1, 2][..], &bytes].concat()),
        format!("{:?}", bytes::Bytes::copy_from_slice(&bytes)),
    ] {
        assert!(spellings(&bytes).iter().any(|spelling| text.contains(spelling)), "{text}");
    }
}

/// Names of what an attacker may guess at: MACs, tags, cookies, secrets, keys. `==` would tell how
/// far a guess is right; `crypto::hash::equal` does not.
#[test]
fn secrets_are_compared_in_one_place_only() {
    const NAMES: [&str; 9] =
        ["mac", "tag", "cookie", "secret", "key", "psk", "proof", "token", "signature"];
    /// Where, and why that is no secret.
    const HARMLESS: [(&str, &str); 11] = [
        ("message/receive_stream.rs", "*first.key() != self.next"), // A sequence number.
        ("peer/outbound/mod.rs", "token == 0"),                     // A ping that wants no answer.
        ("send/streams.rs", "stream.key == key"),                   // Names a stream.
        ("send/join.rs", "stream.key == StreamKey::from(*delivery)"), // The same.
        ("receive/streams.rs", "stream.key != *key"),               // The same.
        ("peer/outbound/pings.rs", "ping.token == token"), // A count; in a packet that was opened.
        ("punch/target.rs", "self.token == Some(token)"),  // The same.
        ("probing/nat_test.rs", "*one == token"),          // The same.
        ("path/check/mod.rs", "self.token == token"),      // The same.
        ("peer/probing/observing.rs", ".token == Some(token)"), // 8 bytes, one guess per opened packet.
        ("path/validation.rs", ".token == token"), // 8 bytes, one guess per opened packet.
    ];
    let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/src");
    let mut places = Vec::new();
    for path in sources(&core) {
        let text = fs::read_to_string(&path).expect("a readable file");
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let lines = code.lines().enumerate().filter(|(_, line)| compares(line, &NAMES));
        places.extend(lines.map(|(at, line)| (path.clone(), at + 1, line.trim().to_owned())));
    }
    let mut used = [false; HARMLESS.len()];
    places.retain(|(path, _, line)| {
        let known =
            HARMLESS.iter().position(|(file, code)| path.ends_with(file) && line.contains(code));
        known.inspect(|at| used[*at] = true).is_none()
    });
    assert!(places.is_empty(), "compare with crypto::hash::equal: {places:#?}");
    assert_eq!(used, [true; HARMLESS.len()], "an exception that nothing needs");
    let equal = fs::read_to_string(core.join("crypto/hash.rs")).expect("a readable file");
    assert!(equal.contains("a.ct_eq(b).into()"), "the one place is not in constant time");
}

/// Whether a line compares something whose name ends like that of a secret.
fn compares(line: &str, names: &[&str]) -> bool {
    let line = line.split("//").next().unwrap_or_default();
    let is_secret = |word: &str| {
        let word = word.trim_end_matches([')', ';', '&', '*', '(', '{', ',', '.']);
        let last = word.rsplit(['.', ':', '_', '*', '&', '(', '!']).next().unwrap_or_default();
        names.contains(&last)
    };
    [" == ", " != "].iter().any(|operator| {
        line.split_once(operator).is_some_and(|(left, right)| {
            let left = left.split_whitespace().next_back().unwrap_or_default();
            let right = right.split_whitespace().next().unwrap_or_default();
            is_secret(left) || is_secret(right)
        })
    })
}

/// The sources of the core, without files of tests.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a readable directory") {
        let path = entry.expect("a readable directory").path();
        let test = ["tests", "tests.rs"];
        if test.iter().any(|name| path.ends_with(name)) {
            continue;
        }
        if path.is_dir() {
            found.extend(sources(&path));
        } else {
            found.push(path);
        }
    }
    found
}
