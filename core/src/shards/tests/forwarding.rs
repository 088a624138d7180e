//! Packets that pass between peers of different shards.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Whichever shards have them, and wherever the kernel delivers: all clients meet at the server, which passes on what they
    /// say, whole and in order. So it is after some restarted elsewhere.
    #[test]
    fn packets_pass_between_peers_of_all_shards(
        shards in 2..=4_u8,
        salt in 0..1_000_000_u64,
        restarts in prop::collection::vec(0..4_usize, 0..3),
    ) {
        let mut net = Net::new(shards, 4, salt);
        let pairs = || (0..4).flat_map(|one| (0..one).map(move |other| (one, other)));
        (0..4).for_each(|client| net.dial(client));
        net.run(300);
        for client in restarts {
            net.perform(Deed::Restart(client));
            net.run(300);
        }
        pairs().for_each(|(one, other)| net.introduce(one, other));
        net.run(1500);
        for (number, (one, other)) in (0..20).flat_map(|number| pairs().map(move |pair| (number, pair))) {
            net.say_to(one, identity(other).id(), vec![number].into());
            net.say_to(other, identity(one).id(), vec![100 + number].into());
        }
        net.run(1500);
        prop_assert_eq!(net.heard.len(), 20 * 12);
        let spread: BTreeSet<_> = (0..4).flat_map(|client| net.hosts(client)).collect();
        prop_assert_eq!(net.handed_over > 0, spread.len() > 1);
        let passed: u64 = net.shards.iter().map(|shard| shard.stats().forwards_passed).sum();
        prop_assert!(passed > 0 && net.lost == 0);
    }
}

/// Clients that dialled the server, until two of them are of two shards.
fn apart() -> Net {
    let mut net = (0..).map(|salt| Net::new(2, 2, salt)).find_map(|mut net| {
        (0..2).for_each(|client| net.dial(client));
        net.run(300);
        (net.hosts(0) != net.hosts(1)).then_some(net)
    });
    net.take().expect("one of them")
}

#[test]
fn who_sends_to_a_peer_of_another_shard_hears_that_it_is_gone() {
    let mut net = apart();
    net.introduce(0, 1);
    net.run(500);
    net.say_to(0, identity(1).id(), "hello".into());
    net.run(500);
    assert_eq!(net.heard, ["hello"]);
    let refused = |net: &Net| net.clients[0].endpoint.stats().packets_not_forwarded;
    assert_eq!(refused(&net), 0);
    net.perform(Deed::PutOut(1, false));
    net.run(100);
    // The shard that had it remembers it still, and says that it is gone.
    net.say_to(0, identity(1).id(), "anyone there?".into());
    net.run(500);
    let told = refused(&net);
    assert!(told > 0);
    // Once all have forgotten it, the shard that was asked says so.
    net.run(200_000);
    let handed_over = net.handed_over;
    net.introduce(0, 1);
    net.run(500);
    assert!(refused(&net) > told);
    assert_eq!(net.handed_over, handed_over);
}

#[test]
fn rates_hold_between_peers_of_two_shards() {
    let mut net = apart();
    net.introduce(0, 1);
    net.run(500);
    // More than a pair may pass in these seconds.
    net.say_to(0, identity(1).id(), vec![1; 16 << 20].into());
    let passed =
        |net: &Net| net.shards.iter().map(|it| it.stats().forward_bytes_passed).sum::<u64>();
    let before = passed(&net);
    net.run(4000);
    let rate = (passed(&net) - before) / 4;
    assert!((1_000_000..2_600_000).contains(&rate), "{rate} of 2,500,000 bytes per second");
}
