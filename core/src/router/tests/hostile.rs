//! Neighbours that lie, repeat and flood.

use super::*;

/// A node and its neighbours 1 (slot 1) to `transit`, and further ones that are leaves.
fn node(transit: usize, leaves: usize) -> Router {
    let mut router = Router::new(at(0), id(0), Some(5), 1, &Checksum);
    for n in 1..=transit + leaves {
        let transit = n <= transit;
        let link = Link { id: id(n), transit, listens: transit, incarnation: 1 };
        router.on_up(at(0), n as u32, link, Some(Duration::ZERO));
    }
    drain(&mut router);
    router
}

fn drain(router: &mut Router) -> Vec<(u32, Message)> {
    core::iter::from_fn(|| router.poll_output()).collect()
}

fn update(of: usize, pair: (u64, u32), metric: u16, serial: u32) -> Update {
    let pair = Pair { epoch: pair.0, seqno: pair.1 };
    let claim = Claim { destination: id(of), pair, life: 600 };
    let signature = Checksum.sign(&claim);
    Update { claim, signature, serial, remaining: 600, metric }
}

fn hear(router: &mut Router, ms: u64, slot: u32, update: Update) {
    router.on_message(at(ms), slot, &Message::Update(update), &Checksum);
    while router.deadline().is_some_and(|due| due <= at(ms)) {
        router.on_timeout(at(ms), &Checksum);
    }
}

fn tick(router: &mut Router, ms: u64) -> Vec<(u32, Message)> {
    while let Some(due) = router.deadline().filter(|due| *due <= at(ms)) {
        router.on_timeout(due, &Checksum);
        assert!(router.deadline().is_none_or(|next| next > due), "it makes progress");
    }
    drain(router)
}

#[test]
fn nobody_speaks_for_another() {
    let mut router = node(1, 1);
    let forged = Update { signature: [3; 64], ..update(9, (1, 1), 0, 1) };
    hear(&mut router, 1, 1, forged);
    assert_eq!(router.next_hop(&id(9)), None);
    let older = update(9, (1, 1), 0, 2);
    let stretched = Update { claim: Claim { life: 3600, ..older.claim }, ..older };
    hear(&mut router, 1, 1, stretched);
    assert_eq!(router.next_hop(&id(9)), None, "its life is signed too");
    // A leaf tells of itself alone.
    hear(&mut router, 1, 2, update(9, (1, 1), 0, 3));
    assert_eq!(router.next_hop(&id(9)), None);
    hear(&mut router, 1, 2, update(2, (1, 1), 0, 4));
    assert_eq!(router.next_hop(&id(2)), Some(2));
    assert_eq!(router.counters().refused, 3);
}

#[test]
fn who_says_to_be_nearer_to_a_neighbour_than_we_are_gets_none_of_its_packets() {
    let mut router = node(3, 0);
    let slow = Link { id: id(3), transit: true, listens: true, incarnation: 1 };
    router.on_up(at(0), 3, slow, Some(Duration::from_millis(120)));
    drain(&mut router);
    hear(&mut router, 1, 1, update(3, (1, 1), 1, 1));
    assert_eq!(router.next_hop(&id(3)), Some(1), "it is not connected yet, as far as it told");
    hear(&mut router, 2, 3, update(3, (1, 1), 0, 1));
    assert_eq!(router.next_hop(&id(3)), Some(3));
    hear(&mut router, 10_000, 1, update(3, (1, 2), 1, 2));
    hear(&mut router, 10_000, 3, update(3, (1, 2), 0, 2));
    let told = tick(&mut router, 20_000);
    assert_eq!(router.routes(at(20_000)).map(|hop| hop.metric).collect::<Vec<_>>(), [166]);
    let is_honest = |(_, message): &(u32, Message)| match message {
        Message::Update(update) => update.claim.destination != id(3) || update.metric == 166,
        _ => true,
    };
    assert!(told.iter().all(is_honest), "others hear what its packets cost: {told:?}");
    router.on_down(at(30_000), 3);
    assert_eq!(router.next_hop(&id(3)), Some(1), "it is connected no more");
}

#[test]
fn what_is_repeated_does_not_live_longer_and_what_is_old_does_not_come_back() {
    let mut router = node(2, 0);
    hear(&mut router, 1, 1, update(9, (1, 7), 0, 1));
    assert_eq!(router.next_hop(&id(9)), Some(1));
    for n in 1..6 {
        tick(&mut router, n * 100_000);
        hear(&mut router, n * 100_000, 2, update(9, (1, 7), 0, 1 + n as u32));
        hear(&mut router, n * 100_000, 1, update(9, (1, 7), 0, 1 + n as u32));
    }
    assert!(router.next_hop(&id(9)).is_some());
    let told = tick(&mut router, 600_002);
    let retracted = |(_, message): &(u32, Message)| matches!(message, Message::Retraction { .. });
    assert!(told.iter().any(retracted), "{told:?}");
    for pair in [(1, 7), (1, 6), (0, u32::MAX)] {
        hear(&mut router, 700_000, 2, update(9, pair, 0, 50));
        assert_eq!(router.next_hop(&id(9)), None, "{pair:?}");
    }
    // So long as the longest life; then nobody here can tell.
    tick(&mut router, 4_100_000);
    hear(&mut router, 4_100_000, 2, update(9, (1, 7), 0, 51));
    assert_eq!(router.next_hop(&id(9)), None);
    hear(&mut router, 4_100_000, 2, update(9, (2, 0), 0, 52));
    assert_eq!(router.next_hop(&id(9)), Some(2));
}

#[test]
fn the_life_that_is_left_is_what_the_first_announcer_says() {
    let mut router = node(2, 0);
    hear(&mut router, 1, 1, Update { remaining: 30, ..update(9, (1, 1), 0, 1) });
    hear(&mut router, 2, 2, update(9, (1, 1), 0, 1));
    tick(&mut router, 29_000);
    assert!(router.next_hop(&id(9)).is_some());
    tick(&mut router, 30_002);
    assert_eq!(router.next_hop(&id(9)), None);
}

#[test]
fn an_owner_that_forgot_what_it_said_says_something_greater() {
    let mut router = node(1, 0);
    hear(&mut router, 1, 1, update(0, (9, 3), 40, 1));
    let told = drain(&mut router);
    let [(1, Message::Update(own))] = &told[..] else { panic!("{told:?}") };
    assert_eq!((own.claim.pair, own.metric), (Pair { epoch: 10, seqno: 0 }, 0));
    // Nobody makes it do so without its own signature.
    hear(&mut router, 2, 1, Update { signature: [0; 64], ..update(0, (99, 3), 40, 2) });
    assert_eq!(drain(&mut router), []);
}

#[test]
fn an_owner_hears_of_what_it_said_before_from_those_who_remember() {
    let mut router = node(2, 0);
    hear(&mut router, 1, 1, update(9, (7, 3), 40, 1));
    tick(&mut router, 100);
    // It is a neighbour now, without memory.
    hear(&mut router, 200, 2, update(9, (1, 0), 0, 1));
    let told = drain(&mut router);
    let [(2, Message::Update(claim))] = &told[..] else { panic!("{told:?}") };
    assert_eq!((claim.claim.pair.epoch, claim.metric), (7, INFINITE));
    // Its neighbours pass that on to it: here the way to it leads by 2, and 1 knows better.
    let mut router = node(2, 0);
    hear(&mut router, 1, 2, update(9, (1, 0), 0, 1));
    tick(&mut router, 100);
    hear(&mut router, 200, 1, update(9, (7, 3), INFINITE, 1));
    let told = drain(&mut router);
    let [(2, Message::Update(claim))] = &told[..] else { panic!("{told:?}") };
    assert_eq!((claim.claim.pair.epoch, claim.metric), (7, INFINITE));
    assert_eq!(router.next_hop(&id(9)), Some(2));
}

#[test]
fn numbers_that_run_out_go_on_in_the_next_epoch() {
    let last = Pair { epoch: 4, seqno: u32::MAX };
    assert_eq!(last.next(), Some(Pair { epoch: 5, seqno: 0 }));
    assert_eq!(Pair { epoch: u64::MAX, seqno: u32::MAX }.next(), None);
    let mut router = node(1, 0);
    hear(&mut router, 1, 1, update(9, (4, u32::MAX), 0, 1));
    hear(&mut router, 2, 1, update(9, (4, 3), 0, 2));
    tick(&mut router, 100);
    router.on_message(
        at(200),
        1,
        &Message::Retraction { destination: id(9), serial: 3 },
        &Checksum,
    );
    let told = drain(&mut router);
    let asked = told.iter().find_map(|(_, message)| match message {
        Message::SeqnoRequest { pair, .. } => Some(*pair),
        _ => None,
    });
    // Nobody was told of it, so any pair would do.
    assert_eq!(asked, None, "{told:?}");
    hear(&mut router, 300, 1, update(9, (5, 0), 0, 4));
    assert_eq!(router.next_hop(&id(9)), Some(1));
}

#[test]
fn an_owner_is_not_made_to_use_up_its_numbers() {
    let mut router = node(1, 0);
    let mut told = 0;
    for n in 0..100_000_u64 {
        let pair = Pair { epoch: 5, seqno: u32::try_from(n + 1).expect("small") };
        let request = Message::SeqnoRequest { destination: id(0), pair, hops: 16 };
        router.on_message(at(n), 1, &request, &Checksum);
        told += tick(&mut router, n).len();
    }
    let far = Pair { epoch: u64::MAX, seqno: u32::MAX };
    let request = Message::SeqnoRequest { destination: id(0), pair: far, hops: 16 };
    router.on_message(at(110_000), 1, &request, &Checksum);
    let last = drain(&mut router);
    let [(1, Message::Update(own))] = &last[..] else { panic!("{last:?}") };
    assert!(own.claim.pair.epoch == 5 && own.claim.pair.seqno < 60, "{:?}", own.claim.pair);
    assert!(told < 6_000, "50 answers a second at most: {told}");
}

#[test]
fn requests_are_passed_on_once_and_not_without_end() {
    let mut router = node(3, 0);
    hear(&mut router, 1, 1, update(9, (1, 7), 0, 1));
    tick(&mut router, 100);
    let mut passed = 0;
    for n in 0..2000 {
        let pair = Pair { epoch: 1, seqno: 8 };
        for slot in [2, 3] {
            let request = Message::SeqnoRequest { destination: id(9), pair, hops: 16 };
            router.on_message(at(100 + n / 2), slot, &request, &Checksum);
            let request = Message::RouteRequest { destination: id(77), hops: 16 };
            router.on_message(at(100 + n / 2), slot, &request, &Checksum);
        }
        passed += drain(&mut router).len();
    }
    assert_eq!(passed, 4, "in a second, two to the next hop, one to each of two others");
    let request =
        Message::SeqnoRequest { destination: id(9), pair: Pair { epoch: 9, seqno: 0 }, hops: 1 };
    router.on_message(at(60_000), 2, &request, &Checksum);
    assert_eq!(drain(&mut router), [], "it has come far enough");
}

#[test]
fn a_neighbour_fills_a_part_of_the_table_only() {
    let mut router = node(2, 0);
    for n in 0..20_000_usize {
        let ms = n as u64 * 2;
        hear(&mut router, ms, 1, update(100 + n, (1, 1), 0, 1 + n as u32));
        tick(&mut router, ms);
    }
    assert_eq!(router.routes(at(40_000)).count(), 4096);
    hear(&mut router, 40_001, 2, update(99, (1, 1), 0, 1));
    assert_eq!(router.next_hop(&id(99)), Some(2), "there is room for what others tell");
    // Signatures cost time: so many a second and no more.
    let mut router = node(1, 0);
    for n in 0..20_000_usize {
        let forged = Update { signature: [3; 64], ..update(100 + n, (1, 1), 0, 1) };
        hear(&mut router, 0, 1, forged);
    }
    assert!(router.counters().checked <= 4096, "{:?}", router.counters());
}

#[test]
fn a_route_that_is_worse_than_was_said_is_left_and_comes_back_by_and_by() {
    let mut router = node(2, 0);
    hear(&mut router, 1, 2, update(9, (1, 1), 300, 1));
    hear(&mut router, 1, 1, update(9, (1, 1), 1, 1));
    tick(&mut router, 10_000);
    hear(&mut router, 10_000, 1, update(9, (1, 1), 1, 2));
    assert_eq!(router.next_hop(&id(9)), Some(1), "it seems to be near");
    // It claimed to be so near that no honest route is feasible: the destination is asked for a greater pair.
    for n in 0..3 {
        router.distrust(at(16_000 + n), 1, &id(9));
    }
    let told = drain(&mut router);
    let [(2, Message::SeqnoRequest { pair, .. })] = &told[..] else { panic!("{told:?}") };
    assert_eq!(*pair, Pair { epoch: 1, seqno: 2 });
    hear(&mut router, 16_200, 2, update(9, (1, 2), 300, 2));
    hear(&mut router, 16_300, 1, update(9, (1, 2), 1, 3));
    assert_eq!(router.next_hop(&id(9)), Some(2), "whatever the liar says");
    tick(&mut router, 500_000);
    hear(&mut router, 500_000, 1, update(9, (1, 2), 1, 4));
    assert_eq!(router.next_hop(&id(9)), Some(2), "{:?}", router.counters());
    hear(&mut router, 590_000, 2, update(9, (1, 3), 300, 3));
    tick(&mut router, 3_000_000);
    hear(&mut router, 3_000_000, 2, update(9, (1, 4), 300, 4));
    hear(&mut router, 3_000_000, 1, update(9, (1, 4), 1, 5));
    tick(&mut router, 3_010_000);
    assert_eq!(router.next_hop(&id(9)), Some(1), "after ten half-lives it is believed again");
}

#[test]
fn statements_that_come_late_are_not_believed() {
    let mut router = node(1, 0);
    hear(&mut router, 1, 1, update(9, (1, 1), 10, 5));
    let late = Message::Retraction { destination: id(9), serial: 4 };
    router.on_message(at(2), 1, &late, &Checksum);
    assert_eq!(router.next_hop(&id(9)), Some(1));
    router.on_message(at(3), 1, &Message::Retraction { destination: id(9), serial: 6 }, &Checksum);
    hear(&mut router, 4, 1, update(9, (1, 1), 10, 5));
    assert_eq!(router.next_hop(&id(9)), None);
    hear(&mut router, 5, 1, update(9, (1, 1), 9, 7));
    assert_eq!(router.next_hop(&id(9)), Some(1));
}

#[test]
fn a_question_of_a_leaf_is_answered_when_the_answer_is_known() {
    let mut router = node(2, 1);
    let request = Message::RouteRequest { destination: id(9), hops: 16 };
    router.on_message(at(1), 3, &request, &Checksum);
    let asked: Vec<_> = drain(&mut router).into_iter().map(|(slot, _)| slot).collect();
    assert_eq!(asked, [1, 2]);
    hear(&mut router, 50, 1, update(9, (1, 1), 20, 1));
    let told = tick(&mut router, 200);
    let answered = told.iter().any(|(slot, message)| {
        *slot == 3 && matches!(message, Message::Update(update) if update.metric == 36)
    });
    assert!(answered, "{told:?}");
    // One that is known is told at once, and nothing else is told to a leaf.
    router.on_message(at(300), 3, &request, &Checksum);
    assert_eq!(drain(&mut router).len(), 1);
}

#[test]
fn packets_for_nobody_ask_no_more_questions_than_their_neighbour_may() {
    let mut router = node(2, 1);
    for n in 0..20_000 {
        router.want(at(n / 20), 3, id(1000 + n as usize));
    }
    let asked = drain(&mut router).len();
    assert!((1000..1200).contains(&asked), "500 at once and 50 a second, to each of two: {asked}");
    router.want(at(1000), 1, id(77));
    assert_eq!(drain(&mut router).len(), 2, "others may still ask");
    // What is lost and asked for again and again costs its neighbour nothing.
    for n in 0..10_000 {
        router.want(at(1000 + n / 10), 1, id(77));
    }
    assert_eq!(drain(&mut router).len(), 0);
    router.want(at(2000), 1, id(78));
    assert_eq!(drain(&mut router).len(), 2);
}

/// Neighbours that know routes, of which none is exchanged with any, and one that does not.
fn leaf() -> Router {
    let mut router = Router::new(at(0), id(0), Some(5), 1, &Checksum);
    for n in 1..=3 {
        let link = Link { id: id(n), transit: false, listens: n < 3, incarnation: 1 };
        router.on_up(at(0), n as u32, link, Some(Duration::ZERO));
    }
    drain(&mut router);
    router
}

#[test]
fn a_dial_asks_ever_more_rarely_and_not_for_too_many() {
    let mut router = leaf();
    let mut asked = Vec::new();
    for second in 0..60 {
        router.seek(at(second * 1000), id(9));
        let to: Vec<_> = drain(&mut router).into_iter().map(|(slot, _)| slot).collect();
        if !to.is_empty() {
            assert_eq!(to, [1, 2]);
            asked.push(second);
        }
    }
    assert_eq!(asked, [0, 2, 6, 14, 30]);
    let mut router = leaf();
    for n in 0..100_000 {
        router.seek(at(n / 10), id(10 + n as usize));
    }
    let asked = drain(&mut router).len() / 2;
    assert!((100..=164).contains(&asked), "64 at once and 10 a second, of 256 at most: {asked}");
}

#[test]
fn an_answer_says_whom_to_give_our_own_packets_and_nothing_else() {
    let mut router = leaf();
    hear(&mut router, 1, 1, update(9, (1, 1), 50, 1));
    assert_eq!(router.way(at(1), &id(9)), None, "nobody asked");
    router.seek(at(2), id(9));
    hear(&mut router, 3, 1, Update { signature: [3; 64], ..update(9, (1, 1), 1, 2) });
    assert_eq!(router.way(at(3), &id(9)), None, "it is forged");
    hear(&mut router, 4, 1, update(9, (1, 1), 50, 3));
    assert_eq!(router.poll_change(), Some(id(9)));
    assert_eq!(router.way(at(4), &id(9)), Some(id(1)));
    hear(&mut router, 5, 2, update(9, (1, 1), 20, 1));
    assert_eq!(router.way(at(5), &id(9)), Some(id(2)), "the nearer one");
    hear(&mut router, 5, 3, update(9, (1, 1), 1, 1));
    assert_eq!(router.way(at(5), &id(9)), Some(id(2)), "this one was not asked");
    assert_eq!((router.next_hop(&id(9)), router.routes(at(5)).count()), (None, 0));
    router.on_refused(&id(2), &id(9));
    assert_eq!(router.way(at(6), &id(9)), Some(id(1)), "what is refused leads nowhere");
    router.on_message(at(7), 1, &Message::Retraction { destination: id(9), serial: 4 }, &Checksum);
    assert_eq!(router.way(at(7), &id(9)), None);
    hear(&mut router, 8, 1, update(9, (1, 1), 50, 5));
    assert_eq!(router.way(at(60_007), &id(9)), Some(id(1)));
    assert_eq!(router.way(at(60_009), &id(9)), None, "it is old");
}

#[test]
fn who_asks_measures_the_neighbours_anew_and_takes_the_nearer_way_once_that_is_known() {
    let mut router = leaf();
    router.seek(at(1), id(9));
    let asked_for_life: Vec<_> = core::iter::from_fn(|| router.poll_ping()).collect();
    assert_eq!(asked_for_life, [1, 2], "those who are asked");
    router.on_measured(at(2), 2, Some(Duration::from_millis(100)), (0, 0));
    hear(&mut router, 3, 1, update(9, (1, 1), 50, 1));
    hear(&mut router, 3, 2, update(9, (1, 1), 20, 1));
    while router.poll_change().is_some() {}
    assert_eq!(router.better_way(at(4), &id(9), &id(1)), None, "2 seems to be far");
    router.on_measured(at(1100), 2, Some(Duration::from_millis(10)), (0, 0));
    assert_eq!(router.poll_change(), Some(id(9)), "what 2 answered counts for something else now");
    assert_eq!(router.better_way(at(1100), &id(9), &id(1)), Some(id(2)));
}

/// The neighbour in this slot is there, in this of its lives.
fn back(router: &mut Router, ms: u64, slot: u32, incarnation: u64) {
    let link = Link { id: id(slot as usize), transit: true, listens: true, incarnation };
    router.on_up(at(ms), slot, link, Some(Duration::ZERO));
}

/// The number of the last statement about a destination to this neighbour, and whether it has a route.
fn said(told: &[(u32, Message)], slot: u32, of: usize) -> Option<(u32, bool)> {
    let to = told.iter().filter(|(to, message)| *to == slot && message.stated() == Some(&id(of)));
    let is_route =
        |message: &Message| matches!(message, Message::Update(it) if it.metric < INFINITE);
    to.filter_map(|(_, message)| Some((message.serial()?, is_route(message)))).next_back()
}

#[test]
fn a_neighbour_that_is_back_hears_what_ended_and_is_asked_for_what_was_forgotten() {
    let mut router = node(2, 0);
    hear(&mut router, 1, 1, update(9, (1, 1), 0, 1));
    let (before, has_route) = said(&tick(&mut router, 100), 2, 9).expect("it is told");
    assert!(has_route);
    router.on_down(at(200), 2);
    let lost = Message::Retraction { destination: id(9), serial: 2 };
    router.on_message(at(300), 1, &lost, &Checksum);
    assert_eq!(said(&tick(&mut router, 900), 2, 9), None, "it is no neighbour");
    back(&mut router, 1000, 2, 1);
    let told = tick(&mut router, 1100);
    let (after, has_route) = said(&told, 2, 9).expect("it is told");
    assert!(after > before && !has_route, "{told:?}");
    let asked = |told: &[(u32, Message)]| told.contains(&(2, Message::TableRequest));
    assert!(!asked(&told), "it told nothing");
    // What it says while it is no neighbour is not heard.
    router.on_down(at(2000), 2);
    hear(&mut router, 2100, 2, update(8, (1, 1), 0, 1));
    assert_eq!(router.next_hop(&id(8)), None);
    back(&mut router, 3000, 2, 1);
    assert!(asked(&tick(&mut router, 3100)));
    // Nor is what it said before it was gone for a while.
    hear(&mut router, 3200, 2, update(8, (1, 1), 0, 2));
    assert_eq!(router.next_hop(&id(8)), Some(2));
    router.on_down(at(4000), 2);
    back(&mut router, 5000, 2, 1);
    assert!(asked(&tick(&mut router, 5100)));
    for (serial, next) in [(1, None), (2, None), (3, Some(2))] {
        hear(&mut router, 5200, 2, update(8, (1, 1), 0, serial));
        assert_eq!(router.next_hop(&id(8)), next, "serial {serial}");
    }
    // Another life counts anew.
    router.on_down(at(6000), 2);
    back(&mut router, 7000, 2, 2);
    hear(&mut router, 7100, 2, update(8, (1, 1), 0, 1));
    assert_eq!(router.next_hop(&id(8)), Some(2));
    // Who is gone for good leaves nothing behind.
    router.on_gone(at(8000), 2);
    assert!(router.absent.is_empty());
}

#[test]
fn whole_tables_are_told_to_those_who_may_hear_them_and_not_too_often() {
    let mut router = node(1, 1);
    hear(&mut router, 1, 1, update(9, (1, 1), 0, 1));
    hear(&mut router, 1, 2, update(2, (1, 1), 0, 1));
    tick(&mut router, 1000);
    let ask = |router: &mut Router, ms, slot| {
        router.on_message(at(ms), slot, &Message::TableRequest, &Checksum);
        tick(router, ms + 90)
    };
    let told = ask(&mut router, 2000, 1);
    assert!(said(&told, 1, 0).is_some() && said(&told, 1, 2).is_some(), "{told:?}");
    assert_eq!(said(&told, 1, 9), None, "it is the way to there itself");
    assert_eq!(ask(&mut router, 2100, 2), [], "a leaf that does not listen hears nothing");
    let before = router.counters().ignored;
    let answers = (0..100).filter(|n| !ask(&mut router, 3000 + n * 100, 1).is_empty()).count();
    assert!((20..40).contains(&answers), "{answers} in ten seconds");
    assert_eq!(router.counters().ignored - before, 100 - answers as u64);
}

#[test]
fn what_one_neighbour_asks_for_is_still_news_to_the_others() {
    let mut router = node(3, 0);
    hear(&mut router, 1, 1, update(9, (1, 1), 100, 1));
    assert!(said(&tick(&mut router, 100), 3, 9).is_some());
    // It costs much more, which is told a second later at most; meanwhile 2 asks.
    router.on_measured(at(500), 1, Some(Duration::from_millis(100)), (0, 0));
    let question = Message::RouteRequest { destination: id(9), hops: 1 };
    router.on_message(at(600), 2, &question, &Checksum);
    let told = tick(&mut router, 610);
    assert!(said(&told, 2, 9).is_some() && said(&told, 3, 9).is_none(), "{told:?}");
    let told = tick(&mut router, 3000);
    assert!(said(&told, 3, 9).is_some(), "{told:?}");
}
