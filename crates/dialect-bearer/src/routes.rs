//! The table of operations: the router and the OpenAPI document are both made from it.

use crate::wire::{FORM_LIMIT, JSON_LIMIT};
use http::Method;
use matchit::Router;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use tolmach_dialect::wire_names;

/// The beginning of every path.
pub(crate) const PREFIX: &str = "/api/v1";

wire_names! {
    /// An operation; its word is the `operationId` of the OpenAPI document.
    pub(crate) enum Operation {
        Register = "register",
        Login = "login",
        Refresh = "refresh",
        Logout = "logout",
        CreateUser = "create_user",
        GetMe = "get_me",
        GetUser = "get_user",
        GetUserPhoto = "get_user_photo",
        OpenChat = "open_chat",
        GetChat = "get_chat",
        GetMessages = "get_messages",
        CreateGroup = "create_group",
        DeleteGroup = "delete_group",
        GetGroup = "get_group",
        GetGroupUsers = "get_group_users",
        GetGroupPhoto = "get_group_photo",
        AddUsers = "add_users",
        RemoveUsers = "remove_users",
        ListChats = "list_chats",
        ChatRoom = "chat_room",
        GroupRoom = "group_room",
        Main = "main",
    }
}

impl Operation {
    /// The operation's row in the table.
    pub(crate) fn route(self) -> &'static Route {
        ROUTES
            .iter()
            .find(|route| route.operation == self)
            .expect("every operation has a row: a test looks for each")
    }
}

/// The body of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// None; one that is sent is not read.
    Nothing,
    /// JSON by this schema.
    Json(&'static str),
    /// A form with a `json` part by this schema and a photo.
    Form(&'static str),
}

impl Body {
    /// The largest body, in bytes.
    pub(crate) fn max_bytes(self) -> usize {
        match self {
            Body::Nothing => 0,
            Body::Json(_) => JSON_LIMIT,
            Body::Form(_) => FORM_LIMIT,
        }
    }
}

/// The successful response.
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
    /// True if an access token is needed.
    pub(crate) secured: bool,
    pub(crate) body: Body,
    pub(crate) success: Success,
    /// True if the query takes `limit` and `offset`.
    pub(crate) paged: bool,
    /// The statuses beside those that follow from the rest of the row.
    more_errors: &'static [u16],
}

impl Route {
    const fn new(
        method: Method,
        path: &'static str,
        operation: Operation,
        summary: &'static str,
    ) -> Self {
        Self {
            method,
            path,
            operation,
            summary,
            secured: true,
            body: Body::Nothing,
            success: Success::Json("status.reply"),
            paged: false,
            more_errors: &[],
        }
    }

    const fn public(mut self) -> Self {
        self.secured = false;
        self
    }

    const fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    const fn reply(mut self, schema: &'static str) -> Self {
        self.success = Success::Json(schema);
        self
    }

    const fn success(mut self, success: Success) -> Self {
        self.success = success;
        self
    }

    const fn paged(mut self) -> Self {
        self.paged = true;
        self
    }

    const fn more_errors(mut self, more: &'static [u16]) -> Self {
        self.more_errors = more;
        self
    }

    /// True if the path names an id.
    pub(crate) fn has_id(&self) -> bool {
        self.path.contains("{id}")
    }

    /// True if the head may have an `Idempotency-Key`.
    pub(crate) fn takes_key(&self) -> bool {
        self.method == Method::POST
    }

    /// Every status but the successful one, ascending.
    pub(crate) fn errors(&self) -> Vec<u16> {
        let with_body = self.body != Body::Nothing;
        // An account without a profile may make one; its own record is absent until then.
        let profile = !matches!(self.operation, Operation::CreateUser | Operation::GetMe);
        let rules: [(bool, &[u16]); 7] = [
            (true, &[429, 500, 503]),
            (self.has_id() || self.paged || self.takes_key(), &[400]),
            (self.secured, &[401]),
            (self.secured && profile, &[403]),
            (self.has_id(), &[404]),
            (with_body, &[413, 415]),
            (self.success == Success::WebSocket, &[426]),
        ];
        let apply = rules.into_iter().filter(|(applies, _)| *applies).flat_map(|(_, of)| of);
        let mut statuses: Vec<u16> = apply.chain(self.more_errors).copied().collect();
        statuses.sort_unstable();
        statuses
    }
}

/// Every operation. A WebSocket stands under `GET`.
#[rustfmt::skip]
pub(crate) static ROUTES: [Route; 22] = [
    Route::new(Method::POST, "/api/v1/register", Operation::Register, "Make an account and log in")
        .public().body(Body::Json("register.request")).reply("tokens.reply").more_errors(&[409]),
    Route::new(Method::POST, "/api/v1/login", Operation::Login, "Log in")
        .public().body(Body::Json("login.request")).reply("tokens.reply").more_errors(&[401]),
    Route::new(Method::POST, "/api/v1/refresh", Operation::Refresh,
        "Trade a refresh token for a new pair")
        .public().body(Body::Json("refresh.request")).reply("tokens.reply").more_errors(&[401]),
    Route::new(Method::POST, "/api/v1/logout", Operation::Logout,
        "End the session of the access token").reply("logout.reply"),
    Route::new(Method::POST, "/api/v1/user", Operation::CreateUser, "Fill in one's profile")
        .body(Body::Form("create_user.request")),
    Route::new(Method::GET, "/api/v1/user", Operation::GetMe, "Read one's own profile")
        .reply("user.reply").more_errors(&[404]),
    Route::new(Method::GET, "/api/v1/user/{id}", Operation::GetUser, "Read a user's profile")
        .reply("user.reply"),
    Route::new(Method::GET, "/api/v1/user/{id}/photo", Operation::GetUserPhoto,
        "See a user's photo").success(Success::Image),
    Route::new(Method::POST, "/api/v1/chat/{id}", Operation::OpenChat, "Open the chat with a user")
        .reply("open_chat.reply"),
    Route::new(Method::GET, "/api/v1/chat/{id}/info", Operation::GetChat, "Read about a chat")
        .reply("chat_info.reply"),
    Route::new(Method::GET, "/api/v1/chat/{id}/messages", Operation::GetMessages,
        "Read the history of a chat, newest message first").reply("messages.reply").paged(),
    Route::new(Method::POST, "/api/v1/group", Operation::CreateGroup, "Make a group")
        .body(Body::Form("create_group.request")).reply("create_group.reply").more_errors(&[422]),
    Route::new(Method::DELETE, "/api/v1/group/{id}", Operation::DeleteGroup,
        "Delete a group: its owner only"),
    Route::new(Method::GET, "/api/v1/group/{id}/info", Operation::GetGroup, "Read about a group")
        .reply("group_info.reply"),
    Route::new(Method::GET, "/api/v1/group/{id}/users", Operation::GetGroupUsers,
        "List the members of a group").reply("group_users.reply"),
    Route::new(Method::GET, "/api/v1/group/{id}/photo", Operation::GetGroupPhoto,
        "See a group's photo").success(Success::Image),
    Route::new(Method::POST, "/api/v1/group/{id}/add", Operation::AddUsers,
        "Add members to a group: its owner only")
        .body(Body::Json("users.request")).more_errors(&[409]),
    Route::new(Method::DELETE, "/api/v1/group/{id}/delete", Operation::RemoveUsers,
        "Remove members from a group: its owner only, but for oneself")
        .body(Body::Json("users.request")).more_errors(&[409]),
    Route::new(Method::GET, "/api/v1/chats", Operation::ListChats,
        "List one's conversations, newest activity first").reply("chats.reply").paged(),
    Route::new(Method::GET, "/api/v1/chat/{id}", Operation::ChatRoom, "Enter a chat")
        .success(Success::WebSocket).paged(),
    Route::new(Method::GET, "/api/v1/group/{id}", Operation::GroupRoom, "Enter a group")
        .success(Success::WebSocket).paged(),
    Route::new(Method::GET, "/api/v1/main", Operation::Main,
        "Hear the newest message of every conversation")
        .success(Success::WebSocket).more_errors(&[404]),
];

/// Every route as method and path, for tests and tools. A WebSocket stands under `GET`.
pub fn routes() -> impl Iterator<Item = (&'static str, &'static str)> {
    ROUTES.iter().map(|route| (route.method.as_str(), route.path))
}

/// The reason why no route serves a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RouteError {
    /// There is no such path.
    UnknownPath,
    /// The path has other methods: the value of `Allow`.
    MethodNotAllowed(String),
    /// Only a WebSocket is served here.
    UpgradeRequired,
    /// No WebSocket is served here.
    NoWebSocket,
}

/// Finds the route of a request and the text that stands for `{id}` in its path. A WebSocket has no
/// method of its own: it is `GET` in HTTP/1.1 and `CONNECT` in HTTP/2.
pub(crate) fn find<'a>(
    method: &Method,
    path: &'a str,
    websocket: bool,
) -> Result<(&'static Route, Option<&'a str>), RouteError> {
    let found = ROUTER.at(path).map_err(|_| RouteError::UnknownPath)?;
    let id = found.params.get("id");
    let is_room = |route: &Route| route.success == Success::WebSocket;
    if websocket {
        let room = found.value.iter().find(|route| is_room(route));
        return room.map(|route| (*route, id)).ok_or(RouteError::NoWebSocket);
    }
    // HEAD is answered like GET; the server leaves the body out.
    let served = |route: &Route| {
        route.method == *method || (route.method == Method::GET && *method == Method::HEAD)
    };
    match found.value.iter().find(|route| served(route)) {
        Some(route) if is_room(route) => Err(RouteError::UpgradeRequired),
        Some(route) => Ok((route, id)),
        None => Err(RouteError::MethodNotAllowed(allow(found.value))),
    }
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

fn allow(routes: &[&'static Route]) -> String {
    let mut methods = Vec::new();
    for route in routes {
        methods.push(route.method.as_str());
        if route.method == Method::GET {
            methods.push("HEAD");
        }
    }
    methods.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_own_method_and_path() {
        for row in &ROUTES {
            let path = row.path.replace("{id}", "7");
            let (found, id) = find(&row.method, &path, row.success == Success::WebSocket).unwrap();
            assert_eq!(found.operation, row.operation, "{path}");
            assert_eq!(id, row.has_id().then_some("7"), "{path}");
            assert!(std::ptr::eq(row.operation.route(), row), "{path}");
            assert!(row.path.starts_with(PREFIX));
        }
    }

    #[test]
    fn unserved_requests_are_told_apart() {
        let methods = |allow: &str| RouteError::MethodNotAllowed(allow.to_owned());
        for (method, path, websocket, error) in [
            (Method::GET, "/api/v1", false, RouteError::UnknownPath),
            (Method::GET, "/api/v1/", false, RouteError::UnknownPath),
            (Method::GET, "/api/v1/user/", false, RouteError::UnknownPath),
            (Method::GET, "/api/v1/user/1/", false, RouteError::UnknownPath),
            (Method::GET, "/api/v1/group//info", false, RouteError::UnknownPath),
            (Method::GET, "/api/v2/user", false, RouteError::UnknownPath),
            (Method::PUT, "/api/v1/user", false, methods("POST, GET, HEAD")),
            (Method::OPTIONS, "/api/v1/user", false, methods("POST, GET, HEAD")),
            (Method::TRACE, "/api/v1/chats", false, methods("GET, HEAD")),
            (Method::HEAD, "/api/v1/login", false, methods("POST")),
            (Method::PATCH, "/api/v1/group/1", false, methods("DELETE, GET, HEAD")),
            (Method::GET, "/api/v1/chat/1", false, RouteError::UpgradeRequired),
            (Method::HEAD, "/api/v1/main", false, RouteError::UpgradeRequired),
            (Method::GET, "/api/v1/chats", true, RouteError::NoWebSocket),
            (Method::GET, "/api/v1/nowhere", true, RouteError::UnknownPath),
        ] {
            assert_eq!(find(&method, path, websocket).unwrap_err(), error, "{method} {path}");
        }
    }

    #[test]
    fn head_is_served_where_get_is() {
        let (route, _) = find(&Method::HEAD, "/api/v1/user", false).unwrap();
        assert_eq!(route.operation, Operation::GetMe);
    }
}
