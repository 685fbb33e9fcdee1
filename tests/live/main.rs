//! The real binary over real sockets: what one client says, what others hear, and what no client
//! can break.
//!
//! Every test starts a gateway of its own on a free port and a throw-away folder. Nothing here
//! knows the gateway's code: only its command line, its configuration and its wires.

#[cfg(test)]
mod bearer;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod doors;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod mode;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod passwords;
#[cfg(test)]
mod photos;
#[cfg(test)]
mod pipelines;
#[cfg(test)]
mod retries;
#[cfg(test)]
mod world;
