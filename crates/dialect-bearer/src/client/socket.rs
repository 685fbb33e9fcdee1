//! The WebSocket of a room, and of all rooms.

use super::decode::{self, ServerFrame};
use super::encode;
use crate::errors::{DIALECT, RequestError, read_frame, read_response, unsupported};
use crate::head::RequestHead;
use crate::routes::Operation;
use tolmach_dialect::pending::PendingRequests;
use tolmach_dialect::{
    ClientSession, Correlation, Frame, Incoming, InvalidReply, Request, Response, Unsupported,
};
use tolmach_domain::{
    Answer, Command, EventKind, Fault, FlowId, FlowKind, FlowKindFilter, Timestamp,
};

/// The client's side of a WebSocket.
///
/// This wire does not answer a frame that is carried out. A message with the text of a pending send
/// is taken for its response, which errs towards another user's equal text. An error frame is
/// taken for the response to the oldest pending send, or without any to the latest typing.
pub(super) struct ClientSocket {
    head: RequestHead,
    /// The room; `None` for all rooms.
    room: Option<FlowId>,
    max_json_depth: usize,
    /// True once the history was received.
    has_history: bool,
    history: Option<Correlation>,
    /// Sends that wait for their message, each with its text.
    sends: PendingRequests<(Correlation, String)>,
    typing: Option<Correlation>,
}

impl ClientSocket {
    pub(super) fn new(head: RequestHead, max_json_depth: usize) -> Result<Self, RequestError> {
        let room = match head.route.operation {
            Operation::Main => None,
            _ => Some(head.id()?),
        };
        Ok(Self {
            head,
            room,
            max_json_depth,
            has_history: false,
            history: None,
            sends: PendingRequests::default(),
            typing: None,
        })
    }

    /// The correlation of the send with this text. Sends before it have been answered too.
    fn take_send(&mut self, text: &str) -> Option<Correlation> {
        let position = self.sends.position(|(_, pending)| pending == text)?;
        self.sends.take_through(position).map(|(correlation, _)| correlation)
    }

    /// The correlation of the request that an error is about.
    fn take_refused(&mut self) -> Correlation {
        let send = self.sends.take(0).map(|(correlation, _)| correlation);
        send.or_else(|| self.typing.take()).unwrap_or_default()
    }
}

impl ClientSession for ClientSocket {
    fn request(
        &mut self,
        _now: Timestamp,
        request: &Request,
        out: &mut Vec<Frame>,
    ) -> Result<(), Unsupported> {
        let command = &request.command;
        let flow = self.room.ok_or_else(|| unsupported(command.name()))?;
        let kinds = self.head.kinds();
        if encode::history_range(command, flow, kinds) == Some(self.head.range()) {
            // The history comes once per connection, with the handshake.
            if self.has_history || self.history.is_some() {
                return Err(unsupported(command.name()));
            }
            self.history = Some(request.correlation.clone());
            return Ok(());
        }
        let frame = encode::frame(request, flow, kinds)?;
        if let Command::Send(message) = command {
            self.sends.reserve(DIALECT, 1)?;
            self.sends.push((request.correlation.clone(), message.content.text.clone()));
        } else {
            self.typing = Some(request.correlation.clone());
        }
        out.push(frame);
        Ok(())
    }

    fn decode(
        &mut self,
        now: Timestamp,
        frame: &Frame,
        out: &mut Vec<Incoming>,
    ) -> Result<(), InvalidReply> {
        let text = match frame {
            Frame::Text(text) => text,
            // The handshake was rejected.
            Frame::Response(response) => {
                let correlation = self.history.take().unwrap_or_else(|| self.take_refused());
                let fault = read_response(self.head.route.operation, response, self.max_json_depth);
                out.push(respond(correlation, Err(fault)));
                return Ok(());
            }
            Frame::Binary(_) | Frame::Value(_) | Frame::Request(_) => {
                return Err(InvalidReply::FRAME_KIND);
            }
        };
        let kind = match self.head.kinds() {
            FlowKindFilter::Chat => FlowKind::Chat,
            FlowKindFilter::Shared | FlowKindFilter::Any => FlowKind::Group,
        };
        let room = self.room.map(|flow| (flow, kind));
        match decode::server_frame(text, now, room, self.max_json_depth)? {
            ServerFrame::History(page) => {
                self.has_history = true;
                let history = self.history.take();
                out.extend(history.map(|history| respond(history, Ok(Answer::History(page)))));
            }
            ServerFrame::Event(event) => {
                if let EventKind::Posted(message) = &event.kind
                    && let Some(correlation) = self.take_send(&message.content.text)
                {
                    let message = Some(Box::new(message.clone()));
                    let answer = Answer::Sent { message, repeated: false };
                    out.push(respond(correlation, Ok(answer)));
                }
                out.push((*event).into());
            }
            ServerFrame::Error(text) => {
                let fault = read_frame(self.head.route.operation, &text);
                out.push(respond(self.take_refused(), Err(fault)));
            }
        }
        Ok(())
    }
}

fn respond(correlation: Correlation, outcome: Result<Answer, Fault>) -> Incoming {
    Incoming::Response(Response::new(correlation, outcome))
}
