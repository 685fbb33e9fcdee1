//! Contact data: the e-mail addresses and telephone numbers of users.

use crate::Engine;
use crate::caller::Caller;
use crate::faults::store_fault;
use tolmach_domain::{Answer, Command, Fault, FlowSummary, User};

impl Engine {
    /// Removes from an answer the contact data of users whom the caller is not acquainted with: see
    /// [`FlowStore::acquaintances`](crate::ports::FlowStore::acquaintances). Administrators are
    /// shown all of it, and a search shows none. Where `wanted` is false, it is removed without
    /// looking, except from users who are named by it.
    pub(crate) async fn remove_contacts(
        &self,
        caller: &Caller,
        wanted: bool,
        answer: &mut Answer,
    ) -> Result<(), Fault> {
        if let Answer::Users(found) = answer {
            found.iter_mut().for_each(User::remove_contacts);
            return Ok(());
        }
        if caller.administrator {
            return Ok(());
        }
        let mut users = users_of(answer);
        users.retain(|user| {
            user.id != caller.user.id && (user.email.is_some() || user.phone.is_some())
        });
        if !wanted {
            let others = users.extract_if(.., |user| !user.is_named_by_address());
            others.for_each(User::remove_contacts);
        }
        if users.is_empty() {
            return Ok(());
        }
        let mut ids: Vec<_> = users.iter().map(|user| user.id).collect();
        ids.sort_unstable();
        ids.dedup();
        let acquaintances = self.ports.store.acquaintances(caller.user.id, &ids).await;
        let acquaintances = acquaintances.map_err(store_fault)?;
        users.retain(|user| !acquaintances.contains(&user.id));
        users.into_iter().for_each(User::remove_contacts);
        Ok(())
    }
}

/// True if the answer to a command is meant to have contact data: that of a user, or of members.
pub(crate) fn wants_contacts(command: &Command) -> bool {
    matches!(
        command,
        Command::GetUser { .. }
            | Command::GetFlow { members: true, .. }
            | Command::ListFlows { members: true, .. }
    )
}

/// The records of users in an answer.
fn users_of(answer: &mut Answer) -> Vec<&mut User> {
    match answer {
        Answer::User(user) => vec![user],
        Answer::Users(users) => users.iter_mut().collect(),
        Answer::Flow(summary) => summary.members.iter_mut().collect(),
        Answer::Flows(flows) => members(flows).collect(),
        Answer::Changes(changes) => {
            members(&mut changes.flows).chain(changes.user.as_deref_mut()).collect()
        }
        Answer::Granted(_)
        | Answer::LoggedOut
        | Answer::RecoveryAccepted
        | Answer::PasswordReset
        | Answer::AccountDeleted { .. }
        | Answer::Photo(_)
        | Answer::ChatOpened { .. }
        | Answer::ProfileCreated
        | Answer::FlowCreated { .. }
        | Answer::FlowDeleted { .. }
        | Answer::MembersAdded { .. }
        | Answer::MembersRemoved { .. }
        | Answer::Sent { .. }
        | Answer::Edited(_)
        | Answer::Deleted { .. }
        | Answer::History(_)
        | Answer::TypingShown
        | Answer::Blocked { .. }
        | Answer::Unblocked { .. } => Vec::new(),
    }
}

fn members(flows: &mut [FlowSummary]) -> impl Iterator<Item = &mut User> {
    flows.iter_mut().flat_map(|summary| &mut summary.members)
}
