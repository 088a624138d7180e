//! Who may come in, by the files that say so: they are read at the start, and again whenever the operator
//! says so.

use std::collections::BTreeSet;

use handfast_core::{Admission, NetworkSecret, PeerId};

use crate::allow;
use crate::config::Settings;
use handfast_program::keys::Secrets;
use handfast_program::{Error, keys};

/// What the files say.
#[derive(Clone, Debug, Default)]
pub struct Access {
    allow: Option<BTreeSet<PeerId>>,
    secrets: Secrets,
    /// Read at the start alone.
    transit: BTreeSet<PeerId>,
}

impl Access {
    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be read, or a line of it is not understood.
    pub fn read(settings: &Settings) -> Result<Self, Error> {
        let transit = settings.transit.as_deref().map(allow::list).transpose()?.unwrap_or_default();
        Ok(Self { allow: read_allow(settings)?, secrets: read_secrets(settings)?, transit })
    }

    /// Reads the files again. A file that cannot be used keeps what it said before. Returns what there is to
    /// say about it, once the endpoint has taken it over.
    #[must_use]
    pub fn reload(&mut self, settings: &Settings) -> News {
        let mut news = News::default();
        if settings.allow.is_some() {
            news.allow = Some(read_allow(settings).map(|allow| self.take_allow(allow)));
        }
        if settings.network_secret_file.is_some() {
            news.secrets = Some(read_secrets(settings).map(|secrets| self.take_secrets(secrets)));
        }
        news
    }

    /// Who may shake hands.
    #[must_use]
    pub fn admission(&self) -> Admission {
        self.allow.clone().map_or(Admission::Anyone, Admission::Only)
    }

    /// With whom routes are exchanged.
    #[must_use]
    pub const fn transit(&self) -> &BTreeSet<PeerId> {
        &self.transit
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

    fn take_allow(&mut self, allow: Option<BTreeSet<PeerId>>) -> ListNews {
        let nobody = BTreeSet::new();
        let [before, after] = [&self.allow, &allow].map(|list| list.as_ref().unwrap_or(&nobody));
        let news = ListNews {
            peers: after.len(),
            added: after.difference(before).count(),
            removed: before.difference(after).count(),
        };
        self.allow = allow;
        news
    }

    fn take_secrets(&mut self, secrets: Secrets) -> SecretNews {
        let accepted = 1 + u8::from(secrets.1.is_some());
        let news = SecretNews { changed: secrets != self.secrets, accepted };
        self.secrets = secrets;
        news
    }

    #[cfg(test)]
    pub(crate) fn of(allow: Option<BTreeSet<PeerId>>, secrets: Secrets) -> Self {
        let transit = [handfast_core::Identity::from_seed([9; 32]).id()].into();
        Self { allow, secrets, transit }
    }
}

/// What came of reading the files again; `None` for a file that there is not.
#[derive(Debug, Default)]
pub struct News {
    allow: Option<Result<ListNews, Error>>,
    secrets: Option<Result<SecretNews, Error>>,
}

#[derive(Clone, Copy, Debug)]
struct ListNews {
    peers: usize,
    added: usize,
    removed: usize,
}

#[derive(Clone, Copy, Debug)]
struct SecretNews {
    changed: bool,
    /// How many secrets are.
    accepted: u8,
}

impl News {
    /// Says it.
    pub fn log(&self) {
        match &self.allow {
            Some(Ok(ListNews { peers, added, removed })) => {
                tracing::info!(peers, added, removed, "the list of peers was read again");
            }
            Some(Err(error)) => tracing::error!(%error, "the list of peers stays as it was"),
            None => {}
        }
        match &self.secrets {
            Some(Ok(SecretNews { changed, accepted })) => {
                tracing::info!(changed, accepted, "the network secret was read again");
            }
            Some(Err(error)) => tracing::error!(%error, "the network secret stays as it was"),
            None => {}
        }
        if self.allow.is_none() && self.secrets.is_none() {
            tracing::info!(
                "nothing to read again: there is neither --allow nor --network-secret-file"
            );
        }
    }
}

fn read_allow(settings: &Settings) -> Result<Option<BTreeSet<PeerId>>, Error> {
    settings.allow.as_deref().map(allow::read).transpose()
}

fn read_secrets(settings: &Settings) -> Result<Secrets, Error> {
    let secrets = settings.network_secret_file.as_deref().map(keys::network_secrets).transpose()?;
    Ok(secrets.unwrap_or_default())
}
