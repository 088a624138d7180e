//! What ECN marks do: queues that mark stay short and lose nothing, and marks that mean nothing slow nobody down.

use std::time::Duration;

use handfast_core::{Config, CongestionControl};
use handfast_sim::{CoDel, Conditions, EcnTreatment, Probability};

use super::bulk;
use super::load::{Load, Plan};
use crate::common::*;

/// 4 Mbit/s, 20 ms each way, and room for four times what is under way.
fn road() -> Conditions {
    Conditions { latency: MS * 20, rate: Some(RATE), queue: 80_000, ..Conditions::default() }
}

fn with(congestion: CongestionControl) -> Config {
    let mut config = Config::default();
    config.congestion = congestion;
    config
}

/// There is always more to send, for so long. What arrived of what could, in percent.
fn share(conditions: Conditions, congestion: CongestionControl, span: Duration) -> (u64, Load) {
    let mut load = Load::new(1, bulk(span), &with(congestion), conditions);
    load.run_until(span);
    (load.payload() * 100 / (RATE * span.as_secs()), load)
}

/// Those that answer marks. (To them, `Cubic` is as the first.)
const CONTROLS: [CongestionControl; 2] = [CongestionControl::Tolerant, CongestionControl::Bbr];

#[test]
fn a_queue_that_marks_stays_short_loses_nothing_and_is_used() {
    let step = Conditions { ce_threshold: Some(10_000), ..road() };
    let codel = Conditions { codel: Some(CoDel::default()), ..road() };
    for (name, conditions) in [("by length", step), ("CoDel", codel)] {
        for congestion in CONTROLS {
            let (share, load) = share(conditions, congestion, SECOND * 6);
            let (stats, faults) = (load.sender(), load.world.faults());
            let said = format!("{name}, {congestion:?}: {share} %, {stats:?}, {faults:?}");
            assert!(load.is_ecn_capable(), "{said}");
            assert_eq!((stats.packets_lost, faults.dropped()), (0, 0), "{said}");
            assert!(stats.congestion_marks > 0 && stats.congestion_marks <= faults.ce_marked);
            assert!(share >= 80, "{said}");
        }
    }
}

#[test]
fn marks_that_do_not_pass_or_mean_nothing_cost_next_to_nothing() {
    let all = EcnTreatment::Congested(Probability::ALWAYS);
    let most = EcnTreatment::Congested(Probability::percent(60));
    let treatments =
        [EcnTreatment::Bleached, EcnTreatment::Changed, EcnTreatment::Dropped, all, most];
    for congestion in CONTROLS {
        let (clean, _) = share(road(), congestion, SECOND * 6);
        for ecn in treatments {
            let (share, load) = share(Conditions { ecn, ..road() }, congestion, SECOND * 6);
            let said = format!("{congestion:?}, {ecn:?}: {share} of {clean} %");
            assert!(!load.is_ecn_capable(), "{said}");
            assert!(share * 100 >= clean * 80, "{said}, {:?}", load.sender());
        }
    }
}

#[test]
fn a_path_that_stops_passing_marks_gets_none_and_another_way_gets_them_again() {
    for ecn in [EcnTreatment::Bleached, EcnTreatment::Changed, EcnTreatment::Dropped] {
        let plan = Plan { bulk_messages: 300, ..bulk(SECOND * 20) };
        let mut load = Load::new(1, plan, &Config::default(), road());
        load.run_until(SECOND * 2);
        assert!(load.is_ecn_capable());
        load.world.network().set_all(Conditions { ecn, ..road() });
        load.run_until(SECOND * 5);
        assert!(!load.is_ecn_capable(), "{ecn:?}");
        load.world.network().set_all(road());
        load.run_until(SECOND * 6);
        assert!(!load.is_ecn_capable(), "{ecn:?}: it is not asked again where it failed");
        load.world.roam(load.a, ([10, 0, 9, 9], 4263).into());
        load.run_until(SECOND * 30);
        assert!(load.is_ecn_capable(), "{ecn:?}: what it learned was about another way");
        load.expect_all();
    }
}

#[test]
fn who_does_not_answer_marks_sets_none() {
    let (_, load) = share(road(), CongestionControl::Fixed(RATE / 2), SECOND * 2);
    assert!(!load.is_ecn_capable());
    let codel = Conditions { codel: Some(CoDel::default()), ..road() };
    let (_, load) = share(codel, CongestionControl::Fixed(RATE * 2), SECOND * 2);
    let faults = load.world.faults();
    assert!(faults.codel_drops > 0 && faults.ce_marked == 0, "{faults:?}");
}

/// Bytes per second.
const RATE: u64 = 500_000;
