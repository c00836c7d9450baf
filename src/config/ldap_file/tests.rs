//! Every key of the original, and every way to get one wrong.

use super::*;
use crate::config::Config;

const PATH: &str = "/etc/saslauthd.conf";

fn native() -> Settings {
    let mut native = Config::with_defaults("mx.example.test").ldap;
    native.original = Some(PATH.into());
    native
}

fn good(source: &str) -> Settings {
    read(Path::new(PATH), source, &native()).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn bad(source: &str) -> String {
    let problems = read(Path::new(PATH), source, &native()).expect_err(source);
    Problems::new(Path::new(PATH), &without_passwords(source), problems).to_string()
}

#[test]
fn an_empty_file_has_the_defaults_of_the_original() {
    let settings = good("");
    assert_eq!(settings.servers, [Address::parse("ldap://localhost:389").unwrap()]);
    assert_eq!(settings.filter, Template::parse("(uid=%u)").unwrap());
    assert_eq!((settings.method, settings.scope), (Method::Search, Scope::Sub));
    assert_eq!(
        (settings.timeout, settings.time_limit),
        (Duration::from_secs(5), Duration::from_secs(5))
    );
    assert_eq!((settings.size_limit, settings.deref), (1, Deref::Never));
    assert_eq!(settings.group.attribute, "uniqueMember");
    assert_eq!(settings.password_attribute, "userPassword");
    assert_eq!(
        (settings.start_tls, settings.trust.verification),
        (StartTls::Never, Verification::Full)
    );
    assert_eq!(settings.max_connections, native().max_connections);
    assert!(settings.notes.is_empty() && settings.password.is_none());
}

#[test]
fn every_key_lands_somewhere() {
    let sources = [
        "ldap_servers: ldap://a/ ldaps://b:1636/",
        "ldap_bind_dn: cn=x\nldap_bind_pw: y",
        "ldap_bind_dn: cn=x\nldap_password: z",
        "ldap_search_base: dc=%2,dc=%1",
        "ldap_filter: (mail=%u)",
        "ldap_password_attr: cryptPassword",
        "ldap_scope: one",
        "ldap_scope: base",
        "ldap_auth_method: custom",
        "ldap_auth_method: fastbind\nldap_filter: uid=%u,dc=x",
        "ldap_default_realm: a.test",
        "ldap_default_domain: b.test",
        "ldap_timeout: 7",
        "ldap_time_limit: 7",
        "ldap_size_limit: 0",
        "ldap_deref: always",
        "ldap_deref: find",
        "ldap_deref: search",
        "ldap_group_dn: cn=g",
        "ldap_group_attr: member",
        "ldap_group_filter: (member=%D)\nldap_group_match_method: filter",
        "ldap_group_search_base: ou=g",
        "ldap_group_scope: one",
        "ldap_start_tls: yes",
        "ldap_tls_check_peer: no",
        "ldap_tls_cacert_file: /ca",
        "ldap_tls_cacert_dir: /cas",
        "ldap_tls_cert: /c\nldap_tls_key: /k",
        "ldap_referrals: yes",
        "ldap_debug: 7",
        "ldap_version: 2",
    ];
    let mut seen = vec![("", good(""))];
    for source in sources {
        let settings = good(source);
        for (other, earlier) in &seen {
            assert_ne!(&settings, earlier, "{source} makes no difference to {other}");
        }
        seen.push((source, settings));
    }
    let known: Vec<&str> = TABLE.iter().flat_map(|(names, _)| names.iter().copied()).collect();
    for source in sources {
        let key = source.split(':').next().unwrap();
        assert!(known.contains(&key), "{key}");
    }
    let same = good(
        "ldap_version: 3\nldap_restart: no\nldap_referrals: no\nldap_use_sasl: no\nldap_mech: PLAIN",
    );
    assert_eq!(same, good(""));
}

#[test]
fn the_last_of_two_lines_counts() {
    let settings = good("ldap_timeout: 7\nldap_timeout: 9\n");
    assert_eq!(settings.timeout, Duration::from_secs(9));
}

#[test]
fn what_is_not_known_is_said_with_its_line_unless_it_is_of_another_mechanism() {
    let notes = good("krb5_keytab: /x\nhttpform_host: y\n\nldap_server: z\nwhatever: 1\n").notes;
    assert_eq!(
        notes,
        [
            "/etc/saslauthd.conf:4: ldap_server: unknown and ignored; did you mean ldap_servers?",
            "/etc/saslauthd.conf:5: whatever: unknown and ignored",
        ]
    );
}

#[test]
fn what_cannot_be_done_is_refused_with_line_and_column() {
    let cases = [
        ("ldap_use_sasl: yes\n", "saslauthd.conf:1:16", "ldap_auth_method bind or fastbind"),
        ("\nldap_tls_ciphers: HIGH\n", "saslauthd.conf:2:19", "remove it"),
        ("ldap_servers: ldap://a http://b\n", "saslauthd.conf:1:15", "http://b: it does not begin"),
        ("ldap_start_tls: Yes\n", "saslauthd.conf:1:17", "took this for no"),
        ("ldap_filter: (uid=%x)\n", "saslauthd.conf:1:14", "`%x` stands for nothing"),
        ("ldap_filter: (uid=%D)\n", "saslauthd.conf:1:14", "%D is known only"),
        ("ldap_filter: (uid=%u\n", "saslauthd.conf:1:14", "no search filter"),
        ("ldap_timeout: 0\n", "saslauthd.conf:1:15", "from 1 to 600"),
        ("ldap_scope: tree\n", "saslauthd.conf:1:13", "sub, one, base"),
        ("ldap_tls_cacert_file: ca.pem\n", "saslauthd.conf:1:23", "not absolute"),
        ("ldap_auth_method: fastbind\n", "saslauthd.conf", "the name to bind as"),
        ("ldap_group_filter: (a=b)\n", "saslauthd.conf", "refused everybody"),
        ("ldap_group_dn: x\nldap_group_match_method: filter\n", "saslauthd.conf", "add it"),
        ("ldap_bind_dn: cn=x\n", "saslauthd.conf", "add ldap_bind_pw"),
        ("ldap_tls_cert: /x\n", "saslauthd.conf", "add the other one"),
    ];
    for (source, place, text) in cases {
        let problem = bad(source);
        assert!(problem.contains(place) && problem.contains(text), "{source}: {problem}");
    }
}

#[test]
fn a_password_is_in_no_message_and_no_debug_text() {
    let secret = "Zauberwort";
    for source in [
        format!("ldap_bind_pw {secret}\n"),
        format!("ldap_bind_pw\t{secret}\r\n"),
        format!("LDAP_Password: {secret}\nldap_scope: tree\n"),
        format!("  ldap_bind_pw: {secret}\0\n"),
        format!("ldap_bind_pw={secret}: x\n"),
    ] {
        let problem = bad(&source);
        assert!(!problem.contains(secret), "{problem}");
    }
    let settings = good(&format!("ldap_bind_dn: cn=x\nldap_bind_pw: {secret}\n"));
    assert!(!format!("{settings:?}").contains(secret));
}
