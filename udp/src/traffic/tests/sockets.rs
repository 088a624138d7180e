//! Sockets come and go.

use super::*;

/// The server and alice shook hands, through the server's first socket of `sockets`.
fn connected(sockets: usize) -> [Node; 3] {
    let mut nodes = [Node::new(sockets), Node::new(1), Node::new(1)];
    let address = nodes[0].address(0);
    nodes[1].call(address);
    turn_until(&mut nodes, |[server, alice, _]| {
        [server, alice].into_iter().all(|node| node.connected.len() == 1)
    });
    nodes
}

#[test]
fn what_waits_for_a_socket_that_is_removed_is_counted_and_what_is_reliable_arrives() {
    let mut nodes = connected(1);
    let to_alice = nodes[0].connected[0];
    let second = nodes[0].add(loopback()).expect("added");
    let block = Fault { call: Call::Send, errno: EAGAIN, when: When::Always };
    nodes[0].faults(0).inject(block);
    nodes[0].send(to_alice, 4 << 20);
    turn_until(&mut nodes, |[server, ..]| server.traffic.stats().datagrams_overflowed > 0);
    let (before, len) = (nodes[0].traffic.stats(), nodes[0].traffic.lanes[&FIRST].waiting.len());
    assert_eq!(len, MAX_WAITING);

    nodes[0].remove(FIRST).expect("removed");
    let after = nodes[0].traffic.stats();
    let dropped = after.datagrams_overflowed - before.datagrams_overflowed;
    assert!(dropped >= MAX_WAITING as u64, "{dropped} datagrams of {MAX_WAITING} batches");
    let counted = |stats: SocketStats| (stats.receives, stats.sends, stats.sends_blocked);
    assert_eq!(counted(after), counted(before), "counters of a removed socket are kept");
    assert!(!nodes[0].traffic.is_waiting(FIRST));
    turn_until(&mut nodes, |[_, alice, _]| alice.received == 1);
    assert!(nodes[0].traffic.addresses().map(|(socket, _)| socket).eq([second]));
}

#[test]
fn a_socket_that_cannot_come_or_go_changes_nothing() {
    let mut node = Node::new(1);
    let taken = node.address(0);
    let before: Vec<_> = node.traffic.addresses().collect();
    match node.add(taken) {
        Err(SocketError::Open(error)) => {
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
            assert!(error.to_string().contains(&taken.to_string()), "{error}");
        }
        other => panic!("{other:?}"),
    }
    let unknown = SocketId(77);
    assert!(matches!(node.remove(unknown), Err(SocketError::Unknown(id)) if id == unknown));
    assert!(matches!(node.remove(FIRST), Err(SocketError::Last(FIRST))));
    assert!(node.traffic.addresses().eq(before));

    let second = node.add(loopback()).expect("added");
    node.remove(FIRST).expect("no longer the last");
    assert!(matches!(node.remove(FIRST), Err(SocketError::Unknown(FIRST))));
    assert!(matches!(node.remove(second), Err(SocketError::Last(_))));
    // The address is free again, the id is not.
    let third = node.add(taken).expect("nobody has it");
    assert!(third > second);
}

#[test]
fn a_socket_that_the_core_asks_for_is_opened_and_named_as_it_wants() {
    let mut nodes = connected(1);
    let taken = nodes[0].address(0);
    let Node { core, clock, .. } = &mut nodes[0];
    let [refused, wanted] =
        [taken, loopback()].map(|address| core.request_socket(clock.now(), address).expect("room"));
    nodes[0].turn();
    let sockets: Vec<_> = nodes[0].traffic.addresses().map(|(socket, _)| socket).collect();
    assert_eq!(sockets, [FIRST, wanted], "{refused:?} is taken");

    nodes[0].remove(FIRST).expect("removed");
    let (to_alice, to_server) = (nodes[0].connected[0], nodes[1].connected[0]);
    nodes[0].send(to_alice, 3000);
    nodes[1].send(to_server, 3000);
    turn_until(&mut nodes, |[server, alice, _]| server.received == 1 && alice.received == 1);
}

#[test]
fn a_batch_for_a_socket_that_is_gone_is_counted_when_no_other_reaches_the_peer() {
    let mut nodes = [Node::new(1), Node::new(1), Node::new(1)];
    let v6 = "[::1]:0".parse().expect("an address");
    if nodes[0].add(v6).is_err() {
        eprintln!("SKIPPED: this machine has no IPv6");
        return;
    }
    let address = nodes[1].address(0);
    nodes[0].call(address);
    nodes[0].remove(FIRST).expect("removed");
    nodes[0].turn();
    assert!(nodes[0].traffic.stats().datagrams_overflowed > 0);
    nodes[0].add(loopback()).expect("added");
    turn_until(&mut nodes, |[server, ..]| server.connected.len() == 1);
}
