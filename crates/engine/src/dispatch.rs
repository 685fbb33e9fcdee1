//! The way of a command: permission, then the use case.

use crate::caller::Caller;
use crate::contacts::wants_contacts;
use crate::ports::ReadMark;
use crate::{DeferredWork, Engine, Handled, Principal, ReadableFlow, Submission, Submitted};
use tolmach_domain::{Answer, Authority, Command, Fault, HistoryRange, Origin, Timestamp, UserId};

impl Engine {
    /// Checks the permission for a command and carries it out.
    pub async fn execute(&self, submission: Submission) -> Handled {
        self.submit(submission).await.handled().await
    }

    /// Like [`Engine::execute`], but returns before a message is committed, so that the caller may
    /// submit the next one meanwhile.
    pub async fn submit(&self, submission: Submission) -> Submitted {
        self.submit_for_flow(submission, None).await
    }

    /// The same for a request since whose arrival `readable` was found.
    pub async fn submit_for_flow(
        &self,
        submission: Submission,
        readable: Option<Box<ReadableFlow>>,
    ) -> Submitted {
        let now = self.now();
        let Submission {
            caller: principal,
            authority,
            origin,
            command: Command::Send(message),
            ..
        } = submission
        else {
            return Submitted::Done(self.handle(submission, readable, now).await);
        };
        let sending = async {
            let user = principal.ok_or(Fault::Unauthenticated)?.identity.user;
            let caller = self.caller(user, authority, origin, now).await?;
            self.send(&caller, *message).await
        };
        match sending.await {
            Ok(pending) => Submitted::Pending(Box::pin(async move {
                Handled { principal, outcome: pending.await, deferred: None, read_mark: None }
            })),
            Err(fault) => Submitted::Done(Handled {
                principal,
                outcome: Err(fault),
                deferred: None,
                read_mark: None,
            }),
        }
    }

    async fn handle(
        &self,
        submission: Submission,
        readable: Option<Box<ReadableFlow>>,
        now: Timestamp,
    ) -> Handled {
        let mut deferred = None;
        let caller = submission.caller;
        let moves_mark = moves_read_mark(&submission.command);
        let carried_out = self.carry_out(submission, readable, now, &mut deferred).await;
        let (principal, outcome) = match carried_out {
            Ok((principal, answer)) => (principal, Ok(answer)),
            Err(fault) => (caller, Err(fault)),
        };
        let viewer = principal.filter(|_| moves_mark).map(|principal| principal.identity.user);
        let read_mark = viewer.and_then(|viewer| read_mark(viewer, &outcome));
        Handled { principal, outcome, deferred, read_mark }
    }

    /// Carries out commands that need no profile, and hands the others to [`Self::as_user`].
    async fn carry_out(
        &self,
        submission: Submission,
        readable: Option<Box<ReadableFlow>>,
        now: Timestamp,
        deferred: &mut Option<DeferredWork>,
    ) -> Result<(Option<Principal>, Answer), Fault> {
        let Submission { caller, authority, origin, address, command } = submission;
        let command = match command {
            Command::Register(registration) => {
                return self.register(*registration, address, now).await.map(granted);
            }
            Command::Login { identifier, password, grant } => {
                return self.log_in(&identifier, &password, grant, address).await.map(granted);
            }
            Command::Refresh { token } => return self.refresh(&token, now).await.map(granted),
            Command::Recover { identifier } => {
                *deferred = Some(self.recover(identifier, address, now));
                return Ok((caller, Answer::RecoveryAccepted));
            }
            Command::ResetPassword { token, password } => {
                let reset = self.reset_password(&token, &password, address, now);
                return Ok((caller, reset.await?));
            }
            Command::DeleteAccount { user, login, password } => {
                let caller = caller.map(|caller| caller.identity.user);
                let deleted = self.delete_account(caller, user, &login, &password, address);
                return Ok((None, deleted.await?));
            }
            other => other,
        };
        let caller = caller.ok_or(Fault::Unauthenticated)?;
        let user = caller.identity.user;
        let answer = match command {
            Command::Logout { login } => {
                return Ok((None, self.log_out(&caller, login.as_deref(), now).await?));
            }
            Command::CreateProfile(profile) => {
                self.create_profile(user, *profile, address, now).await?
            }
            command => {
                let caller = self.caller(user, authority, origin, now).await?;
                let caller = Caller { readable, ..caller };
                let wanted = wants_contacts(&command);
                let mut answer = self.as_user(&caller, command).await?;
                self.remove_contacts(&caller, wanted, &mut answer).await?;
                self.reduce_messages(&mut answer);
                answer
            }
        };
        Ok((Some(caller), answer))
    }

    /// Carries out commands that need an account with a profile.
    async fn as_user(&self, caller: &Caller, command: Command) -> Result<Answer, Fault> {
        match command {
            Command::GetUser { user } => self.get_user(caller, user).await,
            Command::SearchUsers { query, limit } => self.search_users(&query, limit).await,
            Command::GetPhoto { of } => self.get_photo(caller, of).await,
            Command::OpenChat { with } => self.open_chat(caller, with).await,
            Command::CreateFlow(flow) => self.create_flow(caller, *flow).await,
            Command::DeleteFlow { flow, kinds } => self.delete_flow(caller, flow, kinds).await,
            Command::GetFlow { flow, kinds, members } => {
                self.get_flow(caller, flow, kinds, members).await
            }
            Command::AddMembers { flow, users } => self.add_members(caller, flow, users).await,
            Command::RemoveMembers { flow, users } => {
                self.remove_members(caller, flow, users).await
            }
            Command::ListFlows { limit, offset, members } => {
                self.list_flows(caller, limit, offset, members).await
            }
            Command::Edit { message, flow, text } => self.edit(caller, message, flow, text).await,
            Command::Delete { messages, flow, all_or_none } => {
                self.delete(caller, messages, flow, all_or_none).await
            }
            Command::History { flow, kinds, range, mark_read: _ } => {
                self.history(caller, flow, kinds, range).await
            }
            Command::GetChanges { since, flow, limit } => {
                self.get_changes(caller, since, flow, limit).await
            }
            Command::ShowTyping { flow, active } => self.show_typing(caller, flow, active).await,
            Command::Block { user } => self.block(caller, user).await,
            Command::Unblock { user } => self.unblock(caller, user).await,
            Command::ListBlocked => self.list_blocked(caller).await,
            Command::Register(_)
            | Command::Login { .. }
            | Command::Refresh { .. }
            | Command::Logout { .. }
            | Command::Recover { .. }
            | Command::ResetPassword { .. }
            | Command::DeleteAccount { .. }
            | Command::CreateProfile(_)
            | Command::Send(_) => {
                let command = command.name();
                tracing::error!(command, "a command that needs no profile was not carried out");
                Err(Fault::Internal)
            }
        }
    }

    /// A user with a profile who has the authority that they claim.
    async fn caller(
        &self,
        user: UserId,
        authority: Authority,
        origin: Option<Origin>,
        now: Timestamp,
    ) -> Result<Caller, Fault> {
        let user = self.cached_user(user).await?.filter(|user| user.profile);
        let user = user.ok_or(Fault::NoProfile)?;
        let administrator = authority == Authority::Administrator;
        if administrator && !user.admin {
            return Err(Fault::NotAdministrator);
        }
        Ok(Caller { user, administrator, origin, now, readable: None })
    }
}

fn granted((answer, principal): (Answer, Option<Principal>)) -> (Option<Principal>, Answer) {
    (principal, answer)
}

/// True if a command moves the caller's read mark.
fn moves_read_mark(command: &Command) -> bool {
    match command {
        Command::History { range, mark_read, .. } => *mark_read || *range == HistoryRange::Unread,
        _ => false,
    }
}

/// The mark of a user who has read the messages of an answer; `None` if there are none.
fn read_mark(viewer: UserId, outcome: &Result<Answer, Fault>) -> Option<ReadMark> {
    let Ok(Answer::History(page)) = outcome else { return None };
    let last = page.messages.last()?;
    Some(ReadMark { flow: page.flow, viewer, version: last.posted })
}
