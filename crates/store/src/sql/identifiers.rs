//! Statements over the identifiers of users.

/// Takes an identifier for a user, and changes no row if another has it: form, key, user.
pub(crate) const TAKE_IDENTIFIER: &str = "\
    INSERT INTO identifier (form, name_key, user_id) VALUES ($1, $2, $3) \
    ON CONFLICT (form, name_key) DO UPDATE SET user_id = excluded.user_id \
    WHERE identifier.user_id = excluded.user_id";

/// The owner of an identifier: form, key.
pub(crate) const OWNER_OF_IDENTIFIER: &str =
    "SELECT user_id FROM identifier WHERE form = $1 AND name_key = $2";

/// The identifiers of a user.
pub(crate) const IDENTIFIERS_OF_USER: &str =
    "SELECT form, name_key FROM identifier WHERE user_id = $1";

/// Frees an identifier: form, key.
pub(crate) const FREE_IDENTIFIER: &str = "DELETE FROM identifier WHERE form = $1 AND name_key = $2";

/// The logins that are the e-mail address of another account, with both accounts.
pub(crate) const COLLIDING_LOGINS: &str = "\
    SELECT owner.id AS login_user, owner.login AS login, other.id AS email_user \
    FROM \"user\" AS owner JOIN \"user\" AS other ON other.email_key = owner.login_key \
    WHERE other.id <> owner.id AND owner.deleted_at IS NULL ORDER BY owner.id";
