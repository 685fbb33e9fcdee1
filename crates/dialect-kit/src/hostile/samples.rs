//! Well-formed frames to make malformed ones of.

use crate::fixtures::{self, Persona, time};
use crate::kit::Kit;
use crate::play::{
    Connections, DialectPair, Marker, PlayError, PreparedRequest, RecordedStep, Recording,
    WireEntry, is_websocket, prepare_script, script_points,
};
use crate::problems::Problems;
use crate::script::Script;
use std::collections::BTreeSet;
use tolmach_dialect::{Correlation, Credentials, Dialect, Frame, Request};
use tolmach_domain::{Command, GrantKind, Secret};

/// The frames of one operation.
pub(crate) struct Sample<'k> {
    /// The title in messages.
    pub(crate) title: String,
    /// The request that opens the connection.
    pub(crate) opening: http::request::Parts,
    /// The client's frame.
    pub(crate) client: Frame,
    /// The server's frames in answer.
    pub(crate) server: Vec<Frame>,
    source: Source<'k>,
}

/// The way to bring a connection to the point just before the client's frame.
enum Source<'k> {
    /// By the client session, after a login where the wire has one.
    Story {
        pair: DialectPair<'k>,
        persona: &'static Persona,
        login: Option<Request>,
        request: Box<Request>,
    },
    /// By the frames of a script.
    Script { dialect: &'k dyn Dialect, script: &'k Script, index: usize },
}

impl Sample<'_> {
    /// A connection just before the client's frame.
    pub(crate) fn prepare(&self) -> PreparedRequest {
        self.source
            .prepare()
            .unwrap_or_else(|_| unreachable!("it was prepared when the sample was taken"))
    }

    /// True for a WebSocket.
    pub(crate) fn is_websocket(&self) -> bool {
        is_websocket(&self.opening)
    }

    /// The request that the client's frame carries; `None` of a script.
    pub(crate) fn request(&self) -> Option<&Request> {
        match &self.source {
            Source::Story { request, .. } => Some(request),
            Source::Script { .. } => None,
        }
    }
}

impl Source<'_> {
    fn prepare(&self) -> Result<PreparedRequest, String> {
        match self {
            Source::Story { pair, persona, login, request } => {
                prepare_story(*pair, persona, login.as_ref(), request)
                    .map_err(|error| format!("{error:?}"))
            }
            Source::Script { dialect, script, index } => prepare_script(*dialect, script, *index),
        }
    }
}

/// One exchange of each operation whose frame is not the handshake. Of a dialect without a client,
/// they are taken from the scripts.
pub(crate) fn samples(kit: &Kit) -> Result<Vec<Sample<'_>>, Problems> {
    let dialect = kit.dialect.as_ref();
    let samples = match DialectPair::of(dialect) {
        Some(pair) => story_samples(pair, kit.record()),
        None => script_samples(dialect, &kit.scripts).map_err(Problems::one)?,
    };
    if samples.is_empty() {
        return Err(Problems::one(if kit.has_project() {
            "there is no frame to attack with: the dialect plays none of the stories, and has no \
             script whose frames are requests"
        } else {
            "there is no frame to attack with: no request is a command that a client can make, \
             such as login or send; the command nothing does nothing"
        }));
    }
    Ok(samples)
}

fn story_samples<'k>(pair: DialectPair<'k>, recording: &Recording) -> Vec<Sample<'k>> {
    let mut taken = BTreeSet::new();
    let mut all = Vec::new();
    for step in &recording.steps {
        let (Some(request), Some(persona), None) = (&step.request, step.persona, &step.unsupported)
        else {
            continue;
        };
        let operation = request.command.name();
        if taken.contains(operation) {
            continue;
        }
        if let Some(sample) = story_sample(pair, step, persona, request) {
            taken.insert(operation);
            all.push(sample);
        }
    }
    all
}

fn story_sample<'k>(
    pair: DialectPair<'k>,
    step: &RecordedStep,
    persona: &'static Persona,
    request: &Request,
) -> Option<Sample<'k>> {
    let request = Box::new(Request { correlation: Correlation::new(Marker(0)), ..request.clone() });
    let login = login_of(persona);
    let login = Request::new(Correlation::NONE, Credentials::Nothing, login);
    // A wire without a login has credentials in each request.
    let sources = [Some(login), None].map(|login| Source::Story {
        pair,
        persona,
        login,
        request: request.clone(),
    });
    let (source, prepared) = sources
        .into_iter()
        .find_map(|source| source.prepare().ok().map(|found| (source, found)))?;
    let server = step.entries.iter().filter_map(|entry| match entry {
        WireEntry::Server(frame) => Some(frame.clone()),
        _ => None,
    });
    Some(Sample {
        title: step.title.clone(),
        opening: prepared.opening,
        client: prepared.frame?,
        server: server.collect(),
        source,
    })
}

fn script_samples<'k>(
    dialect: &'k dyn Dialect,
    scripts: &'k [Script],
) -> Result<Vec<Sample<'k>>, String> {
    let mut taken = BTreeSet::new();
    let mut all = Vec::new();
    for script in scripts {
        for point in script_points(dialect, script)? {
            if !taken.insert(point.operation) {
                continue;
            }
            let source = Source::Script { dialect, script, index: point.index };
            let prepared = source.prepare()?;
            if let Some(client) = prepared.frame {
                let (title, server) = (point.title, point.answers);
                all.push(Sample { title, opening: prepared.opening, client, server, source });
            }
        }
    }
    Ok(all)
}

/// The login of a persona.
pub(crate) fn login_of(persona: &Persona) -> Command {
    Command::Login {
        identifier: persona.login.into(),
        password: Secret::new(persona.password),
        grant: GrantKind::Token,
    }
}

fn prepare_story(
    pair: DialectPair<'_>,
    persona: &'static Persona,
    login: Option<&Request>,
    request: &Request,
) -> Result<PreparedRequest, PlayError> {
    let mut connections = Connections::new(pair);
    if let Some(login) = login {
        let respond =
            &mut |decoded: &Request, _| Ok(Some(Ok(fixtures::answer(persona, &decoded.command))));
        connections.request(time(1), persona, login, respond)?;
    }
    connections.prepare(time(2), persona, request)
}
