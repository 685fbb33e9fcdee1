//! The fates of records while they are decided, before the new ones have ids.

use std::collections::HashMap;
use tolmach_domain::{ExternalId, Fault};
use tolmach_engine::ports::{ImportNote, Imported};

/// The fate of a record.
enum Fate {
    Existing(i64),
    /// It is new, and the new one with this index.
    New(usize),
    /// It repeats the new one with this index.
    Repeats(usize),
    Refused(Fault),
}

/// The fates of records of one kind, and the new ones of them.
pub(super) struct Records<T> {
    fates: Vec<Fate>,
    new: Vec<T>,
    source_ids: Vec<ExternalId>,
    notes: Vec<Option<ImportNote>>,
    by_source_id: HashMap<ExternalId, usize>,
}

impl<T> Records<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            fates: Vec::with_capacity(capacity),
            new: Vec::with_capacity(capacity),
            source_ids: Vec::with_capacity(capacity),
            notes: Vec::with_capacity(capacity),
            by_source_id: HashMap::with_capacity(capacity),
        }
    }

    /// True if an earlier record has this id, which is then the fate of this one.
    pub(super) fn repeats(&mut self, source_id: ExternalId) -> bool {
        let earlier = self.by_source_id.get(&source_id);
        self.fates.extend(earlier.map(|index| Fate::Repeats(*index)));
        earlier.is_some()
    }

    pub(super) fn existing(&mut self, id: i64) {
        self.fates.push(Fate::Existing(id));
    }

    pub(super) fn refuse(&mut self, fault: Fault) {
        self.fates.push(Fate::Refused(fault));
    }

    pub(super) fn accept(&mut self, source_id: ExternalId, record: T, note: Option<ImportNote>) {
        self.fates.push(Fate::New(self.new.len()));
        self.by_source_id.insert(source_id, self.new.len());
        self.new.push(record);
        self.source_ids.push(source_id);
        self.notes.push(note);
    }

    /// The ids of the new records at the source, in their order.
    pub(super) fn source_ids(&self) -> &[ExternalId] {
        &self.source_ids
    }

    /// Takes the new records.
    pub(super) fn take_new(&mut self) -> Vec<T> {
        std::mem::take(&mut self.new)
    }

    /// The fates, with the ids of the new records.
    pub(super) fn outcomes<I, E>(
        self,
        ids: &[i64],
        to_id: impl Fn(i64) -> Result<I, E>,
    ) -> Result<Vec<Imported<I>>, E> {
        let Self { fates, source_ids, notes, .. } = self;
        let outcome = |fate| {
            Ok(match fate {
                Fate::Existing(id) => Imported::Existing(to_id(id)?),
                Fate::Repeats(index) => Imported::Existing(to_id(ids[index])?),
                Fate::Refused(fault) => Imported::Refused(fault),
                Fate::New(index) => {
                    let number = source_ids[index].number();
                    let renumbered = number.filter(|number| *number != ids[index]);
                    let renumbered = renumbered.map(|_| ImportNote::Renumbered);
                    Imported::New(to_id(ids[index])?, notes[index].or(renumbered))
                }
            })
        };
        fates.into_iter().map(outcome).collect()
    }
}
