//! Files that are read again while the server serves.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use handfast_mio::{Config, DisconnectReason, EndReason, Identity, NetworkSecret};
use handfast_server::NO_LONGER_ADMITTED;

use super::common::{Client, PATIENCE, Scratch, Server, runtimes};
use super::{end_reason, on, say};

/// A peer of that seed calls; none if nobody let it in.
fn call(server: &Server, seed: u8, secret: Option<u8>, patience: Duration) -> Option<Client> {
    let mut config = Config::default();
    config.network_secret = secret.map(network_secret);
    config.timers.connect_timeout = patience;
    Client::call(config, Identity::from_seed([seed; 32]), server.id, server.address)
}

const SOON: Duration = Duration::from_millis(300);

#[test]
fn who_was_refused_is_pasted_into_the_list_and_who_is_struck_off_goes() {
    for runtime in runtimes() {
        let scratch = Scratch::new(&format!("paste-{runtime}"));
        let id = |seed| Identity::from_seed([seed; 32]).id();
        let peers = scratch.write("peers", &format!("{}\n{}\n", id(1), id(2)));
        let allow = ["--allow", peers.to_str().expect("text")];
        let server = Server::start_usual(&scratch.0, &[&on(runtime)[..], &allow].concat());
        let mut one = call(&server, 1, None, PATIENCE).expect("on the list");
        let mut two = call(&server, 2, None, PATIENCE).expect("on the list");
        assert!(call(&server, 3, None, SOON).is_none(), "not on the list");
        let line = server.log("refused ");
        let name = line.split(' ').find_map(|word| word.split_once("callers=")).expect("named").1;
        assert!(name.starts_with(&format!("{}@127.0.0.1:", id(3))), "{line}");

        fs::write(&peers, format!("{}\n{name}\n", id(2))).expect("written");
        server.signal("HUP");
        let line = server.log("read again");
        assert!(line.contains("added=1") && line.contains("removed=1"), "{line}");
        let reason = DisconnectReason::new(NO_LONGER_ADMITTED, "no longer admitted");
        let end = end_reason(&mut one);
        assert!(
            matches!(&end, EndReason::PeerDisconnected { reason: told, .. } if *told == reason),
            "{end}"
        );
        assert!(call(&server, 3, None, PATIENCE).is_some(), "pasted");
        assert!(call(&server, 1, None, SOON).is_none(), "struck off");
        say(&mut two, b"I stayed");

        fs::write(&peers, "not an id\n").expect("written");
        server.signal("HUP");
        let line = server.log("stays as it was");
        assert!(line.contains("line 1") && line.contains("ERROR"), "{line}");
        say(&mut two, b"I stayed again");
        assert!(call(&server, 1, None, SOON).is_none());
    }
}

#[test]
fn a_server_that_is_dialled_stays_although_it_is_not_on_the_list() {
    for runtime in runtimes() {
        let (far, near) = (Scratch::new(&format!("far-{runtime}")), format!("near-{runtime}"));
        let near = Scratch::new(&near);
        let other = Server::start_usual(&far.0, &on(runtime));
        let place = format!("{}@{}", other.id, other.address);
        let nobody = Identity::from_seed([9; 32]).id().to_string();
        let peers = near.write("peers", &nobody);
        let flags = ["--allow", peers.to_str().expect("text"), "--server", &place];
        let server = Server::start_usual(&near.0, &[&on(runtime)[..], &flags].concat());
        assert!(server.log("connected").contains(&other.id.to_string()));
        server.signal("HUP");
        server.log("read again");
        server.signal("TERM");
        let end = other.log("ended");
        assert!(end.contains("the server is shutting down"), "{end}");
    }
}

#[test]
fn a_network_secret_is_replaced_while_peers_stay() {
    for runtime in runtimes() {
        let scratch = Scratch::new(&format!("rotate-{runtime}"));
        let path = scratch.0.join("network.secret");
        let write = |text: &str, mode: u32| {
            fs::write(&path, text).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
        };
        write(&line(1), 0o600);
        let secret = ["--network-secret-file", path.to_str().expect("text")];
        let server = Server::start_usual(&scratch.0, &[&on(runtime)[..], &secret].concat());
        let mut old = call(&server, 1, Some(1), PATIENCE).expect("a member");
        assert!(call(&server, 2, Some(2), SOON).is_none(), "not yet");

        write(&format!("{}\n{}\n", line(2), line(1)), 0o440);
        server.signal("HUP");
        let told = server.log("network secret was read again");
        assert!(told.contains("changed=true") && told.contains("accepted=2"), "{told}");
        assert!(call(&server, 2, Some(2), PATIENCE).is_some(), "the new one");
        assert!(call(&server, 3, Some(1), PATIENCE).is_some(), "the old one, for now");
        say(&mut old, b"I stayed");

        write(&line(2), 0o644);
        server.signal("HUP");
        let told = server.log("stays as it was");
        assert!(told.contains("chmod 600"), "{told}");
        assert!(call(&server, 3, Some(1), PATIENCE).is_some(), "nothing changed");

        write(&line(2), 0o600);
        server.signal("HUP");
        server.log("accepted=1");
        say(&mut old, b"I stayed again");
        assert!(call(&server, 3, Some(1), SOON).is_none(), "the old one is gone");
        assert!(call(&server, 2, Some(2), PATIENCE).is_some());
    }
}

/// Base32 of 32 bytes of which the first is `8 * number`.
fn line(number: u8) -> String {
    format!("{}{}", char::from(b'a' + number), "a".repeat(51))
}

fn network_secret(number: u8) -> NetworkSecret {
    let mut bytes = [0; 32];
    bytes[0] = 8 * number;
    NetworkSecret::new(bytes)
}

#[test]
fn without_files_there_is_nothing_to_read_again_and_nothing_ends() {
    for runtime in runtimes() {
        let scratch = Scratch::new(&format!("nothing-{runtime}"));
        let server = Server::start_usual(&scratch.0, &on(runtime));
        let mut client = Client::connect(server.id, server.address);
        server.signal("HUP");
        server.log("nothing to read again");
        say(&mut client, b"still there?");
        server.signal("TERM");
        end_reason(&mut client);
        assert_eq!(server.end(), Some(0));
    }
}
