//! Errors of ports as the faults that a caller sees. The cause goes to the log.

use crate::ErrorChain;
use crate::ports::{PasswordError, StoreError};
use std::time::Duration;
use tolmach_domain::Fault;

/// The fault for a store's error.
pub(crate) fn store_fault(error: StoreError) -> Fault {
    match error {
        StoreError::Refused(fault) => fault,
        StoreError::Unavailable(_) => {
            tracing::warn!(error = %ErrorChain(&error), "the store is unavailable");
            Fault::Unavailable
        }
        StoreError::Failed(_) => {
            tracing::error!(error = %ErrorChain(&error), "the store failed");
            Fault::Internal
        }
    }
}

/// The fault for a password hasher's error.
pub(crate) fn password_fault(error: PasswordError) -> Fault {
    match error {
        PasswordError::Busy => Fault::TooMany { retry_after: Duration::from_secs(1) },
        PasswordError::Failed(_) => {
            tracing::error!(error = %ErrorChain(&error), "a password could not be checked");
            Fault::Internal
        }
    }
}
