//! The fields of the model, with their types.

use tolmach_domain::ObjectKind;

/// The type of a field.
#[expect(clippy::enum_variant_names, reason = "the content type is called so in the model")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Flag,
    Integer,
    Text,
    Time,
    UserId,
    FlowId,
    MessageId,
    FlowKind,
    ContentType,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Any value, kept as it is.
    Json,
    Object(Shape),
    List(Item),
}

/// The type of a list's items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item {
    Object(Shape),
    UserId,
    FlowId,
    MessageId,
}

impl Item {
    pub(crate) fn of(self) -> Type {
        match self {
            Item::Object(shape) => Type::Object(shape),
            Item::UserId => Type::UserId,
            Item::FlowId => Type::FlowId,
            Item::MessageId => Type::MessageId,
        }
    }
}

impl Type {
    /// The type in words, with its article.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Type::Flag => "a flag",
            Type::Integer => "an integer",
            Type::Text => "a text",
            Type::Time => "a time",
            Type::UserId | Type::FlowId | Type::MessageId => "an id",
            Type::FlowKind | Type::ContentType | Type::Word(_) => "a value of a closed set",
            Type::Json => "any value",
            Type::Object(_) => "an object",
            Type::List(_) => "a list",
        }
    }

    /// True for ids.
    pub(crate) fn is_id(self) -> bool {
        self.object_kind().is_some()
    }

    /// The kind of object that ids of this type name.
    pub(crate) fn object_kind(self) -> Option<ObjectKind> {
        match self {
            Type::UserId => Some(ObjectKind::User),
            Type::FlowId => Some(ObjectKind::Flow),
            Type::MessageId => Some(ObjectKind::Message),
            _ => None,
        }
    }
}

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Message,
    Flow,
    User,
    /// The part of a user that others see.
    Author,
    /// The identifier of an account to recover.
    Known,
    /// A reference to a user.
    Reference,
    Command(Operation),
    Answer(Operation),
    Event(&'static str),
}

/// A command by its name; [`Operation::Nothing`] is answered without the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    Register,
    Login,
    Refresh,
    Logout,
    Recover,
    ResetPassword,
    DeleteAccount,
    CreateProfile,
    GetUser,
    SearchUsers,
    OpenChat,
    CreateFlow,
    DeleteFlow,
    GetFlow,
    AddMembers,
    RemoveMembers,
    ListFlows,
    Send,
    Edit,
    Delete,
    History,
    GetChanges,
    ShowTyping,
    Nothing,
}

impl Operation {
    /// The operation of a command; `None` for one that no file has.
    pub(crate) fn of(command: &tolmach_domain::Command) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == command.name())
    }

    pub(crate) const ALL: [Operation; 24] = [
        Operation::Register,
        Operation::Login,
        Operation::Refresh,
        Operation::Logout,
        Operation::Recover,
        Operation::ResetPassword,
        Operation::DeleteAccount,
        Operation::CreateProfile,
        Operation::GetUser,
        Operation::SearchUsers,
        Operation::OpenChat,
        Operation::CreateFlow,
        Operation::DeleteFlow,
        Operation::GetFlow,
        Operation::AddMembers,
        Operation::RemoveMembers,
        Operation::ListFlows,
        Operation::Send,
        Operation::Edit,
        Operation::Delete,
        Operation::History,
        Operation::GetChanges,
        Operation::ShowTyping,
        Operation::Nothing,
    ];

    /// The name, as [`tolmach_domain::Command::name`] gives it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Operation::Register => "register",
            Operation::Login => "login",
            Operation::Refresh => "refresh",
            Operation::Logout => "logout",
            Operation::Recover => "recover",
            Operation::ResetPassword => "reset_password",
            Operation::DeleteAccount => "delete_account",
            Operation::CreateProfile => "create_profile",
            Operation::GetUser => "get_user",
            Operation::SearchUsers => "search_users",
            Operation::OpenChat => "open_chat",
            Operation::CreateFlow => "create_flow",
            Operation::DeleteFlow => "delete_flow",
            Operation::GetFlow => "get_flow",
            Operation::AddMembers => "add_members",
            Operation::RemoveMembers => "remove_members",
            Operation::ListFlows => "list_flows",
            Operation::Send => "send",
            Operation::Edit => "edit",
            Operation::Delete => "delete",
            Operation::History => "history",
            Operation::GetChanges => "get_changes",
            Operation::ShowTyping => "show_typing",
            Operation::Nothing => "nothing",
        }
    }

    /// True if it is requested without credentials.
    pub(crate) fn is_anonymous(self) -> bool {
        matches!(
            self,
            Operation::Register
                | Operation::Login
                | Operation::Refresh
                | Operation::Recover
                | Operation::ResetPassword
                | Operation::DeleteAccount
        )
    }
}

/// The names of the events.
pub(crate) const EVENTS: [&str; 8] = [
    "posted",
    "edited",
    "deleted",
    "flow_created",
    "flow_deleted",
    "members_added",
    "members_removed",
    "typing",
];

/// A field of a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FieldSpec {
    pub(crate) name: &'static str,
    pub(crate) of: Type,
    /// True if it may be none.
    pub(crate) is_optional: bool,
    /// True if it is computed: written, never read.
    pub(crate) is_view: bool,
}

const fn field(name: &'static str, of: Type) -> FieldSpec {
    FieldSpec { name, of, is_optional: false, is_view: false }
}

const fn optional(name: &'static str, of: Type) -> FieldSpec {
    FieldSpec { name, of, is_optional: true, is_view: false }
}

const fn view(name: &'static str, of: Type) -> FieldSpec {
    FieldSpec { name, of, is_optional: true, is_view: true }
}

const GRANT: Type = Type::Word(&["nothing", "connection", "token", "pair"]);
const WINDOW: Type = Type::Word(&["all", "unread", "newest"]);
const KINDS: Type = Type::Word(&["any", "chat", "shared"]);

const MESSAGES: Type = Type::List(Item::Object(Shape::Message));
const FLOWS: Type = Type::List(Item::Object(Shape::Flow));
const USERS: Type = Type::List(Item::Object(Shape::User));
const AUTHORS: Type = Type::List(Item::Object(Shape::Author));
const USER_IDS: Type = Type::List(Item::UserId);
const MESSAGE_IDS: Type = Type::List(Item::MessageId);

/// Files and emoji of a message, or of one to send.
const FILES: [FieldSpec; 5] = [
    optional("emoji", Type::Text),
    optional("picture", Type::Text),
    optional("video", Type::Text),
    optional("audio", Type::Text),
    optional("document", Type::Text),
];

static MESSAGE: [FieldSpec; 17] = [
    field("id", Type::MessageId),
    field("flow", Type::FlowId),
    field("flow_kind", Type::FlowKind),
    field("author", Type::Object(Shape::Author)),
    field("text", Type::Text),
    view("plain_text", Type::Text),
    field("content_type", Type::ContentType),
    optional("reply_to", Type::MessageId),
    field("posted_at", Type::Time),
    optional("edited_at", Type::Time),
    optional("deleted_at", Type::Time),
    field("changed_at", Type::Time),
    FILES[0],
    FILES[1],
    FILES[2],
    FILES[3],
    FILES[4],
];

static AUTHOR: [FieldSpec; 4] = [
    field("id", Type::UserId),
    field("login", Type::Text),
    field("username", Type::Text),
    field("name", Type::Text),
];

static FLOW: [FieldSpec; 14] = [
    field("id", Type::FlowId),
    field("kind", Type::FlowKind),
    field("title", Type::Text),
    field("info", Type::Text),
    optional("owner", Type::UserId),
    field("created_at", Type::Time),
    field("changed_at", Type::Time),
    field("members", USERS),
    optional("last", Type::Object(Shape::Message)),
    optional("first", Type::MessageId),
    view("name", Type::Text),
    view("name_by_login", Type::Text),
    view("others", USERS),
    view("business", Type::Flag),
];

static USER: [FieldSpec; 12] = [
    field("id", Type::UserId),
    field("login", Type::Text),
    field("username", Type::Text),
    field("name", Type::Text),
    optional("email", Type::Text),
    optional("phone", Type::Text),
    field("bio", Type::Text),
    optional("avatar", Type::Text),
    field("bot", Type::Flag),
    field("admin", Type::Flag),
    field("business", Type::Flag),
    field("created_at", Type::Time),
];

static KNOWN: [FieldSpec; 2] = [optional("email", Type::Text), optional("login", Type::Text)];
static REFERENCE: [FieldSpec; 2] = [optional("id", Type::UserId), optional("login", Type::Text)];

static REGISTER: [FieldSpec; 10] = [
    optional("login", Type::Text),
    field("password", Type::Text),
    optional("username", Type::Text),
    optional("email", Type::Text),
    optional("phone", Type::Text),
    optional("bot", Type::Flag),
    optional("bio", Type::Text),
    optional("avatar", Type::Text),
    field("profile", Type::Flag),
    field("grant", GRANT),
];
static LOGIN: [FieldSpec; 3] =
    [field("identifier", Type::Text), field("password", Type::Text), field("grant", GRANT)];
static REFRESH: [FieldSpec; 1] = [field("token", Type::Text)];
static LOGOUT: [FieldSpec; 1] = [optional("login", Type::Text)];
static RECOVER: [FieldSpec; 1] = [field("known", Type::Object(Shape::Known))];
static RESET_PASSWORD: [FieldSpec; 2] = [field("token", Type::Text), field("password", Type::Text)];
static DELETE_ACCOUNT: [FieldSpec; 3] =
    [optional("user", Type::UserId), field("login", Type::Text), field("password", Type::Text)];
static CREATE_PROFILE: [FieldSpec; 3] =
    [field("username", Type::Text), field("name", Type::Text), optional("bio", Type::Text)];
static GET_USER: [FieldSpec; 1] = [optional("who", Type::Object(Shape::Reference))];
static SEARCH_USERS: [FieldSpec; 2] = [field("query", Type::Text), field("limit", Type::Integer)];
static OPEN_CHAT: [FieldSpec; 1] = [field("with", Type::Object(Shape::Reference))];
static CREATE_FLOW: [FieldSpec; 5] = [
    field("kind", Type::FlowKind),
    field("title", Type::Text),
    optional("info", Type::Text),
    optional("members", USER_IDS),
    optional("key", Type::Text),
];
static DELETE_FLOW: [FieldSpec; 2] = [field("flow", Type::FlowId), optional("kinds", KINDS)];
static GET_FLOW: [FieldSpec; 3] =
    [field("flow", Type::FlowId), optional("kinds", KINDS), optional("members", Type::Flag)];
static MEMBERS: [FieldSpec; 2] = [field("flow", Type::FlowId), field("users", USER_IDS)];
static LIST_FLOWS: [FieldSpec; 3] = [
    optional("limit", Type::Integer),
    optional("offset", Type::Integer),
    optional("members", Type::Flag),
];
static SEND: [FieldSpec; 11] = [
    field("flow", Type::FlowId),
    optional("kinds", KINDS),
    field("text", Type::Text),
    optional("content_type", Type::ContentType),
    optional("key", Type::Text),
    optional("reply_to", Type::MessageId),
    FILES[0],
    FILES[1],
    FILES[2],
    FILES[3],
    FILES[4],
];
static EDIT: [FieldSpec; 3] =
    [field("message", Type::MessageId), optional("flow", Type::FlowId), field("text", Type::Text)];
static DELETE: [FieldSpec; 3] = [
    field("messages", MESSAGE_IDS),
    optional("flow", Type::FlowId),
    optional("all_or_none", Type::Flag),
];
static HISTORY: [FieldSpec; 7] = [
    field("flow", Type::FlowId),
    optional("kinds", KINDS),
    field("window", WINDOW),
    optional("limit", Type::Integer),
    optional("offset", Type::Integer),
    optional("mark_read", Type::Flag),
    // The session cuts the history to it: the engine has no such range.
    optional("from", Type::MessageId),
];
static GET_CHANGES: [FieldSpec; 3] =
    [field("since", Type::Time), optional("flow", Type::FlowId), optional("limit", Type::Integer)];
static SHOW_TYPING: [FieldSpec; 2] = [field("flow", Type::FlowId), field("active", Type::Flag)];

static GRANTED: [FieldSpec; 4] = [
    optional("token", Type::Text),
    optional("access", Type::Text),
    optional("refresh", Type::Text),
    optional("user", Type::Object(Shape::User)),
];
static USERS_FOUND: [FieldSpec; 1] = [field("users", USERS)];
static CHAT_OPENED: [FieldSpec; 3] = [
    field("flow", Type::FlowId),
    optional("with", Type::Object(Shape::Author)),
    field("created", Type::Flag),
];
static FLOW_CREATED: [FieldSpec; 2] = [field("flow", Type::FlowId), field("title", Type::Text)];
static FLOW_ONLY: [FieldSpec; 1] = [field("flow", Type::FlowId)];
static FLOWS_LISTED: [FieldSpec; 3] =
    [field("flows", FLOWS), view("total", Type::Integer), view("next", Type::Integer)];
static SENT: [FieldSpec; 2] =
    [optional("message", Type::Object(Shape::Message)), field("repeated", Type::Flag)];
static DELETED: [FieldSpec; 2] = [field("messages", MESSAGE_IDS), field("left", MESSAGE_IDS)];
static HISTORY_READ: [FieldSpec; 5] = [
    field("flow", Type::FlowId),
    field("messages", MESSAGES),
    // The messages, newest first.
    view("newest", MESSAGES),
    view("total", Type::Integer),
    view("next", Type::Integer),
];
static CHANGES: [FieldSpec; 5] = [
    field("messages", MESSAGES),
    field("flows", FLOWS),
    optional("user", Type::Object(Shape::User)),
    field("until", Type::Time),
    field("more", Type::Flag),
];
static ACCOUNT_DELETED: [FieldSpec; 1] = [field("user", Type::UserId)];

static EVENT_MESSAGE: [FieldSpec; 1] = [field("message", Type::Object(Shape::Message))];
static EVENT_DELETED: [FieldSpec; 3] =
    [field("flow", Type::FlowId), field("by", Type::UserId), field("messages", MESSAGE_IDS)];
static EVENT_FLOW_CREATED: [FieldSpec; 3] = [
    field("flow", Type::Object(Shape::Flow)),
    field("members", AUTHORS),
    view("with", Type::Object(Shape::Author)),
];
static EVENT_FLOW_DELETED: [FieldSpec; 2] =
    [field("flow", Type::FlowId), field("by", Type::UserId)];
static EVENT_MEMBERS_ADDED: [FieldSpec; 2] = [field("flow", Type::FlowId), field("users", AUTHORS)];
static EVENT_TYPING: [FieldSpec; 3] = [
    field("flow", Type::FlowId),
    field("user", Type::Object(Shape::Author)),
    field("active", Type::Flag),
];

impl Shape {
    /// The fields, without those of [`Shape::inner`].
    pub(crate) fn fields(self) -> &'static [FieldSpec] {
        match self {
            Shape::Message => &MESSAGE,
            Shape::Flow => &FLOW,
            Shape::User => &USER,
            Shape::Author => &AUTHOR,
            Shape::Known => &KNOWN,
            Shape::Reference => &REFERENCE,
            Shape::Command(operation) => command_fields(operation),
            Shape::Answer(operation) => answer_fields(operation),
            Shape::Event(name) => match name {
                "posted" | "edited" => &EVENT_MESSAGE,
                "deleted" => &EVENT_DELETED,
                "flow_created" => &EVENT_FLOW_CREATED,
                "flow_deleted" => &EVENT_FLOW_DELETED,
                "members_added" => &EVENT_MEMBERS_ADDED,
                "members_removed" => &MEMBERS,
                "typing" => &EVENT_TYPING,
                _ => &[],
            },
        }
    }

    /// The one object whose fields need no prefix: the name of its field, empty where it is the
    /// answer itself.
    pub(crate) fn inner(self) -> Option<(&'static str, Shape)> {
        match self {
            Shape::Answer(Operation::Send) => Some(("message", Shape::Message)),
            Shape::Answer(Operation::Edit) => Some(("", Shape::Message)),
            Shape::Answer(Operation::GetUser) => Some(("", Shape::User)),
            Shape::Answer(Operation::GetFlow) => Some(("", Shape::Flow)),
            Shape::Event("posted" | "edited") => Some(("message", Shape::Message)),
            _ => None,
        }
    }

    /// The field with this name.
    pub(crate) fn field(self, name: &str) -> Option<&'static FieldSpec> {
        self.fields().iter().find(|field| field.name == name)
    }
}

fn command_fields(operation: Operation) -> &'static [FieldSpec] {
    match operation {
        Operation::Register => &REGISTER,
        Operation::Login => &LOGIN,
        Operation::Refresh => &REFRESH,
        Operation::Logout => &LOGOUT,
        Operation::Recover => &RECOVER,
        Operation::ResetPassword => &RESET_PASSWORD,
        Operation::DeleteAccount => &DELETE_ACCOUNT,
        Operation::CreateProfile => &CREATE_PROFILE,
        Operation::GetUser => &GET_USER,
        Operation::SearchUsers => &SEARCH_USERS,
        Operation::OpenChat => &OPEN_CHAT,
        Operation::CreateFlow => &CREATE_FLOW,
        Operation::DeleteFlow => &DELETE_FLOW,
        Operation::GetFlow => &GET_FLOW,
        Operation::AddMembers | Operation::RemoveMembers => &MEMBERS,
        Operation::ListFlows => &LIST_FLOWS,
        Operation::Send => &SEND,
        Operation::Edit => &EDIT,
        Operation::Delete => &DELETE,
        Operation::History => &HISTORY,
        Operation::GetChanges => &GET_CHANGES,
        Operation::ShowTyping => &SHOW_TYPING,
        Operation::Nothing => &[],
    }
}

fn answer_fields(operation: Operation) -> &'static [FieldSpec] {
    match operation {
        Operation::Register | Operation::Login | Operation::Refresh => &GRANTED,
        Operation::SearchUsers => &USERS_FOUND,
        Operation::OpenChat => &CHAT_OPENED,
        Operation::CreateFlow => &FLOW_CREATED,
        Operation::DeleteFlow => &FLOW_ONLY,
        Operation::AddMembers | Operation::RemoveMembers => &MEMBERS,
        Operation::ListFlows => &FLOWS_LISTED,
        Operation::Send => &SENT,
        Operation::Delete => &DELETED,
        Operation::History => &HISTORY_READ,
        Operation::GetChanges => &CHANGES,
        Operation::DeleteAccount => &ACCOUNT_DELETED,
        Operation::GetUser
        | Operation::GetFlow
        | Operation::Edit
        | Operation::Logout
        | Operation::Recover
        | Operation::ResetPassword
        | Operation::CreateProfile
        | Operation::ShowTyping
        | Operation::Nothing => &[],
    }
}

/// The shape of the answer to a command.
pub(crate) fn answer_shape(operation: Operation) -> Shape {
    Shape::Answer(operation)
}

/// The shape of an event, if there is one with this name.
pub(crate) fn event_shape(name: &str) -> Option<Shape> {
    EVENTS.iter().find(|event| **event == name).map(|name| Shape::Event(name))
}
