//! Several shards: one server.

use std::collections::BTreeSet;

use handfast_mio::{Delivery, DisconnectReason, EndReason, Event};
use handfast_server::{KICKED, SHUTTING_DOWN};

use super::{end_reason, on};
use crate::common::{Client, Scratch, Server, program, runtimes};

#[test]
fn several_shards_serve_and_report_as_one_server_and_end_with_their_goodbyes() {
    for runtime in runtimes() {
        let scratch = Scratch::new(&format!("shards-{runtime}"));
        let choices = ["--shards", "2", "--echo", "--stats-interval", "100ms"];
        let server = Server::start(&scratch.0, &[&on(runtime)[..], &choices].concat());
        let mut clients: Vec<Client> = Vec::new();
        while shards(&server).contains(&0) {
            clients.push(Client::connect(server.id, server.address));
            clients.iter_mut().for_each(hear_an_echo);
        }
        let count = clients.len() as u64;
        // They are in order: those before, and all, and again.
        let of_all = server.log(&format!("statistics peers={count} "));
        assert_eq!(number(&of_all, "connected"), count, "{of_all}");
        let each = shards(&server).into_iter().sum::<u64>();
        assert_eq!((each, number(&of_all, "handshakes")), (count, count), "{of_all}");

        let status = printed(&scratch, &["status", "--json"]);
        let ids: BTreeSet<_> = clients.iter().map(|client| client.endpoint.id()).collect();
        assert!(ids.iter().all(|id| status.contains(&id.to_string())), "{status}");
        assert!(status.contains(&format!("\"peers\":{count}")), "{status}");
        // Whichever shard has it.
        let mut kicked = clients.pop().expect("some");
        printed(&scratch, &["kick", &kicked.endpoint.id().to_string()]);
        assert_eq!(said(&end_reason(&mut kicked)), Some(KICKED));

        server.signal("TERM");
        for client in &mut clients {
            assert_eq!(said(&end_reason(client)), Some(SHUTTING_DOWN), "{runtime}");
        }
        let totals = server.log("totals ");
        assert_eq!(number(&totals, "ended"), count, "{totals}");
        assert_eq!(number(&totals, "messages"), count * (count + 1) / 2, "{totals}");
        assert_eq!(server.end(), Some(0), "{runtime}");
    }
}

/// How many handshakes each of two has made, as the next two lines say.
fn shards(server: &Server) -> [u64; 2] {
    [0, 1].map(|shard| number(&server.log(&format!("shard shard={shard} ")), "handshakes"))
}

fn number(line: &str, name: &str) -> u64 {
    let name = format!(" {name}=");
    let (_, value) = line.split_once(&name).unwrap_or_else(|| panic!("{name}: {line}"));
    let value = value.split(' ').next().expect("a word");
    value.parse().unwrap_or_else(|error| panic!("{error}: {line}"))
}

fn hear_an_echo(client: &mut Client) {
    client.endpoint.send(client.peer, Delivery::ordered(3), "say it again").expect("sent");
    client.wait(|event| matches!(event, Event::Readable { .. }).then_some(()));
    let echoes: Vec<_> = std::iter::from_fn(|| client.endpoint.receive(client.peer)).collect();
    assert_eq!(echoes.iter().map(|echo| &echo.payload[..]).collect::<Vec<_>>(), [b"say it again"]);
}

/// The code of a goodbye.
fn said(end: &EndReason) -> Option<u16> {
    match end {
        EndReason::PeerDisconnected { reason: DisconnectReason { code, .. }, .. } => Some(*code),
        _ => None,
    }
}

/// What the program prints about the running server.
fn printed(scratch: &Scratch, arguments: &[&str]) -> String {
    let output = program(&scratch.0, arguments).output().expect("started");
    assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    String::from_utf8(output.stdout).expect("text")
}
