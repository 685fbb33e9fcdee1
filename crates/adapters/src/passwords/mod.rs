//! Passwords, hashed with bcrypt off the async threads; hashes of other servers are verified too.

mod form;
mod hasher;
mod legacy;

pub use form::{HashForm, HashFormError};
pub use hasher::{Bcrypt, BcryptOptions};
