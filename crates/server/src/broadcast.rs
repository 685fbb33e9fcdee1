//! An event on its way to many connections, rendered at most once per dialect and variant.

use crate::backlog::{FlowBacklog, Tracked};
use crate::served_dialect::ServedDialect;
use crate::wire_ids::{ids_in, rename};
use crate::write_buffer::encode;
use bytes::Bytes;
use std::sync::{Arc, OnceLock};
use tolmach_dialect::{Event, RenderContext, Variant, WideIds};
use tolmach_domain::{EventKind, FlowSummary, IdNamespace};
use tolmach_engine::ExternalIds;

/// The largest frame of an event, in bytes: many clients close a connection that brings a larger
/// one, and would be sent it again by the next.
const MAX_FRAME: usize = 1 << 20;
/// The longest text of an event whose frame would be larger, in bytes. As JSON it takes at most six
/// times as many, so that the rest of a frame has a quarter of [`MAX_FRAME`].
const MAX_REDUCED_TEXT: usize = 128 << 10;

/// An event on its way to many connections.
pub(crate) struct Broadcast {
    event: Arc<Event>,
    /// The flow as it is with this event, for the dialects that need it.
    summary: Option<Arc<FlowSummary>>,
    rendered: OnceLock<Box<Rendered>>,
    /// The event as the clients of each namespace of external ids know it.
    renamed: OnceLock<Box<Renamed>>,
    tracked: Option<Tracked>,
}

/// An event as one dialect is given it.
#[derive(Clone, Copy)]
pub(crate) struct EventForm<'a> {
    pub(crate) event: &'a Event,
    pub(crate) context: RenderContext<'a>,
}

/// The external ids that the event needs are not cached.
#[derive(Debug)]
pub(crate) struct IdsMissing;

/// The event in one namespace, and in the next: a list as that of [`Rendered`].
struct Renamed {
    namespace: IdNamespace,
    /// `None` where its ids were not cached.
    parts: Option<RenamedParts>,
    next: OnceLock<Box<Renamed>>,
}

struct RenamedParts {
    event: Event,
    summary: Option<FlowSummary>,
    wide_ids: WideIds,
}

/// One form of an event, and the next: a list that only grows is read without a lock.
struct Rendered {
    /// [`ServedDialect::number`].
    dialect: u64,
    variant: Variant,
    /// The encoded WebSocket frame; `None` where the dialect does not support the event.
    frame: Option<Bytes>,
    next: OnceLock<Box<Rendered>>,
}

impl Broadcast {
    /// An event of a flow, which counts in the flow's backlog until it is dropped.
    pub(crate) fn of_flow(
        event: Arc<Event>,
        summary: Option<Arc<FlowSummary>>,
        backlog: &Arc<FlowBacklog>,
    ) -> Self {
        let tracked = Some(backlog.track(event.size()));
        Self { event, summary, rendered: OnceLock::new(), renamed: OnceLock::new(), tracked }
    }

    /// An event of one user.
    pub(crate) fn of_user(event: Arc<Event>) -> Self {
        Self {
            event,
            summary: None,
            rendered: OnceLock::new(),
            renamed: OnceLock::new(),
            tracked: None,
        }
    }

    pub(crate) fn event(&self) -> &Arc<Event> {
        &self.event
    }

    /// The event for a connection of this dialect, with the context to render it with.
    pub(crate) fn form(&self, dialect: &ServedDialect) -> Result<EventForm<'_>, IdsMissing> {
        let needs_summary = dialect.manifest().needs_flow_summaries;
        let summary =
            |summary: Option<_>| RenderContext::with_flow(summary.filter(|_| needs_summary));
        let Some(ids) = &dialect.external_ids else {
            let context = summary(self.summary.as_deref());
            return Ok(EventForm { event: &self.event, context });
        };
        let mut cell = &self.renamed;
        loop {
            let renamed = cell.get_or_init(|| {
                let namespace = ids.namespace().clone();
                Box::new(Renamed { namespace, parts: self.rename(ids), next: OnceLock::new() })
            });
            if renamed.namespace == *ids.namespace() {
                let parts = renamed.parts.as_ref().ok_or(IdsMissing)?;
                let context = summary(parts.summary.as_ref());
                let context = context.with_wide_ids(Some(&parts.wide_ids));
                return Ok(EventForm { event: &parts.event, context });
            }
            cell = &renamed.next;
        }
    }

    /// The event and the summary with the ids of a namespace. `None` where one is not cached.
    fn rename(&self, ids: &ExternalIds) -> Option<RenamedParts> {
        let (mut event, mut summary) = ((*self.event).clone(), self.summary.as_deref().cloned());
        let mut objects = ids_in(&mut event);
        objects.append(&mut ids_in(&mut summary));
        let map = ids.cached_on_wire(&objects)?;
        let mut wide = rename(&mut event, &map);
        wide.append(&mut rename(&mut summary, &map));
        Some(RenamedParts { event, summary, wide_ids: WideIds::new(wide, Vec::new()) })
    }

    /// True if it ends sessions, and maybe connections with them.
    pub(crate) fn ends_sessions(&self) -> bool {
        matches!(self.event.kind, EventKind::SessionsEnded { .. })
    }

    /// The frame that all connections of a dialect and variant share. The first caller renders it
    /// while others wait.
    pub(crate) fn frame(&self, dialect: &ServedDialect, variant: Variant) -> Option<Bytes> {
        let number = dialect.number;
        let mut cell = &self.rendered;
        loop {
            let rendered = cell.get_or_init(|| {
                dialect.metrics.event_renders.increment(1);
                let frame = self.bounded_frame(dialect, variant);
                let frame = frame.map(|frame| dialect.memory.share(frame));
                Box::new(Rendered { dialect: number, variant, frame, next: OnceLock::new() })
            });
            if rendered.variant == variant && rendered.dialect == number {
                return rendered.frame.clone();
            }
            cell = &rendered.next;
        }
    }

    /// The encoded frame, of at most [`MAX_FRAME`] bytes: in a larger one the files are named
    /// instead of embedded. `None` where the dialect does not support the event.
    fn bounded_frame(&self, dialect: &ServedDialect, variant: Variant) -> Option<Bytes> {
        let form = self.form(dialect).ok()?;
        let frame = render(form, dialect, variant)?;
        if frame.len() <= MAX_FRAME {
            return Some(frame);
        }
        dialect.metrics.events_reduced.increment(1);
        let form = EventForm { event: &reduced(form.event), ..form };
        let frame = render(form, dialect, variant)?;
        if frame.len() > MAX_FRAME {
            tracing::error!(
                dialect = dialect.id(),
                event = self.event.name(),
                bytes = frame.len(),
                "the frame of an event is too large and was not sent"
            );
            return None;
        }
        Some(frame)
    }

    /// The size of the largest frame that it was rendered to so far, in bytes.
    fn largest_frame(&self) -> usize {
        let forms = std::iter::successors(self.rendered.get(), |form| form.next.get());
        forms.filter_map(|form| form.frame.as_ref().map(Bytes::len)).max().unwrap_or_default()
    }
}

fn render(form: EventForm<'_>, dialect: &ServedDialect, variant: Variant) -> Option<Bytes> {
    let frame = dialect.dialect.render(form.event, &form.context, variant);
    let frame = frame.inspect_err(
        |unsupported| tracing::debug!(%unsupported, "the dialect cannot encode this event"),
    );
    frame.ok().map(encode)
}

/// The event with the text of its message cut to [`MAX_REDUCED_TEXT`] and its files named there.
fn reduced(event: &Event) -> Event {
    let mut event = event.clone();
    if let EventKind::Posted(message) | EventKind::Edited(message) = &mut event.kind {
        message.content.reduce(MAX_REDUCED_TEXT, 0);
    }
    event
}

impl Drop for Broadcast {
    fn drop(&mut self) {
        if let Some(tracked) = &self.tracked {
            tracked.rendered(self.largest_frame());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backlog::Backlogs;
    use crate::test_support::{served, toy};
    use crate::toy::Backend;
    use tolmach_dialect::Manifest;
    use tolmach_domain::{
        Attachment, AttachmentKind, Content, ExternalId, Flow, FlowId, FlowKind, Message,
        MessageId, ObjectId, Timestamp, UserId, UserSummary,
    };
    use tolmach_engine::ports::{ExternalIdRow, ExternalIdStore};

    fn event(text: &str) -> Arc<Event> {
        let flow = (FlowId::new(1).unwrap(), FlowKind::Group);
        let author = UserSummary::named(UserId::new(1).unwrap(), "ann");
        let (id, time) = (MessageId::new(1).unwrap(), Timestamp::default());
        let message = Message::new(id, flow, author, Content::text(text), time);
        Arc::new(Event::new(time, EventKind::Posted(message)))
    }

    #[test]
    fn an_event_is_rendered_once_for_all_connections_of_a_variant() {
        let backlog = FlowBacklog::new(Backlogs::new(1 << 20));
        let broadcast = Broadcast::of_flow(event("hello"), None, &backlog);
        let (toy, other) = (served(toy()), served(Manifest::new("other", "")));
        let first = broadcast.frame(&toy, Variant(0)).unwrap();
        let again = broadcast.frame(&toy, Variant(0)).unwrap();
        assert_eq!(first.as_ptr(), again.as_ptr());
        for different in [
            broadcast.frame(&toy, Variant(1)).unwrap(),
            broadcast.frame(&other, Variant(0)).unwrap(),
        ] {
            assert_ne!(first.as_ptr(), different.as_ptr());
        }
    }

    #[test]
    fn a_frame_over_the_limit_names_files_instead_of_embedding_them() {
        let toy = served(toy());
        let frame = |event: &Arc<Event>| {
            let backlog = FlowBacklog::new(Backlogs::new(1 << 20));
            Broadcast::of_flow(event.clone(), None, &backlog).frame(&toy, Variant(0)).unwrap()
        };
        let with_file = |bytes: usize| {
            let mut event = event("hello");
            let EventKind::Posted(message) = &mut Arc::make_mut(&mut event).kind else { panic!() };
            let data = "A".repeat(bytes);
            message.content.attachments = vec![Attachment { kind: AttachmentKind::Picture, data }];
            event
        };
        // The header of a WebSocket frame has 2 bytes if the payload is short, 10 if it is long.
        let overhead = frame(&with_file(0)).len() - 2 + 10;
        let fits = MAX_FRAME - overhead;
        assert_eq!(frame(&with_file(fits)).len(), MAX_FRAME);
        let reduced = frame(&with_file(fits + 1));
        let name = format!("[picture, {} bytes]", fits + 1);
        assert!(reduced.len() < 1_000 && contains(&reduced, &name), "{reduced:?}");
        let long = frame(&event(&"\u{1}".repeat(MAX_FRAME)));
        assert!(long.len() <= MAX_FRAME && long.len() > MAX_REDUCED_TEXT, "{}", long.len());
    }

    fn contains(frame: &[u8], text: &str) -> bool {
        frame.windows(text.len()).any(|part| part == text.as_bytes())
    }

    #[test]
    fn only_a_dialect_that_needs_it_is_given_the_summary() {
        let backlog = FlowBacklog::new(Backlogs::new(1 << 20));
        let flow = Flow::new(FlowId::new(1).unwrap(), FlowKind::Group, "group");
        let summary = Some(Arc::new(FlowSummary::new(flow)));
        let broadcast = Broadcast::of_flow(event("hello"), summary, &backlog);
        assert!(broadcast.form(&served(toy())).unwrap().context.flow.is_none());
        assert!(
            broadcast.form(&served(toy().needs_flow_summaries())).unwrap().context.flow.is_some()
        );
    }

    #[tokio::test]
    async fn an_event_has_the_ids_of_each_namespace_once_they_are_cached() {
        let backend = Backend::new();
        let namespace: IdNamespace = "old".parse().unwrap();
        let row = ExternalIdRow {
            object: ObjectId::Flow(FlowId::new(1).unwrap()),
            external: ExternalId(70),
        };
        backend.store.add_external_ids(&namespace, &[row]).await.unwrap();
        let ids = backend.engine.external_ids(namespace);
        let mut renamed = Arc::into_inner(served(toy())).unwrap();
        renamed.external_ids = Some(ids.clone());
        let plain = served(toy());
        let backlog = FlowBacklog::new(Backlogs::new(1 << 20));
        let early = Broadcast::of_flow(event("hello"), None, &backlog);
        assert!(early.form(&renamed).is_err(), "nothing is cached yet");
        ids.on_wire(&ids_in(&mut (*event("hello")).clone())).await.unwrap();
        let later = Broadcast::of_flow(event("hello"), None, &backlog);
        for _ in 0..2 {
            let flow = |dialect| later.form(dialect).unwrap().event.flow().map(FlowId::get);
            assert_eq!((flow(&renamed), flow(&*plain)), (Some(70), Some(1)));
        }
        let [first, again] =
            [0, 1].map(|_| std::ptr::from_ref(later.form(&renamed).unwrap().event));
        assert_eq!(first, again, "it is renamed once");
    }

    #[test]
    fn the_backlog_knows_the_size_of_the_last_frame() {
        let backlog = FlowBacklog::new(Backlogs::new(1 << 20));
        let toy = served(toy());
        let broadcast = Broadcast::of_flow(event("hello"), None, &backlog);
        let bytes = broadcast.frame(&toy, Variant(0)).unwrap().len();
        assert_eq!(backlog.last_frame_bytes(), 0);
        drop(broadcast);
        assert_eq!(backlog.last_frame_bytes(), bytes);
    }
}
