//! Random commands of random users through random dialects, on the real engine with its store and
//! its bus in memory, held to what the gateway promises:
//!
//! - every change to a message takes the next version of its flow, and commit times ascend;
//! - nothing that was acknowledged is lost, and nothing that was refused is published;
//! - every answer shows the flow as it is, to a user who may read it;
//! - no frame has a text of a flow that its user may not read;
//! - a connection gets the events of a flow in their order, and none twice.
//!
//! Time and randomness are the engine's ports, so that an input always does the same.

mod connection;
mod identity;
mod plan;
mod ready;
mod texts;
mod truth;
mod users;
mod world;

pub(crate) use plan::Plan;

/// Carries out a plan.
pub(crate) fn run(plan: &Plan) {
    let mut world = world::World::new();
    plan.steps.iter().take(plan::MAX_STEPS).for_each(|step| world.take(step));
    world.finish();
}
