//! Who may come in, by the files that say so: they are read at the start, and again whenever the operator
//! says so.

use std::collections::BTreeSet;

use handfast_core::{Admission, Config, NetworkSecret, PeerId};
use handfast_udp::KeyFile;

use crate::config::Settings;
use crate::error::Error;
use crate::{allow, refusal};

/// What the files say.
#[derive(Clone, Debug, Default)]
pub struct Access {
    allow: Option<BTreeSet<PeerId>>,
    secrets: Secrets,
}

/// The secrets of a private network; none for a public one.
type Secrets = (Option<NetworkSecret>, Option<NetworkSecret>);

impl Access {
    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be read, or a line of it is not understood.
    pub fn read(settings: &Settings) -> Result<Self, Error> {
        Ok(Self { allow: read_allow(settings)?, secrets: read_secrets(settings)? })
    }

    /// Reads the files again and logs what changed. A file that cannot be used keeps what it said before,
    /// and the log says why.
    pub fn reload(&mut self, settings: &Settings) {
        if settings.allow.is_none() && settings.network_secret_file.is_none() {
            tracing::info!(
                "nothing to read again: there is neither --allow nor --network-secret-file"
            );
            return;
        }
        match read_allow(settings) {
            Ok(allow) => self.take_allow(allow),
            Err(error) => tracing::error!(%error, "the list of peers stays as it was"),
        }
        match read_secrets(settings) {
            Ok(secrets) => self.take_secrets(secrets),
            Err(error) => tracing::error!(%error, "the network secret stays as it was"),
        }
    }

    /// Who may shake hands.
    #[must_use]
    pub fn admission(&self) -> Admission {
        self.allow.clone().map_or(Admission::Anyone, Admission::Only)
    }

    /// With which secret handshakes are begun, and which one is accepted as well.
    #[must_use]
    pub fn secrets(&self) -> (Option<NetworkSecret>, Option<NetworkSecret>) {
        self.secrets.clone()
    }

    /// Whether this peer may stay.
    #[must_use]
    pub fn admits(&self, peer: &PeerId) -> bool {
        self.allow.as_ref().is_none_or(|allow| allow.contains(peer))
    }

    fn take_allow(&mut self, allow: Option<BTreeSet<PeerId>>) {
        if let (Some(before), Some(after)) = (&self.allow, &allow) {
            let (added, removed) =
                (after.difference(before).count(), before.difference(after).count());
            tracing::info!(peers = after.len(), added, removed, "the list of peers was read again");
        }
        self.allow = allow;
    }

    fn take_secrets(&mut self, secrets: Secrets) {
        if let (Some(_), previous) = &secrets {
            let changed = secrets != self.secrets;
            let accepted = 1 + u8::from(previous.is_some());
            tracing::info!(changed, accepted, "the network secret was read again");
        }
        self.secrets = secrets;
    }

    #[cfg(test)]
    pub(crate) fn of(allow: Option<BTreeSet<PeerId>>, secrets: Secrets) -> Self {
        Self { allow, secrets }
    }
}

fn read_allow(settings: &Settings) -> Result<Option<BTreeSet<PeerId>>, Error> {
    settings.allow.as_deref().map(allow::read).transpose()
}

fn read_secrets(settings: &Settings) -> Result<Secrets, Error> {
    let Some(path) = &settings.network_secret_file else { return Ok(Secrets::default()) };
    let read = KeyFile::new(path).network_secrets();
    let (current, previous) = read.map_err(|error| Error::Usage(error.to_string()))?;
    let mut config = Config::default();
    (config.network_secret, config.previous_network_secret) = (Some(current), previous);
    let config = config.validate().map_err(|error| Error::Usage(refusal::refusal(error)))?;
    let Config { network_secret, previous_network_secret, .. } = config.into_inner();
    Ok((network_secret, previous_network_secret))
}
