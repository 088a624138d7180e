//! What an endpoint of one shard or of several is made of, whatever its drivers wait with.

use std::io;
use std::net::UdpSocket;
use std::sync::Arc;

use handfast_core::{Config, CookieSecret, Siblings, ValidConfig};

use crate::crossing::{Bell, Crossing, SharedPeers};
use crate::{Listen, MAX_SHARDS, entropy, host_config};

/// What each shard of an endpoint gets of the choices, before there are sockets.
#[derive(Debug)]
pub struct Shards {
    whole: ValidConfig,
    shares: Vec<ValidConfig>,
    peers: Arc<SharedPeers>,
}

/// The sockets of a shard, in the order of their addresses, and the way to the other shards if there are any.
pub type ShardPorts = (Vec<UdpSocket>, Option<Crossing>);

impl Shards {
    /// Divides the choices among so many shards. It sets the fields of `config` that describe the machine
    /// ([`host_config`]).
    ///
    /// # Errors
    /// `InvalidInput` if a field of `config` breaks a rule, which the text names; if the number is not 1 to
    /// [`MAX_SHARDS`]; or if there are several and `config` has routing. What the system says if it has no random bytes.
    pub fn plan(config: Config, count: u16) -> io::Result<Self> {
        let whole = host_config(config).validate().map_err(invalid)?;
        let peers = Arc::new(SharedPeers::default());
        let shares = shares(&whole, count, &peers)?;
        Ok(Self { whole, shares, peers })
    }

    /// What was chosen for all of them together.
    #[must_use]
    pub const fn whole(&self) -> &ValidConfig {
        &self.whole
    }

    /// Opens the sockets. Each shard has a bell, which is rung by any thread when something for it begins to wait: it then
    /// needs a [turn](crate::Traffic::receive).
    ///
    /// # Errors
    /// Those of [`Listen::bind_shards`]. `InvalidInput` if there are not as many bells as shards.
    pub fn open(
        self,
        listen: &Listen,
        bells: Vec<Bell>,
    ) -> io::Result<Vec<(ValidConfig, ShardPorts)>> {
        let count = u16::try_from(bells.len()).ok().filter(|_| bells.len() == self.shares.len());
        let sockets = listen.bind_shards(count.ok_or_else(|| invalid(WRONG_NUMBER))?)?;
        let crossings: Vec<_> = if bells.len() == 1 {
            vec![None]
        } else {
            Crossing::among(bells, &self.peers).into_iter().map(Some).collect()
        };
        Ok(self.shares.into_iter().zip(sockets.into_iter().zip(crossings)).collect())
    }
}

fn shares(
    whole: &ValidConfig,
    count: u16,
    peers: &Arc<SharedPeers>,
) -> io::Result<Vec<ValidConfig>> {
    if count == 1 {
        return Ok(vec![whole.clone()]);
    }
    if !(1..=MAX_SHARDS).contains(&count) {
        return Err(invalid(WRONG_NUMBER));
    }
    if whole.routing.announce || !whole.routing.transit.is_empty() {
        return Err(invalid(ROUTES));
    }
    let mut config = whole.clone().into_inner();
    let drawn = CookieSecret::new(entropy()?);
    config.cookie_secret.get_or_insert(drawn);
    let share = |shard| {
        let peers: Arc<dyn Siblings> = Arc::clone(peers) as _;
        config.clone().for_shard(shard, count, peers).validate().map_err(invalid)
    };
    (0..=u8::MAX).take(count.into()).map(share).collect()
}

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

const WRONG_NUMBER: &str = "an endpoint has 1 to 256 shards";
const ROUTES: &str = "an endpoint with several shards exchanges no routes: leave out routing";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_work_yet_is_refused_by_name() {
        let refused = |config: Config, count| {
            let error = Shards::plan(config, count).expect_err("refused");
            (error.kind(), error.to_string())
        };
        let because = |why: &str| (io::ErrorKind::InvalidInput, why.to_owned());
        assert_eq!(refused(Config::default(), 0), because(WRONG_NUMBER));
        assert_eq!(refused(Config::default(), 257), because(WRONG_NUMBER));
        let mut routes = Config::default();
        routes.routing.announce = true;
        assert_eq!(refused(routes, 2), because(ROUTES));
        assert_eq!(Shards::plan(Config::default(), 256).expect("sound").shares.len(), 256);
    }
}
