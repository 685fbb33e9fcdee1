//! The operating system's randomness.

use tolmach_engine::ports::{Entropy, PortError};

/// The operating system's randomness.
#[derive(Debug)]
pub(crate) struct OsEntropy(());

impl OsEntropy {
    /// An error if this system gives none.
    pub(crate) fn new() -> Result<Self, PortError> {
        getrandom::fill(&mut [0; 32]).map_err(|error| {
            PortError(format!("the operating system gives no randomness: {error}"))
        })?;
        Ok(Self(()))
    }
}

impl Entropy for OsEntropy {
    /// Ends the task that asks if the system stops giving randomness, which no supported system
    /// does: a secret that can be guessed would be worse.
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("a system that gave randomness once gives it always");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_secrets_differ() {
        let entropy = OsEntropy::new().unwrap();
        let [mut one, mut other] = [[0; 32]; 2];
        entropy.fill(&mut one);
        entropy.fill(&mut other);
        assert_ne!(one, other);
        assert_ne!(one, [0; 32]);
    }
}
