//! Lines, one after another, imported in chunks: while one is stored, the next one is read, and the
//! messages of the one before are read back.

use super::checks::{Checks, Expected};
use super::chunk::{ChunkSize, Collected, Origin, Reading};
use super::decisions::Conflicts;
use super::merging::{Choice, MergeNote, Merging};
use super::place::Place;
use super::refusals::{Refusals, field, reason};
use super::rehearsal::{Extent, Rehearsal};
use super::taken::{Taken, taken};
use crate::error::{CliError, RuntimeError};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tolmach_domain::{Fault, IdNamespace, Timestamp};
use tolmach_engine::ports::{
    ImportChunk, ImportNote, ImportOutcomes, ImportPosition, Imported, StoreError, StoredContent,
};
use tolmach_engine::{Engine, ImportError};
use tolmach_world::{Cursor, DecisionLine, Record, RecordError, RowPlace};

/// The pause between two transactions while others change the world too. As long as the longest
/// pause between two tries of SQLite's busy handler, so that a waiting process gets the lock.
const TURN: Duration = Duration::from_millis(100);

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
    /// Users of the source who are users here.
    pub(super) merged: u64,
    /// Users who do not come along, by decisions.
    pub(super) left_out: u64,
    /// Records that refer to others which are missing, while those may be read yet, and records
    /// whose times are yet to come.
    pub(super) deferred: u64,
}

/// The means by which a chunk is imported.
#[derive(Clone)]
pub(super) struct Means {
    pub(super) engine: Arc<Engine>,
    /// `None` if the records come into the world itself.
    pub(super) rehearsal: Option<Arc<Rehearsal>>,
    /// `None` if no user is merged with another.
    pub(super) merging: Option<Arc<Merging>>,
}

/// The beginning of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beginning {
    /// After the last line of one that was interrupted.
    Resumed,
    /// At the first line.
    First,
    /// After the rows of a database that were read.
    Cursor,
}

/// A chunk with its outcomes.
struct Stored {
    collected: Collected,
    outcomes: ImportOutcomes,
    /// Notes on merged users, each with the index of the user.
    merges: Vec<(usize, MergeNote)>,
    conflicts: Vec<DecisionLine>,
    /// The fields of refused users whose values others have, by the indices of the users.
    taken: HashMap<usize, Taken>,
    /// The time that storing them took.
    took: Duration,
}

/// A chunk that was stored, with its messages as they are read back.
struct Checked {
    stored: Stored,
    found: Vec<StoredContent>,
}

pub(super) struct Importer {
    means: Means,
    /// `None` before the first line.
    source: Option<IdNamespace>,
    collected: Option<Collected>,
    size: ChunkSize,
    /// The commit time of the last chunk.
    committed_at: Option<Timestamp>,
    /// The chunk that is being stored.
    storing: Option<JoinHandle<Result<Stored, ImportError>>>,
    /// The chunk before it, whose messages are being read back.
    checking: Option<JoinHandle<Result<Checked, StoreError>>>,
    beginning: Beginning,
    /// True if the source numbers groups apart from chats, and `None` while that is not known.
    groups_apart: Option<bool>,
    /// The position at which an earlier import was interrupted.
    resume_at: Option<ImportPosition>,
    lines: u64,
    digest: Sha256,
    /// The rows of a database that were read.
    pub(super) cursor: Cursor,
    pub(super) totals: Totals,
    /// The lines of the records that were deferred, until they are read again.
    deferred: HashSet<String>,
    pub(super) checks: Checks,
    pub(super) refusals: Refusals,
    pub(super) conflicts: Conflicts,
}

impl Importer {
    pub(super) fn new(
        means: Means,
        beginning: Beginning,
        refusals: Refusals,
        conflicts: Conflicts,
    ) -> Self {
        Self {
            means,
            source: None,
            collected: None,
            size: ChunkSize::default(),
            committed_at: None,
            storing: None,
            checking: None,
            beginning,
            groups_apart: None,
            resume_at: None,
            lines: 0,
            digest: Sha256::new(),
            cursor: Cursor::default(),
            totals: Totals::default(),
            deferred: HashSet::new(),
            checks: Checks::default(),
            refusals,
            conflicts,
        }
    }

    /// Takes a line, without its end.
    pub(super) async fn line(&mut self, place: Place, line: Vec<u8>) -> Result<(), CliError> {
        let record = Record::parse(&line);
        self.lines += 1;
        self.digest.update((line.len() as u64).to_be_bytes());
        self.digest.update(&line);
        if let Ok(Record::World(header)) = &record {
            return self.begin(&place, &header.source, header.groups_apart).await;
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
            Ok(record) => self.record(record, Origin { place, line, reading: Reading::Only }).await,
            Err(RecordError { field, reason }) => {
                Ok(self.refusals.add(&place, &field, &reason, &line)?)
            }
        }
    }

    /// True if the name of the source was read.
    pub(super) fn has_source(&self) -> bool {
        self.source.is_some()
    }

    /// Notes the place of a row whose record was taken.
    pub(super) fn reach(&mut self, row: Option<RowPlace>) {
        if let Some(row) = row {
            self.cursor.reach(row);
        }
    }

    /// The time after which a record lies in the future.
    pub(super) fn now(&self) -> Timestamp {
        self.means.engine.now()
    }

    /// True for a record of a database after which no further one is imported: users come first.
    pub(super) fn is_done_before(&self, record: &Record) -> bool {
        let extent = self.means.rehearsal.as_ref().map(|rehearsal| rehearsal.extent);
        extent == Some(Extent::Users) && !matches!(record, Record::World(_) | Record::User(_))
    }

    /// Takes a record.
    pub(super) async fn record(
        &mut self,
        mut record: Record,
        origin: Origin,
    ) -> Result<(), CliError> {
        if self.is_done_before(&record) {
            return Ok(());
        }
        let (Some(collected), Some(source)) = (&mut self.collected, &self.source) else {
            return Ok(());
        };
        if let (Record::User(user), Some(merging)) = (&mut record, &self.means.merging) {
            match merging.choice(source, user.id.0) {
                Some(Choice::Skip) => {
                    self.totals.left_out += u64::from(origin.reading.is_first());
                    return Ok(());
                }
                Some(Choice::Rename(login)) => user.login.clone_from(login),
                Some(Choice::SameAs(_)) | None => {}
            }
        }
        match &record {
            Record::Flow(flow) if flow.id.0.group_number().is_some() => {
                if self.groups_apart == Some(false) {
                    // The messages before it have no ids that are told apart from those of groups.
                    let Origin { place, line, .. } = &origin;
                    self.totals.flows.refused += 1;
                    let reason =
                        "a group follows messages: `groups_apart` in the header is missing";
                    return Ok(self.refusals.add(place, "flow.id", reason, line)?);
                }
                self.groups_apart = Some(true);
            }
            Record::Message(_) => {
                self.groups_apart.get_or_insert(false);
            }
            _ => {}
        }
        collected.add(record, origin, self.means.engine.now());
        if collected.is_full(&self.size) {
            self.store().await?;
        }
        Ok(())
    }

    /// Waits until everything that was taken is stored.
    pub(super) async fn flush(&mut self) -> Result<(), CliError> {
        self.store().await?;
        let stored = self.stored().await?;
        self.check(stored).await?;
        self.check(None).await
    }

    /// Stores what is left, and ends the import.
    pub(super) async fn finish(&mut self) -> Result<(), CliError> {
        self.flush().await?;
        self.end().await?;
        self.refusals.finish()?;
        match self.resume_at {
            Some(position) => Err(RuntimeError::ImportChanged { lines: position.lines }.into()),
            None => Ok(()),
        }
    }

    /// Ends the import of what was stored. More may follow.
    pub(super) async fn end(&self) -> Result<(), CliError> {
        match &self.source {
            Some(source) => Ok(self.means.engine.end_import(source).await?),
            None => Ok(()),
        }
    }

    /// Begins the import of a source, or goes on with it.
    pub(super) async fn begin(
        &mut self,
        place: &Place,
        source: &str,
        groups_apart: bool,
    ) -> Result<(), CliError> {
        let source: IdNamespace = match source.parse() {
            Ok(source) => source,
            Err(error) => {
                return Err(RuntimeError::World(format!("{place}: world.source: {error}")).into());
            }
        };
        match &self.source {
            Some(known) if *known == source => return Ok(()),
            Some(known) => {
                let text = format!(
                    "{place}: world.source: {source} follows {known}; import them one by one"
                );
                return Err(RuntimeError::World(text).into());
            }
            None => {}
        }
        let known = match &self.means.rehearsal {
            Some(rehearsal) => rehearsal.begin(&source).await?,
            None => None,
        };
        let state = self.means.engine.begin_import(&source).await?;
        let known = known.or(state.groups_apart);
        self.groups_apart = known.or(groups_apart.then_some(true));
        self.resume_at = state.position.filter(|_| self.beginning == Beginning::Resumed);
        // A cursor of another form is none: what was read is read again, and found.
        self.cursor = state.cursor.and_then(|text| Cursor::parse(&text)).unwrap_or_default();
        self.collected = Some(Collected::new(source.clone()));
        self.source = Some(source);
        Ok(())
    }

    /// Begins to store the collected records, once those before them are stored, which are checked
    /// meanwhile.
    async fn store(&mut self) -> Result<(), CliError> {
        let Some(source) = self.source.clone() else { return Ok(()) };
        let Some(mut collected) = self.collected.replace(Collected::new(source)) else {
            return Ok(());
        };
        let stored = self.stored().await?;
        if self.beginning != Beginning::Cursor {
            let digest = self.digest.clone().finalize().into();
            collected.chunk.position = Some(ImportPosition { lines: self.lines, digest });
        }
        collected.chunk.cursor = self.cursor.to_text();
        collected.chunk.groups_apart = self.groups_apart;
        if self.means.rehearsal.is_some() {
            collected.passwords.clear();
        }
        self.storing = Some(tokio::spawn(self.means.clone().store(collected)));
        self.check(stored).await
    }

    /// Begins to read back the messages of a chunk, and counts what became of the one before.
    async fn check(&mut self, stored: Option<Stored>) -> Result<(), CliError> {
        let before = self.checking.take();
        let engine = self.means.engine.clone();
        self.checking = stored.map(|stored| tokio::spawn(stored.read_back(engine)));
        let Some(before) = before else { return Ok(()) };
        let checked = before.await.map_err(RuntimeError::ImportTask)?;
        let checked = checked.map_err(|error| RuntimeError::Import(error.into()))?;
        self.count(checked)
    }

    /// Waits for the chunk that is being stored.
    async fn stored(&mut self) -> Result<Option<Stored>, CliError> {
        let Some(storing) = self.storing.take() else { return Ok(None) };
        let stored = storing.await.map_err(RuntimeError::ImportTask)?;
        let stored = stored.map_err(RuntimeError::Import)?;
        let outcomes = &stored.outcomes;
        let is_alone = self.committed_at.is_none_or(|before| before == outcomes.last_change);
        self.committed_at = Some(outcomes.committed_at);
        self.size.adapt(stored.took, is_alone);
        if !is_alone {
            tokio::time::sleep(TURN).await;
        }
        Ok(Some(stored))
    }

    /// Counts what became of a chunk.
    fn count(&mut self, checked: Checked) -> Result<(), CliError> {
        let Checked { stored, found } = checked;
        let Stored { collected, outcomes, merges, conflicts, taken, .. } = stored;
        for conflict in &conflicts {
            self.conflicts.add(conflict)?;
        }
        let mut expected = Vec::with_capacity(outcomes.messages.len());
        for (outcome, (origin, checksum)) in outcomes.messages.iter().zip(&collected.messages) {
            let is_new = matches!(outcome, Imported::New(..));
            let counts = is_new || origin.reading.is_first();
            if let Some(id) = id_of(outcome).filter(|_| counts) {
                expected.push(Expected { id, checksum: *checksum, is_new });
            }
        }
        self.checks.add(&expected, &found);
        let Self { totals, refusals, deferred: lines, .. } = self;
        for (index, note) in merges {
            let place = &collected.users[index].place;
            match note {
                MergeNote::SameAs(user) => {
                    totals.merged += 1;
                    refusals.note(place, &format!("the same as user {user}"));
                }
                MergeNote::NoEmail => {
                    refusals.note(place, "no e-mail address: another user has it");
                }
            }
        }
        let messages: Vec<Origin> =
            collected.messages.into_iter().map(|(origin, _)| origin).collect();
        let Totals { users, flows, messages: of_messages, members, deferred, .. } = totals;
        let mut of = Outcomes { refusals, deferred: lines, taken };
        *deferred += of.count("user", users, &outcomes.users, &collected.users)?;
        *deferred += of.count("flow", flows, &outcomes.flows, &collected.flows)?;
        *deferred += of.count("message", of_messages, &outcomes.messages, &messages)?;
        *deferred += of.count("member", members, &outcomes.members, &collected.members)?;
        Ok(())
    }
}

impl Means {
    /// Imports a chunk.
    async fn store(self, mut collected: Collected) -> Result<Stored, ImportError> {
        let Self { engine, rehearsal, merging } = &self;
        if let Some(rehearsal) = rehearsal {
            rehearsal.copy_known(&collected.chunk).await?;
        }
        let merges = match merging {
            Some(merging) => merging.apply(engine, &mut collected.chunk).await?,
            None => Vec::new(),
        };
        let began = Instant::now();
        let outcomes = match engine.import(collected.chunk.clone(), &collected.passwords).await {
            // The outcome of a transaction that took too long is not known; importing it again
            // stores nothing twice.
            Err(ImportError::Store(StoreError::Unavailable(_))) => {
                engine.import(collected.chunk.clone(), &collected.passwords).await?
            }
            outcomes => outcomes?,
        };
        let took = began.elapsed();
        let conflicts = match (merging, rehearsal) {
            (Some(merging), Some(rehearsal)) => {
                merging.conflicts(rehearsal, &collected, &outcomes.users).await?
            }
            _ => Vec::new(),
        };
        let taken = taken(engine, &collected.chunk.users, &outcomes.users).await?;
        // Its records are stored: their memory is that of the next chunk.
        collected.chunk = ImportChunk::new(collected.chunk.source);
        Ok(Stored { collected, outcomes, merges, conflicts, taken, took })
    }
}

impl Stored {
    /// Reads the messages back.
    async fn read_back(self, engine: Arc<Engine>) -> Result<Checked, StoreError> {
        let ids = self.outcomes.messages.iter().filter_map(id_of).collect::<Vec<_>>();
        let found = engine.stored_contents(&ids).await?;
        Ok(Checked { stored: self, found })
    }
}

fn id_of<T: Copy>(outcome: &Imported<T>) -> Option<T> {
    match outcome {
        Imported::New(id, _) | Imported::Existing(id) => Some(*id),
        Imported::Refused(_) => None,
    }
}

/// The refused records, and the lines of those that are deferred.
struct Outcomes<'a> {
    refusals: &'a mut Refusals,
    deferred: &'a mut HashSet<String>,
    /// See [`Stored::taken`].
    taken: HashMap<usize, Taken>,
}

impl Outcomes<'_> {
    /// Counts the outcomes of one kind, and reports the refusals. Returns the number of those that
    /// are not final.
    fn count<T>(
        &mut self,
        kind: &str,
        counts: &mut Counts,
        outcomes: &[Imported<T>],
        origins: &[Origin],
    ) -> Result<u64, CliError> {
        let mut deferred = 0;
        for (index, (outcome, origin)) in outcomes.iter().zip(origins).enumerate() {
            let Origin { place, line, reading } = origin;
            let was_deferred = *reading == Reading::Retry && self.deferred.remove(line);
            match outcome {
                Imported::New(_, note) => {
                    counts.new += 1;
                    if let Some(text) = note.and_then(|note| describe(kind, note)) {
                        self.refusals.note(place, text);
                    }
                }
                Imported::Existing(_) => {
                    counts.existing += u64::from(reading.is_first());
                }
                Imported::Refused(fault) => match (reading, is_missing(fault) || was_deferred) {
                    (Reading::First, true) => {
                        self.deferred.insert(line.clone());
                        deferred += 1;
                    }
                    (Reading::Only, _) | (Reading::First, false) | (Reading::Retry, true) => {
                        counts.refused += 1;
                        // Only users are refused for what others have.
                        let taken = self.taken.get(&index).filter(|_| *fault == Fault::LoginTaken);
                        let (field, reason) = match taken {
                            Some(taken) => (taken.field.to_owned(), taken.reason.to_owned()),
                            None => (field(kind, fault), reason(fault)),
                        };
                        self.refusals.add(place, &field, &reason, line)?;
                    }
                    (Reading::Again, _) | (Reading::Retry, false) => {}
                },
            }
        }
        Ok(deferred)
    }
}

/// The text of a note; `None` if it is not told.
fn describe(kind: &str, note: ImportNote) -> Option<&'static str> {
    match note {
        ImportNote::Renamed => {
            Some("shown by the login: the name is another's login, or looks like it")
        }
        ImportNote::NoReply => Some("no reply: the message answered is not there"),
        ImportNote::NoReadMark => Some("no read mark: the message read last is not there"),
        ImportNote::ChatAsGroup => Some("a group of the two: they have a chat"),
        ImportNote::Renumbered => {
            (kind != "message").then_some("the number is taken: it has another one")
        }
    }
}

/// True if a record was refused because one to which it refers is not there.
fn is_missing(fault: &Fault) -> bool {
    matches!(fault, Fault::NoSuchUser | Fault::NoSuchFlow | Fault::NoSuchMessage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_is_refused_after_it_was_deferred_is_counted_once() {
        let mut refusals = Refusals::silent();
        let (mut lines, mut counts) = (HashSet::new(), Counts::default());
        // The faults at the two readings, and the numbers of refusals after each.
        for (number, first, second, expected) in [
            (1, Fault::NoSuchUser, Fault::WrongKind, [0, 1]),
            (2, Fault::NoSuchUser, Fault::NoSuchUser, [1, 2]),
            (3, Fault::WrongKind, Fault::WrongKind, [3, 3]),
        ] {
            let readings = [(Reading::First, first), (Reading::Retry, second)];
            for ((reading, fault), expected) in readings.into_iter().zip(expected) {
                let place = Place { input: "old".into(), line: number };
                let origin = Origin { place, line: format!("line {number}"), reading };
                let taken = HashMap::new();
                let mut of = Outcomes { refusals: &mut refusals, deferred: &mut lines, taken };
                let outcome = Imported::<()>::Refused(fault);
                of.count("member", &mut counts, &[outcome], &[origin]).unwrap();
                assert_eq!((counts.refused, refusals.count), (expected, expected), "{number}");
            }
        }
        assert!(lines.is_empty());
    }
}
