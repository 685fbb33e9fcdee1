//! Who may do what: one table in canonical terms, tried over every dialect. Nobody reads, writes,
//! edits, deletes or learns of what is not theirs, and what is refused changes nothing.

use crate::dialects::{self, Spoken};
use crate::frames::record;
use crate::house::{ADMINISTRATOR, BUSINESS, House, cluster, single};
use crate::people::{Human, Trouble, name_of, text, visitor};
use crate::scene::{Place, chat_with, find, group, list, messages, new_group, send, unique};
use crate::translate::project;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use tolmach_client::{Client, Told};
use tolmach_domain::{
    Answer, Authority, Command, Credentials, MessageId, PhotoOf, Secret, UserId, UserRef,
};

/// Who asks. The administrator asks as one where the dialect has words for it, and is a stranger
/// where it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Anonymous,
    Stranger,
    Member,
    Owner,
    Administrator,
}

/// The order of the table's columns.
const ROLES: [Role; 5] =
    [Role::Anonymous, Role::Stranger, Role::Member, Role::Owner, Role::Administrator];

/// What is asked about, seen from whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The group that the owner and the member are in; one's own message there; oneself.
    Own,
    /// A message of another member of that group; another user.
    Anothers,
    /// A group that none of them is in, or a message there.
    Elsewhere,
}

/// What comes of it: `None` where the question makes no sense.
type Expected = Option<Result<(), &'static str>>;

const YES: Expected = Some(Ok(()));
const WHO: Expected = Some(Err("unauthenticated"));
const NO_FLOW: Expected = Some(Err("no_such_flow"));
const NO_MESSAGE: Expected = Some(Err("no_such_message"));
const NOT_OWNER: Expected = Some(Err("not_owner"));
const NOT_AUTHOR: Expected = Some(Err("not_author"));
const NO_BUSINESS: Expected = Some(Err("no_business"));
const NO_PHOTO: Expected = Some(Err("no_photo"));
const WRONG: Expected = Some(Err("wrong_credentials"));

struct Row {
    operation: &'static str,
    whose: Whose,
    /// By role, in the order of [`ROLES`].
    expected: [Expected; 5],
}

const fn row(operation: &'static str, whose: Whose, expected: [Expected; 5]) -> Row {
    Row { operation, whose, expected }
}

/// Rows of one operation are tried in this order, in one scene.
const TABLE: [Row; 29] = [
    row("list_flows", Whose::Own, [WHO, YES, YES, YES, YES]),
    row("history", Whose::Own, [WHO, NO_FLOW, YES, YES, YES]),
    row("history", Whose::Elsewhere, [WHO, NO_FLOW, NO_FLOW, NO_FLOW, YES]),
    row("get_changes", Whose::Own, [WHO, NO_FLOW, YES, YES, None]),
    row("get_changes", Whose::Elsewhere, [WHO, NO_FLOW, NO_FLOW, NO_FLOW, None]),
    row("get_flow", Whose::Own, [WHO, NO_FLOW, YES, YES, YES]),
    row("get_flow", Whose::Elsewhere, [WHO, NO_FLOW, NO_FLOW, NO_FLOW, YES]),
    row("get_photo", Whose::Own, [WHO, NO_FLOW, NO_PHOTO, NO_PHOTO, None]),
    row("get_photo", Whose::Elsewhere, [WHO, NO_FLOW, NO_FLOW, NO_FLOW, None]),
    row("send", Whose::Own, [WHO, NO_FLOW, YES, YES, YES]),
    row("send", Whose::Elsewhere, [WHO, NO_FLOW, NO_FLOW, NO_FLOW, NO_BUSINESS]),
    row("edit", Whose::Own, [WHO, None, YES, YES, None]),
    row("edit", Whose::Anothers, [WHO, NO_MESSAGE, NOT_AUTHOR, NOT_AUTHOR, NOT_AUTHOR]),
    row("edit", Whose::Elsewhere, [WHO, NO_MESSAGE, NO_MESSAGE, NO_MESSAGE, NO_BUSINESS]),
    row("delete", Whose::Own, [WHO, None, YES, YES, None]),
    row("delete", Whose::Anothers, [WHO, NO_MESSAGE, NOT_AUTHOR, NOT_AUTHOR, YES]),
    row("delete", Whose::Elsewhere, [WHO, NO_MESSAGE, NO_MESSAGE, NO_MESSAGE, NO_BUSINESS]),
    row("show_typing", Whose::Own, [WHO, NO_FLOW, YES, YES, None]),
    row("show_typing", Whose::Elsewhere, [WHO, NO_FLOW, NO_FLOW, NO_FLOW, None]),
    row("add_members", Whose::Own, [WHO, NO_FLOW, NOT_OWNER, YES, None]),
    row("add_members", Whose::Elsewhere, [WHO, NO_FLOW, NO_FLOW, NO_FLOW, None]),
    row("remove_members", Whose::Own, [WHO, NO_FLOW, NOT_OWNER, YES, None]),
    row("delete_flow", Whose::Elsewhere, [WHO, NO_FLOW, NO_FLOW, NO_FLOW, None]),
    row("delete_flow", Whose::Own, [WHO, NO_FLOW, NOT_OWNER, YES, None]),
    row("open_chat", Whose::Anothers, [WHO, YES, YES, YES, None]),
    row("create_flow", Whose::Own, [WHO, YES, YES, YES, None]),
    row("get_user", Whose::Own, [WHO, YES, YES, YES, None]),
    row("delete_account", Whose::Anothers, [WRONG, WRONG, WRONG, WRONG, None]),
    row("logout", Whose::Anothers, [WHO, WHO, WHO, WHO, None]),
];

/// The operations of the table, each once.
pub(crate) fn operations() -> Vec<&'static str> {
    let mut operations: Vec<_> = TABLE.iter().map(|row| row.operation).collect();
    operations.dedup();
    operations
}

/// Tries every row of an operation over a dialect at one gateway.
pub(crate) fn trial(dialect: &str, operation: &'static str) -> Result<(), Trouble> {
    try_rows(&single(), dialect, operation)
}

/// The same holds of every operation where those who ask are at two nodes of a cluster.
pub(crate) fn across_nodes(dialect: &str) -> Result<(), Trouble> {
    let Some(house) = cluster() else { return Ok(()) };
    let trials = operations().into_iter().map(|operation| try_rows(&house, dialect, operation));
    let troubles: Vec<_> = trials.filter_map(Result::err).collect();
    if troubles.is_empty() { Ok(()) } else { Err(troubles.join("\n")) }
}

fn try_rows(house: &House, dialect: &str, operation: &'static str) -> Result<(), Trouble> {
    house.run(async {
        let mut scene = Scene::set(house, dialect).await?;
        let mut said = false;
        for row in TABLE.iter().filter(|row| row.operation == operation) {
            for (role, expected) in ROLES.into_iter().zip(row.expected) {
                if let Some(expected) = expected {
                    said |= scene.attempt(row, role, expected).await?;
                }
            }
        }
        let losses = project().deviations(dialect).map_err(|problems| problems.join("; "))?;
        if said == losses.loses(operation) {
            return Err(format!(
                "{operation}: a loss of all of it is declared: {}; it can be said: {said}",
                !said
            ));
        }
        scene.nobody_learned()
    })
}

/// A group with a few messages, another one that is none of their business, and everybody who asks.
struct Scene {
    spoken: Spoken,
    stranger: Human,
    member: Human,
    owner: Human,
    administrator: Human,
    /// Owns the group elsewhere.
    bystander: Human,
    business: UserId,
    group: Place,
    elsewhere: Place,
    /// Where strangers ask.
    there: SocketAddr,
    /// The name of an anonymous client, which is nobody's login.
    nobody: String,
    /// Words that only members hear.
    inside: String,
    /// Words that only the bystander hears.
    foreign: String,
    /// By author and by whose row they are for.
    messages: BTreeMap<(UserId, &'static str), MessageId>,
    /// Whether somebody has asked as an administrator, who may see it all.
    administered: bool,
}

const FOR_OWN: &str = "own";
const FOR_ANOTHERS: &str = "anothers";

impl Scene {
    async fn set(house: &House, dialect: &str) -> Result<Self, Trouble> {
        // Whoever owns is at one node, whoever comes to it at the other.
        let (here, there) = (house.first(), house.last());
        let spoken = dialects::named(dialect);
        let mut owner = Human::join(&unique("owner"), dialect, here).await?;
        let mut member = Human::join(&unique("member"), dialect, there).await?;
        let stranger = Human::join(&unique("stranger"), dialect, there).await?;
        let mut bystander = Human::join(&unique("bystander"), dialect, here).await?;
        let administrator = Human::known(ADMINISTRATOR, there).await?;
        let business = Human::known(BUSINESS, there).await?.id;
        let (inside, foreign) =
            (format!("{} inside", unique("secret")), format!("{} foreign", unique("secret")));
        let group_place = group(&mut owner, &inside, &[member.id, business]).await?;
        let elsewhere = group(&mut bystander, &foreign, &[]).await?;
        let mut messages = BTreeMap::new();
        for (author, place, words) in [
            (&mut owner, group_place, &inside),
            (&mut member, group_place, &inside),
            (&mut bystander, elsewhere, &foreign),
        ] {
            for purpose in [FOR_OWN, FOR_ANOTHERS] {
                let words = format!("{words} {}", unique("words"));
                send(author.speaking(dialects::all()[0].id()).await?, place, &words).await?;
                messages.insert((author.id, purpose), find(author, place, &words).await?);
            }
        }
        Ok(Self {
            spoken,
            stranger,
            member,
            owner,
            administrator,
            bystander,
            business,
            group: group_place,
            elsewhere,
            there,
            nobody: unique("nobody"),
            inside,
            foreign,
            messages,
            administered: false,
        })
    }

    /// What is asked, in whichever words the dialect has.
    fn commands(&self, row: &Row, role: Role) -> Vec<Command> {
        let place = self.place(row.whose);
        let message = self.message(row.whose, role);
        let other = &self.bystander;
        let commands = match row.operation {
            "list_flows" => list(),
            "history" | "get_changes" => place.history(),
            "get_flow" => place.look(),
            "get_photo" => vec![Command::GetPhoto { of: PhotoOf::Flow(place.flow) }],
            "send" => place.send(&unique("an attempt ")),
            "edit" => place.edit(message, &unique("an attempt ")),
            "delete" => place.delete(message),
            "show_typing" => vec![Command::ShowTyping { flow: place.flow, active: true }],
            "add_members" => vec![Command::AddMembers { flow: place.flow, users: vec![other.id] }],
            "remove_members" => {
                vec![Command::RemoveMembers { flow: place.flow, users: vec![self.business] }]
            }
            "delete_flow" => place.remove(),
            "open_chat" => chat_with(other),
            "create_flow" => new_group(&unique("a group "), &[other.id]),
            "get_user" => {
                vec![
                    Command::GetUser { who: UserRef::Me },
                    Command::GetUser { who: UserRef::Id(other.id) },
                ]
            }
            "delete_account" => vec![Command::DeleteAccount {
                login: other.login.clone(),
                password: Secret::new("a guess"),
            }],
            "logout" => {
                let mut commands = vec![Command::Logout { login: Some(other.login.clone()) }];
                // A wire that names nobody ends one's own session: only without a proof that is
                // refused.
                if role == Role::Anonymous {
                    commands.push(Command::Logout { login: None });
                }
                commands
            }
            other => panic!("{other} is not asked here"),
        };
        commands.into_iter().filter(|command| command.name() == row.operation).collect()
    }

    fn place(&self, whose: Whose) -> Place {
        if whose == Whose::Elsewhere { self.elsewhere } else { self.group }
    }

    fn message(&self, whose: Whose, role: Role) -> MessageId {
        let (owner, member, bystander) = (self.owner.id, self.member.id, self.bystander.id);
        let key = match (whose, role) {
            (Whose::Elsewhere, _) => (bystander, FOR_ANOTHERS),
            (Whose::Own, Role::Owner) => (owner, FOR_OWN),
            (Whose::Own, _) => (member, FOR_OWN),
            (Whose::Anothers, Role::Member) => (owner, FOR_ANOTHERS),
            (Whose::Anothers, _) => (member, FOR_ANOTHERS),
        };
        self.messages[&key]
    }

    /// Tries it; whether the dialect has words for it.
    async fn attempt(
        &mut self,
        row: &Row,
        role: Role,
        expected: Result<(), &'static str>,
    ) -> Result<bool, Trouble> {
        let commands = self.commands(row, role);
        let before = if expected.is_err() { Some(self.state().await?) } else { None };
        let said = match role {
            Role::Anonymous => {
                self.attempt_as_impostor(row, &commands).await?;
                self.attempt_unproven(row, &commands, expected).await?
            }
            Role::Administrator => self.attempt_as_administrator(row, &commands, expected).await?,
            Role::Stranger | Role::Member | Role::Owner => {
                let place = self.place(row.whose);
                let dialect = self.spoken.id();
                let client = self.human(role).speaking(dialect).await?;
                let told = ask(client, place, &commands).await?;
                self.judge(row, role, expected, &told)?
            }
        };
        if let Some(before) = before {
            let after = self.state().await?;
            if before != after {
                return Err(format!(
                    "{}, {role:?}, {:?}: refused, and yet {before:?} became {after:?}",
                    row.operation, row.whose
                ));
            }
        }
        Ok(said)
    }

    fn human(&mut self, role: Role) -> &mut Human {
        match role {
            Role::Anonymous | Role::Stranger => &mut self.stranger,
            Role::Member => &mut self.member,
            Role::Owner => &mut self.owner,
            Role::Administrator => &mut self.administrator,
        }
    }

    /// Everything that a peer may put where a proof belongs.
    async fn attempt_unproven(
        &self,
        row: &Row,
        commands: &[Command],
        expected: Result<(), &'static str>,
    ) -> Result<bool, Trouble> {
        let forged = || Secret::new("Zm9yZ2Vk.Zm9yZ2Vk.Zm9yZ2Vk");
        let mut said = false;
        for proof in [
            Credentials::Nothing,
            Credentials::Connection,
            Credentials::Token(forged()),
            Credentials::TokenOf(self.owner.id, forged()),
            Credentials::Bearer(forged()),
        ] {
            let mut client = visitor(&self.nobody, &self.spoken, self.there);
            client.prove_by(vec![proof]);
            let told = ask(&mut client, self.place(row.whose), commands).await?;
            said |= self.judge(row, Role::Anonymous, expected, &told)?;
        }
        Ok(said)
    }

    /// The stranger's token under the owner's name, on wires where a request names its user: it
    /// opens no more than the stranger's own.
    async fn attempt_as_impostor(
        &mut self,
        row: &Row,
        commands: &[Command],
    ) -> Result<(), Trouble> {
        let own = self.stranger.speaking(self.spoken.id()).await?.proofs();
        let stolen = own.iter().find_map(|proof| match proof {
            Credentials::TokenOf(_, token) => {
                Some(Credentials::TokenOf(self.owner.id, token.clone()))
            }
            _ => None,
        });
        let Some(stolen) = stolen else { return Ok(()) };
        let mut client = visitor(&self.nobody, &self.spoken, self.there);
        client.prove_by(vec![stolen]);
        let told = ask(&mut client, self.place(row.whose), commands).await?;
        let [_, as_stranger, ..] = row.expected;
        match told {
            Told::Answer(_) if as_stranger != YES => Err(format!(
                "{}, an impostor, {:?}: a refusal is expected, found {told:?}",
                row.operation, row.whose
            )),
            Told::Answer(_) | Told::Refused(_) | Told::Unsayable => Ok(()),
        }
    }

    async fn attempt_as_administrator(
        &mut self,
        row: &Row,
        commands: &[Command],
        expected: Result<(), &'static str>,
    ) -> Result<bool, Trouble> {
        let place = self.place(row.whose);
        let dialect = self.spoken.id();
        let client = self.administrator.speaking(dialect).await?;
        client.act_as(Authority::Administrator);
        let looked = client.say_any(&place.look()).await.map_err(text)?;
        let told = ask(client, place, commands).await?;
        client.act_as(Authority::Member);
        self.administered |= looked != Told::Unsayable || told != Told::Unsayable;
        if told != Told::Unsayable {
            return self.judge(row, Role::Administrator, expected, &told);
        }
        let [_, as_stranger, ..] = row.expected;
        let Some(as_stranger) = as_stranger else { return Ok(false) };
        let told = ask(self.administrator.speaking(dialect).await?, place, commands).await?;
        self.judge(row, Role::Administrator, as_stranger, &told)
    }

    fn judge(
        &self,
        row: &Row,
        role: Role,
        expected: Result<(), &'static str>,
        told: &Told,
    ) -> Result<bool, Trouble> {
        let found = match told {
            Told::Answer(_) => Ok(()),
            Told::Refused(fault) => Err(fault.name()),
            Told::Unsayable => return Ok(false),
        };
        let fits = match (expected, found) {
            (Ok(()), Ok(())) => true,
            (Err(meant), Err(read)) => self.spoken.may_read(meant, read),
            (Ok(()), Err(_)) | (Err(_), Ok(())) => false,
        };
        if fits {
            return Ok(true);
        }
        Err(format!(
            "{}, {role:?}, {:?}: {expected:?} is expected, found {told:?}",
            row.operation, row.whose
        ))
    }

    /// What there is, as those tell who may see it.
    async fn state(&mut self) -> Result<Vec<String>, Trouble> {
        let mut state = Vec::new();
        for (human, place) in [(&mut self.owner, self.group), (&mut self.bystander, self.elsewhere)]
        {
            state.extend(
                messages(&human.anyhow(&place.history()).await?)?.into_iter().map(|(_, text)| text),
            );
            match human.anyhow(&place.look()).await? {
                Answer::Flow(overview) => state
                    .extend(overview.members.iter().map(|member| format!("member {}", member.id))),
                answer => return Err(format!("a flow is answered with {answer:?}")),
            }
        }
        Ok(state)
    }

    /// No frame told anybody what is not theirs.
    fn nobody_learned(&self) -> Result<(), Trouble> {
        let mut outsiders = vec![(&*self.nobody, &self.inside), (&*self.nobody, &self.foreign)];
        outsiders.extend([
            (&*self.stranger.login, &self.inside),
            (&*self.stranger.login, &self.foreign),
        ]);
        outsiders
            .extend([(&*self.member.login, &self.foreign), (&*self.owner.login, &self.foreign)]);
        // Over another dialect the same administrator may see everything just now, in another
        // trial.
        let administrator = name_of(ADMINISTRATOR, self.spoken.id());
        if !self.administered {
            outsiders.extend([(&*administrator, &self.inside), (&*administrator, &self.foreign)]);
        }
        for (login, secret) in outsiders {
            if let Some(frame) = record().heard_by(login, secret).first() {
                return Err(format!("{login} heard {secret:?}: {frame}"));
            }
        }
        let own = record().heard_by(&self.owner.login, &self.inside);
        if own.is_empty() {
            return Err(format!(
                "{} never heard its own words: this proves nothing",
                name_of(&self.owner.login, "any")
            ));
        }
        Ok(())
    }
}

/// Looks at the flow and into it, which is what lets a client speak there over some wires, whatever
/// comes of it; then asks.
async fn ask(client: &mut Client, place: Place, commands: &[Command]) -> Result<Told, Trouble> {
    client.say_any(&place.look()).await.map_err(text)?;
    client.say_any(&place.history()).await.map_err(text)?;
    client.say_any(commands).await.map_err(text)
}
