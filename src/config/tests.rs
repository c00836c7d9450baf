//! The table and the reader: every key lands, every default is what was
//! promised, nothing that a file can hold makes the reader stumble.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::keys::{self, Form};
use super::kind::Kind;
use super::{Config, Look, Problems, manual, reader};
use crate::gate::{AuthSource, BackendTls, BareNewlines, ListenerKind};
use crate::ops::log::{Level, Target};
use crate::server::saslauthd::UnavailableReply;

const HOST: &str = "mx.example.test";

/// A file for each key that gives it another value than its default.
const OTHER_VALUES: &[(&str, &str)] = &[
    ("authd.backends", "[authd]\nbackends = [\"store\"]"),
    ("authd.socket", "[authd]\nsocket = \"/x/mux\""),
    ("authd.socket_mode", "[authd]\nsocket_mode = \"0600\""),
    ("authd.socket_owner", "[authd]\nsocket_owner = \":mail\""),
    ("authd.directory_mode", "[authd]\ndirectory_mode = \"0710\""),
    ("authd.allowed_users", "[authd]\nallowed_users = [\"mail\"]"),
    ("authd.max_connections", "[authd]\nmax_connections = 7"),
    ("authd.max_connections_per_uid", "[authd]\nmax_connections_per_uid = 7"),
    ("authd.request_timeout", "[authd]\nrequest_timeout = \"7s\""),
    ("authd.unavailable", "[authd]\nunavailable = \"no\""),
    ("authd.default_realm", "[authd]\ndefault_realm = \"other.test\""),
    ("authd.floor", "[authd]\nfloor = \"7ms\""),
    ("authd.user", "[authd]\nuser = \"saslgate\""),
    ("authd.route.realm", "[[authd.route]]\nrealm = [\"x\"]\nbackends = [\"pam\"]"),
    ("authd.route.service", "[[authd.route]]\nservice = [\"x\"]\nbackends = [\"pam\"]"),
    ("authd.route.backends", "[[authd.route]]\nservice = [\"x\"]\nbackends = [\"store\"]"),
    ("authd.listener.name", "[[authd.listener]]\nname = \"y\"\nsocket = \"/x/l\""),
    ("authd.listener.socket", "[[authd.listener]]\nname = \"x\"\nsocket = \"/x/l\""),
    (
        "authd.listener.socket_mode",
        "[[authd.listener]]\nname = \"x\"\nsocket = \"/x/l\"\nsocket_mode = \"0600\"",
    ),
    (
        "authd.listener.socket_owner",
        "[[authd.listener]]\nname = \"x\"\nsocket = \"/x/l\"\nsocket_owner = \":mail\"",
    ),
    (
        "authd.listener.directory_mode",
        "[[authd.listener]]\nname = \"x\"\nsocket = \"/x/l\"\ndirectory_mode = \"0710\"",
    ),
    (
        "authd.listener.allowed_users",
        "[[authd.listener]]\nname = \"x\"\nsocket = \"/x/l\"\nallowed_users = [\"mail\"]",
    ),
    (
        "authd.listener.backends",
        "[[authd.listener]]\nname = \"x\"\nsocket = \"/x/l\"\nbackends = [\"store\"]",
    ),
    ("authd.watch_config", "[authd]\nwatch_config = false"),
    ("cache.enabled", "[cache]\nenabled = true"),
    ("cache.size", "[cache]\nsize = 7"),
    ("cache.ttl", "[cache]\nttl = \"7s\""),
    ("throttle.enabled", "[throttle]\nenabled = false"),
    ("throttle.delay", "[throttle]\ndelay = \"7ms\""),
    ("throttle.limit", "[throttle]\nlimit = 7"),
    ("throttle.login_limit", "[throttle]\nlogin_limit = 7"),
    ("throttle.half_life", "[throttle]\nhalf_life = \"7s\""),
    ("throttle.size", "[throttle]\nsize = 777"),
    ("throttle.max_delayed", "[throttle]\nmax_delayed = 7"),
    ("throttle.exempt", "[throttle]\nexempt = [\"192.0.2.0/24\"]"),
    ("pam.socket", "[pam]\nsocket = \"/x/pam\""),
    ("pam.services", "[pam]\nservices = [\"x\"]"),
    ("pam.user", "[pam]\nuser = \"full\""),
    ("pam.timeout", "[pam]\ntimeout = \"7s\""),
    ("pam.max_workers", "[pam]\nmax_workers = 7"),
    ("pam.max_waiting", "[pam]\nmax_waiting = 7"),
    ("pam.idle_timeout", "[pam]\nidle_timeout = \"7s\""),
    ("pam.requests_per_worker", "[pam]\nrequests_per_worker = 7"),
    ("pam.service_dir", "[pam]\nservice_dir = \"/x\""),
    ("pam.watched_files", "[pam]\nwatched_files = [\"/x\"]"),
    ("store.path", "[store]\npath = \"/x.db\""),
    ("store.memory", "[store]\nmemory = \"64MiB\""),
    ("store.iterations", "[store]\niterations = 7"),
    ("store.lanes", "[store]\nlanes = 7"),
    ("store.hash_threads", "[store]\nhash_threads = 7"),
    ("store.max_waiting", "[store]\nmax_waiting = 7"),
    ("store.min_length", "[store]\nmin_length = 7"),
    ("store.min_score", "[store]\nmin_score = 3"),
    ("store.verifiers", "[store]\nverifiers = [\"argon2id\", \"scram-sha-256\"]"),
    ("sasldb.path", "[sasldb]\npath = \"/x\""),
    ("sasldb.max_size", "[sasldb]\nmax_size = \"7MiB\""),
    ("shadow.threads", "[shadow]\nthreads = 7"),
    ("shadow.max_waiting", "[shadow]\nmax_waiting = 7"),
    ("shadow.timeout", "[shadow]\ntimeout = \"7s\""),
    ("kerberos5.config", "[kerberos5]\nconfig = \"/x\""),
    ("kerberos5.krb_conf", "[kerberos5]\nkrb_conf = \"/x\""),
    ("kerberos5.keytab", "[kerberos5]\nkeytab = \"/x\""),
    ("kerberos5.service", "[kerberos5]\nservice = \"smtp\""),
    ("kerberos5.server_name", "[kerberos5]\nserver_name = \"mx.other.test\""),
    ("kerberos5.realm", "[kerberos5]\nrealm = \"Other.TEST\""),
    ("kerberos5.threads", "[kerberos5]\nthreads = 7"),
    ("kerberos5.max_waiting", "[kerberos5]\nmax_waiting = 7"),
    ("kerberos5.timeout", "[kerberos5]\ntimeout = \"7s\""),
    ("rimap.server", "[rimap]\nserver = \"localhost\""),
    ("rimap.tls", "[rimap]\ntls = \"starttls\""),
    ("rimap.allow_clear_text", "[rimap]\nallow_clear_text = true"),
    ("rimap.ca_file", "[rimap]\ntls = \"implicit\"\nca_file = \"/x\""),
    ("rimap.server_name", "[rimap]\ntls = \"implicit\"\nserver_name = \"x.test\""),
    ("rimap.user", "[rimap]\nuser = \"full\""),
    ("rimap.timeout", "[rimap]\ntimeout = \"7s\""),
    ("rimap.max_connections", "[rimap]\nmax_connections = 7"),
    ("rimap.max_waiting", "[rimap]\nmax_waiting = 7"),
    ("httpform.config", "[httpform]\nconfig = \"/x\""),
    ("httpform.url", "[httpform]\nurl = \"https://x.test/\""),
    ("httpform.form", "[httpform]\nform = \"%u %p\""),
    ("httpform.ca_file", "[httpform]\nca_file = \"/x\""),
    ("httpform.timeout", "[httpform]\ntimeout = \"7s\""),
    ("httpform.max_connections", "[httpform]\nmax_connections = 7"),
    ("httpform.max_waiting", "[httpform]\nmax_waiting = 7"),
    ("ldap.config", "[ldap]\nconfig = \"/x\""),
    ("ldap.servers", "[ldap]\nservers = [\"ldaps://x\"]"),
    ("ldap.start_tls", "[ldap]\nstart_tls = \"never\""),
    ("ldap.ca_file", "[ldap]\nca_file = \"/x\""),
    ("ldap.ca_dir", "[ldap]\nca_dir = \"/x\""),
    ("ldap.verify_certificate", "[ldap]\nverify_certificate = false"),
    ("ldap.certificate", "[ldap]\ncertificate = \"/x\"\nkey = \"/y\""),
    ("ldap.key", "[ldap]\ncertificate = \"/x\"\nkey = \"/z\""),
    ("ldap.bind", "[ldap]\nbind = \"external\""),
    ("ldap.bind_dn", "[ldap]\nbind_dn = \"cn=x\"\nbind_password_file = \"/x\""),
    ("ldap.bind_password_file", "[ldap]\nbind_dn = \"cn=x\"\nbind_password_file = \"/y\""),
    ("ldap.method", "[ldap]\nmethod = \"custom\""),
    ("ldap.base", "[ldap]\nbase = \"dc=%1\""),
    ("ldap.filter", "[ldap]\nfilter = \"(mail=%u)\""),
    ("ldap.scope", "[ldap]\nscope = \"one\""),
    ("ldap.name", "[ldap]\nname = \"uid=%u\""),
    ("ldap.password_attribute", "[ldap]\npassword_attribute = \"x\""),
    ("ldap.deref", "[ldap]\nderef = \"always\""),
    ("ldap.size_limit", "[ldap]\nsize_limit = 7"),
    ("ldap.time_limit", "[ldap]\ntime_limit = \"7s\""),
    ("ldap.group_dn", "[ldap]\ngroup_dn = \"cn=x\""),
    ("ldap.group_attribute", "[ldap]\ngroup_attribute = \"x\""),
    ("ldap.group_filter", "[ldap]\ngroup_filter = \"(member=%D)\""),
    ("ldap.group_base", "[ldap]\ngroup_base = \"ou=x\""),
    ("ldap.group_scope", "[ldap]\ngroup_scope = \"base\""),
    ("ldap.default_realm", "[ldap]\ndefault_realm = \"other.test\""),
    ("ldap.user", "[ldap]\nuser = \"full\""),
    ("ldap.timeout", "[ldap]\ntimeout = \"7s\""),
    ("ldap.max_connections", "[ldap]\nmax_connections = 7"),
    ("ldap.max_waiting", "[ldap]\nmax_waiting = 7"),
    ("ldap.idle_timeout", "[ldap]\nidle_timeout = \"7s\""),
    ("ldap.retry_after", "[ldap]\nretry_after = \"7s\""),
    ("gate.hostname", "[gate]\nhostname = \"other.test\""),
    ("gate.watch_config", "[gate]\nwatch_config = false"),
    ("gate.transcript", "[gate]\ntranscript = \"/x/transcript\""),
    ("gate.transcript_networks", "[gate]\ntranscript_networks = [\"192.0.2.0/24\"]"),
    ("gate.transcript_size", "[gate]\ntranscript_size = \"1MiB\""),
    (
        "gate.listener.transcript",
        "[[gate.listener]]\naddress = \"[::1]:25\"\nkind = \"mta\"\ntranscript = \"/x/y\"",
    ),
    ("gate.control", "[gate]\ncontrol = \"/x/control\""),
    ("gate.control_group", "[gate]\ncontrol_group = \"x\""),
    ("gate.user", "[gate]\nuser = \"saslgate-gate\""),
    ("gate.auth", "[gate]\nauth = \"saslauthd:/x\""),
    ("gate.mechanisms", "[gate]\nmechanisms = [\"PLAIN\"]"),
    ("gate.bare_newlines", "[gate]\nbare_newlines = \"normalize\""),
    ("gate.max_message", "[gate]\nmax_message = 100000"),
    ("gate.max_recipients", "[gate]\nmax_recipients = 7"),
    ("gate.max_line", "[gate]\nmax_line = \"1KiB\""),
    ("gate.max_errors", "[gate]\nmax_errors = 7"),
    ("gate.max_auth_failures", "[gate]\nmax_auth_failures = 7"),
    ("gate.max_commands", "[gate]\nmax_commands = 77"),
    ("gate.max_sessions", "[gate]\nmax_sessions = 7"),
    ("gate.max_sessions_per_address", "[gate]\nmax_sessions_per_address = 7"),
    ("gate.command_timeout", "[gate]\ncommand_timeout = \"7s\""),
    ("gate.data_timeout", "[gate]\ndata_timeout = \"7s\""),
    ("gate.handshake_timeout", "[gate]\nhandshake_timeout = \"7s\""),
    ("gate.auth_timeout", "[gate]\nauth_timeout = \"7s\""),
    ("gate.connect_timeout", "[gate]\nconnect_timeout = \"7s\""),
    ("gate.reply_timeout", "[gate]\nreply_timeout = \"7s\""),
    ("gate.data_init_timeout", "[gate]\ndata_init_timeout = \"7s\""),
    ("gate.data_final_timeout", "[gate]\ndata_final_timeout = \"7s\""),
    ("gate.session_timeout", "[gate]\nsession_timeout = \"7s\""),
    ("gate.listener.address", "[[gate.listener]]\naddress = \"[::1]:25\"\nkind = \"submission\""),
    ("gate.listener.kind", "[[gate.listener]]\naddress = \"[::1]:25\"\nkind = \"submissions\""),
    (
        "gate.listener.hostname",
        "[[gate.listener]]\naddress = \"[::1]:25\"\nkind = \"mta\"\nhostname = \"x.test\"",
    ),
    (
        "gate.listener.banner",
        "[[gate.listener]]\naddress = \"[::1]:25\"\nkind = \"mta\"\nbanner = \"x\"",
    ),
    (
        "gate.listener.mechanisms",
        "[[gate.listener]]\naddress = \"[::1]:25\"\nkind = \"mta\"\nmechanisms = [\"PLAIN\"]",
    ),
    ("authd.handover.gates", "[authd.handover]\ngates = [\"saslgate-gate\"]"),
    ("authd.handover.mail_servers", "[authd.handover]\nmail_servers = [\"smmta\"]"),
    (
        "authd.handover.sockets",
        "[[authd.listener]]\nname = \"x\"\nsocket = \"/run/y/mux\"\n[authd.handover]\nsockets = [\"x\"]",
    ),
    ("authd.handover.lifetime", "[authd.handover]\nlifetime = \"7s\""),
    (
        "gate.listener.socket",
        "[[gate.listener]]\naddress = \"[::1]:25\"\nkind = \"mta\"\nsocket = \"x\"",
    ),
    (
        "gate.listener.proxy_from",
        "[[gate.listener]]\naddress = \"[::1]:25\"\nkind = \"mta\"\nproxy_from = [\"192.0.2.0/24\"]",
    ),
    (
        "gate.listener.max_message",
        "[[gate.listener]]\naddress = \"[::1]:25\"\nkind = \"mta\"\nmax_message = \"1MiB\"",
    ),
    (
        "gate.listener.max_recipients",
        "[[gate.listener]]\naddress = \"[::1]:25\"\nkind = \"mta\"\nmax_recipients = 7",
    ),
    (
        "gate.listener.max_errors",
        "[[gate.listener]]\naddress = \"[::1]:25\"\nkind = \"mta\"\nmax_errors = 7",
    ),
    (
        "gate.listener.max_auth_failures",
        "[[gate.listener]]\naddress = \"[::1]:25\"\nkind = \"mta\"\nmax_auth_failures = 7",
    ),
    (
        "gate.listener.max_commands",
        "[[gate.listener]]\naddress = \"[::1]:25\"\nkind = \"mta\"\nmax_commands = 7",
    ),
    (
        "gate.listener.max_sessions",
        "[[gate.listener]]\naddress = \"[::1]:25\"\nkind = \"mta\"\nmax_sessions = 7",
    ),
    (
        "gate.listener.max_sessions_per_address",
        "[[gate.listener]]\naddress = \"[::1]:25\"\nkind = \"mta\"\nmax_sessions_per_address = 7",
    ),
    ("gate.backend.name", "[[gate.backend]]\nname = \"new\""),
    ("gate.backend.pool_idle", "[[gate.backend]]\npool_idle = 7"),
    ("gate.backend.pool_idle_time", "[[gate.backend]]\npool_idle_time = \"7s\""),
    ("gate.backend.pool_messages", "[[gate.backend]]\npool_messages = 7"),
    ("gate.backend.pool_age", "[[gate.backend]]\npool_age = \"7s\""),
    ("gate.backend.identity", "[[gate.backend]]\nidentity = \"rules\""),
    (
        "gate.backend.login_user",
        "[[gate.backend]]\nidentity = \"login\"\nlogin_user = \"gate\"\nlogin_password_file = \"/x\"",
    ),
    (
        "gate.backend.login_password_file",
        "[[gate.backend]]\nidentity = \"login\"\nlogin_user = \"gate\"\nlogin_password_file = \"/y\"",
    ),
    ("gate.backend.address", "[[gate.backend]]\naddress = \"[::1]:25\""),
    ("gate.backend.tls", "[[gate.backend]]\ntls = \"starttls\""),
    ("gate.backend.ca_file", "[[gate.backend]]\ntls = \"starttls\"\nca_file = \"/x\""),
    ("gate.backend.server_name", "[[gate.backend]]\ntls = \"starttls\"\nserver_name = \"x.test\""),
    ("gate.backend.probe_interval", "[[gate.backend]]\nprobe_interval = \"7s\""),
    ("tls.certificate", "[tls]\ncertificate = \"/x\"\nkey = \"/y\""),
    ("tls.key", "[tls]\ncertificate = \"/x\"\nkey = \"/z\""),
    ("tls.staple", "[tls]\ncertificate = \"/x\"\nkey = \"/y\"\nstaple = \"/z\""),
    (
        "tls.client_certificates",
        "[tls]\ncertificate = \"/x\"\nkey = \"/y\"\nclient_certificates = \"require\"\nclient_ca_file = \"/c\"",
    ),
    (
        "tls.client_ca_file",
        "[tls]\ncertificate = \"/x\"\nkey = \"/y\"\nclient_certificates = \"request\"\nclient_ca_file = \"/c\"",
    ),
    (
        "tls.client_ca_directory",
        "[tls]\ncertificate = \"/x\"\nkey = \"/y\"\nclient_certificates = \"request\"\nclient_ca_directory = \"/c\"",
    ),
    (
        "tls.client_crl_file",
        "[tls]\ncertificate = \"/x\"\nkey = \"/y\"\nclient_certificates = \"request\"\nclient_ca_file = \"/c\"\nclient_crl_file = \"/l\"",
    ),
    ("tls.certificate.file", "[[tls.certificate]]\nfile = \"/a\"\nkey = \"/y\""),
    ("tls.certificate.key", "[[tls.certificate]]\nfile = \"/a\"\nkey = \"/b\""),
    (
        "tls.certificate.names",
        "[[tls.certificate]]\nfile = \"/a\"\nkey = \"/b\"\nnames = [\"*.x.test\"]",
    ),
    ("tls.certificate.staple", "[[tls.certificate]]\nfile = \"/a\"\nkey = \"/b\"\nstaple = \"/s\""),
    ("tls.minimum_version", "[tls]\ncertificate = \"/x\"\nkey = \"/y\"\nminimum_version = \"1.3\""),
    ("policy.access.map", "[policy.access]\nmap = \"/x/access\""),
    ("policy.access.delay_checks", "[policy.access]\ndelay_checks = true"),
    ("policy.access.relay_loopback", "[policy.access]\nrelay_loopback = false"),
    ("policy.access.local_domains", "[policy.access]\nlocal_domains = [\"x.test\"]"),
    ("policy.access.local_domains_file", "[policy.access]\nlocal_domains_file = \"/x/names\""),
    ("policy.access.relay_domains", "[policy.access]\nrelay_domains = [\"x.test\"]"),
    ("policy.access.relay_domains_file", "[policy.access]\nrelay_domains_file = \"/x/relay\""),
    ("log.level", "[log]\nlevel = \"warn\""),
    ("log.target", "[log]\ntarget = \"stderr\""),
    ("metrics.gate", "[metrics]\ngate = \"127.0.0.1:7\""),
    ("metrics.authd", "[metrics]\nauthd = \"/x/metrics\""),
    ("metrics.socket_mode", "[metrics]\nsocket_mode = \"0666\""),
    ("metrics.allow_remote", "[metrics]\nallow_remote = true"),
    ("log.format", "[log]\nformat = \"json\""),
    ("policy.sender.allow", "[policy.sender]\nallow = [\"own\"]"),
    ("policy.sender.map", "[policy.sender]\nallow = [\"own\"]\nmap = \"/x/senders\""),
    ("policy.sender.detail", "[policy.sender]\ndetail = \"-\""),
    ("policy.sender.check_from", "[policy.sender]\nallow = [\"own\"]\ncheck_from = true"),
    ("policy.rate.of", "[[policy.rate]]\nof = \"login\"\ncount = \"messages\"\nlimit = 7"),
    ("policy.rate.count", "[[policy.rate]]\nof = \"network\"\ncount = \"recipients\"\nlimit = 7"),
    ("policy.rate.limit", "[[policy.rate]]\nof = \"address\"\ncount = \"mebibytes\"\nlimit = 8"),
    (
        "policy.rate.per",
        "[[policy.rate]]\nof = \"login\"\ncount = \"messages\"\nlimit = 7\nper = \"7m\"",
    ),
    (
        "policy.rate.burst",
        "[[policy.rate]]\nof = \"login\"\ncount = \"messages\"\nlimit = 7\nburst = 3",
    ),
    (
        "policy.rate.hard",
        "[[policy.rate]]\nof = \"login\"\ncount = \"messages\"\nlimit = 7\nhard = 70",
    ),
    (
        "policy.rate.logins",
        "[[policy.rate]]\nof = \"login\"\ncount = \"messages\"\nlimit = 7\nlogins = [\"@x\"]",
    ),
    (
        "policy.rate.except_logins",
        "[[policy.rate]]\nof = \"login\"\ncount = \"messages\"\nlimit = 7\nexcept_logins = [\"@x\"]",
    ),
    (
        "policy.rate.except_networks",
        "[[policy.rate]]\nof = \"login\"\ncount = \"messages\"\nlimit = 7\nexcept_networks = [\"10.0.0.0/8\"]",
    ),
    ("policy.realm", "[policy]\nrealm = \"other.test\""),
    ("policy.account.max_sessions", "[policy.account]\nmax_sessions = 7"),
    ("policy.account.stolen_networks", "[policy.account]\nstolen_networks = 7"),
    ("policy.account.stolen_within", "[policy.account]\nstolen_within = \"7m\""),
    ("policy.account.lock", "[policy.account]\nlock = \"7m\""),
    ("policy.account.size", "[policy.account]\nsize = 700"),
    ("policy.dns.block_lists", "[policy.dns]\nblock_lists = [\"zen.test=127.0.0.2\"]"),
    ("policy.dns.exempt", "[policy.dns]\nexempt = [\"192.0.2.0/24\"]"),
    ("policy.dns.client_names", "[policy.dns]\nclient_names = false"),
    ("policy.dns.servers", "[policy.dns]\nservers = [\"127.0.0.1\"]"),
    ("policy.dns.timeout", "[policy.dns]\ntimeout = \"7s\""),
    ("policy.dns.max_clients", "[policy.dns]\nmax_clients = 7"),
    ("policy.dns.cache", "[policy.dns]\ncache = 7"),
];

fn good(source: &str) -> Config {
    let reading = reader::read(source, HOST);
    let problems = Problems::new(Path::new("x.toml"), source, reading.problems);
    assert!(problems.is_empty(), "{problems}");
    reading.config
}

#[test]
fn every_key_changes_the_configuration_and_each_in_its_own_way() {
    let sampled: BTreeSet<String> = OTHER_VALUES.iter().map(|(key, _)| (*key).to_owned()).collect();
    let known: BTreeSet<String> =
        keys::all().map(|(section, key)| format!("{}.{}", section.name, key.name)).collect();
    assert_eq!(sampled, known, "every key needs a line in OTHER_VALUES");

    let mut seen = vec![("the defaults", Config::with_defaults(HOST))];
    for (key, source) in OTHER_VALUES {
        let config = good(source);
        for (other, earlier) in &seen {
            assert_ne!(&config, earlier, "{key} makes no difference to {other}");
        }
        seen.push((key, config));
    }
}

#[test]
fn every_default_is_good_and_within_its_bounds() {
    for (section, key) in keys::all() {
        let Some(default) = key.default else {
            assert!(matches!(section.form, Form::Repeated(_)), "{} has no default", key.name);
            continue;
        };
        let value = toml::de::DeValue::parse(default).unwrap();
        let mut config = Config::with_defaults(HOST);
        let faults = key.kind.apply(value.get_ref(), &mut config);
        assert!(faults.is_empty(), "{}.{}: {faults:?}", section.name, key.name);
    }
}

#[test]
fn every_text_of_the_table_can_be_printed() {
    let mut names = BTreeSet::new();
    for section in keys::SECTIONS {
        assert!(section.text.ends_with('.') && section.text.is_ascii(), "{}", section.name);
        for key in section.keys {
            let name = format!("{}.{}", section.name, key.name);
            assert!(key.text.ends_with('.') && key.text.is_ascii(), "{name}");
            assert!(!key.text.contains(['\n', '\t']) && !key.text.contains("  "), "{name}");
            assert!(key.name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
            assert!(names.insert(name.clone()), "{name} stands twice in the table");
            assert!(matches!(manual::topic(&name), Ok(manual::Topic::Key(..))), "{name}");
        }
    }
}

#[test]
fn bounds_are_in_order() {
    for (_, key) in keys::all() {
        let is_ordered = match &key.kind {
            Kind::Count { min, max, .. } => min < max,
            Kind::Time { min, max, .. } => min < max,
            Kind::Size { min, max, multiple, .. } => min < max && *multiple > 0,
            Kind::Choice(choices) => choices.len() > 1,
            Kind::Text { .. } | Kind::Flag { .. } | Kind::List { .. } => true,
        };
        assert!(is_ordered, "{}", key.name);
    }
}

#[test]
fn the_defaults_are_those_promised() {
    let config = Config::with_defaults(HOST);
    assert_eq!(config.authd_user, None);
    assert_eq!(config.auth.backends, ["pam"]);
    assert_eq!(config.auth.default_realm, HOST);
    assert_eq!(config.auth.floor, Duration::from_millis(100));
    assert_eq!((config.auth.cache.enabled, config.auth.cache.size), (false, 100_000));
    let throttle = &config.auth.throttle;
    assert_eq!((throttle.enabled, throttle.limit, throttle.login_limit), (true, 20, 100));
    assert_eq!(config.auth.cache.ttl, Duration::from_secs(600));
    assert_eq!(config.saslauthd.socket, PathBuf::from("/run/saslauthd/mux"));
    assert_eq!((config.saslauthd.socket_mode, config.saslauthd.directory_mode), (0o777, 0o755));
    assert_eq!(config.saslauthd.max_connections, 2000);
    assert_eq!(config.saslauthd.unavailable, UnavailableReply::Close);
    assert_eq!(config.pam.timeout, Duration::from_secs(30));
    assert!(config.pam.services.iter().any(|name| name == "smtp"));
    let store = &config.store;
    assert_eq!((store.memory_kib, store.iterations, store.lanes), (19_456, 2, 1));
    let gate = &config.gate;
    assert_eq!(gate.hostname, HOST);
    assert_eq!(gate.auth, AuthSource::Saslauthd(config.saslauthd.socket.clone()));
    assert_eq!(gate.mechanisms, ["PLAIN", "LOGIN"]);
    assert_eq!(gate.bare_newlines, BareNewlines::Reject);
    assert_eq!(gate.backends[0].address, "127.0.0.1:10587");
    assert_eq!(gate.backends[0].tls, BackendTls::None);
    assert_eq!(gate.limits.message_bytes, 50 << 20);
    assert_eq!(gate.timeouts.command, Duration::from_secs(300));
    assert_eq!(gate.timeouts.data_final, Duration::from_secs(600));
    let listeners: Vec<(String, ListenerKind)> =
        gate.listeners.iter().map(|it| (it.address.to_string(), it.kind)).collect();
    assert_eq!(
        listeners,
        [
            ("0.0.0.0:587".to_owned(), ListenerKind::Submission),
            ("[::]:587".to_owned(), ListenerKind::Submission),
            ("0.0.0.0:465".to_owned(), ListenerKind::Submissions),
            ("[::]:465".to_owned(), ListenerKind::Submissions),
        ]
    );
    assert_eq!(config.tls, None);
    assert_eq!((config.log.level, config.log.target), (Level::Info, Target::Auto));
}

#[test]
fn one_entry_replaces_all_default_listeners() {
    let config = good("[[gate.listener]]\naddress = \"127.0.0.1:2587\"\nkind = \"submissions\"\n");
    assert_eq!(config.gate.listeners.len(), 1);
    assert_eq!(config.gate.listeners[0].kind, ListenerKind::Submissions);
}

#[test]
fn a_minimum_version_alone_makes_no_tls() {
    assert_eq!(good("[tls]\nminimum_version = \"1.3\"\n").tls, None);
    assert_eq!(good("[tls]\ncertificate = \"\"\nkey = \"\"\n").tls, None);
}

#[test]
fn a_refused_value_leaves_no_second_problem_behind() {
    // The certificate is there, if badly written: the key is not alone.
    let reading = reader::read("[tls]\ncertificate = \"x\"\nkey = \"/y\"\n", HOST);
    assert_eq!(reading.problems.len(), 1);
    // The default backend is no loop where the one of the file could not be read.
    let source = "[[gate.listener]]\naddress = \"127.0.0.1:10587\"\nkind = \"submission\"\n\
                  [[gate.backend]]\naddress = \"mta\"\n";
    assert_eq!(reader::read(source, HOST).problems.len(), 1);
}

/// Whatever a file holds is read and rendered without a panic, and marks stand inside of it.
fn survives(source: &str) {
    let reading = reader::read(source, HOST);
    let problems = Problems::new(Path::new("x.toml"), source, reading.problems);
    for problem in problems.iter() {
        if let Some(place) = &problem.place {
            assert!(place.span.start <= source.len(), "{problem:?}");
        }
        let _ = problems.position(problem);
    }
    let _ = problems.render(Look::Plain);
}

#[test]
fn survives_every_truncation_of_a_full_file() {
    let full = include_str!("../../docs/examples/full.toml");
    for end in 0..full.len() {
        survives(&full[..end]);
    }
}

#[test]
fn survives_every_byte_of_a_full_file_being_another() {
    let full = include_str!("../../docs/examples/full.toml");
    for position in 0..full.len() {
        for other in ["\"", "\n", "[", "=", "\u{fc}"] {
            survives(&format!("{}{other}{}", &full[..position], &full[position + 1..]));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn survives_any_text(source in "\\PC{0,200}") {
        survives(&source);
    }

    #[test]
    fn survives_any_value_for_any_key(
        index in 0_usize..OTHER_VALUES.len(),
        value in "(-?[0-9]{1,25}|\"[^\"\\\\\n]{0,20}\"|\\[(1,|\"x\",)*\\]|true|1\\.5|\\{a = 1\\}|1979-05-27)",
    ) {
        let (path, _) = OTHER_VALUES[index];
        let (section, _) = keys::find(path).unwrap();
        let name = path.rsplit('.').next().unwrap();
        survives(&format!("{}\n{name} = {value}\n", section.header()));
    }
}
