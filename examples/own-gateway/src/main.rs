//! `own-gateway [DATA [ADDRESS]]`: Tolmach's five dialects and `tinychat`, on one SQLite file.
//!
//! Prints `ready http=ADDRESS` when it accepts connections; SIGTERM or Ctrl-C drains and stops it.

use own_gateway::{Backend, TinyChat};
use std::error::Error;
use std::path::PathBuf;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tolmach_dialect_action::Action;
use tolmach_dialect_bearer::Bearer;
use tolmach_dialect_mode::Mode;
use tolmach_dialect_morelia::Morelia;
use tolmach_dialect_sndmsg::SndMsg;
use tolmach_server::Server;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let data = PathBuf::from(arguments.next().unwrap_or_else(|| "data".to_owned()));
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());

    let backend = Backend::open(&data).await?;
    let server = Server::builder(backend.engine.clone(), backend.bus.clone())
        .dialect(Mode::default())
        .dialect(SndMsg::default())
        .dialect(Morelia::default())
        .dialect(Bearer)
        .dialect(Action::default())
        .dialect(TinyChat)
        .bind(TcpListener::bind(&address).await?)
        .await?;
    for line in server.routes().describe() {
        eprintln!("{line}");
    }
    println!("ready http={}", server.local_addr()?);

    let shutdown = CancellationToken::new();
    let (stop, mut terminated) = (shutdown.clone(), signal(SignalKind::terminate())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        stop.cancel();
    });
    server.serve(shutdown).await;
    backend.close().await;
    Ok(())
}
