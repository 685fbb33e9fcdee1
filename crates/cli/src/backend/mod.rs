//! The engine and everything that it stands on, as the configuration has it.

mod bus;
mod key_ring;
mod mail;
mod open;
mod options;
mod photos;
mod store_url;
mod tls;

pub(crate) use bus::describe_bus;
pub(crate) use key_ring::{SecretFile, key_ring};
pub(crate) use mail::mail_target;
pub(crate) use open::Backend;
pub(crate) use options::server_options;
#[cfg(test)]
pub(crate) use options::{bcrypt_options, policy};
pub(crate) use photos::{PhotoTarget, photo_target};
pub(crate) use store_url::{store_url, with_creation};
pub(crate) use tls::{check_proxy_protocol, check_tcp, tls};
