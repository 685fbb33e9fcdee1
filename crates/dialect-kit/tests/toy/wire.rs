//! The frames of a toy.

use crate::toy::defect::Defect;
use serde_json::{Map, Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use tolmach_dialect::{Event, Frame, Unsupported};
use tolmach_domain::EventKind;

/// The wire of one toy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wire {
    /// The id of the dialect.
    pub(crate) id: &'static str,
    /// The prefix of every key of a request: siblings have different ones.
    pub(crate) prefix: &'static str,
    /// The defect.
    pub(crate) defect: Defect,
    /// The number of the dialect's value.
    pub(crate) serial: u64,
}

impl Wire {
    pub(crate) fn is(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    pub(crate) fn unsupported<T>(&self, what: &'static str) -> Result<T, Unsupported> {
        Err(Unsupported { dialect: self.id, what })
    }

    /// The name of a request's key.
    pub(crate) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The frame of a request.
    pub(crate) fn request(&self, fields: &[(&str, Value)]) -> Frame {
        let fields = fields.iter().map(|(name, value)| (self.key(name), value.clone()));
        frame(&Value::Object(fields.collect::<Map<_, _>>()))
    }

    /// A field of a request, as text.
    pub(crate) fn text(&self, request: &Value, name: &str) -> Option<String> {
        request.get(self.key(name)).and_then(Value::as_str).map(str::to_owned)
    }

    /// The frame of an event.
    pub(crate) fn push(&self, event: &Event) -> Result<Frame, Unsupported> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut value = match &event.kind {
            EventKind::Posted(message) => json!({"pushed": {
                "flow": message.flow.get(), "message": message.id.get(),
                "author": message.author.id.get(), "text": message.content.text,
            }}),
            EventKind::FlowCreated { flow, .. } => {
                let owner = flow.owner.map(|owner| owner.get());
                json!({"made": {"flow": flow.id.get(), "owner": owner}})
            }
            _ => return self.unsupported(event.name()),
        };
        match self.defect {
            Defect::RendersDifferently => {
                value["pushed"]["text"] = COUNT.fetch_add(1, Ordering::Relaxed).to_string().into();
            }
            Defect::RendersByItsValue => value["pushed"]["text"] = self.serial.to_string().into(),
            _ => {}
        }
        Ok(frame(&value))
    }
}

/// A value as a frame.
pub(crate) fn frame(value: &Value) -> Frame {
    Frame::text(value.to_string())
}
