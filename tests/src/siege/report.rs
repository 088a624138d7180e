//! What a siege found, and whether that will do.

use std::fmt;
use std::time::Duration;

use super::crowd::Messages;
use super::flood::Kind;

/// Times in order.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<Duration>);

impl From<Vec<Duration>> for Times {
    fn from(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }
}

impl Times {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The time that so many percent do not exceed.
    fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, p95, p99, worst] = [50, 95, 99, 100].map(|percent| {
            let micros = self.percentile(percent).as_micros();
            format!("{}.{:02} ms", micros / 1000, micros % 1000 / 10)
        });
        write!(f, "median {median}, p95 {p95}, p99 {p99}, worst {worst} ({} of them)", self.len())
    }
}

/// What a siege found.
#[derive(Clone, Debug)]
pub struct Findings {
    /// What drove the server.
    pub runtime: String,
    /// How long the flood lasted.
    pub lasted: Duration,
    /// Datagrams per second that were to reach the server.
    pub rate: u64,
    /// Datagrams that the server counted during the flood.
    pub counted: u64,
    /// Datagrams thrown, by kind.
    pub thrown: Vec<(Kind, u64)>,
    /// Datagrams that the system refused to send.
    pub refused: u64,
    /// Datagrams dropped by the system because the server's socket was full.
    pub socket_drops: u64,
    /// Datagrams dropped by the server, by reason.
    pub drops: Vec<(String, u64)>,
    /// Processor time the server used during the flood.
    pub processor: Duration,
    /// The honest clients' messages.
    pub messages: Messages,
    /// Round trips before the flood and in it.
    pub pings: [Times; 2],
    /// Newcomers' handshakes before the flood and in it.
    pub handshakes: [Times; 2],
    /// Why handshakes failed.
    pub failures: Vec<String>,
    /// Resident memory of the server in KiB: before the flood, its most, and after it.
    pub memory: [u64; 3],
    /// Bytes from addresses that are not verified, and bytes to them, since the server started.
    pub unverified: [u64; 2],
}

/// What is asked of a siege.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Whether it holds.
    pub holds: bool,
    /// Whether it depends on how fast the machine is, and what else it does.
    pub depends_on_machine: bool,
    /// The promise and the figures.
    pub what: String,
}

impl Findings {
    /// Datagrams per second that the server counted.
    #[must_use]
    pub fn rate_counted(&self) -> u64 {
        per_second(self.counted, self.lasted)
    }

    /// Every promise and whether it was kept.
    #[must_use]
    pub fn verdicts(&self) -> Vec<Verdict> {
        let promise = |holds, depends_on_machine, what| Verdict { holds, depends_on_machine, what };
        let (counted, [before, most, after]) = (self.rate_counted(), self.memory);
        let Messages { sent, acked, echoed, garbled, ended } = self.messages;
        let [bytes_in, bytes_out] = self.unverified;
        let apart = most.abs_diff(before).max(after.abs_diff(before)) * 1000 / before.max(1);
        vec![
            promise(
                counted * 100 >= self.rate * 99,
                true,
                format!("the server counted {counted} datagrams per second, of {}", self.rate),
            ),
            promise(
                self.messages.are_complete(),
                false,
                format!(
                    "of {sent} reliable messages {acked} were acknowledged and {echoed} came back; \
                     {garbled} were garbled, {ended} connections ended"
                ),
            ),
            promise(
                apart <= 100,
                true,
                format!(
                    "the server has {before} KiB before, {most} at most, {after} after: {}.{} % apart",
                    apart / 10,
                    apart % 10
                ),
            ),
            promise(
                bytes_out <= bytes_in,
                false,
                format!("{bytes_out} bytes to unverified addresses, {bytes_in} from there"),
            ),
            promise(
                self.failures.is_empty() && !self.handshakes[1].is_empty(),
                // Where all wait long for the processor, a handshake may run out of time.
                true,
                format!("new handshakes: {}, {} failed", self.handshakes[1], self.failures.len()),
            ),
        ]
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let thrown: u64 = self.thrown.iter().map(|(_, count)| count).sum();
        writeln!(f, "{} under siege for {:.1?}", self.runtime, self.lasted)?;
        for Verdict { holds, what, .. } in self.verdicts() {
            writeln!(f, "  {}  {what}", if holds { "PASS" } else { "FAIL" })?;
        }
        writeln!(f, "        ping before    {}", self.pings[0])?;
        writeln!(f, "        ping in flood  {}", self.pings[1])?;
        writeln!(f, "        handshakes before  {}", self.handshakes[0])?;
        let drops = per_second(self.socket_drops, self.lasted);
        let share = self.socket_drops * 1000 / thrown.max(1);
        let (whole, tenth) = (share / 10, share % 10);
        let all = self.socket_drops;
        writeln!(f, "        socket buffer  {all} dropped, {drops} per second, {whole}.{tenth} %")?;
        let nanos = self.processor.as_nanos() / u128::from(self.counted.max(1));
        let cores = self.processor.as_secs_f64() / self.lasted.as_secs_f64().max(1e-9);
        writeln!(f, "        processor      {cores:.2} cores, {nanos} ns per datagram")?;
        let kinds = self.thrown.iter().map(|(kind, count)| format!("{kind:?} {count}"));
        let kinds = kinds.collect::<Vec<_>>().join(", ");
        writeln!(f, "        thrown         {kinds}; {} more were refused", self.refused)?;
        let reasons = self.drops.iter().map(|(reason, count)| format!("{reason} {count}"));
        writeln!(f, "        dropped        {}", reasons.collect::<Vec<_>>().join(", "))?;
        for failure in &self.failures {
            writeln!(f, "        failed         {failure}")?;
        }
        Ok(())
    }
}

fn per_second(count: u64, time: Duration) -> u64 {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    count.saturating_mul(1000) / millis
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let times = Times::from((1..=200).rev().map(Duration::from_millis).collect::<Vec<_>>());
        let found = [50, 95, 99, 100].map(|percent| times.percentile(percent).as_millis());
        assert_eq!(found, [100, 190, 198, 200]);
        assert_eq!(Times::default().percentile(99), Duration::ZERO);
        let one = Times::from(vec![Duration::from_millis(7)]);
        assert_eq!(one.percentile(50), Duration::from_millis(7));
    }
}
