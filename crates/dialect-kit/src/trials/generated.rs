//! Generated requests, responses and events.

use crate::fixtures::{self, ANN, flow_summary};
use crate::frame_text::inline;
use crate::generators;
use crate::hostile::login_of;
use crate::kit::Kit;
use crate::play::DialectPair;
use crate::problems::Outcome;
use crate::project::Direction;
use crate::stories::Exchange;
use crate::translation::{Excuse, Finding, judge, translate_alone};
use crate::trials::runner::run;
use proptest::strategy::{Just, Strategy};
use tolmach_dialect::{Event, RenderContext, Variant};
use tolmach_domain::{Answer, Authority, Command, Fault};

/// Requests and responses that the engine might see, beyond the stories, survive the wire too.
///
/// Without a client there is nothing to try.
pub fn generated_requests_round_trip(kit: &Kit) -> Outcome {
    let Some(pair) = DialectPair::of(kit.dialect.as_ref()) else { return Ok(()) };
    let deviations = [kit.deviations()?];
    let credentials = kit.record().credentials;
    let login = login_of(&ANN);
    let login = exchange("", login.clone(), Ok(fixtures::answer(&ANN, &login)));
    let strategy = generators::command().prop_flat_map(|command| {
        let response = generators::response(&command);
        (Just(command), response)
    });
    run(kit, 512, &strategy, |(command, response)| {
        let exchange = exchange("generated", command, response.outcome);
        let Some(outcome) = translate_alone(pair, credentials, &login, &exchange) else {
            return Ok(());
        };
        if !kit.answers_refusals && outcome.is_unanswered() {
            return Ok(());
        }
        let fault = exchange.outcome.as_ref().err().map(Fault::name);
        let finding =
            Finding { title: exchange.title(), operation: exchange.operation(), fault, outcome };
        match judge(&[finding], &deviations, Excuse::Fault, kit.id(), kit.id()).1.pop() {
            None => Ok(()),
            Some(problem) => Err(problem),
        }
    })
}

/// Any event, in any variant, with and without the summary of its flow, is rendered to the same
/// bytes twice, by another value of the dialect too, and to a frame that a schema describes.
pub fn generated_events_render_purely(kit: &Kit) -> Outcome {
    const VARIANTS: u8 = 16;
    let schemas = kit.schemas()?;
    let needs_flow_summaries = kit.dialect.manifest().needs_flow_summaries;
    run(kit, 256, &generators::event(), |event: Event| {
        let flow = event.flow().filter(|_| needs_flow_summaries);
        let flow = flow.map(|flow| flow_summary(flow.get(), true));
        let contexts = [RenderContext::EMPTY, RenderContext::with_flow(flow.as_ref())];
        for (context, variant) in
            contexts.iter().flat_map(|context| (0..VARIANTS).map(move |variant| (context, variant)))
        {
            let (name, variant) = (event.name(), Variant(variant));
            let once = kit.dialect.render(&event, context, variant);
            for (dialect, which) in [(&kit.dialect, "twice"), (&kit.twin, "by two values")] {
                if dialect.render(&event, context, variant) != once {
                    return Err(format!(
                        "rendering {name} as {variant:?} {which} gives two different frames"
                    ));
                }
            }
            if let Ok(frame) = once
                && let Some(Err(error)) = schemas.check(&frame, Direction::Answer)
            {
                return Err(format!("{name} as {variant:?}: {} {error}", inline(&frame)));
            }
        }
        Ok(())
    })
}

fn exchange(note: &str, command: Command, outcome: Result<Answer, Fault>) -> Exchange {
    Exchange {
        persona: &ANN,
        authenticated: has_credentials(&command),
        authority: Authority::Member,
        note: note.to_owned(),
        command,
        outcome,
        event: None,
    }
}

/// True if the stories make this command with credentials.
fn has_credentials(command: &Command) -> bool {
    !matches!(
        command,
        Command::Register(_)
            | Command::Login { .. }
            | Command::Refresh { .. }
            | Command::Recover { .. }
            | Command::ResetPassword { .. }
            | Command::DeleteAccount { .. }
    )
}
