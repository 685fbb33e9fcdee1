//! The dialect and revision of a captured connection.

/// The dialect of a connection, as far as the capture says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Wire {
    pub(super) dialect: Option<String>,
    pub(super) revision: Option<String>,
}

impl Wire {
    /// Takes over what a later line says.
    pub(super) fn update(&mut self, newer: Self) {
        self.dialect = newer.dialect.or(self.dialect.take());
        self.revision = newer.revision.or(self.revision.take());
    }

    /// The name of the source that reads the connection; `None` if it is of another dialect than
    /// `from` names, or of another revision.
    pub(super) fn name(&self, from: &str) -> Option<String> {
        let (id, revision) = match from.split_once('/') {
            Some((id, revision)) => (id, Some(revision)),
            None => (from, None),
        };
        if self.dialect.as_deref().is_some_and(|dialect| dialect != id) {
            return None;
        }
        match (revision, self.revision.as_deref()) {
            (Some(named), Some(captured)) => (named == captured).then(|| from.to_owned()),
            (None, Some(captured)) => Some(format!("{id}/{captured}")),
            (_, None) => Some(from.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_read_in_its_own_revision_or_passed_over() {
        let wire = |dialect: &str, revision: &str| {
            let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            Wire { dialect: some(dialect), revision: some(revision) }
        };
        for (from, wire, expected) in [
            ("sndmsg", wire("", ""), Some("sndmsg")),
            ("sndmsg", wire("sndmsg", "uchat"), Some("sndmsg/uchat")),
            ("sndmsg/uchat", wire("sndmsg", ""), Some("sndmsg/uchat")),
            ("sndmsg/uchat", wire("sndmsg", "doc"), None),
            ("sndmsg", wire("mode", ""), None),
        ] {
            assert_eq!(wire.name(from).as_deref(), expected, "{from} {wire:?}");
        }
    }
}
