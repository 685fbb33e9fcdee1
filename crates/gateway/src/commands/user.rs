//! `tolmach user`

use super::{Failure, in_world, table};
use crate::cli::{Place, User};
use crate::world::World;
use std::io::BufRead;
use tolmach_domain::{Fault, GrantKind, Registration, Secret};
use tolmach_engine::ports::UserChange;

/// Accounts read at once.
const PAGE: u32 = 1_000;
/// More than the longest password.
const STDIN_LIMIT: u64 = 4_096;

pub(super) async fn run(place: &Place, command: User) -> Result<String, Failure> {
    match command {
        User::Add { login, password, email, admin, business } => {
            let password = read_password(password.given, password.stdin)?;
            let password = password.ok_or_else(|| Failure::Configuration("a password is needed".into()))?;
            in_world(place, async |world| add(world, login, password, email, admin, business).await).await
        }
        User::Set { login, admin, business, password, email } => {
            let password = read_password(password.given, password.stdin)?;
            if password.is_none() && admin.is_none() && business.is_none() && email.is_none() {
                return Err(Failure::Configuration("nothing to set: name --admin, --business, --email, --password or --password-stdin".into()));
            }
            let change = UserChange { admin, business, email, ..UserChange::default() };
            in_world(place, async |world| set(world, &login, change, password.as_ref()).await).await
        }
        User::List => in_world(place, list).await,
    }
}

async fn add(world: &World, login: String, password: Secret, email: Option<String>, admin: bool, business: bool) -> Result<String, Failure> {
    let now = world.engine.now();
    let registration = Registration {
        login: Some(login),
        password,
        username: None,
        email,
        phone: None,
        bot: false,
        bio: None,
        avatar: None,
        profile: true,
        grant: GrantKind::Nothing,
    };
    let user = world.engine.create_account(registration, now).await?;
    if admin || business {
        let change = UserChange { admin: Some(admin), business: Some(business), ..UserChange::default() };
        world.engine.change_account(user.id, change, None, now).await?;
    }
    Ok(format!("{}\n", user.id))
}

async fn set(world: &World, login: &str, change: UserChange, password: Option<&Secret>) -> Result<String, Failure> {
    let user = world.engine.account(login).await.map_err(|fault| match fault {
        Fault::NoSuchUser => Failure::Failed(format!("there is no account {login:?}")),
        fault => fault.into(),
    })?;
    world.engine.change_account(user.id, change, password, world.engine.now()).await?;
    Ok(String::new())
}

async fn list(world: &World) -> Result<String, Failure> {
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let users = world.engine.accounts(after, PAGE).await?;
        let Some(last) = users.last() else { break };
        after = Some(last.id);
        rows.extend(users.into_iter().map(|user| {
            let marks = [(user.admin, "admin"), (user.business, "business"), (user.bot, "bot"), (!user.profile, "no profile")];
            let marks = marks.into_iter().filter_map(|(has, mark)| has.then_some(mark)).collect::<Vec<_>>().join(", ");
            [user.id.to_string(), user.login, user.username, user.email.unwrap_or_default(), user.created_at.rfc3339(), marks]
        }));
    }
    Ok(table(["ID", "LOGIN", "NAME", "E-MAIL", "SINCE", ""], rows))
}

fn read_password(given: Option<String>, stdin: bool) -> Result<Option<Secret>, Failure> {
    if !stdin {
        return Ok(given.map(Secret::new));
    }
    let line = first_line(std::io::stdin().lock()).map_err(|error| Failure::Failed(format!("standard input cannot be read: {error}")))?;
    Ok(Some(line))
}

fn first_line(input: impl BufRead) -> std::io::Result<Secret> {
    let mut line = String::new();
    input.take(STDIN_LIMIT).read_line(&mut line)?;
    let line = line.strip_suffix('\n').unwrap_or(&line);
    Ok(Secret::new(line.strip_suffix('\r').unwrap_or(line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_as_it_is() {
        for (input, password) in [("a\n", "a"), ("a", "a"), ("a\r\n", "a"), (" a \nb\n", " a "), ("", ""), ("\n", "")] {
            assert_eq!(first_line(input.as_bytes()).unwrap(), Secret::new(password), "{input:?}");
        }
        assert!(first_line(&[0xff, b'\n'][..]).is_err());
    }
}
