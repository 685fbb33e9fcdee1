//! Accounts and profiles.

use super::memory_store::MemoryStore;
use super::state::{State, UserRecord, next};
use crate::limits::case_folded;
use crate::names::{IMITATION, look_alikes};
use crate::ports::{Account, AccountKey, NewUser, StoreError, UserChange, UserStore};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use tolmach_domain::{EventKind, Fault, FlowId, Timestamp, User, UserId};

#[async_trait]
impl UserStore for MemoryStore {
    async fn create_user(&self, user: NewUser, now: Timestamp) -> Result<User, StoreError> {
        self.change(|state| state.create_user(user, now)).await
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        self.read(|state| state.users.get(&id).map(|record| record.user.clone())).await
    }

    async fn avatar(&self, id: UserId) -> Result<Option<String>, StoreError> {
        self.read(|state| state.users.get(&id).and_then(|record| record.avatar.clone())).await
    }

    async fn account(&self, key: AccountKey<'_>) -> Result<Option<Account>, StoreError> {
        self.read(|state| {
            let record = match key {
                AccountKey::Login(login) => state.by_login(login),
                AccountKey::Email(email) => state.by_email(email),
                AccountKey::Either(text) => state
                    .by_login(text)
                    .filter(|record| record.is_active())
                    .or_else(|| state.by_email(text)),
            };
            record.filter(|record| record.is_active()).map(|record| Account {
                user: record.user.clone(),
                password_hash: record.password_hash.clone(),
            })
        })
        .await
    }

    async fn update_user(
        &self,
        id: UserId,
        change: UserChange,
        now: Timestamp,
    ) -> Result<User, StoreError> {
        self.change(|state| state.update_user(id, change, now)).await
    }

    async fn replace_password_hash(
        &self,
        id: UserId,
        hash: &str,
        replacement: &str,
    ) -> Result<bool, StoreError> {
        self.change(|state| {
            let found = state.users.get_mut(&id).map(|record| &mut record.password_hash);
            let found = found.filter(|found| found.as_deref() == Some(hash));
            Ok(found.map(|found| *found = Some(replacement.to_owned())).is_some())
        })
        .await
    }

    async fn delete_user(&self, id: UserId, now: Timestamp) -> Result<(), StoreError> {
        self.change(|state| state.delete_user(id, now)).await
    }

    async fn erase_profile(&self, id: UserId, now: Timestamp) -> Result<(), StoreError> {
        self.change(|state| {
            let changed_at = state.next_commit_time(now);
            let record = state.users.get_mut(&id).ok_or(Fault::NoSuchUser)?;
            record.avatar = None;
            let user = &mut record.user;
            (user.username, user.name) = (user.login.clone(), user.login.clone());
            (user.bio, user.photo) = (String::new(), None);
            user.changed_at = changed_at;
            Ok(())
        })
        .await
    }

    async fn search_users(&self, query: &str, limit: u32) -> Result<Vec<User>, StoreError> {
        let query = case_folded(query);
        self.read(|state| {
            let mut found: BTreeMap<String, &User> = BTreeMap::new();
            for record in state.users.values().filter(|record| record.is_active()) {
                let login = case_folded(&record.user.login);
                if login.contains(&query) && !login.contains('@') {
                    found.insert(login, &record.user);
                }
            }
            found.into_values().take(limit as usize).cloned().collect()
        })
        .await
    }

    async fn list_users(&self, after: Option<UserId>, limit: u32) -> Result<Vec<User>, StoreError> {
        self.read(|state| {
            let living = state.users.values().filter(|record| {
                record.is_active() && after.is_none_or(|after| record.user.id > after)
            });
            living.take(limit as usize).map(|record| record.user.clone()).collect()
        })
        .await
    }
}

impl State {
    fn create_user(&mut self, user: NewUser, now: Timestamp) -> Result<User, StoreError> {
        let taken = self.is_taken(Some(&user.login), user.email.as_deref(), None)
            || user.id.is_some_and(|id| self.users.contains_key(&id));
        if taken {
            return Err(Fault::LoginTaken.into());
        }
        if user.profile {
            self.check_display_name("username", &user.username, &user.login, None)?;
            self.check_display_name("name", &user.name, &user.login, None)?;
        }
        let id = match user.id {
            Some(id) => {
                self.last_user = self.last_user.max(id.get());
                id
            }
            None => next(&mut self.last_user, UserId::new)?,
        };
        let NewUser {
            id: _,
            login,
            username,
            name,
            email,
            phone,
            bio,
            avatar,
            photo,
            bot,
            admin,
            business,
            profile,
            password_hash,
        } = user;
        let changed_at = self.next_commit_time(now);
        let user = User {
            id,
            login,
            username,
            name,
            email,
            phone,
            bio,
            avatar: None,
            photo,
            bot,
            admin,
            business,
            profile,
            created_at: now,
            changed_at,
            deleted_at: None,
        };
        self.users.insert(id, UserRecord { user: user.clone(), avatar, password_hash });
        Ok(user)
    }

    pub(super) fn update_user(
        &mut self,
        id: UserId,
        change: UserChange,
        now: Timestamp,
    ) -> Result<User, StoreError> {
        let own_login = change.login.as_ref().unwrap_or(&self.active_user(id)?.login);
        if self.is_taken(change.login.as_deref(), change.email.as_deref(), Some(id)) {
            return Err(Fault::LoginTaken.into());
        }
        for (field, shown) in [("username", &change.username), ("name", &change.name)] {
            if let Some(shown) = shown {
                self.check_display_name(field, shown, own_login, Some(id))?;
            }
        }
        let changed_at = self.next_commit_time(now);
        let record = self.users.get_mut(&id).ok_or(Fault::NoSuchUser)?;
        let UserChange {
            login,
            username,
            name,
            email,
            bio,
            photo,
            admin,
            business,
            profile,
            password_hash,
        } = change;
        let user = &mut record.user;
        put(&mut user.login, login);
        put(&mut user.username, username);
        put(&mut user.name, name);
        put(&mut user.bio, bio);
        let sessions_end = password_hash.is_some() || (user.admin && admin == Some(false));
        put(&mut user.admin, admin);
        put(&mut user.business, business);
        put(&mut user.profile, profile);
        user.email = email.or(user.email.take());
        user.photo = photo.or(user.photo.take());
        user.changed_at = changed_at;
        let user = user.clone();
        if password_hash.is_some() {
            self.recoveries.retain(|_, (owner, _)| *owner != id);
        }
        record.password_hash = password_hash.or(record.password_hash.take());
        if sessions_end {
            self.end_sessions(id, now);
        }
        Ok(user)
    }

    fn delete_user(&mut self, id: UserId, now: Timestamp) -> Result<(), StoreError> {
        self.active_user(id)?;
        let changed_at = self.next_commit_time(now);
        if let Some(record) = self.users.get_mut(&id) {
            let user = &mut record.user;
            (user.email, user.phone, record.password_hash) = (None, None, None);
            (user.changed_at, user.deleted_at) = (changed_at, Some(now));
        }
        self.recoveries.retain(|_, (owner, _)| *owner != id);
        self.ledger.forget(id);
        let flows: Vec<FlowId> = self.flows_of(id).map(|record| record.flow.id).collect();
        for flow in flows {
            let changed_at = self.next_commit_time(now);
            if let Some(record) = self.flows.get_mut(&flow) {
                record.members.remove(&id);
                record.acted.remove(&id);
                record.joined.retain(|member| *member != id);
                record.flow.changed_at = changed_at;
            }
            self.publish(now, None, EventKind::MembersRemoved { flow, users: vec![id] });
        }
        self.end_sessions(id, now);
        Ok(())
    }

    /// True if a user other than `except` has the login or the address as one of theirs, or a login
    /// that looks like this one.
    pub(super) fn is_taken(
        &self,
        login: Option<&str>,
        email: Option<&str>,
        except: Option<UserId>,
    ) -> bool {
        let exact: Vec<String> = login.into_iter().chain(email).map(case_folded).collect();
        let looks = login.map(look_alikes).unwrap_or_default();
        self.others(except).any(|user| {
            let known = [Some(&user.login), user.email.as_ref()].into_iter().flatten();
            known.into_iter().any(|known| exact.contains(&case_folded(known)))
                || !looks.is_disjoint(&look_alikes(&user.login))
        })
    }

    pub(super) fn check_display_name(
        &self,
        field: &'static str,
        name: &str,
        own_login: &str,
        except: Option<UserId>,
    ) -> Result<(), StoreError> {
        let own = look_alikes(own_login);
        let looks: BTreeSet<String> = look_alikes(name).difference(&own).cloned().collect();
        if self.others(except).any(|user| !looks.is_disjoint(&look_alikes(&user.login))) {
            return Err(Fault::invalid(field, IMITATION).into());
        }
        Ok(())
    }

    /// All users but one, deleted ones too.
    fn others(&self, except: Option<UserId>) -> impl Iterator<Item = &User> {
        let users = self.users.values().map(|record| &record.user);
        users.filter(move |user| except != Some(user.id))
    }

    fn by_login(&self, login: &str) -> Option<&UserRecord> {
        let login = case_folded(login);
        self.users.values().find(|record| case_folded(&record.user.login) == login)
    }

    fn by_email(&self, email: &str) -> Option<&UserRecord> {
        let email = case_folded(email);
        self.users.values().find(|record| {
            record.user.email.as_ref().is_some_and(|known| case_folded(known) == email)
        })
    }

    pub(super) fn active_user(&self, user: UserId) -> Result<&User, StoreError> {
        let record = self.users.get(&user).filter(|record| record.is_active());
        Ok(record.map(|record| &record.user).ok_or(Fault::NoSuchUser)?)
    }
}

fn put<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}
