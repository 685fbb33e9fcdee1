//! `[record]`: the recording of the gateway's own traffic.

use crate::config::{Config, Record};
use crate::error::UsageError;
use ipnet::IpNet;
use metrics::{Counter, counter, describe_counter};
use std::path::Path;
use std::sync::Arc;
use tolmach_adapters::create_private_folder;
use tolmach_capture::{
    ConnectionLog, KnownDialect, Opening, Recorder, Recording, RecordingHandle, RecordingOptions,
    Replacer, Target, Transport,
};
use tolmach_dialect::{Frame, Manifest, Revision, Sender};
use tolmach_domain::UserId;
use tolmach_engine::{Engine, ErrorChain};
use tolmach_server::{ConnectionRecorder, FrameRecorder, RecordedConnection, RecordedTransport};

/// The most bytes of a connection that wait for its login, where only one user is recorded.
const HELD_BYTES: usize = 256 << 10;

/// Begins the recording that the configuration asks for, if it asks for one. It ends when it is
/// dropped.
pub(crate) fn start(
    config: &Config,
    data: &Path,
    engine: &Engine,
) -> Result<Option<Recording>, UsageError> {
    let record = &config.record;
    if !record.enabled {
        return Ok(None);
    }
    let configured = Some(&record.folder).filter(|folder| !folder.as_os_str().is_empty());
    let folder = configured.map_or_else(|| data.join("captures"), Clone::clone);
    let failed =
        |source| UsageError::Folder { name: "`record.folder`", folder: folder.clone(), source };
    create_private_folder(&folder).map_err(|error| failed(error.source))?;
    let mut random = [0; 32];
    engine.fill_random(&mut random);
    let key = match record.key.expose() {
        "" => &random[..],
        key => key.as_bytes(),
    };
    let options = RecordingOptions {
        recorder: Recorder::Gateway,
        target: Target::Folder {
            path: folder.clone(),
            max_file_bytes: record.max_file_bytes as u64,
            max_files: record.max_files,
        },
        replacer: Replacer::new(key, record.texts),
        queue_bytes: record.queue_bytes,
    };
    let recording = Recording::start(options, |error| {
        tracing::error!(error = %ErrorChain(&error), "the recording has stopped");
    });
    tracing::info!(folder = %folder.display(), texts = record.texts, "recording");
    Ok(Some(recording.map_err(failed)?))
}

/// The server's side of a recording.
pub(crate) fn recorder(recording: &Recording, config: &Config) -> Arc<dyn FrameRecorder> {
    describe_counter!("tolmach_recorded_frames_total", "Frames that were recorded");
    describe_counter!(
        "tolmach_unrecorded_frames_total",
        "Frames that were not recorded although they should be, because the queue was full"
    );
    Arc::new(GatewayRecorder {
        handle: recording.handle(),
        filter: Filter::of(&config.record),
        counters: Arc::new(Counters {
            recorded: counter!("tolmach_recorded_frames_total"),
            missing: counter!("tolmach_unrecorded_frames_total"),
        }),
    })
}

struct GatewayRecorder {
    handle: RecordingHandle,
    filter: Filter,
    counters: Arc<Counters>,
}

struct Counters {
    recorded: Counter,
    missing: Counter,
}

/// The connections that are recorded.
#[derive(Clone)]
struct Filter {
    share: u64,
    user: Option<i64>,
    addresses: Vec<IpNet>,
    dialects: Arc<[String]>,
}

impl Filter {
    fn of(record: &Record) -> Self {
        Self {
            share: u64::from(record.share),
            user: (record.user > 0).then_some(record.user),
            addresses: record.addresses.clone(),
            dialects: record.dialects.clone().into(),
        }
    }

    /// True for a connection that may be recorded, as far as its beginning shows.
    fn admits(&self, connection: &RecordedConnection<'_>) -> bool {
        let address = connection.address.to_canonical();
        let id = connection.manifest.id;
        let names = |name: &String| name.split('/').next() == Some(id);
        percent(connection.id.0) < self.share
            && (self.addresses.is_empty()
                || self.addresses.iter().any(|network| network.contains(&address)))
            && (self.dialects.is_empty() || self.dialects.iter().any(names))
    }

    /// True if a revision is recorded, of a dialect that is.
    fn admits_revision(&self, id: &str, revision: &str) -> bool {
        let names = |name: &String| match name.split_once('/') {
            Some((own, own_revision)) => (own, own_revision) == (id, revision),
            None => name == id,
        };
        self.dialects.is_empty() || self.dialects.iter().any(names)
    }
}

/// The place of a connection among a hundred, always the same one for a number.
fn percent(connection: u64) -> u64 {
    // The multiplier of Fibonacci hashing spreads neighbouring numbers.
    (connection.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % 100
}

impl FrameRecorder for GatewayRecorder {
    fn open(&self, connection: &RecordedConnection<'_>) -> Option<Box<dyn ConnectionRecorder>> {
        if !self.filter.admits(connection) {
            return None;
        }
        let user = connection.user.map(UserId::get);
        let is_user_pending = self.filter.user.is_some() && self.filter.user != user;
        let id = connection.manifest.id;
        // The first frame may decide on another revision.
        let is_revision_pending = !self.filter.admits_revision(id, connection.revision);
        let opening = Opening {
            connection: 0,
            at: 0,
            transport: match connection.transport {
                RecordedTransport::WebSocket => Transport::WebSocket,
                RecordedTransport::Http => Transport::Http,
                RecordedTransport::Tcp => Transport::Tcp,
            },
            dialect: Some(known(connection.manifest, connection.revision)),
            request: connection.request.cloned().map(Box::new),
            address: Some(connection.address),
            user,
        };
        let hold = (is_user_pending || is_revision_pending).then_some(HELD_BYTES);
        let log = self.handle.open(opening, hold);
        if log.is_none() {
            self.counters.missing.increment(1);
        }
        Some(Box::new(RecordedLog {
            log: Some(log?),
            counters: self.counters.clone(),
            choice: Box::new(Choice {
                filter: self.filter.clone(),
                dialect: known(connection.manifest, connection.revision),
                user,
                is_user_pending,
                is_revision_pending,
            }),
        }))
    }
}

fn known(manifest: &Manifest, revision: Revision) -> KnownDialect {
    KnownDialect {
        id: manifest.id.to_owned(),
        revision: revision.to_owned(),
        rules: manifest.field_rules(revision),
    }
}

/// A connection that is recorded, or may be. A frame of the server reads one cache line of it.
struct RecordedLog {
    /// `None` once it is known not to be recorded.
    log: Option<ConnectionLog>,
    counters: Arc<Counters>,
    choice: Box<Choice>,
}

/// The properties of a connection that tell if it is recorded.
struct Choice {
    filter: Filter,
    dialect: KnownDialect,
    user: Option<i64>,
    is_user_pending: bool,
    is_revision_pending: bool,
}

impl RecordedLog {
    fn discard(&mut self) {
        self.log.take().into_iter().for_each(ConnectionLog::discard);
    }

    /// Records what was held, once it is known that it is to be.
    fn decide(&mut self) {
        let choice = &self.choice;
        if !choice.is_user_pending
            && !choice.is_revision_pending
            && let Some(log) = &mut self.log
            && log.is_held()
        {
            log.release(choice.user, Some(choice.dialect.clone()));
        }
    }
}

impl ConnectionRecorder for RecordedLog {
    fn frame(&mut self, from: Sender, frame: Frame, name: Option<&'static str>) {
        if from == Sender::Client && self.choice.is_revision_pending {
            // The first frame has decided the revision before it comes here.
            return self.discard();
        }
        let Some(log) = &mut self.log else { return };
        if log.frame(from, frame, name) {
            self.counters.recorded.increment(1);
        } else {
            self.counters.missing.increment(1);
        }
    }

    fn user(&mut self, user: UserId) {
        let choice = &mut *self.choice;
        choice.user = Some(user.get());
        let is_wanted = choice.filter.user == choice.user;
        if !choice.is_user_pending {
            if choice.filter.user.is_some() && !is_wanted {
                // The connection goes on as another user's.
                self.log = None;
            }
            return;
        }
        if is_wanted {
            choice.is_user_pending = false;
            self.decide();
        } else {
            self.discard();
        }
    }

    fn revision(&mut self, manifest: &Manifest, revision: Revision) {
        let choice = &mut *self.choice;
        choice.dialect = known(manifest, revision);
        if let Some(log) = &mut self.log
            && !log.is_held()
        {
            log.dialect(choice.dialect.clone());
        }
        if choice.is_revision_pending && choice.filter.admits_revision(manifest.id, revision) {
            choice.is_revision_pending = false;
            self.decide();
        }
    }

    fn close(&mut self, by: Sender, code: Option<u16>) {
        if let Some(log) = &mut self.log {
            log.close(Some(by), code);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_that_of_connections() {
        for share in [0, 1, 10, 50, 99, 100] {
            let recorded = (0..100_000).filter(|connection| percent(*connection) < share).count();
            let share = usize::try_from(share).unwrap() * 1_000;
            assert!(recorded.abs_diff(share) <= 500, "{recorded} of {share}");
        }
    }

    #[test]
    fn dialects_and_revisions_are_filtered_by_their_names() {
        let filter = |names: &[&str]| Filter {
            share: 100,
            user: None,
            addresses: Vec::new(),
            dialects: names.iter().map(ToString::to_string).collect(),
        };
        for (names, id, revision, admitted) in [
            (&[][..], "mode", "doc", true),
            (&["mode"], "mode", "literal", true),
            (&["mode/doc"], "mode", "literal", false),
            (&["mode/literal", "sndmsg"], "sndmsg", "uchat", true),
            (&["mode/literal"], "sndmsg", "literal", false),
        ] {
            assert_eq!(filter(names).admits_revision(id, revision), admitted, "{names:?} {id}");
        }
    }

    #[test]
    fn a_connection_is_recorded_up_to_the_login_of_another_user() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let options = RecordingOptions {
            recorder: Recorder::Gateway,
            target: Target::File(path.clone()),
            replacer: Replacer::new(b"a key of a trial", false),
            queue_bytes: 1 << 20,
        };
        let recording = Recording::start(options, |error| panic!("{error}")).unwrap();
        let (id, revision) = ("toy".to_owned(), "doc".to_owned());
        let dialect = KnownDialect { id, revision, rules: &[] };
        let opening = Opening {
            connection: 0,
            at: 0,
            transport: Transport::WebSocket,
            dialect: Some(dialect.clone()),
            request: None,
            address: None,
            user: None,
        };
        let mut log = RecordedLog {
            log: recording.open(opening, Some(HELD_BYTES)),
            counters: Arc::new(Counters { recorded: Counter::noop(), missing: Counter::noop() }),
            choice: Box::new(Choice {
                filter: Filter {
                    share: 100,
                    user: Some(1),
                    addresses: Vec::new(),
                    dialects: Arc::default(),
                },
                dialect,
                user: None,
                is_user_pending: true,
                is_revision_pending: false,
            }),
        };
        for user in [1, 1, 2] {
            log.frame(Sender::Client, Frame::text("{}"), None);
            log.user(UserId::new(user).unwrap());
            log.frame(Sender::Server, Frame::text("[]"), None);
        }
        drop((log, recording));
        let text = std::fs::read_to_string(path).unwrap();
        let count = |kind: &str| text.matches(&format!("\"type\":\"{kind}\"")).count();
        assert_eq!((count("open"), count("frame"), count("close")), (1, 5, 1), "{text}");
    }
}
