//! The ports that stand on this machine: its clock, its randomness, its files, its mail; and object
//! storage.

mod blobs;
mod clock;
mod entropy;
mod mailer;
mod passwords;
mod private_file;
mod signer;

pub(crate) use blobs::BlobTarget;
pub(crate) use clock::SystemClock;
pub(crate) use entropy::OsEntropy;
pub(crate) use mailer::{MailTarget, Post};
pub(crate) use passwords::Bcrypt;
pub(crate) use private_file::{create_private_folder, keep_once};
pub(crate) use signer::{KeyError, KeyRing};
