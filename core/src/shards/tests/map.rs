//! What the shards of an endpoint share, and how they share it.

use super::*;

#[test]
fn the_map_forgets_who_is_gone() {
    let (mut map, at) = (PeerMap::default(), Instant::from_micros);
    let ids: Vec<PeerId> = (0..40).map(|n| Identity::from_seed([n; 32]).id()).collect();
    for id in &ids {
        assert_eq!(map.claim(at(1), *id, 1), 1);
        assert_eq!(map.claim(at(1), *id, 2), 1, "another has it");
        map.release(at(1), *id, 2, None);
        assert_eq!(map.shard_of(at(1), id), Some(1), "who does not have it cannot give it up");
    }
    map.release(at(2), ids[0], 1, None);
    assert_eq!(map.claim(at(2), ids[0], 2), 2);
    for id in &ids[1..] {
        map.release(at(2), *id, 1, Some(at(10)));
    }
    assert_eq!(map.claim(at(9), ids[1], 2), 1, "it is remembered");
    assert_eq!(map.claim(at(9), ids[1], 1), 1, "and may come back");
    assert_eq!(map.shard_of(at(10), &ids[2]), None);
    assert_eq!(map.claim(at(10), ids[2], 3), 3);
    for _ in 0..20 {
        map.release(at(11), ids[0], 2, None);
    }
    assert_eq!(map.len(), 2, "those that are there");
}

#[test]
fn whoever_was_with_a_shard_that_is_gone_may_come_to_any_other() {
    let (mut map, at) = (PeerMap::default(), Instant::from_micros);
    let ids: Vec<PeerId> = (0..4).map(|n| Identity::from_seed([n; 32]).id()).collect();
    for (id, shard) in ids.iter().zip([1, 1, 2, 2]) {
        map.claim(at(1), *id, shard);
    }
    map.release(at(2), ids[1], 1, Some(at(100)));
    map.release(at(2), ids[3], 2, Some(at(100)));
    map.abandon(1);
    assert_eq!(ids.iter().map(|id| map.claim(at(3), *id, 0)).collect::<Vec<_>>(), [0, 0, 2, 2]);
    map.release(at(4), ids[1], 0, Some(at(50)));
    assert_eq!(map.claim(at(100), ids[3], 0), 0, "it was remembered for its time");
    assert_eq!((map.len(), map.shard_of(at(100), &ids[1])), (3, None), "and no longer");
}

#[test]
fn shares_add_up_to_what_the_endpoint_may_spend_and_keep_the_rules() {
    for of in [1, 2, 3, 256] {
        let whole = Config::default();
        let share = |n: u8| {
            let map: Arc<dyn Siblings> = Arc::new(Map::default());
            whole.clone().for_shard(n, of, map).validate().expect("sound")
        };
        let shares: Vec<_> = (0..of).map(|n| share(n as u8)).collect();
        let peers: usize = shares.iter().map(|share| share.limits.max_peers).sum();
        assert!(
            (whole.limits.max_peers..whole.limits.max_peers + usize::from(of)).contains(&peers)
        );
        let retries: u32 = shares.iter().map(|share| share.budgets.retries.per_second).sum();
        assert!((20_000..20_000 + u32::from(of)).contains(&retries));
        assert!(shares[1..].iter().all(|share| !share.discovery.listen));
    }
}
