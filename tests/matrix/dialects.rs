//! The dialects that everything here is generic over: the only place that names them.

use std::sync::Arc;
use tolmach_dialect::Dialect;

/// A dialect, and what a generic trial has to be told about it.
pub(crate) struct Spoken {
    pub(crate) dialect: Arc<dyn Dialect>,
    /// Where this wire answers several faults alike: the name of the fault that is meant, and those
    /// that its client may read instead.
    pub(crate) merged: &'static [(&'static str, &'static [&'static str])],
}

impl Spoken {
    pub(crate) fn id(&self) -> &'static str {
        self.dialect.manifest().id
    }

    /// Whether a client of this dialect may read the fault `meant` as `read`.
    pub(crate) fn may_read(&self, meant: &str, read: &str) -> bool {
        meant == read
            || self.merged.iter().any(|(name, others)| *name == meant && others.contains(&read))
    }
}

/// Every dialect.
pub(crate) fn all() -> Vec<Spoken> {
    vec![
        Spoken { dialect: Arc::new(tolmach_dialect_mode::Mode), merged: &[] },
        Spoken { dialect: Arc::new(tolmach_dialect_sndmsg::SndMsg), merged: &[] },
        Spoken { dialect: Arc::new(tolmach_dialect_morelia::Morelia), merged: &[] },
        Spoken { dialect: Arc::new(tolmach_dialect_bearer::Bearer), merged: &[] },
        Spoken {
            dialect: Arc::new(tolmach_dialect_action::Action::default()),
            // Everything is asked in a joined room, which is what is refused first.
            merged: &[("not_author", &["no_such_message"]), ("no_such_message", &["no_such_flow"])],
        },
    ]
}

/// The dialect with this id.
pub(crate) fn named(id: &str) -> Spoken {
    all()
        .into_iter()
        .find(|spoken| spoken.id() == id)
        .unwrap_or_else(|| panic!("there is no dialect {id}"))
}

/// Every ordered pair, each with itself too.
pub(crate) fn pairs() -> Vec<(&'static str, &'static str)> {
    let ids: Vec<_> = all().iter().map(Spoken::id).collect();
    ids.iter().flat_map(|source| ids.iter().map(move |target| (*source, *target))).collect()
}
