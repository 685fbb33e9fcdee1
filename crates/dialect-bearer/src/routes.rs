//! The one table of what is served: the router and the OpenAPI document are both made from it.

use http::Method;
use matchit::Router;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// What every path begins with.
pub(crate) const PREFIX: &str = "/api/v1";

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    Register,
    Login,
    Refresh,
    Logout,
    CreateUser,
    GetMe,
    GetUser,
    GetUserPhoto,
    OpenChat,
    GetChat,
    CreateGroup,
    DeleteGroup,
    GetGroup,
    GetGroupUsers,
    GetGroupPhoto,
    AddUsers,
    RemoveUsers,
    ListChats,
    ChatRoom,
    GroupRoom,
    Main,
}

impl Operation {
    /// A short stable name: the `operationId`, and what a loss is named after.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Operation::Register => "register",
            Operation::Login => "login",
            Operation::Refresh => "refresh",
            Operation::Logout => "logout",
            Operation::CreateUser => "create_user",
            Operation::GetMe => "get_me",
            Operation::GetUser => "get_user",
            Operation::GetUserPhoto => "get_user_photo",
            Operation::OpenChat => "open_chat",
            Operation::GetChat => "get_chat",
            Operation::CreateGroup => "create_group",
            Operation::DeleteGroup => "delete_group",
            Operation::GetGroup => "get_group",
            Operation::GetGroupUsers => "get_group_users",
            Operation::GetGroupPhoto => "get_group_photo",
            Operation::AddUsers => "add_users",
            Operation::RemoveUsers => "remove_users",
            Operation::ListChats => "list_chats",
            Operation::ChatRoom => "chat_room",
            Operation::GroupRoom => "group_room",
            Operation::Main => "main",
        }
    }

    /// Its row in the table.
    pub(crate) fn route(self) -> &'static Route {
        ROUTES
            .iter()
            .find(|route| route.operation == self)
            .expect("every operation has a row: a test looks")
    }
}

/// What a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// Nothing; whatever comes is not looked at.
    Nothing,
    /// JSON by this schema.
    Json(&'static str),
    /// A form with a `json` part by this schema and a photo.
    Form(&'static str),
}

/// What a granted request is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Success {
    /// JSON by this schema.
    Json(&'static str),
    /// An image.
    Image,
    /// A WebSocket.
    WebSocket,
}

/// A row of the table.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) operation: Operation,
    pub(crate) summary: &'static str,
    /// Whether an access token is needed.
    pub(crate) secured: bool,
    pub(crate) body: Body,
    pub(crate) success: Success,
    /// Whether the query takes `limit` and `offset`.
    pub(crate) paged: bool,
    /// Every other status that can be answered.
    pub(crate) errors: &'static [u16],
}

impl Route {
    /// Whether the path names an id.
    pub(crate) fn has_id(&self) -> bool {
        self.path.contains("{id}")
    }

    /// Whether the head may have an `Idempotency-Key`.
    pub(crate) fn takes_key(&self) -> bool {
        self.method == Method::POST
    }
}

const fn open(
    path: &'static str,
    operation: Operation,
    summary: &'static str,
    body: Body,
    errors: &'static [u16],
) -> Route {
    let success = Success::Json("tokens.reply");
    Route {
        method: Method::POST,
        path,
        operation,
        summary,
        secured: false,
        body,
        success,
        paged: false,
        errors,
    }
}

const fn secured(
    method: Method,
    path: &'static str,
    operation: Operation,
    summary: &'static str,
    body: Body,
    success: Success,
    errors: &'static [u16],
) -> Route {
    Route { method, path, operation, summary, secured: true, body, success, paged: false, errors }
}

const fn paged(mut route: Route) -> Route {
    route.paged = true;
    route
}

const OK: Success = Success::Json("status.reply");

/// What is served.
#[rustfmt::skip]
pub(crate) static ROUTES: [Route; 21] = [
    open("/api/v1/register", Operation::Register, "Make an account and log in", Body::Json("register.request"),
        &[400, 409, 413, 415, 429, 500, 503]),
    open("/api/v1/login", Operation::Login, "Log in", Body::Json("login.request"),
        &[400, 401, 413, 415, 429, 500, 503]),
    open("/api/v1/refresh", Operation::Refresh, "Trade a refresh token for a new pair", Body::Json("refresh.request"),
        &[400, 401, 413, 415, 429, 500, 503]),
    secured(Method::POST, "/api/v1/logout", Operation::Logout, "End the session of the access token",
        Body::Nothing, Success::Json("logout.reply"), &[400, 401, 403, 429, 500, 503]),
    secured(Method::POST, "/api/v1/user", Operation::CreateUser, "Fill in one's profile",
        Body::Form("create_user.request"), OK, &[400, 401, 413, 415, 429, 500, 503]),
    secured(Method::GET, "/api/v1/user", Operation::GetMe, "Read one's own profile",
        Body::Nothing, Success::Json("user.reply"), &[401, 404, 429, 500, 503]),
    secured(Method::GET, "/api/v1/user/{id}", Operation::GetUser, "Read a user's profile",
        Body::Nothing, Success::Json("user.reply"), &[400, 401, 403, 404, 429, 500, 503]),
    secured(Method::GET, "/api/v1/user/{id}/photo", Operation::GetUserPhoto, "See a user's photo",
        Body::Nothing, Success::Image, &[400, 401, 403, 404, 429, 500, 503]),
    secured(Method::POST, "/api/v1/chat/{id}", Operation::OpenChat, "Open the chat with a user",
        Body::Nothing, Success::Json("open_chat.reply"), &[400, 401, 403, 404, 429, 500, 503]),
    secured(Method::GET, "/api/v1/chat/{id}/info", Operation::GetChat, "Read about a chat",
        Body::Nothing, Success::Json("chat_info.reply"), &[400, 401, 403, 404, 429, 500, 503]),
    secured(Method::POST, "/api/v1/group", Operation::CreateGroup, "Make a group",
        Body::Form("create_group.request"), Success::Json("create_group.reply"), &[400, 401, 403, 413, 415, 422, 429, 500, 503]),
    secured(Method::DELETE, "/api/v1/group/{id}", Operation::DeleteGroup, "Delete a group: its owner only",
        Body::Nothing, OK, &[400, 401, 403, 404, 429, 500, 503]),
    secured(Method::GET, "/api/v1/group/{id}/info", Operation::GetGroup, "Read about a group",
        Body::Nothing, Success::Json("group_info.reply"), &[400, 401, 403, 404, 429, 500, 503]),
    secured(Method::GET, "/api/v1/group/{id}/users", Operation::GetGroupUsers, "List the members of a group",
        Body::Nothing, Success::Json("group_users.reply"), &[400, 401, 403, 404, 429, 500, 503]),
    secured(Method::GET, "/api/v1/group/{id}/photo", Operation::GetGroupPhoto, "See a group's photo",
        Body::Nothing, Success::Image, &[400, 401, 403, 404, 429, 500, 503]),
    secured(Method::POST, "/api/v1/group/{id}/add", Operation::AddUsers, "Add members to a group: its owner only",
        Body::Json("users.request"), OK, &[400, 401, 403, 404, 409, 413, 415, 429, 500, 503]),
    secured(Method::DELETE, "/api/v1/group/{id}/delete", Operation::RemoveUsers, "Remove members from a group: its owner only",
        Body::Json("users.request"), OK, &[400, 401, 403, 404, 409, 413, 415, 429, 500, 503]),
    paged(secured(Method::GET, "/api/v1/chats", Operation::ListChats, "List one's conversations, newest activity first",
        Body::Nothing, Success::Json("chats.reply"), &[400, 401, 403, 429, 500, 503])),
    paged(secured(Method::GET, "/api/v1/chat/{id}", Operation::ChatRoom, "Enter a chat",
        Body::Nothing, Success::WebSocket, &[400, 401, 403, 404, 426, 429, 500, 503])),
    paged(secured(Method::GET, "/api/v1/group/{id}", Operation::GroupRoom, "Enter a group",
        Body::Nothing, Success::WebSocket, &[400, 401, 403, 404, 426, 429, 500, 503])),
    secured(Method::GET, "/api/v1/main", Operation::Main, "Hear the newest message of every conversation",
        Body::Nothing, Success::WebSocket, &[401, 403, 404, 426, 429, 500, 503]),
];

/// Every route as method and path, for tests and tools. WebSocket routes stand under `GET`.
pub fn routes() -> impl Iterator<Item = (&'static str, &'static str)> {
    ROUTES.iter().map(|route| (route.method.as_str(), route.path))
}

/// A request that no route answers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    /// There is no such path.
    Path,
    /// The path has other verbs: the value of `Allow`.
    Verb(String),
    /// Only a WebSocket is served here.
    UpgradeRequired,
    /// No WebSocket is served here.
    NoWebSocket,
}

/// A route, and the id that the path names, unread.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    pub(crate) route: &'static Route,
    pub(crate) id: Option<&'a str>,
}

static ROUTER: LazyLock<Router<Vec<&'static Route>>> = LazyLock::new(|| {
    let mut paths: BTreeMap<&str, Vec<&Route>> = BTreeMap::new();
    for route in &ROUTES {
        paths.entry(route.path).or_default().push(route);
    }
    let mut router = Router::new();
    for (path, routes) in paths {
        router
            .insert(path, routes)
            .expect("the paths of the table do not conflict: a test builds the router");
    }
    router
});

/// Finds the route of a request. A WebSocket has no verb of its own: it is `GET` in HTTP/1.1 and
/// `CONNECT` in HTTP/2.
pub(crate) fn find<'a>(method: &Method, path: &'a str, websocket: bool) -> Result<Found<'a>, Miss> {
    let found = ROUTER.at(path).map_err(|_| Miss::Path)?;
    let id = found.params.get("id");
    let is_room = |route: &&&Route| route.success == Success::WebSocket;
    if websocket {
        return found
            .value
            .iter()
            .find(is_room)
            .map(|route| Found { route, id })
            .ok_or(Miss::NoWebSocket);
    }
    // HEAD is answered like GET: whoever writes the response leaves the body out.
    let served = |route: &Route| {
        route.method == *method || (route.method == Method::GET && *method == Method::HEAD)
    };
    match found.value.iter().find(|route| served(route)) {
        Some(route) if is_room(&route) => Err(Miss::UpgradeRequired),
        Some(route) => Ok(Found { route, id }),
        None => Err(Miss::Verb(allow(found.value))),
    }
}

fn allow(routes: &[&'static Route]) -> String {
    let mut verbs = Vec::new();
    for route in routes {
        verbs.push(route.method.as_str());
        if route.method == Method::GET {
            verbs.push("HEAD");
        }
    }
    verbs.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_own_verb_and_path() {
        for row in &ROUTES {
            let path = row.path.replace("{id}", "7");
            let found = find(&row.method, &path, row.success == Success::WebSocket).unwrap();
            assert_eq!(found.route.operation, row.operation, "{path}");
            assert_eq!(found.id, row.has_id().then_some("7"), "{path}");
            assert!(std::ptr::eq(row.operation.route(), row), "{path}");
            assert!(row.path.starts_with(PREFIX));
        }
    }

    #[test]
    fn what_is_not_served_is_told_apart() {
        let verb = |allow: &str| Miss::Verb(allow.to_owned());
        for (method, path, websocket, miss) in [
            (Method::GET, "/api/v1", false, Miss::Path),
            (Method::GET, "/api/v1/", false, Miss::Path),
            (Method::GET, "/api/v1/user/", false, Miss::Path),
            (Method::GET, "/api/v1/user/1/", false, Miss::Path),
            (Method::GET, "/api/v1/group//info", false, Miss::Path),
            (Method::GET, "/api/v2/user", false, Miss::Path),
            (Method::PUT, "/api/v1/user", false, verb("POST, GET, HEAD")),
            (Method::OPTIONS, "/api/v1/user", false, verb("POST, GET, HEAD")),
            (Method::TRACE, "/api/v1/chats", false, verb("GET, HEAD")),
            (Method::HEAD, "/api/v1/login", false, verb("POST")),
            (Method::PATCH, "/api/v1/group/1", false, verb("DELETE, GET, HEAD")),
            (Method::GET, "/api/v1/chat/1", false, Miss::UpgradeRequired),
            (Method::HEAD, "/api/v1/main", false, Miss::UpgradeRequired),
            (Method::GET, "/api/v1/chats", true, Miss::NoWebSocket),
            (Method::GET, "/api/v1/nowhere", true, Miss::Path),
        ] {
            assert_eq!(find(&method, path, websocket).unwrap_err(), miss, "{method} {path}");
        }
    }

    #[test]
    fn head_is_served_where_get_is() {
        assert_eq!(
            find(&Method::HEAD, "/api/v1/user", false).unwrap().route.operation,
            Operation::GetMe
        );
    }
}
