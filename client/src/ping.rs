//! `handfast ping`: round trips to a peer, and the way of each.

use std::time::{Duration, Instant};

use handfast_program::Error;
use handfast_program::output::print;
use handfast_tokio::{ConnectError, Peer, Target};
use tokio::time::{sleep, timeout};

use crate::cli::Ping;
use crate::node::{self, Node};
use crate::path;
use crate::stop::Stop;

/// Pings until it was often enough, the path is direct, or the program is to stop.
pub(crate) async fn run(choices: Ping, stop: Stop) -> Result<(), Error> {
    choices.whom.check_way(&choices.common.server)?;
    let config = node::config(choices.common.network_secret_file.as_deref())?;
    let opening = Node::open(&choices.common, config, choices.timeout);
    let node = tokio::select! {
        node = opening => node?,
        () = stop.asked() => return Err(Error::Run("interrupted".to_owned())),
    };
    let mut tally = Tally::default();
    let outcome = tokio::select! {
        outcome = pings(&choices, &node, &mut tally) => outcome,
        () = stop.asked() => Ok(Outcome::Enough),
    };
    node.close().await;
    if tally.sent > 0 {
        print(&tally.summary())?;
    }
    match outcome? {
        Outcome::Direct(after) => print(&format!("direct after {after:.1?}\n")),
        Outcome::Enough if choices.until_direct => Err(tally.still_routed("stopped")),
        Outcome::TooLate => {
            Err(tally.still_routed(&format!("not within {:?} (--timeout)", choices.timeout)))
        }
        Outcome::Enough if tally.answered == 0 => {
            Err(Error::Run(format!("{} did not answer", choices.whom)))
        }
        Outcome::Enough => Ok(()),
    }
}

/// How the pings ended.
enum Outcome {
    /// As often as was asked for, or at a signal.
    Enough,
    /// Packets go directly, after this time.
    Direct(Duration),
    /// They did not within the time that they had.
    TooLate,
}

async fn pings(choices: &Ping, node: &Node, tally: &mut Tally) -> Result<Outcome, Error> {
    choices.whom.check(node.endpoint.id())?;
    let target = choices.whom.target().await?;
    let start = Instant::now();
    let mut peer = dial(choices, node, &target).await?;
    loop {
        let number = tally.sent + 1;
        if choices.count.is_some_and(|count| number > count) {
            return Ok(Outcome::Enough);
        }
        if number > 1 {
            sleep(choices.interval).await;
        }
        tally.sent += 1;
        let line = match round_trip(choices, node, &target, &mut peer).await {
            Ok(time) => {
                tally.answer(time, path::words(peer.path()));
                format!("{number} {} {time:.1?}\n", tally.path)
            }
            Err(reason) => format!("{number} lost: {reason}\n"),
        };
        print(&line)?;
        if choices.until_direct && peer.ended().is_none() && path::is_direct(&peer) {
            return Ok(Outcome::Direct(start.elapsed()));
        }
        if choices.until_direct && start.elapsed() >= choices.timeout {
            // Here the reason is of interest, too.
            if let Some(info) = peer.info().filter(|info| info.path.is_some()) {
                tally.path = info.verdict.to_string();
            }
            return Ok(Outcome::TooLate);
        }
    }
}

async fn dial(choices: &Ping, node: &Node, target: &Target) -> Result<Peer, Error> {
    match timeout(choices.timeout, node.endpoint.connect(target.clone())).await {
        Ok(Ok(peer)) => Ok(peer),
        Ok(Err(error)) => Err(choices.whom.failure(&error)),
        Err(_) => {
            Err(choices.whom.failure(&ConnectError::Ended(handfast_tokio::EndReason::DialTimeout)))
        }
    }
}

/// One ping, after another dial if the peer has ended. Says why there was no answer.
async fn round_trip(
    choices: &Ping,
    node: &Node,
    target: &Target,
    peer: &mut Peer,
) -> Result<Duration, String> {
    if peer.ended().is_some() {
        *peer = dial(choices, node, target).await.map_err(|error| error.to_string())?;
    }
    match timeout(LOST_AFTER, peer.ping()).await {
        Ok(Ok(time)) => Ok(time),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {LOST_AFTER:?}")),
    }
}

/// What came of the pings so far.
#[derive(Default)]
struct Tally {
    sent: u64,
    answered: u64,
    least: Duration,
    most: Duration,
    sum: Duration,
    /// The way of the last answer.
    path: String,
}

impl Tally {
    fn answer(&mut self, time: Duration, path: String) {
        self.least = if self.answered == 0 { time } else { self.least.min(time) };
        self.most = self.most.max(time);
        self.sum += time;
        self.answered += 1;
        self.path = path;
    }

    fn summary(&self) -> String {
        let Self { sent, answered, .. } = self;
        let lost = sent - answered;
        let mut text = format!("{sent} sent, {answered} answered, {lost} lost");
        if let Some(count) = u32::try_from(*answered).ok().filter(|count| *count > 0) {
            let (least, most, mean) = (self.least, self.most, self.sum / count);
            text += &format!(", round trip min/avg/max {least:.1?}/{mean:.1?}/{most:.1?}");
        }
        text + "\n"
    }

    fn still_routed(&self, when: &str) -> Error {
        let path = if self.answered == 0 { "no answer came" } else { &self.path };
        Error::Run(format!("no direct path, {when}: {path}"))
    }
}

/// A ping that is not answered by then counts as lost.
const LOST_AFTER: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_what_was_lost_and_never_divides_by_nothing() {
        let mut tally = Tally { sent: 3, ..Tally::default() };
        assert_eq!(tally.summary(), "3 sent, 0 answered, 3 lost\n");
        for ms in [20, 10] {
            tally.answer(Duration::from_millis(ms), String::new());
        }
        let expected = "3 sent, 2 answered, 1 lost, round trip min/avg/max 10.0ms/15.0ms/20.0ms\n";
        assert_eq!(tally.summary(), expected);
    }
}
