//! An AsyncAPI 3 document of a dialect's WebSockets, made of what the stories send over them.

use crate::goldens::updates_goldens;
use crate::kit::Kit;
use crate::play::WireEntry;
use crate::problems::{Outcome, Problems};
use crate::project::{Direction, SCHEMAS, UPDATE};
use crate::trials::entries::each_entry;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use tolmach_dialect::{DOC, Frame};

/// `protocols/<dialect>/asyncapi.json` has every channel that the stories open, and every message
/// with its schema. Rewritten with the transcripts.
pub fn asyncapi_matches(kit: &Kit) -> Outcome {
    let Some(document) = document(kit)? else { return Ok(()) };
    let text = serde_json::to_string_pretty(&document)
        .map_err(|error| Problems::one(error.to_string()))?
        + "\n";
    let path = kit.project()?.protocol(&kit.folder()).join("asyncapi.json");
    if updates_goldens()? {
        return std::fs::write(&path, text)
            .map_err(|error| Problems::one(format!("{}: {error}", path.display())));
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    let stale = (golden != text).then(|| {
        format!("{} is not what the stories play; {UPDATE}=1 rewrites it", path.display())
    });
    Problems::none_or(stale.into_iter().collect())
}

/// The document; `None` for a dialect without WebSockets.
fn document(kit: &Kit) -> Result<Option<Value>, Problems> {
    let traffic = Traffic::of(kit)?;
    if traffic.addresses.is_empty() {
        return Ok(None);
    }
    let title = kit.title();
    let schemas = match kit.made_schemas() {
        Some(_) => format!("{SCHEMAS}#/$defs"),
        None => format!("../../schemas/{}", kit.folder()),
    };
    let manifest = kit.dialect.manifest();
    let messages: Map<String, Value> = traffic
        .received
        .iter()
        .chain(&traffic.sent)
        .map(|schema| {
            let name = key(schema);
            let message = json!({
                "name": name,
                "contentType": kit.media_type,
                "payload": reference(format!("{schemas}/{schema}")),
            });
            (name, message)
        })
        .collect();
    let (mut channels, mut operations) = (Map::new(), Map::new());
    for address in &traffic.addresses {
        let name = key(address.trim_matches('/'));
        channels.insert(name.clone(), channel(address, &messages));
        for (action, schemas) in [("receive", &traffic.received), ("send", &traffic.sent)] {
            if !schemas.is_empty() {
                operations.insert(format!("{action}_{name}"), operation(action, &name, schemas));
            }
        }
    }
    let specification = if kit.revision() == DOC {
        "SPEC.md beside this file"
    } else {
        "SPEC.md of the dialect, and the file of the revision"
    };
    let description = format!(
        "{}. The specification is {specification}; `send` and `receive` are the gateway's.",
        manifest.summary
    );
    Ok(Some(json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": format!("Tolmach: {title}"),
            "version": kit.revision(),
            "description": description,
        },
        "defaultContentType": kit.media_type,
        "channels": channels,
        "operations": operations,
        "components": { "messages": messages },
    })))
}

/// The addresses of WebSockets, and the schemas of the messages on them.
#[derive(Default)]
struct Traffic {
    addresses: BTreeSet<String>,
    /// Of messages that the server receives.
    received: BTreeSet<String>,
    /// Of messages that the server sends.
    sent: BTreeSet<String>,
}

impl Traffic {
    fn of(kit: &Kit) -> Result<Self, Problems> {
        let schemas = kit.schemas()?;
        let mut traffic = Self::default();
        each_entry(kit, |_, entry, _| {
            let (frame, direction, names) = match entry {
                WireEntry::Opened(request) => {
                    traffic.addresses.insert(template(request.uri.path()));
                    return;
                }
                WireEntry::Client(frame) => (frame, Direction::Request, &mut traffic.received),
                WireEntry::Server(frame) => (frame, Direction::Answer, &mut traffic.sent),
                WireEntry::Closed(_) | WireEntry::Remark(_) => return,
            };
            if let (Frame::Text(_) | Frame::Binary(_), Some(Ok(matching))) =
                (frame, schemas.check(frame, direction))
            {
                names.extend(matching.into_iter().map(str::to_owned));
            }
        })?;
        Ok(traffic)
    }
}

fn channel(address: &str, messages: &Map<String, Value>) -> Value {
    let message =
        |name: &String| (name.clone(), reference(format!("#/components/messages/{name}")));
    let mut channel = json!({
        "address": address,
        "messages": messages.keys().map(message).collect::<Map<_, _>>(),
    });
    if address.contains("{id}") {
        channel["parameters"] =
            json!({ "id": { "description": "The number of the conversation." } });
    }
    channel
}

fn operation(action: &str, channel: &str, schemas: &BTreeSet<String>) -> Value {
    let message =
        |schema: &String| reference(format!("#/channels/{channel}/messages/{}", key(schema)));
    json!({
        "action": action,
        "channel": reference(format!("#/channels/{channel}")),
        "messages": schemas.iter().map(message).collect::<Vec<_>>(),
    })
}

fn reference(target: String) -> Value {
    json!({ "$ref": target })
}

/// A path with its numbers as parameters.
fn template(path: &str) -> String {
    let segment = |segment: &str| match !segment.is_empty()
        && segment.bytes().all(|byte| byte.is_ascii_digit())
    {
        true => "{id}".to_owned(),
        false => segment.to_owned(),
    };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// A name that a reference may hold.
fn key(name: &str) -> String {
    let name = name.trim_end_matches(".json");
    name.chars()
        .filter(|char| !matches!(char, '{' | '}'))
        .map(|char| if char.is_ascii_alphanumeric() { char } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_a_path_are_parameters_and_names_can_be_referred_to() {
        for (path, address, name) in [
            ("/mode", "/mode", "mode"),
            ("/api/v1/chat/12", "/api/v1/chat/{id}", "api_v1_chat_id"),
            ("/ws/admin-chat/", "/ws/admin-chat/", "ws_admin_chat"),
        ] {
            assert_eq!(template(path), address);
            assert_eq!(key(template(path).trim_matches('/')), name);
        }
        assert_eq!(key("getMessages.push.json"), "getMessages_push");
    }
}
