//! Fields of the model by number: the compiler of files looks their names up once.

macro_rules! fields {
    ($($field:ident = $name:literal,)*) => {
        /// A field of an object of the model.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Field {
            $($field,)*
        }

        impl Field {
            /// The field with this name.
            pub(crate) fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Field::$field),)*
                    _ => None,
                }
            }
        }
    };
}

fields! {
    Access = "access",
    Active = "active",
    Admin = "admin",
    AllOrNone = "all_or_none",
    Audio = "audio",
    Author = "author",
    Avatar = "avatar",
    Bio = "bio",
    Bot = "bot",
    Business = "business",
    By = "by",
    ChangedAt = "changed_at",
    ContentType = "content_type",
    Created = "created",
    CreatedAt = "created_at",
    DeletedAt = "deleted_at",
    Document = "document",
    EditedAt = "edited_at",
    Email = "email",
    Emoji = "emoji",
    First = "first",
    Flow = "flow",
    FlowKind = "flow_kind",
    Flows = "flows",
    From = "from",
    Grant = "grant",
    Id = "id",
    Identifier = "identifier",
    Info = "info",
    Key = "key",
    Kind = "kind",
    Kinds = "kinds",
    Known = "known",
    Last = "last",
    Left = "left",
    Limit = "limit",
    Login = "login",
    MarkRead = "mark_read",
    Members = "members",
    Message = "message",
    Messages = "messages",
    More = "more",
    Name = "name",
    NameByLogin = "name_by_login",
    Newest = "newest",
    Next = "next",
    Offset = "offset",
    Others = "others",
    Owner = "owner",
    Password = "password",
    Phone = "phone",
    Picture = "picture",
    PlainText = "plain_text",
    PostedAt = "posted_at",
    Profile = "profile",
    Query = "query",
    Refresh = "refresh",
    Repeated = "repeated",
    ReplyTo = "reply_to",
    Since = "since",
    Text = "text",
    Title = "title",
    Token = "token",
    Total = "total",
    Until = "until",
    User = "user",
    Username = "username",
    Users = "users",
    Video = "video",
    Who = "who",
    Window = "window",
    With = "with",
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::shapes::{EVENTS, Operation, Shape, answer_shape};

    #[test]
    fn every_field_of_a_shape_has_a_number() {
        let objects = [
            Shape::Message,
            Shape::Flow,
            Shape::User,
            Shape::Author,
            Shape::Known,
            Shape::Reference,
        ];
        let commands = Operation::ALL.map(Shape::Command);
        let answers = Operation::ALL.map(answer_shape);
        let shapes = objects.into_iter().chain(commands).chain(answers);
        for shape in shapes.chain(EVENTS.map(Shape::Event)) {
            for field in shape.fields() {
                assert!(Field::named(field.name).is_some(), "{shape:?}: {}", field.name);
            }
        }
    }
}
