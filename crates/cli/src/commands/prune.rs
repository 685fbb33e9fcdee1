//! `tolmach prune`

use super::operator::load_config;
use crate::arguments::{Location, PruneArguments};
use crate::backend::{Backend, store_url};
use crate::error::{CliError, RuntimeError};
use crate::table::table;
use std::time::{Duration, Instant};
use tolmach_engine::ports::PruneCount;
use tolmach_store::{Compacted, Compaction};

/// The time that counting may take, which reads a row of each conversation and all old messages.
const COUNT_TIMEOUT: Duration = Duration::from_secs(60 * 60);

pub(crate) async fn run(
    location: &Location,
    arguments: &PruneArguments,
) -> Result<String, CliError> {
    let mut config = load_config(location)?;
    let url = store_url(&config, &location.data);
    if arguments.dry_run {
        config.store.timeout = config.store.timeout.max(COUNT_TIMEOUT);
    }
    let compaction = match arguments.compact {
        true => Some(Compaction::of(url.expose())?),
        false => None,
    };
    let backend = Backend::open(&config, &location.data).await?;
    let done = match arguments.dry_run {
        true => count(&backend).await,
        false => prune(&backend).await,
    };
    backend.close().await;
    let mut text = report(done?);
    if let Some(compaction) = compaction {
        let started = Instant::now();
        let Compacted { bytes_before, bytes_after } = compaction.run().await?;
        text.push_str(&format!(
            "compacted: {bytes_before} bytes before, {bytes_after} now, in {:.1} s\n",
            started.elapsed().as_secs_f64()
        ));
    }
    Ok(text)
}

/// Counts what would be removed.
async fn count(backend: &Backend) -> Result<Vec<PruneCount>, CliError> {
    let now = backend.engine.now();
    let mut counts = backend.engine.prunable(now).await?;
    let files = backend.engine.prune_files(now, true).await.map_err(RuntimeError::from)?;
    counts.extend(files);
    Ok(counts)
}

/// Removes it, step by step.
async fn prune(backend: &Backend) -> Result<Vec<PruneCount>, CliError> {
    let now = backend.engine.now();
    let (mut counts, mut after) = (Vec::new(), None);
    loop {
        let step = backend.engine.prune(after, now).await?;
        step.removed.into_iter().for_each(|count| count.add_to(&mut counts));
        if !step.more {
            break;
        }
        after = step.after;
    }
    counts.extend(backend.engine.prune_files(now, false).await.map_err(RuntimeError::from)?);
    Ok(counts)
}

fn report(counts: Vec<PruneCount>) -> String {
    let total = |of: fn(&PruneCount) -> u64| counts.iter().map(of).sum::<u64>().to_string();
    let totals = ["in all".to_owned(), total(|count| count.records), total(|count| count.bytes)];
    let rows = counts
        .iter()
        .map(|count| [count.kind.to_owned(), count.records.to_string(), count.bytes.to_string()]);
    table(["KIND", "RECORDS", "BYTES"], rows.chain([totals]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_a_row_for_each_kind_and_a_total() {
        let count = |kind, records, bytes| PruneCount { kind, records, bytes };
        assert_eq!(
            report(vec![count("messages", 12, 3_400), count("mails", 1, 700)]),
            "KIND      RECORDS  BYTES\n\
             messages  12       3400\n\
             mails     1        700\n\
             in all    13       4100\n"
        );
        assert_eq!(report(Vec::new()), "KIND    RECORDS  BYTES\nin all  0        0\n");
    }
}
