//! Options of libraries, from the configuration.

use crate::config::{self, Config, Throttle};
use tolmach_adapters::BcryptOptions;
use tolmach_engine::ports::Retention;
use tolmach_engine::{LoginThrottlePolicy, Policy, Quotas, ThrottlePolicy};
use tolmach_server::{
    HttpOptions, Keepalive, LedgerAddresses, LedgerOptions, Limits, ServerOptions, Shutdown,
};

pub(crate) fn policy(config: &Config) -> Policy {
    let auth = &config.auth;
    Policy {
        registration: auth.registration,
        min_password_bytes: auth.min_password_bytes,
        token_lifetime: auth.token_lifetime,
        access_lifetime: auth.access_lifetime,
        refresh_lifetime: auth.refresh_lifetime,
        recovery_lifetime: auth.recovery_lifetime,
        login_throttle: login_throttle(config),
        registration_throttle: throttle(&auth.registration_throttle),
        recovery_throttle: throttle(&auth.recovery_throttle),
        legacy_hashes_until: auth.legacy_hashes_until,
        public_url: config.public_url(),
        max_history_messages: config.limits.max_history_messages,
        max_answer_bytes: config.limits.max_answer_bytes,
        max_members: config.limits.max_members,
        quotas: quotas(config),
        max_text_bytes: config.limits.max_text_bytes,
        max_attachment_bytes: config.limits.max_attachment_bytes.unwrap_or_default(),
        retention: retention(config),
    }
}

fn retention(config: &Config) -> Retention {
    let retention = &config.retention;
    Retention {
        chats: retention.chats,
        groups: retention.groups,
        channels: retention.channels,
        deleted_messages: retention.deleted_messages,
        mails: retention.mails,
        unnamed_photos: retention.unnamed_photos,
        ledger: retention.ledger,
    }
}

fn quotas(config: &Config) -> Quotas {
    let quotas = &config.quotas;
    Quotas {
        groups_per_day: quotas.groups_per_day,
        members_per_day: quotas.members_per_day,
        strangers_per_hour: quotas.strangers_per_hour,
        sessions: quotas.sessions,
        spent_refresh_tokens: quotas.spent_refresh_tokens,
    }
}

fn login_throttle(config: &Config) -> LoginThrottlePolicy {
    let throttle = &config.auth.login_throttle;
    LoginThrottlePolicy {
        window: throttle.window,
        free_attempts: throttle.free_attempts,
        max_failures_per_login_and_address: throttle.max_failures_per_login_and_address,
        max_failures_per_login: throttle.max_failures_per_login,
        max_failures_per_address: throttle.max_failures_per_address,
        initial_delay: throttle.initial_delay,
        max_delay: throttle.max_delay,
        max_delayed: throttle.max_delayed,
        trust_lifetime: throttle.trust_lifetime,
    }
}

fn throttle(throttle: &Throttle) -> ThrottlePolicy {
    ThrottlePolicy {
        window: throttle.window,
        max_per_address: throttle.max_per_address,
        max_in_all: throttle.max_in_all,
    }
}

pub(crate) fn bcrypt_options(config: &Config) -> BcryptOptions {
    BcryptOptions {
        cost: config.auth.bcrypt_cost,
        workers: config.auth.password_workers,
        queue: config.auth.password_queue,
    }
}

pub(super) fn store_options(config: &Config) -> tolmach_store::Options {
    tolmach_store::Options {
        timeout: config.store.timeout,
        read_connections: config.store.read_connections,
        retention: retention(config),
        ..tolmach_store::Options::default()
    }
}

fn ledger(config: &Config) -> Option<LedgerOptions> {
    let ledger = &config.ledger;
    ledger.enabled.then_some(LedgerOptions {
        addresses: match ledger.addresses {
            config::LedgerAddresses::Full => LedgerAddresses::Full,
            config::LedgerAddresses::Network => LedgerAddresses::Network,
            config::LedgerAddresses::None => LedgerAddresses::None,
        },
        memory_bytes: ledger.memory_bytes,
        write_interval: ledger.write_interval,
    })
}

pub(crate) fn server_options(config: &Config) -> ServerOptions {
    let Config { http, limits, keepalive, shutdown, .. } = config;
    ServerOptions {
        limits: Limits {
            max_frame_bytes: limits.max_frame_bytes,
            max_first_frame_bytes: limits.max_first_frame_bytes,
            message_timeout: limits.message_timeout,
            first_proof_timeout: limits.first_proof_timeout,
            max_json_depth: limits.max_json_depth,
            frames_per_second: limits.frames_per_second,
            frame_burst: limits.frame_burst,
            send_queue_bytes: limits.send_queue_bytes,
            max_syntax_errors: limits.max_syntax_errors,
            memory_bytes: limits.memory_bytes,
            memory_bytes_per_address: limits.memory_bytes_per_address,
            memory_bytes_per_connection: limits.memory_bytes_per_connection,
            bytes_per_second_per_user: limits.bytes_per_second_per_user,
            byte_burst_per_user: limits.byte_burst_per_user,
            frames_per_second_per_address: limits.frames_per_second_per_address,
            frame_burst_per_address: limits.frame_burst_per_address,
            bytes_per_second_per_address: limits.bytes_per_second_per_address,
            byte_burst_per_address: limits.byte_burst_per_address,
        },
        keepalive: Keepalive {
            ping_interval: keepalive.ping_interval,
            pong_timeout: keepalive.pong_timeout,
        },
        http: HttpOptions {
            header_timeout: http.header_timeout,
            body_timeout: http.body_timeout,
            max_connections: http.max_connections,
            max_connections_per_address: http.max_connections_per_address,
            authenticated_share: http.authenticated_share,
            request_limit: http.request_limit,
            trusted_proxies: http.trusted_proxies.clone(),
            proxy_protocol: http.proxy_protocol,
        },
        shutdown: Shutdown {
            connections_per_second: shutdown.connections_per_second,
            grace_period: shutdown.grace_period,
        },
        shared_paths: config.routing.shared_paths.clone(),
        reconcile_interval: config.bus.reconcile_interval,
        ledger: ledger(config),
    }
}
