//! The documents of mode and sndmsg as files, held to the transcripts of their crates: the file is
//! the server, the crate's client its peer.

mod mode;
mod mode_client;
mod paired;
mod sndmsg;
mod sndmsg_client;
