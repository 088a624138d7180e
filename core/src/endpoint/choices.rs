//! What can be chosen anew while the endpoint runs.

use super::Endpoint;
use crate::config::{Admission, NetworkSecret};
use crate::error::ConfigError;

impl Endpoint {
    /// Who may shake hands with us from now on. Handshakes that others began and have not confirmed are
    /// void: they begin again, and are asked again.
    ///
    /// Peers stay, whether or not they would be let in now, until they have to shake hands anew.
    /// To part from one, [`disconnect`](Self::disconnect) it.
    pub fn set_admission(&mut self, admission: Admission) {
        self.shared.config.set_admission(admission);
        self.admission.forget_answers(&mut self.shared);
    }

    /// The secrets of the private network from now on: with `current` we begin handshakes, and others may
    /// begin theirs with either. See [`Config::previous_network_secret`] for how to replace a secret
    /// without a gap.
    ///
    /// Peers stay with the keys that they have. Handshakes that others began and have not confirmed are
    /// void: they begin again.
    ///
    /// # Errors
    /// When a secret is all zeros, or `previous` is set without `current`: the secrets stay as they were.
    ///
    /// [`Config::previous_network_secret`]: crate::Config::previous_network_secret
    pub fn set_secrets(
        &mut self,
        current: Option<NetworkSecret>,
        previous: Option<NetworkSecret>,
    ) -> Result<(), ConfigError> {
        let mut config = self.shared.config.clone().into_inner();
        (config.network_secret, config.previous_network_secret) = (current, previous);
        self.shared.reconfigure(config.validate()?);
        self.admission.forget_answers(&mut self.shared);
        Ok(())
    }
}
