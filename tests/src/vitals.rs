//! What this process holds of the system, for tests that claim to leave it as it was.

use std::fs;

/// Open descriptors and resident memory of this process, where the system tells (Linux).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vitals {
    /// Descriptors that are open.
    pub descriptors: usize,
    /// Bytes of memory in use.
    pub resident: u64,
}

impl Vitals {
    /// As of now. `None` where the system does not tell.
    #[must_use]
    pub fn now() -> Option<Self> {
        let descriptors = fs::read_dir("/proc/self/fd").ok()?.count();
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(Self { descriptors, resident: kibibytes << 10 })
    }

    /// Checks that the process is back to `before`, but for so many bytes of memory: allocators
    /// keep some of what they get.
    ///
    /// # Panics
    /// When it is not.
    pub fn assert_back(before: Option<Self>, slack: u64) {
        let (Some(before), Some(after)) = (before, Self::now()) else { return };
        assert!(after.descriptors <= before.descriptors, "descriptors leak: {before:?} {after:?}");
        assert!(after.resident <= before.resident + slack, "memory leaks: {before:?} {after:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::panic::catch_unwind;

    /// Alone in its process of tests but for the others of this crate, which hold little.
    #[test]
    fn what_is_held_is_noticed() {
        if Vitals::now().is_none() {
            return;
        }
        let before = Vitals::now();
        let sockets = [(); 100].map(|()| UdpSocket::bind("127.0.0.1:0").expect("bound"));
        assert!(catch_unwind(|| Vitals::assert_back(before, u64::MAX >> 1)).is_err());
        drop(sockets);
        let before = Vitals::now();
        let memory = vec![7_u8; 64 << 20];
        let slack = catch_unwind(|| Vitals::assert_back(before, 16 << 20));
        assert!(slack.is_err() && memory.iter().all(|byte| *byte == 7));
    }
}
