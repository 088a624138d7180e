//! Choices that were checked.

use core::ops::Deref;

use super::{Admission, Config};
use crate::error::ConfigError;

/// A [`Config`] that was checked and keeps all rules. [`crate::Endpoint::new`] takes it.
///
/// Its fields can be read through it. To change one, take the `Config` out with [`Self::into_inner`],
/// change it, and call [`Config::validate`] again. `ValidConfig::default()` is the default `Config`.
#[derive(Clone, Debug, Default)]
pub struct ValidConfig(Config);

impl ValidConfig {
    /// `config` was checked.
    pub(super) const fn checked(config: Config) -> Self {
        Self(config)
    }

    /// The same with another say on who may come in, about which there is no rule.
    pub(crate) fn set_admission(&mut self, admission: Admission) {
        self.0.admission = admission;
    }

    /// The choices, to be changed.
    #[must_use]
    pub fn into_inner(self) -> Config {
        self.0
    }
}

impl Deref for ValidConfig {
    type Target = Config;

    fn deref(&self) -> &Config {
        &self.0
    }
}

impl TryFrom<Config> for ValidConfig {
    type Error = ConfigError;

    fn try_from(config: Config) -> Result<Self, ConfigError> {
        config.validate()
    }
}
