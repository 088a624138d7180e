//! A liar decides when it acknowledges, and so what the victim measures. It does not decide how
//! long the victim waits for it.

use std::time::Duration;

use handfast_core::wire::Frame;
use handfast_core::{Config, Delivery, DisconnectOptions, EndReason, PeerState, Violation};

use crate::kit::*;

const HOUR: Duration = Duration::from_secs(3600);

/// A liar that has let the victim wait an hour for its first acknowledgements.
fn hour_long_round_trip() -> Stage {
    let mut config = Config::default();
    // Keys that last: it is about round trips here.
    (config.keys.rekey_after, config.keys.rekey_after_idle) = (10 * HOUR, 10 * HOUR);
    let mut stage = Stage::with_honest(config.clone(), config);
    for round in 0..3 {
        stage.send(VICTIM, LIAR, Delivery::unreliable(0), b"hello").expect("room");
        let receipt = Delivery::unreliable(1).with_receipt();
        stage.send(VICTIM, LIAR, receipt, b"x").expect("room");
        let sent = sent(&stage);
        for _ in 0..3_600 {
            stage.lie(0, &[0]);
            stage.pass_unheard(Duration::from_secs(1));
        }
        stage.lie(0, &ack(0, 0, sent - 1..=sent - 1));
        assert!(stage.reason().is_none(), "round {round}: {:?}", stage.reason());
    }
    let rtt = stage.endpoint(VICTIM).peer(stage.peer_of(VICTIM, LIAR).expect("alive"));
    let rtt = rtt.and_then(|info| info.path_stats.rtt).expect("measured");
    assert!(rtt > Duration::from_secs(60), "{rtt:?}: the lie did not work");
    stage
}

fn sent(stage: &Stage) -> u64 {
    let peer = stage.peer_of(VICTIM, LIAR).expect("alive");
    let info = stage.endpoint(VICTIM).peer(peer).expect("alive");
    info.stats.datagrams_sent
}

#[test]
fn a_goodbye_is_not_waited_for_longer_because_the_peer_answers_late() {
    let mut stage = hour_long_round_trip();
    let peer = stage.peer_of(VICTIM, LIAR).expect("alive");
    let part = stage
        .with(VICTIM, |victim, now| victim.disconnect(now, peer, DisconnectOptions::default()));
    part.expect("alive");
    for _ in 0..60 {
        stage.lie(0, &frame(Frame::Ping { token: 0 }));
        stage.pass_unheard(Duration::from_secs(1));
    }
    assert_eq!(stage.reason(), Some(&EndReason::Disconnected { heard: false }));
    // And then it is gone for good: nothing of it is kept to answer late packets.
    assert!(stage.endpoint(VICTIM).peer(peer).is_none());
    for _ in 0..60 {
        stage.lie(0, &frame(Frame::Ping { token: 0 }));
        stage.pass_unheard(Duration::from_secs(1));
    }
    assert!(stage.endpoint(VICTIM).drops().unknown_session > 0, "keys are kept");
}

#[test]
fn closing_is_not_held_up_by_a_peer_that_answers_late() {
    let mut stage = hour_long_round_trip();
    stage.with(VICTIM, |victim, now| victim.close(now, DisconnectOptions::default()));
    for _ in 0..120 {
        stage.lie(0, &frame(Frame::Ping { token: 0 }));
        stage.pass_unheard(Duration::from_secs(1));
    }
    assert!(stage.endpoint(VICTIM).is_closed());
}

#[test]
fn a_violation_is_over_soon_though_the_peer_answers_late() {
    let mut stage = hour_long_round_trip();
    stage.lie(0, &[0x1f]);
    for _ in 0..60 {
        stage.lie(0, &frame(Frame::Ping { token: 0 }));
        stage.pass_unheard(Duration::from_secs(1));
    }
    assert_eq!(stage.reason(), Some(&EndReason::Violation(Violation::UnknownFrameType)));
}

/// What a peer says about its own delay is believed up to half a second, and its idle timeout down
/// to a second.
#[test]
fn absurd_choices_of_a_peer_are_its_own_affair() {
    let mut stage = Stage::deceived(Config::default(), |lying| {
        lying.idle_timeout_ms = 0.into();
        lying.max_ack_delay_ms = u16::MAX.into();
        lying.max_message = 0.into();
        lying.max_streams = 0.into();
        lying.receive_window = u64::MAX.into();
    });
    let peer = stage.peer_of(VICTIM, LIAR).expect("connected");
    assert!(stage.send(VICTIM, LIAR, Delivery::ordered(0), b"x").is_err());
    stage.pass_unheard(Duration::from_millis(500));
    let state = stage.endpoint(VICTIM).peer(peer).map(|info| info.state);
    assert_eq!(state, Some(PeerState::Connected));
    stage.pass_unheard(Duration::from_secs(2));
    assert_eq!(stage.reason(), Some(&EndReason::IdleTimeout));
}

/// Acknowledging at once what was really sent lets the window grow by what was sent, not by more.
#[test]
fn a_window_grows_by_no_more_than_what_was_really_sent() {
    static PAYLOAD: [u8; 1 << 20] = [3; 1 << 20];
    let mut stage = Stage::with_honest(Config::default(), Config::default());
    let window = |stage: &Stage| {
        let peer = stage.peer_of(VICTIM, LIAR).expect("alive");
        let info = stage.endpoint(VICTIM).peer(peer).expect("alive");
        info.path_stats.congestion_window
    };
    let (first, before) = (window(&stage), stage.ends[VICTIM].sent.1);
    let mut delay = 0;
    for _ in 0..200 {
        stage.send(VICTIM, LIAR, Delivery::ordered(0), &PAYLOAD[..20_000]).ok();
        let newest = sent(&stage) - 1;
        // The same once more, and again, with any delay: it counts once.
        delay = (delay + 977_777) * 3 % (1 << 40);
        for _ in 0..5 {
            stage.lie(0, &ack(0, delay, newest..=newest));
        }
        stage.pass_unheard(Duration::from_millis(7));
        if stage.reason().is_some() {
            break;
        }
        let grown = window(&stage).saturating_sub(first);
        let sent = stage.ends[VICTIM].sent.1 - before;
        assert!(grown <= sent, "the window grew by {grown}, {sent} bytes were sent");
    }
}
