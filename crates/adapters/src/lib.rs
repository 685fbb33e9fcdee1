//! The ports of the engine on one machine: its clock and randomness, bcrypt passwords, access
//! tokens (JWT), photos in a folder or an S3 bucket, mail as files or by SMTP.
//!
//! Each adapter is made from options of its own and reads no configuration file.

mod clock;
mod entropy;
mod jwt;
mod loopback;
mod mail;
mod password_queue;
mod passwords;
mod photos;
mod private_file;

pub use clock::SystemClock;
pub use entropy::{EntropyError, OsEntropy};
pub use jwt::{
    JwksProblem, KeyError, KeyMaterial, KeyOptions, KeyProblem, KeyRing, KeyRingOptions,
    PemAlgorithm, install_jwt_crypto,
};
pub use mail::{MailOptions, MailSender, MailTarget, MailUrlError, Mailbox, SmtpServer};
pub use passwords::{Bcrypt, BcryptOptions, HashForm, HashFormError};
pub use photos::{BucketOptions, BucketOptionsError, PhotoBucket, PhotoFolder, S3Credentials};
pub use private_file::{
    CreateFolderError, create_private_file, create_private_folder, read_or_create,
};
