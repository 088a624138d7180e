//! quinn on tokio: bulk on a stream, small messages as datagrams.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::Sender;
use std::sync::{Arc, LazyLock};

use super::{EVERY, LARGE, Run, stamp};
use crate::systems::{Configs, SERVER_NAME};

/// A server's certificate, and a client that trusts it.
static CONFIGS: LazyLock<Configs> = LazyLock::new(Configs::new);

const LOOPBACK: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

pub(super) async fn send(to: SocketAddr, run: Arc<Run>) {
    let endpoint = quinn::Endpoint::client(LOOPBACK.into()).expect("bound");
    let connecting = endpoint.connect_with(CONFIGS.client.clone(), to, SERVER_NAME);
    let connection = connecting.expect("a right address").await.expect("connected");
    let (small, until) = (connection.clone(), Arc::clone(&run));
    tokio::spawn(async move {
        while !until.is_over() {
            small.send_datagram(stamp().into()).ok();
            tokio::time::sleep(EVERY).await;
        }
    });
    let mut stream = connection.open_uni().await.expect("one may be open");
    let bulk = vec![7; LARGE];
    while !run.is_over() {
        let sent = stream.write_all(&bulk);
        if tokio::time::timeout(EVERY * 100, sent).await.is_ok_and(|sent| sent.is_err()) {
            return;
        }
    }
}

pub(super) async fn receive(tell: Sender<SocketAddr>, run: Arc<Run>) {
    let config = CONFIGS.server.as_ref().clone();
    let endpoint = quinn::Endpoint::server(config, LOOPBACK.into()).expect("bound");
    tell.send(endpoint.local_addr().expect("an address")).expect("the sender waits");
    let connection = endpoint.accept().await.expect("a call").await.expect("connected");
    let (reader, noting) = (connection.clone(), Arc::clone(&run));
    tokio::spawn(async move {
        while let Ok(datagram) = reader.read_datagram().await {
            noting.note(&datagram);
        }
    });
    tokio::spawn(async move {
        let _endpoint = endpoint;
        let Ok(mut stream) = connection.accept_uni().await else { return };
        while let Ok(Some(chunk)) = stream.read_chunk(LARGE, true).await {
            run.take(chunk.bytes.len());
        }
    });
}
