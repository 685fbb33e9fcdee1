//! `tolmach`, a gateway between chat protocols.

mod broadcast;
mod cli;
mod commands;
mod config;
mod connection;
mod dialects;
mod doors;
mod gateway;
mod http;
mod hub;
mod logging;
mod metrics;
mod outbox;
mod outgoing;
mod pages;
mod patient;
mod ports;
mod proxies;
mod server;
mod stream;
mod voice;
mod world;

fn main() -> std::process::ExitCode {
    cli::main()
}
