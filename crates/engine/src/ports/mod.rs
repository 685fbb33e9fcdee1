//! The traits that the engine needs implemented: storage, the bus, and the process's environment.

mod blobs;
mod blocks;
mod bus;
mod clock;
mod entropy;
mod error;
mod event_log;
mod external_ids;
mod flows;
mod idempotency;
mod ledger;
mod limits;
mod login_counters;
mod mail;
mod messages;
mod passwords;
mod retention;
mod rules;
mod sessions;
mod signer;
mod store;
mod users;
mod world;

pub use blobs::{Blobs, StoredBlob};
pub use blocks::BlockStore;
pub use bus::{Bus, BusReceiver, Signal, Topic};
pub use clock::Clock;
pub use entropy::Entropy;
pub use error::{PortError, StoreError};
pub use event_log::{ChangesPage, EVENT_LOG_WINDOW, EventLog};
pub use external_ids::{ExternalIdBounds, ExternalIdRow, ExternalIdStore, KindBounds};
pub use flows::{CreateFlow, FlowCreation, FlowStore, FlowSummaryQuery};
pub use idempotency::{IDEMPOTENCY_WINDOW, IdempotencyKey};
pub use ledger::{
    LEDGER_CLIENTS_PER_DAY, LedgerClient, LedgerClientId, LedgerDay, LedgerEntry, LedgerPage,
    LedgerPosition, LedgerQuery, LedgerRecord, LedgerRevision, LedgerScope, LedgerStore, LedgerUse,
    OTHER_CLIENTS, ledger_network,
};
pub use limits::{FlowLimits, Quota};
pub use login_counters::{Counter, CounterKey, LoginCounterStore};
pub use mail::{Mail, Mailer};
pub use messages::{
    DeleteMessages, Deleted, EditMessage, HistoryQuery, MAX_CHANGED_FLOWS, MessageStore,
    PendingMessage, PostMessage, Posted, ReadMark,
};
pub use passwords::{HashClass, HashOrigin, PasswordCheck, PasswordError, Passwords};
pub use retention::{FlowRetention, PruneCount, PrunePlace, PruneStep, Retention, RetentionStore};
pub use rules::{
    Deprecation, InvalidShare, InvalidWindow, MAX_RULES, NewRule, Rule, RuleEffect, RuleStore,
    RuleSubject, Share, Window, too_many_rules,
};
pub use sessions::{NewSession, Rotation, Session, SessionStore, TokenHash};
pub use signer::{AccessClaims, Signer};
pub use store::Store;
pub use users::{Account, AccountKey, NewUser, UserChange, UserStore};
pub use world::{
    IdentifierOwner, ImportChunk, ImportFlow, ImportMember, ImportMessage, ImportNote,
    ImportOutcomes, ImportPosition, ImportState, ImportUser, Imported, LastIds, StoredContent,
    StoredFlow, StoredMember, StoredUser, WorldStore,
};
