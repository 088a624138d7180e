//! Bytes without end over loopback, and streams that give their places back.

use std::future::Future;
use std::io::ErrorKind;
use std::time::Duration;

use handfast_core::{Config, Delivery, DisconnectOptions, Identity};
use handfast_tests::{digest, loopback, within};
use handfast_tokio::{Endpoint, Peer, entropy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn run(test: impl Future<Output = ()> + Send + 'static) {
    within(HANG, || {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(test);
    });
}

/// Two endpoints with places for three streams, and what they call each other.
async fn pair() -> (Endpoint, Endpoint, Peer, Peer) {
    let [alice, bob] = [(); 2].map(|()| {
        let mut config = Config::default();
        config.flow.max_streams = 3;
        let identity = Identity::from_seed(entropy().expect("entropy"));
        Endpoint::bind(config, identity, loopback()).expect("bound")
    });
    let to_bob = alice.connect(bob.local_addresses()[0]).await.expect("connected");
    let to_alice = bob.accept().await.expect("a peer");
    (alice, bob, to_bob, to_alice)
}

#[test]
fn a_stream_longer_than_any_message_arrives_whole_and_then_ends() {
    run(async {
        let (_alice, _bob, to_bob, to_alice) = pair().await;
        let bytes = digest::bytes(1, 20 << 20);
        let sent = bytes.clone();
        let writing = tokio::spawn(async move {
            let mut stream = to_bob.send_stream(5);
            stream.write_all(&sent).await.expect("written");
            stream.write_all(&[]).await.expect("nothing");
            stream.finish().await.expect("all arrived");
            to_bob
        });
        let (mut read, mut stream) = (Vec::new(), to_alice.recv_stream(5));
        stream.read_to_end(&mut read).await.expect("read");
        assert!(read == bytes, "{} of {} bytes", read.len(), bytes.len());
        assert_eq!(stream.read(&mut [0; 9]).await.expect("at the end"), 0);
        assert_eq!(stream.chunk().await.expect("at the end"), None);
        drop(writing.await.expect("no panic"));
    });
}

#[test]
fn a_hundred_streams_one_after_the_other_fit_into_three_places() {
    run(async {
        let (_alice, _bob, to_bob, to_alice) = pair().await;
        let writer = to_bob.clone();
        let writing = tokio::spawn(async move {
            for channel in 0..100_u16 {
                // Each channel twice: the second stream begins where the first ended.
                let mut stream = writer.send_stream(channel / 2);
                stream.write_all(&channel.to_le_bytes().repeat(9000)).await.expect("written");
                stream.finish().await.expect("all arrived");
            }
        });
        for channel in 0..100_u16 {
            let (mut read, mut stream) = (Vec::new(), to_alice.recv_stream(channel / 2));
            stream.read_to_end(&mut read).await.expect("read");
            assert!(read == channel.to_le_bytes().repeat(9000), "{channel}: {}", read.len());
        }
        writing.await.expect("no panic");
        // The same with messages.
        for channel in 1000..1100 {
            to_bob.send(Delivery::reliable(channel), "short").await.expect("a place");
            to_bob.end_stream(Delivery::reliable(channel)).await.expect("it ends");
        }
        for _ in 0..100 {
            assert_eq!(to_alice.recv().await.expect("a message").payload, "short");
        }
    });
}

#[test]
fn a_reader_can_tell_a_stream_that_was_cut_from_a_whole_one() {
    run(async {
        let (_alice, _bob, to_bob, to_alice) = pair().await;
        let mut stream = to_bob.send_stream(0);
        stream.write_all(b"the first half").await.expect("written");
        stream.flush().await.expect("queued");
        drop(stream);
        to_bob.disconnect(DisconnectOptions::default()).await;
        let (mut read, mut stream) = (Vec::new(), to_alice.recv_stream(0));
        let cut = stream.read_to_end(&mut read).await.expect_err("there is more to come");
        assert_eq!((cut.kind(), &read[..]), (ErrorKind::UnexpectedEof, &b"the first half"[..]));
        let mut late = to_bob.send_stream(0);
        let refused = late.write_all(b"late").await.expect_err("the peer has ended");
        assert_eq!(refused.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_message_of_another_kind_is_no_part_of_a_stream() {
    run(async {
        let (_alice, _bob, to_bob, to_alice) = pair().await;
        to_bob.send(Delivery::reliable(0), "a message").await.expect("sent");
        let refused = to_alice.recv_stream(0).chunk().await.expect_err("no stream");
        assert_eq!(refused.kind(), ErrorKind::InvalidData);
    });
}

#[test]
fn an_end_on_mio_reads_and_writes_such_streams_by_messages() {
    run(async {
        let identity = Identity::from_seed([9; 32]);
        let mut mio =
            handfast_mio::Endpoint::bind(Config::default(), identity, loopback()).expect("bound");
        let address = mio.local_addresses()[0];
        // Sends back what it reads, then an end of its own.
        let echo = std::thread::spawn(move || {
            let (mut peer, mut waiting) = (None, std::collections::VecDeque::new());
            loop {
                mio.turn(Some(Duration::from_millis(100))).expect("sockets");
                while let Some(event) = mio.poll_event() {
                    match event {
                        handfast_mio::Event::Readable { peer: from } => peer = Some(from),
                        handfast_mio::Event::Ended { .. } => return,
                        _ => {}
                    }
                }
                let Some(peer) = peer else { continue };
                while let Some(message) = mio.receive_from(peer, 0) {
                    waiting.push_back(message.payload);
                }
                while let Some(payload) = waiting.front().cloned() {
                    if mio.send(peer, Delivery::ordered(0), payload).is_err() {
                        break; // `Writable` comes when there is room.
                    }
                    waiting.pop_front();
                }
            }
        });
        let config = Config::default();
        let alice =
            Endpoint::bind(config, Identity::from_seed([8; 32]), loopback()).expect("bound");
        let peer = alice.connect(address).await.expect("connected");
        let (mut writer, mut reader) = (peer.send_stream(0), peer.recv_stream(0));
        let bytes = digest::bytes(2, 3 << 20);
        let sent = bytes.clone();
        let writing = tokio::spawn(async move {
            writer.write_all(&sent).await.expect("written");
            writer.finish().await.expect("all arrived");
        });
        let mut read = Vec::new();
        reader.read_to_end(&mut read).await.expect("read");
        assert!(read == bytes, "{} of {} bytes", read.len(), bytes.len());
        writing.await.expect("no panic");
        peer.disconnect(DisconnectOptions::default()).await;
        tokio::task::spawn_blocking(|| echo.join().expect("no panic")).await.expect("joined");
    });
}

const HANG: Duration = Duration::from_secs(120);
