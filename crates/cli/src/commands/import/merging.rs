//! Users of a source who are users here: by a rule, or by the decision of a person.

use super::chunk::Collected;
use super::decisions::Decided;
use super::refusals::reason;
use super::rehearsal::Rehearsal;
use super::taken::{Owners, identifiers, is_taken};
use crate::arguments::MatchRule;
use crate::error::{CliError, RuntimeError};
use std::collections::{BTreeMap, HashMap, HashSet};
use tolmach_domain::{ExternalId, IdNamespace, ObjectId, ObjectKind, UserId};
use tolmach_engine::ports::{
    ExternalIdRow, IdentifierOwner, ImportChunk, ImportUser, Imported, StoreError,
};
use tolmach_engine::{Engine, case_folded, enforce_login};
use tolmach_world::{Candidate, Decision, DecisionLine, Id};

/// The rule and the decisions by which users of a source are merged with users here.
pub(super) struct Merging {
    rule: MatchRule,
    /// By source, and the id of the user there.
    choices: HashMap<(IdNamespace, ExternalId), Choice>,
    /// The users here whom decisions about a source name: no rule matches them with its users.
    targets: HashSet<(IdNamespace, UserId)>,
}

/// A decision that can be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice {
    /// The user is this one here.
    SameAs(UserId),
    /// The user is another one, with this login.
    Rename(String),
    /// The user does not come along.
    Skip,
}

/// The part of a merge that is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MergeNote {
    /// The user is this one here.
    SameAs(UserId),
    /// The user has no e-mail address, because another one has it.
    NoEmail,
}

impl Merging {
    /// Checks that each decision can be carried out in the world.
    pub(super) async fn new(
        rule: MatchRule,
        decided: &[Decided],
        world: &Engine,
    ) -> Result<Self, CliError> {
        let mut merging = Self { rule, choices: HashMap::new(), targets: HashSet::new() };
        for Decided { place, line } in decided {
            let wrong = |text: String| RuntimeError::Decision { place: place.to_string(), text };
            let Some(decision) = &line.decision else { continue };
            let source: IdNamespace =
                line.source.parse().map_err(|error| wrong(format!("source: {error}")))?;
            let choice = match decision {
                Decision::Rename(login) => Choice::Rename(
                    enforce_login("login", login)
                        .map_err(|fault| wrong(format!("decision: login: {}", reason(&fault))))?,
                ),
                Decision::Skip => Choice::Skip,
                Decision::SameAs(number) => {
                    let target = merging.target(&source, line.user.0, *number, world).await?;
                    let target = target.map_err(|text| wrong(format!("decision: {text}")))?;
                    merging.targets.insert((source.clone(), target));
                    Choice::SameAs(target)
                }
            };
            if merging.choices.insert((source, line.user.0), choice).is_some() {
                let text = format!("user: user {} has another decision before", line.user);
                return Err(wrong(text).into());
            }
        }
        Ok(merging)
    }

    /// The user here whom a decision names, or the reason why it cannot be the user of the source.
    async fn target(
        &self,
        source: &IdNamespace,
        user: ExternalId,
        number: i64,
        world: &Engine,
    ) -> Result<Result<UserId, String>, StoreError> {
        let Ok(target) = UserId::new(number) else {
            return Ok(Err(format!("there is no user {number}")));
        };
        let known = world.source_objects(source, &[(ObjectKind::User, user)]).await?;
        if let Some(row) = known.first() {
            let before = row.object.get();
            return Ok(match before == number {
                true => Ok(target),
                false => Err(format!("the user was imported as user {before}")),
            });
        }
        if self.targets.contains(&(source.clone(), target)) {
            return Ok(Err(format!("user {number} is the same as another one by a line before")));
        }
        let rows = world.source_ids(source, &[ObjectId::User(target)]).await?;
        if let Some(row) = rows.first() {
            let other = Id(row.external);
            return Ok(Err(format!("user {number} is user {other} of the source")));
        }
        Ok(match world.stored_user(target).await? {
            None => Err(format!("there is no user {number}")),
            Some(user) if user.deleted_at.is_some() => Err(format!("user {number} is deleted")),
            Some(_) => Ok(target),
        })
    }

    /// The decision about a user of a source.
    pub(super) fn choice(&self, source: &IdNamespace, user: ExternalId) -> Option<&Choice> {
        self.choices.get(&(source.clone(), user))
    }

    /// Remembers those users of a chunk who are users here by their ids at the source, so that an
    /// import finds them. Returns what is to be told, each with the index of the user.
    pub(super) async fn apply(
        &self,
        engine: &Engine,
        chunk: &mut ImportChunk,
    ) -> Result<Vec<(usize, MergeNote)>, StoreError> {
        let ids: Vec<_> = chunk.users.iter().map(|user| user.source_id).collect();
        let known = engine.imported_users(&chunk.source, &ids).await?;
        let known: HashSet<_> = known.into_iter().collect();
        let is_new = |user: &ImportUser| !known.contains(&user.source_id);
        let new = chunk.users.iter().filter(|user| is_new(user));
        let owners = exact_owners(engine, &identifiers(new)).await?;
        let (mut matches, mut notes) = (Vec::new(), Vec::new());
        // The logins and addresses of the users of the chunk so far who are no users here.
        let mut before = HashSet::new();
        let source = chunk.source.clone();
        for (index, user) in chunk.users.iter_mut().enumerate().filter(|(_, user)| is_new(user)) {
            let target = match self.choice(&source, user.source_id) {
                Some(Choice::SameAs(target)) => Some(*target),
                Some(Choice::Rename(_)) => {
                    let has_another = |email: &String| {
                        owners.contains_key(email) || before.contains(&case_folded(email))
                    };
                    if user.account.email.as_ref().is_some_and(has_another) {
                        user.account.email = None;
                        notes.push((index, MergeNote::NoEmail));
                    }
                    None
                }
                Some(Choice::Skip) | None => self.matched(&source, user, &owners),
            };
            match target {
                Some(target) => matches.push((index, user.source_id, target)),
                None => {
                    let own = identifiers(std::iter::once(&*user));
                    before.extend(own.iter().map(|identifier| case_folded(identifier)));
                }
            }
        }
        let targets: Vec<_> = matches.iter().map(|(_, _, user)| ObjectId::User(*user)).collect();
        let rows = engine.source_ids(&source, &targets).await?;
        let mut taken: HashSet<_> = rows.into_iter().map(|row| row.object).collect();
        let mut rows = Vec::new();
        for (index, external, target) in matches {
            let object = ObjectId::User(target);
            if taken.insert(object) {
                rows.push(ExternalIdRow { object, external });
                notes.push((index, MergeNote::SameAs(target)));
            }
        }
        if !rows.is_empty() {
            engine.add_source_ids(&source, &rows).await?;
        }
        Ok(notes)
    }

    /// The user here whom a rule finds: none if another one has the login or the address.
    fn matched(
        &self,
        source: &IdNamespace,
        user: &ImportUser,
        owners: &HashMap<String, IdentifierOwner>,
    ) -> Option<UserId> {
        let account = &user.account;
        let by_login = owners.get(&account.login);
        let by_email = account.email.as_ref().and_then(|email| owners.get(email));
        let found = match self.rule {
            MatchRule::None => None,
            MatchRule::Login => {
                by_login.filter(|owner| case_folded(&owner.login) == case_folded(&owner.identifier))
            }
            MatchRule::Email => by_email.filter(|owner| {
                owner.email.as_deref().map(case_folded) == Some(case_folded(&owner.identifier))
            }),
        }?;
        let is_only = [by_login, by_email].into_iter().flatten().all(|one| one.user == found.user);
        let is_target = self.targets.contains(&(source.clone(), found.user));
        let is_free = !found.is_deleted && !is_target;
        (is_only && is_free && user.deleted_at.is_none()).then_some(found.user)
    }

    /// The conflicts among the users of a chunk that was rehearsed, and those of users of the
    /// source who were matched with the same user here.
    pub(super) async fn conflicts(
        &self,
        rehearsal: &Rehearsal,
        collected: &Collected,
        outcomes: &[Imported<UserId>],
    ) -> Result<Vec<DecisionLine>, StoreError> {
        let source = &collected.chunk.source;
        let users = collected.chunk.users.iter().zip(&collected.users).zip(outcomes);
        let refused: Vec<_> =
            users.filter(|(_, outcome)| is_taken(outcome)).map(|(user, _)| user).collect();
        if refused.is_empty() {
            return Ok(Vec::new());
        }
        let scratch = &rehearsal.scratch;
        let identifiers = identifiers(refused.iter().map(|(user, _)| *user));
        let owners = Owners::read(scratch, &identifiers).await?;
        let objects: Vec<_> = owners.all().map(|owner| ObjectId::User(owner.user)).collect();
        let rows = scratch.source_ids(source, &objects).await?;
        let source_ids: HashMap<_, _> =
            rows.into_iter().map(|row| (row.object, row.external)).collect();
        let external = |user: UserId| source_ids.get(&ObjectId::User(user)).copied();
        let candidate = |owner: &IdentifierOwner| Candidate {
            user: rehearsal.is_of_world(owner.user).then(|| owner.user.get()),
            source_user: external(owner.user).map(Id),
            login: owner.login.clone(),
            email: owner.email.clone(),
            deleted: owner.is_deleted,
        };
        let line = |user, reason: String, candidates| DecisionLine {
            source: source.to_string(),
            user: Id(user),
            decision: None,
            login: None,
            email: None,
            place: None,
            reason: Some(reason),
            candidates,
        };
        let mut conflicts = Vec::new();
        for (user, origin) in refused {
            let account = &user.account;
            let by_user: BTreeMap<_, _> =
                owners.of(account).map(|owner| (owner.user, owner)).collect();
            for owner in by_user.values().filter(|owner| rehearsal.is_of_world(owner.user)) {
                let Some(other) = external(owner.user) else { continue };
                let before = rehearsal.world.imported_users(source, &[other]).await?;
                if before.is_empty() && self.choice(source, other).is_none() {
                    let (target, also) = (owner.user, Id(user.source_id));
                    let reason =
                        format!("both this user and user {also} have what user {target} here has");
                    conflicts.push(line(other, reason, vec![candidate(owner)]));
                }
            }
            let candidates = by_user.values().map(|owner| candidate(owner)).collect();
            conflicts.push(DecisionLine {
                login: Some(account.login.clone()),
                email: account.email.clone(),
                place: Some(origin.place.to_string()),
                ..line(user.source_id, owners.taken(account).reason.to_owned(), candidates)
            });
        }
        Ok(conflicts)
    }
}

/// The users to whom these logins and addresses belong.
async fn exact_owners(
    engine: &Engine,
    identifiers: &[String],
) -> Result<HashMap<String, IdentifierOwner>, StoreError> {
    let owners = engine.identifier_owners(identifiers).await?;
    let exact = owners.into_iter().filter(|owner| owner.is_exact);
    Ok(exact.map(|owner| (owner.identifier.clone(), owner)).collect())
}
