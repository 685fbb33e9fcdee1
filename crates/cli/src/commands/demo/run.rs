//! The demo's gateway, which leaves nothing behind.

use super::story::play;
use super::transcript::Transcript;
use crate::backend::Backend;
use crate::config::{Config, Sources};
use crate::configured_dialects::configured_dialects;
use crate::error::{CliError, RuntimeError, UsageError};
use crate::serving::server_builder;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The address of the listener: only this machine reaches it.
const ADDRESS: &str = "127.0.0.1:0";

pub(crate) async fn run() -> Result<String, CliError> {
    perform(Transcript::to_stdout()).await
}

async fn perform(transcript: Transcript) -> Result<String, CliError> {
    let folder = tempfile::tempdir().map_err(RuntimeError::TemporaryFolder)?;
    let cannot_listen = |source| RuntimeError::Listen { address: ADDRESS.into(), source };
    let listener = TcpListener::bind(ADDRESS).await.map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    let config = config(address.to_string())?;
    let backend = Backend::open(&config, folder.path()).await?;
    let dialects = configured_dialects(&config).map_err(UsageError::from)?;
    let server = server_builder(&backend, &config, &dialects).bind(listener).await?;
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(server.serve(shutdown.clone()));
    let played = play(&backend.engine, address, &Arc::new(transcript)).await;
    shutdown.cancel();
    let served = serving.await;
    backend.close().await;
    let summary = played?;
    served.map_err(RuntimeError::DemoServer)?;
    Ok(summary)
}

/// The defaults, whatever the environment of this process, with quick password hashes, and with
/// pushes in every dialect that has them.
fn config(listen: String) -> Result<Config, UsageError> {
    let flags = vec![("demo", "http.listen", listen), ("demo", "auth.bcrypt_cost", "4".to_owned())];
    let mut config = Config::load(Sources { flags, ..Sources::default() })?;
    for section in config.dialects.by_id.values_mut() {
        if let Some(push) = section.options.get_mut("push") {
            *push = true.into();
        }
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects;
    use std::io::Write;
    use std::sync::{Mutex, PoisonError};

    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_client_gets_the_messages_of_all_others() {
        let output = Output::default();
        let summary = perform(Transcript::new(false, Box::new(output.clone()))).await;
        let text = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
        let pushing = dialects::all()
            .iter()
            .filter(|dialect| dialect.manifest().capabilities.pushes_posted)
            .count();
        assert!(
            summary.as_ref().is_ok_and(|text| text.contains(&format!("; {pushing} were pushed"))),
            "{summary:?}\n{text}"
        );
        for id in dialects::ids() {
            for direction in ["→", "←"] {
                let label = format!("{id:8} {direction} ");
                assert!(text.contains(&label), "{label} is not in\n{text}");
            }
        }
        assert!(!text.contains('\u{1b}'), "a transcript without colours has an escape sequence");
    }
}
