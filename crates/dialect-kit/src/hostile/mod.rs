//! Frames as a hostile or broken peer sends them: they may cause an error, never a panic.

mod attacks;
mod guard;
mod receivers;
mod samples;

pub(crate) use attacks::{Attack, attacks, with_payload};
pub(crate) use guard::guarded;
pub(crate) use receivers::{Rules, attack_client, attack_recognition, attack_server};
pub(crate) use samples::{Sample, login_of, samples};
