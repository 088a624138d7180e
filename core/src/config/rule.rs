//! A rule that a choice must keep.

use crate::error::ConfigError;

/// A rule about one field, and whether it is kept.
pub(super) struct Rule {
    error: ConfigError,
    is_kept: bool,
}

/// `field` keeps `rule` if `is_kept`. The rule reads on from the field's name.
pub(super) const fn rule(field: &'static str, rule: &'static str, is_kept: bool) -> Rule {
    Rule { error: ConfigError { field, rule, other: None }, is_kept }
}

impl Rule {
    /// The rule reads on with the name of another field.
    pub(super) const fn than(mut self, other: &'static str) -> Self {
        self.error.other = Some(other);
        self
    }

    /// What breaking it is answered with.
    #[cfg(test)]
    pub(super) const fn error(&self) -> ConfigError {
        self.error
    }

    /// # Errors
    /// When it is broken.
    pub(super) const fn check(&self) -> Result<(), ConfigError> {
        if self.is_kept { Ok(()) } else { Err(self.error) }
    }
}
