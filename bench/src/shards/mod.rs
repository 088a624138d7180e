//! One server with one shard and with several: what it does in a second when cores are its limit.
//!
//! What it is sent was made before: requests of many strangers, and packets of established peers. So the load is a
//! thread that sends bytes, and costs little beside the server.

mod load;
mod server;

use crate::figure::{Figure, median};

use load::{Packets, Requests};
use server::{Drive, Server};

/// Measures servers with different numbers of shards in turn, round after round.
///
/// # Errors
/// When a socket fails, or the server does not answer.
pub(crate) fn run(quick: bool) -> Result<Vec<Figure>, String> {
    let (rounds, requests, packets) = if quick { QUICK } else { FULL };
    let requests = Requests::make(requests)?;
    let mut rates = vec![[Vec::new(), Vec::new()]; SERVERS.len()];
    println!("{HEAD}");
    for _ in 0..rounds {
        for ((drive, name, shards), rates) in SERVERS.iter().zip(&mut rates) {
            let named = |error| format!("{name}, {shards} shards: {error}");
            let server = Server::start(*drive, *shards).map_err(named)?;
            rates[0].push(requests.put_to(&server).map_err(named)?);
            drop(server);
            let server = Server::start(*drive, *shards).map_err(named)?;
            let packets = Packets::make(&server, packets).map_err(named)?;
            rates[1].push(packets.put_to(&server).map_err(named)?);
        }
    }
    let mut figures = Vec::new();
    for ((drive, name, shards), measured) in SERVERS.iter().zip(&rates) {
        print!("{name:<8}{shards:>6}");
        let one = SERVERS.iter().position(|(other, _, shards)| other == drive && *shards == 1);
        let one = &rates[one.unwrap_or(0)];
        for ((metric, unit), (of, one)) in METRICS.iter().zip(measured.iter().zip(one)) {
            let ratios = of.iter().zip(one).map(|(this, one)| this / one).collect();
            let (rate, ratio) = (median(of.clone()), median(ratios));
            print!(" {rate:>14.0} {ratio:>7.2}");
            let figure = |metric, value, unit| {
                let (case, system) = (format!("{shards} shards"), format!("handfast ({name})"));
                Figure { bench: "shards", case, system, metric, value, unit }
            };
            figures.push(figure(metric, rate, unit));
            figures.push(figure("ratio", ratio, "this/one shard"));
        }
        println!();
    }
    Ok(figures)
}

const SERVERS: [(Drive, &str, u16); 4] = [
    (Drive::Tokio, "tokio", 1),
    (Drive::Tokio, "tokio", 2),
    (Drive::Mio, "mio", 1),
    (Drive::Mio, "mio", 2),
];
const METRICS: [(&str, &str); 2] = [("handshakes", "/s"), ("messages", "/s")];
/// Rounds, requests of strangers, packets of each peer.
const QUICK: (usize, usize, usize) = (3, 3000, 4000);
const FULL: (usize, usize, usize) = (9, 6000, 10_000);

const HEAD: &str = "\
One server, on tokio with a thread for each core, on mio with one for each shard; one more thread of this process sends it what was made before,
from 64 addresses: requests for handshakes of strangers, which it answers; unreliable messages of 64 bytes, each in a packet of its own,
in batches of 32, which on tokio a task for each peer receives, on mio the thread of the shard. Medians of interleaved rounds; ratios are to
one shard of the same runtime and round.
runtime shards   handshakes/s   ratio     messages/s   ratio";
