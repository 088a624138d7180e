//! handfast on tokio.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use handfast_tokio::{Bytes, Config, Delivery, Endpoint, Identity, entropy};

use super::{EVERY, LARGE, Run, stamp};

fn endpoint() -> Endpoint {
    let identity = Identity::from_seed(entropy().expect("entropy"));
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Endpoint::bind(Config::default(), identity, loopback).expect("bound")
}

pub(super) async fn send(to: SocketAddr, run: Arc<Run>) {
    let endpoint = endpoint();
    let peer = endpoint.connect(to).await.expect("connected");
    let (small, until) = (peer.clone(), Arc::clone(&run));
    tokio::spawn(async move {
        while !until.is_over() {
            small.try_send(Delivery::unreliable(1), stamp()).ok();
            tokio::time::sleep(EVERY).await;
        }
    });
    let bulk = Bytes::from(vec![7; LARGE]);
    while !run.is_over() {
        let sent = peer.send(Delivery::ordered(0), bulk.clone());
        // The other end may be gone without a word.
        if tokio::time::timeout(EVERY * 100, sent).await.is_ok_and(|sent| sent.is_err()) {
            return;
        }
    }
}

pub(super) async fn receive(tell: Sender<SocketAddr>, run: Arc<Run>) {
    let endpoint = endpoint();
    tell.send(endpoint.local_addresses()[0]).expect("the sender waits");
    let peer = endpoint.accept().await.expect("a peer");
    let (reader, noting) = (peer.clone(), Arc::clone(&run));
    tokio::spawn(async move {
        while let Some(message) = reader.recv_from(1).await {
            noting.note(&message.payload);
        }
    });
    tokio::spawn(async move {
        let _endpoint = endpoint;
        while let Some(message) = peer.recv().await {
            run.take(message.payload.len());
        }
    });
}
