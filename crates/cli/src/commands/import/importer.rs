//! Lines, one after another, imported in chunks: while one is stored, the next one is read.

use super::checks::{Checks, Expected};
use super::chunk::{Collected, Origin};
use super::refusals::{Place, Refusals, field, reason};
use crate::error::{CliError, RuntimeError};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio::task::JoinHandle;
use tolmach_domain::{IdNamespace, Message};
use tolmach_engine::ports::{ImportNote, ImportOutcomes, ImportPosition, Imported, StoreError};
use tolmach_engine::{Engine, ImportError};
use tolmach_world::{Record, RecordError};

/// The fates of the records of one kind, counted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) new: u64,
    pub(super) existing: u64,
    pub(super) refused: u64,
}

/// The fates of all records, counted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    pub(super) users: Counts,
    pub(super) flows: Counts,
    pub(super) messages: Counts,
    pub(super) members: Counts,
    /// Lines that an earlier import, which was interrupted, had done.
    pub(super) skipped: u64,
}

/// A chunk with its outcomes, and the messages as they are read back.
type Stored = (Collected, ImportOutcomes, Vec<Message>);

pub(super) struct Importer {
    engine: Arc<Engine>,
    /// `None` before the first line.
    source: Option<IdNamespace>,
    collected: Option<Collected>,
    /// The chunk that is being stored.
    storing: Option<JoinHandle<Result<Stored, ImportError>>>,
    /// The position at which an earlier import was interrupted.
    resume_at: Option<ImportPosition>,
    restart: bool,
    dry_run: bool,
    lines: u64,
    digest: Sha256,
    pub(super) totals: Totals,
    pub(super) checks: Checks,
    pub(super) refusals: Refusals,
}

impl Importer {
    pub(super) fn new(
        engine: Arc<Engine>,
        refusals: Refusals,
        restart: bool,
        dry_run: bool,
    ) -> Self {
        Self {
            engine,
            source: None,
            collected: None,
            storing: None,
            resume_at: None,
            restart,
            dry_run,
            lines: 0,
            digest: Sha256::new(),
            totals: Totals::default(),
            checks: Checks::default(),
            refusals,
        }
    }

    /// Takes a line, without its end.
    pub(super) async fn line(&mut self, place: Place, line: Vec<u8>) -> Result<(), CliError> {
        let record = Record::parse(&line);
        self.lines += 1;
        self.digest.update((line.len() as u64).to_be_bytes());
        self.digest.update(&line);
        if let Ok(Record::World(header)) = &record {
            return self.begin(&place, &header.source).await;
        }
        if self.source.is_none() {
            return Err(RuntimeError::NoWorldHeader(place.input.to_string()).into());
        }
        if let Some(position) = self.resume_at {
            if self.lines < position.lines {
                return Ok(());
            }
            self.resume_at = None;
            let digest: [u8; 32] = self.digest.clone().finalize().into();
            if digest != position.digest {
                return Err(RuntimeError::ImportChanged { lines: position.lines }.into());
            }
            self.totals.skipped = position.lines;
            return Ok(());
        }
        let line = String::from_utf8_lossy(&line).into_owned();
        match record {
            Ok(record) => {
                let now = self.engine.now();
                if let Some(collected) = &mut self.collected {
                    collected.add(record, Origin { place, line }, now);
                }
                if self.collected.as_ref().is_some_and(Collected::is_full) {
                    self.store().await?;
                }
            }
            Err(RecordError { field, reason }) => {
                self.refusals.add(&place, &field, &reason, &line)?;
            }
        }
        Ok(())
    }

    /// Stores what is left.
    pub(super) async fn finish(&mut self) -> Result<(), CliError> {
        self.store().await?;
        self.stored().await?;
        if let Some(source) = &self.source {
            self.engine.end_import(source).await?;
        }
        self.refusals.finish()?;
        match self.resume_at {
            Some(position) => Err(RuntimeError::ImportChanged { lines: position.lines }.into()),
            None => Ok(()),
        }
    }

    async fn begin(&mut self, place: &Place, source: &str) -> Result<(), CliError> {
        let source: IdNamespace = match source.parse() {
            Ok(source) => source,
            Err(error) => {
                let text = format!("{}:{}: world.source: {error}", place.input, place.line);
                return Err(RuntimeError::World(text).into());
            }
        };
        match &self.source {
            Some(known) if *known == source => return Ok(()),
            Some(known) => {
                let text = format!(
                    "{}:{}: world.source: {source} follows {known}; import them one by one",
                    place.input, place.line
                );
                return Err(RuntimeError::World(text).into());
            }
            None => {}
        }
        let position = self.engine.begin_import(&source).await?;
        self.resume_at = position.filter(|_| !self.restart);
        self.collected = Some(Collected::new(source.clone()));
        self.source = Some(source);
        Ok(())
    }

    /// Begins to store the collected records, once those before them are stored.
    async fn store(&mut self) -> Result<(), CliError> {
        let Some(source) = self.source.clone() else { return Ok(()) };
        let Some(mut collected) = self.collected.replace(Collected::new(source)) else {
            return Ok(());
        };
        self.stored().await?;
        let digest = self.digest.clone().finalize().into();
        collected.chunk.position = Some(ImportPosition { lines: self.lines, digest });
        if self.dry_run {
            collected.passwords.clear();
        }
        let engine = self.engine.clone();
        self.storing = Some(tokio::spawn(async move {
            let chunk = collected.chunk.clone();
            let outcomes = match engine.import(chunk, &collected.passwords).await {
                // The outcome of a transaction that took too long is not known; importing it again
                // stores nothing twice.
                Err(ImportError::Store(StoreError::Unavailable(_))) => {
                    engine.import(collected.chunk.clone(), &collected.passwords).await?
                }
                outcomes => outcomes?,
            };
            let ids = outcomes.messages.iter().filter_map(id_of).collect::<Vec<_>>();
            let found = engine.stored_messages(&ids).await?;
            Ok((collected, outcomes, found))
        }));
        Ok(())
    }

    /// Waits for the chunk that is being stored, and counts what became of it.
    async fn stored(&mut self) -> Result<(), CliError> {
        let Some(storing) = self.storing.take() else { return Ok(()) };
        let (collected, outcomes, found) =
            storing.await.map_err(RuntimeError::ImportTask)?.map_err(RuntimeError::Import)?;
        let expected: Vec<Expected> = outcomes
            .messages
            .iter()
            .zip(&collected.messages)
            .filter_map(|(outcome, (_, checksum))| {
                let is_new = matches!(outcome, Imported::New(..));
                Some(Expected { id: id_of(outcome)?, checksum: *checksum, is_new })
            })
            .collect();
        self.checks.add(&expected, &found);
        let Self { totals, refusals, .. } = self;
        let messages: Vec<Origin> =
            collected.messages.into_iter().map(|(origin, _)| origin).collect();
        count("user", &mut totals.users, refusals, &outcomes.users, &collected.users)?;
        count("flow", &mut totals.flows, refusals, &outcomes.flows, &collected.flows)?;
        count("message", &mut totals.messages, refusals, &outcomes.messages, &messages)?;
        count("member", &mut totals.members, refusals, &outcomes.members, &collected.members)
    }
}

fn id_of<T: Copy>(outcome: &Imported<T>) -> Option<T> {
    match outcome {
        Imported::New(id, _) | Imported::Existing(id) => Some(*id),
        Imported::Refused(_) => None,
    }
}

/// Counts the outcomes of one kind, and reports the refusals.
fn count<T>(
    kind: &str,
    counts: &mut Counts,
    refusals: &mut Refusals,
    outcomes: &[Imported<T>],
    origins: &[Origin],
) -> Result<(), CliError> {
    for (outcome, Origin { place, line }) in outcomes.iter().zip(origins) {
        match outcome {
            Imported::New(_, note) => {
                counts.new += 1;
                match note {
                    Some(ImportNote::Renamed) => refusals.note(
                        place,
                        "shown by the login: the name is another's login, or looks like it",
                    ),
                    Some(ImportNote::NoReply) => {
                        refusals.note(place, "no reply: the message answered is not there");
                    }
                    Some(ImportNote::Renumbered) if kind != "message" => {
                        refusals.note(place, "the number is taken: it has another one");
                    }
                    Some(ImportNote::Renumbered) | None => {}
                }
            }
            Imported::Existing(_) => counts.existing += 1,
            Imported::Refused(fault) => {
                counts.refused += 1;
                refusals.add(place, &field(kind, fault), &reason(fault), line)?;
            }
        }
    }
    Ok(())
}
