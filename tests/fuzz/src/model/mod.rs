//! Random commands of random users through random dialects, on the real engine with its store and
//! its bus in memory, held to what the gateway promises:
//!
//! - every change to a message takes the next version of its flow, and commit times ascend;
//! - nothing that was acknowledged is lost, and nothing that was refused is published;
//! - every answer shows the flow as it is, to a user who may read it;
//! - no frame has a text of a flow that its user may not read;
//! - a blocked user opens no chat with the blocker, writes nothing there, and adds the blocker to
//!   nothing; a login is given out once, and a user who leaves is no member;
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

#[cfg(test)]
mod tests {
    use super::plan::{Action, Range, Step};
    use super::world::World;
    use crate::subject::subjects;

    fn request(user: u8, dialect: usize, action: Action) -> Step {
        let dialect = u8::try_from(dialect).expect("there are few dialects");
        Step::Request { user, dialect, administrator: false, action }
    }

    #[test]
    fn every_dialect_takes_part_in_a_conversation() {
        let count = subjects().len();
        let create = || Action::CreateFlow { channel: false, members: [1, 2], key: None };
        let mut steps: Vec<Step> =
            (0..count).map(|dialect| request(0, dialect, create())).collect();
        // The first is a flow of the kinds that it has, the second of any.
        for (dialect, flow) in (0..count).flat_map(|dialect| [(dialect, 0), (dialect, 128)]) {
            for user in 0..3 {
                let list = Action::ListFlows { limit: None, offset: 0, members: false };
                let history = |range| Action::History { flow, range, mark_read: false };
                let newest = Range::Newest { limit: 50, offset: 0 };
                let get = Action::GetFlow { flow, members: true };
                let actions = [list, get, history(Range::All), history(newest)];
                steps.extend(actions.map(|action| request(user, dialect, action)));
            }
        }
        for dialect in 0..count {
            steps.push(request(1, dialect, Action::Send { flow: 0, key: None, reply_to: None }));
            steps.push(request(1, dialect, Action::Edit { message: 0, names_flow: true }));
            steps.push(request(2, dialect, Action::Login { of: 2, wrong: false }));
        }
        steps.extend((0..32).map(|connection| Step::Deliver { connection, events: u8::MAX }));
        let mut world = World::new();
        steps.iter().for_each(|step| world.take(step));
        world.finish();
        let tally = world.tally();
        for id in subjects().keys() {
            assert!(tally.granted.contains(&(id, "send")), "{id}: {:?}", tally.granted);
            let pushes = subjects()[id].dialect.manifest().capabilities.pushes_posted;
            assert_eq!(tally.read.get(id).is_some_and(|read| *read > 0), pushes, "{id}");
        }
        for command in ["create_flow", "list_flows", "get_flow", "history", "edit"] {
            let is_granted = tally.granted.iter().any(|(_, granted)| *granted == command);
            assert!(is_granted, "{command}: {:?}", tally.granted);
        }
    }

    #[test]
    fn blocks_departures_and_registrations_are_held_to_their_promises() {
        let mode = subjects().keys().position(|id| *id == "mode").expect("it is a dialect");
        let bearer = subjects().keys().position(|id| *id == "bearer").expect("it is a dialect");
        let create = || Action::CreateFlow { channel: false, members: [1, 2], key: None };
        let open = || Action::OpenChat { with: 1, by_login: false };
        let send = || Action::Send { flow: 1, key: None, reply_to: None };
        let mut steps = vec![request(0, bearer, create())];
        // The second user blocks the first, before and after their chat begins.
        for number in [128, 192, 128] {
            steps.push(request(1, mode, Action::GetUser { user: number }));
            steps.extend([open(), create(), send()].map(|action| request(0, bearer, action)));
        }
        // The owner leaves, then the others, and nothing is left.
        for user in [192, 193, 193, 194] {
            steps.push(request(0, mode, Action::RemoveMember { flow: 0, user }));
        }
        for number in (208..=213).chain(208..=213) {
            steps.push(request(0, mode, Action::GetUser { user: number }));
        }
        let mut world = World::new();
        steps.iter().for_each(|step| world.take(step));
        world.finish();
        let granted = &world.tally().granted;
        for command in ["open_chat", "create_flow", "register"] {
            assert!(granted.iter().any(|(_, done)| *done == command), "{command}: {granted:?}");
        }
    }
}
