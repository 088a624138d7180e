//! What the core cannot know by itself: randomness, the wall clock, the processor.

use std::io;
use std::time::SystemTime;

use handfast_core::Config;

/// 32 bytes from the operating system's generator, for an endpoint's seed or an identity.
///
/// # Errors
/// When the system has no randomness to give.
pub fn entropy() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| io::Error::other(format!("no randomness: {error}")))?;
    Ok(bytes)
}

/// `config` with what this machine knows filled in: the processor's AES instructions and, unless
/// it is set already, the time since 1970. Call it right before making the endpoint.
#[must_use]
pub fn host_config(mut config: Config) -> Config {
    config.aes_hardware = has_aes();
    if config.wall_clock.is_none() {
        config.wall_clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok();
    }
    config
}

/// AES-GCM needs both the rounds of AES and the carry-less multiplication.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn has_aes() -> bool {
    std::is_x86_feature_detected!("aes") && std::is_x86_feature_detected!("pclmulqdq")
}

#[cfg(target_arch = "aarch64")]
fn has_aes() -> bool {
    std::arch::is_aarch64_feature_detected!("aes")
        && std::arch::is_aarch64_feature_detected!("pmull")
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
fn has_aes() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn entropy_differs_from_call_to_call() {
        assert_ne!(entropy().expect("entropy"), entropy().expect("entropy"));
    }

    #[test]
    fn a_wall_clock_that_was_chosen_is_kept() {
        let chosen = Some(Duration::from_secs(7));
        let mut config = Config::default();
        config.wall_clock = chosen;
        assert_eq!(host_config(config).wall_clock, chosen);
        assert!(host_config(Config::default()).wall_clock.is_some());
    }
}
