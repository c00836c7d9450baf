//! The configuration before any default is applied.
//!
//! Nothing here is a default: those are in `keys`, which sets every field.
//! What stands here is empty, zero or the other choice, so that a field without
//! a key shows in the tests; except for the two names that come from the host.

use std::path::PathBuf;
use std::time::Duration;

use super::Config;
use crate::backend::ldap::{Deref, Scope};
use crate::gate::names::NameSettings;
use crate::gate::sending::SendingSettings;
use crate::gate::{AuthSource, BareNewlines, Limits, Timeouts};
use crate::ops::log::{Format, Level, Target};
use crate::policy::rate::{RateSettings, TheftSettings};
use crate::policy::sender::SenderSettings;
use crate::server::saslauthd::UnavailableReply;
use crate::{auth, backend, gate, ops, policy, server, tls};

/// A blank for a host called `fqdn`.
pub(super) fn config(fqdn: &str) -> Config {
    Config {
        authd_user: None,
        authd_watch_config: false,
        gate_user: None,
        gate_watch_config: false,
        auth: auth::Settings {
            backends: Vec::new(),
            routes: Vec::new(),
            entrances: Vec::new(),
            default_realm: fqdn.to_owned(),
            floor: Duration::ZERO,
            cache: auth::CacheSettings { enabled: true, size: 0, ttl: Duration::ZERO },
            throttle: auth::ThrottleSettings {
                enabled: false,
                delay: Duration::ZERO,
                limit: 0,
                login_limit: 0,
                half_life: Duration::ZERO,
                size: 0,
                max_delayed: 0,
                exempt: Vec::new(),
            },
            handover: auth::HandoverSettings {
                gates: Vec::new(),
                mail_servers: Vec::new(),
                sockets: Vec::new(),
                lifetime: Duration::ZERO,
            },
        },
        saslauthd: saslauthd(),
        pam: pam(),
        shadow: backend::shadow::Settings { threads: 0, max_waiting: 0, timeout: Duration::ZERO },
        ldap: ldap(),
        kerberos5: kerberos5(),
        rimap: rimap(),
        httpform: httpform(),
        store: backend::store::Settings {
            path: PathBuf::new(),
            memory_kib: 0,
            iterations: 0,
            lanes: 0,
            hash_threads: 0,
            max_waiting: 0,
            policy: backend::store::Policy { min_length: 0, min_score: 4 },
            scram: backend::store::Scram::Made,
        },
        // The other choice than the default: none.
        sasldb: backend::sasldb::Settings { path: Some(PathBuf::new()), max_bytes: 0 },
        gate: gate(fqdn),
        access: policy::access::Settings {
            map: Some(PathBuf::new()),
            delay_checks: true,
            relay_loopback: false,
            local_domains: vec![String::new()],
            local_domains_file: Some(PathBuf::new()),
            relay_domains: vec![String::new()],
            relay_domains_file: Some(PathBuf::new()),
        },
        tls: None,
        metrics: server::metrics::Settings::default(),
        log: ops::log::Settings {
            level: Level::Error,
            target: Target::Stderr,
            format: Format::Json,
        },
    }
}

fn saslauthd() -> server::saslauthd::Settings {
    server::saslauthd::Settings {
        socket: PathBuf::new(),
        socket_mode: 0,
        socket_owner: None,
        directory_mode: 0,
        allowed_users: Vec::new(),
        listeners: Vec::new(),
        max_connections: 0,
        max_connections_per_uid: 0,
        request_timeout: Duration::ZERO,
        unavailable: UnavailableReply::No,
    }
}

fn pam() -> backend::pam::Settings {
    backend::pam::Settings {
        socket: None,
        services: Vec::new(),
        user: backend::pam::UserForm::Full,
        timeout: Duration::ZERO,
        max_workers: 0,
        max_waiting: 0,
        idle_timeout: Duration::ZERO,
        requests_per_worker: 0,
        service_dir: None,
        watched_files: Vec::new(),
    }
}

fn kerberos5() -> backend::kerberos5::Settings {
    backend::kerberos5::Settings {
        original: Some(PathBuf::new()),
        krb5_conf: PathBuf::new(),
        keytab: PathBuf::new(),
        service: String::new(),
        server_name: Some(String::new()),
        realm: Some(String::new()),
        threads: 7,
        max_waiting: 0,
        timeout: Duration::ZERO,
    }
}

fn rimap() -> backend::rimap::Settings {
    backend::rimap::Settings {
        host: String::new(),
        port: None,
        security: backend::rimap::Security::Starttls,
        is_clear_allowed: true,
        ca_file: None,
        server_name: None,
        user: backend::pam::UserForm::Full,
        timeout: Duration::ZERO,
        max_connections: 0,
        max_waiting: 0,
    }
}

fn httpform() -> backend::httpform::Settings {
    backend::httpform::Settings {
        config: None,
        target: None,
        form: backend::httpform::Template::blank(),
        ca_file: None,
        timeout: Duration::ZERO,
        max_connections: 0,
        max_waiting: 0,
    }
}

fn ldap() -> backend::ldap::Settings {
    use backend::ldap::{Group, Method, ServiceBind, Settings, StartTls, Template, UserForm};
    Settings {
        original: None,
        servers: Vec::new(),
        start_tls: StartTls::Never,
        trust: tls::Trust { verification: tls::Verification::Off, ..tls::Trust::default() },
        service_bind: ServiceBind::External,
        bind_dn: String::new(),
        password: None,
        method: Method::Custom,
        base: Template::default(),
        filter: Template::default(),
        scope: Scope::Base,
        name: Template::default(),
        password_attribute: String::new(),
        deref: Deref::Always,
        size_limit: 0,
        time_limit: Duration::ZERO,
        group: Group {
            name: Template::default(),
            attribute: String::new(),
            filter: Template::default(),
            base: Template::default(),
            scope: Scope::Base,
        },
        default_realm: String::new(),
        user: UserForm::Full,
        timeout: Duration::ZERO,
        max_connections: 0,
        max_waiting: 0,
        idle_timeout: Duration::ZERO,
        retry_after: Duration::ZERO,
        notes: Vec::new(),
    }
}

fn gate(fqdn: &str) -> gate::Settings {
    gate::Settings {
        hostname: fqdn.to_owned(),
        listeners: Vec::new(),
        backends: Vec::new(),
        auth: AuthSource::Saslauthd(PathBuf::new()),
        mechanisms: Vec::new(),
        bare_newlines: BareNewlines::Normalize,
        limits: Limits {
            message_bytes: 0,
            recipients: 0,
            line_bytes: 0,
            errors: 0,
            auth_failures: 0,
            commands: 0,
            sessions: 0,
            sessions_per_address: 0,
        },
        timeouts: Timeouts {
            command: Duration::ZERO,
            data_block: Duration::ZERO,
            handshake: Duration::ZERO,
            auth: Duration::ZERO,
            connect: Duration::ZERO,
            reply: Duration::ZERO,
            data_init: Duration::ZERO,
            data_final: Duration::ZERO,
            session: Duration::ZERO,
        },
        transcript: gate::TranscriptSettings { file: None, networks: Vec::new(), limit_bytes: 0 },
        control: gate::ControlSettings { socket: None, group: None },
        sending: sending(),
        names: NameSettings {
            servers: Vec::new(),
            time_limit: Duration::ZERO,
            clients: 0,
            remembered: 0,
            client_names: false,
            zones: Vec::new(),
            exempt: Vec::new(),
        },
    }
}

fn sending() -> SendingSettings {
    SendingSettings {
        realm: String::new(),
        sessions: None,
        sender: SenderSettings::default(),
        sender_map: None,
        rate: RateSettings::default(),
        theft: TheftSettings { networks: 0, within: Duration::ZERO, lock: Duration::ZERO, size: 0 },
    }
}
