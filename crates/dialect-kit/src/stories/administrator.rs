//! An administrator's requests.

use crate::fixtures::{self, CAROL, CHAT, flow_id, message_id};
use crate::stories::commands::{list_flows, send};
use crate::stories::story::{Exchange, Story};
use tolmach_domain::{Command, Content, EventKind, Fault, FlowKindFilter, Version};

pub(crate) fn administrator() -> Story {
    let get =
        || Command::GetFlow { flow: flow_id(CHAT), kinds: FlowKindFilter::Chat, members: true };
    let edit = || Command::Edit {
        message: message_id(13),
        flow: Some(flow_id(CHAT)),
        text: "Put by an administrator".to_owned(),
    };
    let delete = || Command::Delete {
        messages: vec![message_id(11), message_id(12)],
        flow: Some(flow_id(CHAT)),
        all_or_none: false,
    };
    let steps = vec![
        Exchange::refused(&CAROL, list_flows(None, 0, true), Fault::NotAdministrator),
        Exchange::granted(&CAROL, "", list_flows(None, 0, true)),
        Exchange::refused(&CAROL, get(), Fault::NoSuchFlow),
        Exchange::granted(&CAROL, "", get()),
        Exchange::refused(
            &CAROL,
            send(CHAT, FlowKindFilter::Any, Content::text("May I?")),
            Fault::NoBusiness,
        ),
        Exchange::granted(&CAROL, "", send(CHAT, FlowKindFilter::Any, Content::text("I may")))
            .with_event(EventKind::Posted(fixtures::posted(
                &CAROL,
                flow_id(CHAT),
                Content::text("I may"),
            ))),
        Exchange::granted(&CAROL, "", edit()).with_event(EventKind::Edited(fixtures::edited(
            message_id(13),
            "Put by an administrator",
        ))),
        Exchange::granted(&CAROL, "", delete()).with_event(EventKind::Deleted {
            flow: flow_id(CHAT),
            by: CAROL.user(),
            messages: vec![(message_id(11), Version(5)), (message_id(12), Version(6))],
        }),
    ];
    Story {
        name: "administrator",
        steps: steps.into_iter().map(|exchange| exchange.by_administrator().into()).collect(),
    }
}
