//! Every datagram that is dropped is counted by its reason, and the log says so.

use std::sync::Mutex;

use handfast_core::{Endpoint, Identity, Instant, Origin, ValidConfig};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

const VERSION: u8 = 6;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps the fields of each event as text.
struct Recorder;

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn core::fmt::Debug) {
        self.0 += &format!(" {}={value:?}", field.name());
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "handfast::packet"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        LINES.lock().expect("no panic").push(line.0);
    }

    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn six_kinds_of_junk_leave_six_lines_with_their_reasons() {
    tracing::subscriber::set_global_default(Recorder).expect("the first");
    let now = Instant::from_micros(1_000_000);
    let mut endpoint =
        Endpoint::new(ValidConfig::default(), Identity::from_seed([1; 32]), [2; 32], now);
    let from = Origin::from_remote("192.0.2.7:4263".parse().expect("an address"));
    let junk = |kind: u8, version: u8, len: usize| {
        let mut datagram = vec![0; len];
        datagram[..2].copy_from_slice(&[kind, version]);
        datagram
    };
    let datagrams = [
        (vec![], "malformed"),
        (junk(0x13, 1, 40), "unknown_type"),
        (junk(0xc1, 9, 40), "unknown_version"),
        (junk(0xc1, VERSION, 40), "malformed"),
        (junk(0xc4, VERSION, 60), "unknown_session"),
        (junk(0xc2, VERSION, 40), "malformed"),
    ];
    for (datagram, reason) in datagrams {
        let before: u64 = endpoint.drops().iter().map(|(_, count)| count).sum();
        LINES.lock().expect("no panic").clear();
        endpoint.handle_datagram(now, from, &mut datagram.clone());
        let dropped: Vec<_> = LINES.lock().expect("no panic").clone();
        let dropped: Vec<_> = dropped.iter().filter(|line| line.contains("dropped")).collect();
        assert_eq!(dropped.len(), 1, "{reason}: {dropped:?}");
        assert!(dropped[0].contains(&format!("reason={reason:?}")), "{reason}: {dropped:?}");
        assert!(dropped[0].contains("remote=192.0.2.7:4263"), "{dropped:?}");
        let after: u64 = endpoint.drops().iter().map(|(_, count)| count).sum();
        assert_eq!(after, before + 1, "{reason}");
    }
}
