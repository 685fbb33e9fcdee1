//! The operating system's randomness.

use std::error::Error;
use tolmach_engine::ports::Entropy;

/// The operating system's randomness.
#[derive(Debug)]
pub struct OsEntropy(());

/// The operating system gives no randomness.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gives no randomness")]
pub struct EntropyError(#[source] Box<dyn Error + Send + Sync>);

impl OsEntropy {
    /// Reads some randomness once, to find out early if there is none.
    pub fn new() -> Result<Self, EntropyError> {
        getrandom::fill(&mut [0; 32]).map_err(|error| EntropyError(error.into()))?;
        Ok(Self(()))
    }
}

impl Entropy for OsEntropy {
    /// Panics if the system stops giving randomness: going on would make secrets that can be
    /// guessed. No supported system does that once it has given some.
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("a system that gave randomness once gives it always");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_reads_differ() {
        let entropy = OsEntropy::new().unwrap();
        let [mut one, mut other] = [[0; 32]; 2];
        entropy.fill(&mut one);
        entropy.fill(&mut other);
        assert_ne!(one, other);
        assert_ne!(one, [0; 32]);
    }
}
