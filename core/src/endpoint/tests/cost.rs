//! What a request costs: Diffie-Hellman comes after everything that is cheaper.

use super::siege::{Siege, source};
use super::*;
use crate::wire::Cookie;

/// On how many requests the server spent Diffie-Hellman.
fn opened(siege: &Siege) -> u64 {
    siege.server().endpoint.stats().requests_opened
}

/// Hands a request to the server; whether it spent Diffie-Hellman on it.
fn costs(siege: &mut Siege, from: SocketAddr, request: &[u8]) -> bool {
    let before = opened(siege);
    siege.server_mut().take(at(0), from, request);
    let cost = opened(siege) - before;
    assert!(cost <= 1, "once at most");
    cost == 1
}

#[test]
fn a_request_costs_diffie_hellman_once_and_only_after_mac_repetition_cookie_and_budget() {
    let mut siege = Siege::new(Config::default());
    let home = source(1);
    let good = siege.strangers_request(1, siege.cookie(home, 1));

    let mut forged = good.clone();
    *forged.last_mut().expect("not empty") ^= 1;
    assert!(!costs(&mut siege, home, &forged), "the MAC is wrong");
    let bad = siege.strangers_request(2, siege.cookie(source(2), 2));
    assert!(!costs(&mut siege, home, &bad), "the cookie is of another address");

    assert!(costs(&mut siege, home, &good));
    assert!(!costs(&mut siege, home, &good), "the response is remembered");
    assert!(!costs(&mut siege, source(9), &good), "copied: its address is validated first");
    assert_eq!(opened(&siege), 1);
}

#[test]
fn beyond_the_budgets_no_request_costs_diffie_hellman() {
    // Without cookies: 20 of one source, 400 in all, fewer as places run low.
    let mut siege = Siege::new(Config::default());
    let spent = |siege: &mut Siege, numbers: core::ops::Range<u32>, sources: u32| {
        let requests =
            numbers.map(|n| (source(n % sources), siege.strangers_request(n, Cookie::NONE)));
        let requests: Vec<_> = requests.collect();
        requests.iter().filter(|(from, request)| costs(siege, *from, request)).count()
    };
    assert_eq!(spent(&mut siege, 0..100, 1), 20);
    assert_eq!(spent(&mut siege, 1000..2000, 1000), 256 - 20, "a quarter of the places");
    assert_eq!(spent(&mut siege, 3000..3100, 100), 0);
    // With cookies there is a budget of its own.
    let from = source(5);
    let request = siege.strangers_request(5000, siege.cookie(from, 5000));
    assert!(costs(&mut siege, from, &request));
}
