//! Tests of the configuration as a whole.

use super::error::ConfigError;
use super::schema::{DEFAULTS, Schema};
use super::sections::{Config, Http, LogFormat};
use super::sources::{ENVIRONMENT_PREFIX, Sources, environment_key, flatten};
use crate::error::{CliError, UsageError};
use crate::{backend, dialects};
use ipnet::IpNet;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use tolmach_adapters::{KeyMaterial, PemAlgorithm};
use tolmach_dialect::OptionTable;
use tolmach_domain::Secret;
use toml::Table;

fn load(
    file: &str,
    environment: &[(&str, &str)],
    flags: &[(&'static str, &'static str, &str)],
) -> Result<Config, String> {
    let sources = Sources {
        file: Some(("chat.toml".into(), file.into())),
        environment: environment.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        flags: flags.iter().map(|(flag, key, value)| (*flag, *key, (*value).to_owned())).collect(),
    };
    let lines = |error: ConfigError| CliError::from(UsageError::from(error)).lines();
    Config::load(sources).map_err(|error| lines(error).join("\n"))
}

fn default() -> Config {
    Config::load(Sources::default()).unwrap()
}

/// One variable of the environment, and otherwise the defaults.
fn with_variable(name: &str, value: &str) -> Config {
    load("", &[(&format!("TOLMACH__{name}"), value)], &[]).unwrap()
}

fn keys(table: &Table) -> Vec<String> {
    let mut keys = Vec::new();
    flatten("", table.clone(), &mut |key, _| keys.push(key));
    keys
}

#[test]
fn the_documented_file_names_every_key_and_no_other() {
    let documented: Table = DEFAULTS.parse().unwrap();
    let config: Config = documented.clone().try_into().unwrap();
    assert_eq!(config, default());
    let keys = keys(&documented);
    assert!(keys.len() > 40, "{keys:?}");
    for key in keys {
        let (section, name) = key.rsplit_once('.').unwrap();
        let is_dialect_option =
            section.starts_with("dialects.") && !["enabled", "max_frame_bytes"].contains(&name);
        if is_dialect_option {
            continue;
        }
        let mut without = documented.clone();
        let table = section
            .split('.')
            .fold(&mut without, |table, part| table.get_mut(part).unwrap().as_table_mut().unwrap());
        table.remove(name).unwrap();
        // Every field is required, so that a key without a field changes nothing.
        assert!(Config::deserialize(without).is_err(), "no field reads the documented {key}");
    }
    assert_eq!(load(DEFAULTS, &[], &[]).unwrap(), default(), "the file changes no default");
}

#[test]
fn every_dialect_is_documented_with_all_its_options() {
    let config = default();
    let documented: BTreeSet<_> = config.dialects.by_id.keys().map(String::as_str).collect();
    assert_eq!(documented, dialects::ids().into_iter().collect());
    for (id, section) in &config.dialects.by_id {
        dialects::configure(id, section.options.clone()).unwrap();
        // The error about an unknown option lists those that exist.
        let unknown = OptionTable::from_iter([("?".to_owned(), true.into())]);
        let error = dialects::configure(id, unknown).err().unwrap().to_string();
        let existing: BTreeSet<_> = error.split('`').skip(1).step_by(2).skip(1).collect();
        let options: BTreeSet<_> = section.options.keys().map(String::as_str).collect();
        assert_eq!(options, existing, "{id}: {error}");
    }
}

#[test]
fn the_file_for_clusters_names_everything_that_nodes_share_and_no_secret() {
    let config = load(include_str!("../../../../config/cluster.toml"), &[], &[]).unwrap();
    assert!(config.store.url.expose().starts_with("postgres://"));
    assert_eq!(
        backend::describe_bus(&config).unwrap(),
        "Redis at redis.internal:6379, channels tolmach:*"
    );
    let photos = backend::photo_target(&config, Path::new("data")).unwrap().to_string();
    assert!(photos.contains("tolmach-photos"), "{photos}");
    assert!(config.public_url().starts_with("https://"));
    assert!(!config.http.trusted_proxies.is_empty());
    for url in [&config.store.url, &config.bus.url, &config.mail.url, &config.blobs.endpoint] {
        let user = url.expose().split_once('@').map(|(user, _)| user);
        assert!(user.is_none_or(|user| user.matches(':').count() == 1), "a URL has a password");
    }
    assert_eq!(
        [&config.auth.jwt_secret, &config.blobs.secret_access_key].map(Secret::expose),
        ["", ""]
    );
}

#[test]
fn the_examples_of_deployment_name_only_variables_that_are_read() {
    let mut schema = Schema::new().unwrap();
    let files = [
        include_str!("../../../../examples/deploy/Dockerfile"),
        include_str!("../../../../examples/deploy/compose.yaml"),
        include_str!("../../../../examples/deploy/environment"),
    ];
    for file in files {
        let names = file.split(ENVIRONMENT_PREFIX).skip(1);
        let names: Vec<_> = names.filter_map(|rest| rest.split([':', '=']).next()).collect();
        assert!(!names.is_empty());
        for name in names {
            assert!(schema.value(&environment_key(name)).is_some(), "{name}");
        }
    }
}

#[test]
fn the_engine_and_the_server_have_the_same_defaults() {
    let config = default();
    assert_eq!(
        format!("{:?}", backend::policy(&config)),
        format!("{:?}", tolmach_engine::Policy::default())
    );
    assert_eq!(backend::server_options(&config), tolmach_server::ServerOptions::default());
    assert_eq!(backend::bcrypt_options(&config), tolmach_adapters::BcryptOptions::default());
}

#[test]
fn the_flag_precedes_the_environment_and_that_the_file() {
    let file = "[http]\nlisten = \"1.1.1.1:1\"\nmax_connections = 1\nrequest_limit = 1\n\
                [dialects.bearer]\nenabled = false";
    let environment = [
        ("TOLMACH__HTTP__LISTEN", "2.2.2.2:2"),
        ("TOLMACH__HTTP__MAX_CONNECTIONS", "2"),
        ("HTTP__LISTEN", "ignored without the prefix"),
    ];
    let config = load(file, &environment, &[("--listen", "http.listen", "3.3.3.3:3")]).unwrap();
    let expected =
        Http { listen: "3.3.3.3:3".into(), max_connections: 2, request_limit: 1, ..default().http };
    assert_eq!(config.http, expected);
    assert_eq!(config.public_url(), "http://3.3.3.3:3");
    assert!(!config.dialects.by_id["bearer"].enabled);
    assert_eq!(config.dialects.by_id["mode"], default().dialects.by_id["mode"]);
}

#[test]
fn the_environment_has_every_kind_of_value() {
    let set = with_variable;
    assert_eq!(set("ROUTING__SHARED_PATHS", "/chat, /ws").routing.shared_paths, ["/chat", "/ws"]);
    assert_eq!(set("ROUTING__SHARED_PATHS", "").routing.shared_paths, Vec::<String>::new());
    assert_eq!(set("HTTP__BODY_TIMEOUT", "2 m").http.body_timeout, Duration::from_secs(120));
    assert_eq!(set("LIMITS__MAX_FIRST_FRAME_BYTES", "4KiB").limits.max_first_frame_bytes, 4096);
    assert_eq!(set("LIMITS__MAX_FIRST_FRAME_BYTES", "4096").limits.max_first_frame_bytes, 4096);
    assert_eq!(set("LIMITS__MAX_FRAME_BYTES", "4096").limits.max_frame_bytes, Some(4096));
    assert_eq!(set("LIMITS__MAX_FRAME_BYTES", "4KiB").limits.max_frame_bytes, Some(4096));
    assert_eq!(set("AUTH__JWT_SECRET", "0123").auth.jwt_secret, Secret::new("0123"));
    let throttle = set("AUTH__LOGIN_THROTTLE__MAX_DELAY", "9s").auth.login_throttle;
    assert_eq!(throttle.max_delay, Duration::from_secs(9));
    assert_eq!(set("LOG__FORMAT", "json").log.format, LogFormat::Json);
    let networks = ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32", "::1/128"]
        .map(|text| text.parse::<IpNet>().unwrap());
    let value = "10.0.0.0/8, ::ffff:192.0.2.1, 2001:db8::/32, ::1";
    assert_eq!(set("HTTP__TRUSTED_PROXIES", value).http.trusted_proxies, networks);
    assert_eq!(set("HTTP__TRUSTED_PROXIES", "").http.trusted_proxies, Vec::<IpNet>::new());
}

#[test]
fn the_environment_has_the_options_of_dialects() {
    let option = |id: &str, name: &str, value: &str| {
        let variable = format!("DIALECTS__{}__{}", id.to_uppercase(), name.to_uppercase());
        with_variable(&variable, value).dialects.by_id[id].options[name].clone()
    };
    assert_eq!(option("sndmsg", "reveal_unknown_user", "true"), true);
    assert_eq!(option("mode", "push", "false"), false);
    let origins = serde_json::json!(["https://chat.example.org", "http://localhost:3000"]);
    let value = "https://chat.example.org, http://localhost:3000";
    assert_eq!(option("action", "origins", value), origins);
    assert_eq!(option("action", "origins", ""), serde_json::json!([]));
}

#[test]
fn a_frame_limit_may_be_left_to_the_dialect() {
    for (file, limits, mode) in [
        ("", None, None),
        ("[limits]\nmax_frame_bytes = 0", None, None),
        ("[limits]\nmax_frame_bytes = \"\"", None, None),
        ("[limits]\nmax_frame_bytes = \"2KiB\"", Some(2048), None),
        ("[limits]\nmax_frame_bytes = 5\n[dialects.mode]\nmax_frame_bytes = 9", Some(5), Some(9)),
    ] {
        let config = load(file, &[], &[]).unwrap();
        let found = (config.limits.max_frame_bytes, config.dialects.by_id["mode"].max_frame_bytes);
        assert_eq!(found, (limits, mode), "{file}");
    }
}

#[test]
fn keys_are_read_with_their_material() {
    let file = "[[auth.keys]]\nkid = \"a\"\nalgorithm = \"HS256\"\nsecret = \"s\"\n\
                [[auth.keys]]\nkid = \"b\"\nalgorithm = \"EdDSA\"\npem = \"b.pem\"\nsigning = true";
    let keys = load(file, &[], &[]).unwrap().auth.keys;
    let [first, second] = keys.as_slice() else { panic!("{keys:?}") };
    assert_eq!(first.material, KeyMaterial::Secret(Secret::new("s")));
    assert_eq!((first.kid.as_str(), first.signing), ("a", false));
    let pem = KeyMaterial::Pem { algorithm: PemAlgorithm::EdDsa, path: "b.pem".into() };
    assert_eq!(second.material, pem);
    assert_eq!((second.kid.as_str(), second.signing), ("b", true));
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_and_its_siblings() {
    for (file, environment, expected) in [
        (
            "[http]\nlisen = \"\"",
            None,
            "unknown key `http.lisen` in chat.toml; the nearest is `http.listen`. [http] has \
             authenticated_share, body_timeout, ",
        ),
        (
            "[htp]\nlisten = \"\"",
            None,
            "the nearest is `http.listen`. The sections are admin, auth, blobs, bridge, ",
        ),
        ("lisen = 1", None, "unknown key `lisen`"),
        ("http = 1", None, "`http` in chat.toml is a section, not a value; it has the keys "),
        (
            "[auth]\nlogin_throttle = 1",
            None,
            "`auth.login_throttle` in chat.toml is a section, not a value; it has the keys \
             free_attempts, ",
        ),
        (
            "",
            Some(("TOLMACH__AUTH__LOGIN_THROTTLE__WINDO", "1m")),
            "`auth.login_throttle.windo` in the environment \
             (TOLMACH__AUTH__LOGIN_THROTTLE__WINDO); the nearest is `auth.login_throttle.window`. \
             [auth.login_throttle] has ",
        ),
        (
            "[dialects.mod]\npush = true",
            None,
            "the nearest is `dialects.mode.push`. The sections are admin, auth",
        ),
        ("[dialects.mod]\npush = true", None, ", the dialects mode, sndmsg, morelia, bearer, "),
        (
            "[dialects.mode]\npsh = true",
            None,
            "the nearest is `dialects.mode.push`. [dialects.mode] has disabled_revisions, \
             enabled, ids, max_frame_bytes, pin, push",
        ),
        ("[dialects.bearer]\npush = true", None, "unknown key `dialects.bearer.push`"),
        (
            "",
            Some(("TOLMACH__HTTP__LISTN", "x")),
            "`http.listn` in the environment (TOLMACH__HTTP__LISTN); the nearest is `http.listen`",
        ),
    ] {
        let environment: Vec<_> = environment.into_iter().collect();
        let error = load(file, &environment, &[]).unwrap_err();
        assert!(error.contains(expected), "{file}\n  found {error:?}\n  not   {expected:?}");
    }
}

#[test]
fn a_wrong_value_is_refused_with_the_expected_ones() {
    let key = "[[auth.keys]]\nkid = \"a\"\nalgorithm = \"HS256\"\n";
    let rsa = "[[auth.keys]]\nkid = \"a\"\nalgorithm = \"RS256\"\n";
    for (file, environment, expected) in [
        (
            "[http]\nmax_connections = \"many\"",
            None,
            "`http.max_connections` = \"many\" in chat.toml: a whole number from 1 to 10000000",
        ),
        (
            "",
            Some(("TOLMACH__AUTH__BCRYPT_COST", "32")),
            "`auth.bcrypt_cost` = 32 in the environment (TOLMACH__AUTH__BCRYPT_COST): a whole \
             number from 4 to 31",
        ),
        ("[http]\nlisten = \"8080\"", None, "host:port is expected"),
        ("[admin]\nlisten = \"8080\"", None, "host:port is expected"),
        ("[http]\npublic_url = \"ftp://x\"", None, "an http:// or https:// address"),
        (
            "[http]\nbody_timeout = 30",
            None,
            "`http.body_timeout` = 30 in chat.toml: a duration such as",
        ),
        ("[http]\nbody_timeout = \"0s\"", None, "longer than zero"),
        ("[http]\nbody_timeout = \"99999999999999999d\"", None, "a duration such as"),
        ("[bus]\nprefix = \"{a}:\"", None, "at most 64 letters"),
        ("[bus]\nqueue_bytes = 0", None, "a size larger than zero"),
        ("[limits]\nsend_queue_bytes = 0", None, "a size larger than zero"),
        ("[limits]\nsend_queue_bytes = \"1MB\"", None, "a size is expected"),
        ("[limits]\nsend_queue_bytes = -1", None, "a size is expected"),
        ("[limits]\nframes_per_second = 0", None, "a whole number from 1 to 1000000"),
        ("[log]\nformat = \"xml\"", None, "`human`"),
        ("[log]\nfilter = \"info,=,\"", None, "levels are expected"),
        ("[mail]\nfrom = \"nobody\"", None, "a mailbox is expected"),
        ("[routing]\nshared_paths = [\"ws\"]", None, "begin with /"),
        ("[http]\ntrusted_proxies = [\"10.0.0.0/33\"]", None, "a list of addresses and networks"),
        ("[http]\ntrusted_proxies = \"10.0.0.1\"", None, "a list of addresses and networks"),
        (
            "[dialects.mode]\npush = \"yes\"",
            None,
            "`dialects.mode.push` = \"yes\" in chat.toml: invalid type: string \"yes\", expected a \
             boolean",
        ),
        (
            "[dialects.action]\norigins = [\"chat.example.org\"]",
            None,
            "`dialects.action.origins` = [\"chat.example.org\"] in chat.toml: ",
        ),
        ("[dialects.action]\norigins = \"https://chat.example.org\"", None, "a list of origins"),
        ("[auth]\nregistration = \"yes\"", None, "`auth.registration` = \"yes\" in chat.toml"),
        ("[auth]\nkeys = 5", None, "[[auth.keys]] with kid"),
        (
            &format!("{key}sekret = \"x\""),
            None,
            "expected one of `kid`, `algorithm`, `secret`, `pem`, `signing`",
        ),
        (&format!("{key}pem = \"-----BEGIN PRIVATE KEY-----\""), None, "the name of a file"),
        (&format!("{key}pem = \"x\""), None, "key \"a\": HS256 needs a `secret`"),
        (&format!("{rsa}secret = \"x\""), None, "key \"a\": RS256 needs a `pem`"),
        (rsa, None, "key \"a\": RS256 needs a `pem`"),
        (
            "[[auth.keys]]\nkid = \"a\"\nalgorithm = \"none\"",
            None,
            "`HS256`, `RS256`, `ES256`, `EdDSA`",
        ),
        ("[http]\n\nlisten = ", None, "chat.toml, line 3: "),
    ] {
        let environment: Vec<_> = environment.into_iter().collect();
        let error = load(file, &environment, &[]).unwrap_err();
        assert!(error.contains(expected), "{file}\n  found {error:?}\n  not   {expected:?}");
    }
}

#[test]
fn records_are_kept_for_a_day_at_least_or_for_good() {
    for (period, expected) in
        [("0d", None), ("1d", Some(86_400)), ("24h", Some(86_400)), ("30d", Some(2_592_000))]
    {
        let config = load(&format!("[retention]\ngroups = {period:?}"), &[], &[]).unwrap();
        assert_eq!(config.retention.groups.map(|period| period.as_secs()), expected, "{period}");
    }
    for period in ["23h", "1", "", "36501d"] {
        let error = load(&format!("[retention]\ngroups = {period:?}"), &[], &[]).unwrap_err();
        assert!(error.contains("`retention.groups`"), "{period}: {error}");
    }
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let file = "[http]\nlisen = \"\"\nbody_timeout = 30\n[dialects.mode]\npush = \"yes\"";
    let error = load(file, &[("TOLMACH__LOG__FORMAT", "xml")], &[]).unwrap_err();
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(lines.len(), 4, "{error}");
    for expected in ["`http.lisen`", "`http.body_timeout`", "`dialects.mode.push`", "`log.format`"]
    {
        assert_eq!(lines.iter().filter(|line| line.contains(expected)).count(), 1, "{error}");
    }
}

#[test]
fn no_message_shows_a_secret() {
    for (file, environment) in [
        ("[auth]\njwt_secret = [\"hunter2\"]", None),
        ("[auth]\njwt_secret = \"hunter2", None),
        ("[auth]\nkeys = [\"hunter2\"]", None),
        ("[[auth.keys]]\nkid = \"a\"\nalgorithm = \"HS256\"\nsecret = [\"hunter2\"]", None),
        ("[[auth.keys]]\nkid = \"a\"\nalgorithm = \"RS256\"\nsecret = \"hunter2\"", None),
        ("[[auth.keys]]\nkid = \"a\"\nalgorithm = \"ES256\"\npem = \"-----BEGIN hunter2\"", None),
        ("[mail]\nurl = {password = \"hunter2\"}", None),
        ("[store]\nurl = [\"hunter2\"]", None),
        ("[bus]\nurl = [\"hunter2\"]", None),
        ("[blobs]\nurl = [\"hunter2\"]", None),
        ("[blobs]\nendpoint = [\"hunter2\"]", None),
        ("[blobs]\nsecret_access_key = [\"hunter2\"]", None),
        ("", Some(("TOLMACH__AUTH__KEYS", "hunter2"))),
        ("", Some(("TOLMACH__AUTH__JWT_SECRETT", "hunter2"))),
    ] {
        let environment: Vec<_> = environment.into_iter().collect();
        let error = load(file, &environment, &[]).unwrap_err();
        assert!(!error.contains("hunter2"), "{file}: {error}");
    }
    let config = load(
        "[auth]\njwt_secret = \"hunter2\"\n[mail]\nurl = \"smtp://a:hunter2@b\"\n\
         [blobs]\nsecret_access_key = \"hunter2\"\n\
         [[auth.keys]]\nkid = \"a\"\nalgorithm = \"HS256\"\nsecret = \"hunter2\"",
        &[],
        &[],
    );
    assert!(!format!("{:?}", config.unwrap()).contains("hunter2"));
}
