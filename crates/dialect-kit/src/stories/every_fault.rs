//! Every fault on the wire.

use crate::fixtures::{ANN, CHAT, flow_id};
use crate::stories::commands::{list_flows, log_in, send};
use crate::stories::faults::all_faults;
use crate::stories::story::{Exchange, Story};
use tolmach_domain::{Command, Content, FlowKindFilter};

/// Every fault in response to the two commands that every wire has.
pub(crate) fn every_fault() -> Story {
    let mut steps = vec![log_in(&ANN)];
    for fault in all_faults() {
        steps.push(Exchange::refused(&ANN, list_flows(None, 0, false), fault).into());
    }
    steps.push(
        Exchange::granted(
            &ANN,
            "",
            Command::GetFlow { flow: flow_id(CHAT), kinds: FlowKindFilter::Chat, members: true },
        )
        .into(),
    );
    for fault in all_faults() {
        steps.push(
            Exchange::refused(
                &ANN,
                send(CHAT, FlowKindFilter::Any, Content::text("Heard?")),
                fault,
            )
            .into(),
        );
    }
    Story { name: "faults", steps }
}
