//! Modules of PAM behind `saslgate-pam`, with the real libpam and private service
//! files: the host's own PAM configuration is neither read nor touched.
//!
//! Needs what `support/pam.rs` needs.
#![cfg(test)]

mod support;

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use saslgate::auth::{Accepted, Answer, Attempt, RealmSource};
use saslgate::backend::pam::{Pam, Reach, Settings, UserForm};
use saslgate::base::{Identity, Origin, ReasonCode, Secret};

use support::pam::{
    PASSWORD, WRONG, World, ask, assert_accepted, assert_rejected, assert_unavailable, attempt,
    is_alive, login, pam_matrix, until,
};

#[tokio::test]
async fn the_right_password_passes_and_a_wrong_one_does_not() {
    let world = World::new(&format!("password={PASSWORD}"));
    assert_accepted(&world.login(PASSWORD).await);
    assert_rejected(
        &world.login(WRONG).await,
        ReasonCode::BadCredentials,
        "PAM auth error: Authentication failure (service smtp)",
    );
    assert_accepted(&world.login(PASSWORD).await);
    assert_eq!(world.workers().len(), 1, "one connection is enough");
}

#[tokio::test]
async fn modules_of_the_distribution_work() {
    let world = World::new("");
    let matrix = pam_matrix();
    let table = world.path("passdb");
    fs::write(&table, format!("alice:{PASSWORD}:smtp\n")).unwrap();
    let (matrix, table) = (matrix.display(), table.display());
    let options = format!("required {matrix} passdb={table}\n");
    world.service("smtp", &format!("auth {options}account {options}"));
    assert_accepted(&world.login(PASSWORD).await);
    assert_rejected(&world.login(WRONG).await, ReasonCode::BadCredentials, "PAM auth error");
    world.service("smtp", "auth required pam_permit.so\naccount required pam_permit.so\n");
    assert_accepted(&world.login(PASSWORD).await);
    world.service("smtp", "auth required pam_permit.so\naccount required pam_deny.so\n");
    let answer = world.login(PASSWORD).await;
    assert_rejected(&answer, ReasonCode::AccessDenied, "PAM acct error");
    world.service("smtp", "auth required pam_deny.so\naccount required pam_permit.so\n");
    let answer = world.login(PASSWORD).await;
    assert_rejected(&answer, ReasonCode::BadCredentials, "PAM auth error");
}

#[tokio::test]
async fn each_result_of_a_module_gets_its_answer() {
    use ReasonCode::{AccessDenied, AccountExpired, BadCredentials, PasswordExpired};
    let world = World::new("");
    for (arguments, code) in [
        ("auth=auth_err", BadCredentials),
        ("auth=perm_denied", BadCredentials),
        ("auth=maxtries", BadCredentials),
        ("acct=acct_expired", AccountExpired),
        ("acct=new_authtok_reqd", PasswordExpired),
        ("acct=authtok_expired", PasswordExpired),
        ("acct=perm_denied", AccessDenied),
        ("acct=user_unknown", AccessDenied),
    ] {
        world.module("smtp", arguments);
        assert_rejected(&world.login(PASSWORD).await, code, "(service smtp)");
    }
    world.module("smtp", "auth=user_unknown");
    let answer = world.login(PASSWORD).await;
    assert!(matches!(answer, Answer::Unknown), "{answer:?}");
    for arguments in ["auth=authinfo_unavail", "auth=system_err", "acct=authinfo_unavail"] {
        world.module("smtp", arguments);
        assert_unavailable(&world.login(PASSWORD).await, ReasonCode::BackendDown);
    }
    assert_eq!(world.workers().len(), 1, "none of these ends a worker");
}

#[tokio::test]
async fn a_broken_stack_is_an_outage_and_no_denial() {
    let world = World::new("");
    world.service("smtp", "auth required /nonexistent.so\naccount required /nonexistent.so\n");
    assert_unavailable(&world.login(PASSWORD).await, ReasonCode::BackendDown);
    fs::remove_file(world.settings.service_dir.as_ref().unwrap().join("smtp")).unwrap();
    assert_unavailable(&world.login(PASSWORD).await, ReasonCode::BackendDown);
}

#[tokio::test]
async fn a_service_off_the_list_is_refused_on_both_sides() {
    let world = World::new("");
    world.module("su", "");
    for service in ["su", "../pam.d/smtp", "SU"] {
        let answer = login(&world.pam, service, PASSWORD).await;
        assert_rejected(&answer, ReasonCode::ServiceNotAllowed, "not in pam.services");
    }
    assert!(world.workers().is_empty(), "nobody needs to be asked");
    // An authd that was told otherwise gets no further.
    let wider = Settings { services: vec!["su".to_owned()], ..world.settings.clone() };
    let pam = Pam::connect(wider, Reach::Running(world.path("pam.sock")));
    let answer = login(&pam, "su", PASSWORD).await;
    assert_rejected(&answer, ReasonCode::ServiceNotAllowed, "does not serve su");
    // Names in capitals, and no name at all.
    assert_accepted(&login(&world.pam, "SMTP", PASSWORD).await);
    assert_accepted(&login(&world.pam, "", PASSWORD).await);
}

#[tokio::test]
async fn the_delay_after_a_failure_holds_nobody() {
    let world = World::with("auth=auth_err delay=60000000", |settings| {
        settings.max_workers = 1;
    });
    let before = Instant::now();
    for _ in 0..5 {
        assert_rejected(&world.login(WRONG).await, ReasonCode::BadCredentials, "");
    }
    assert!(before.elapsed() < Duration::from_secs(30), "the delay of 60 s was slept");
}

#[tokio::test]
async fn messages_and_prompts_do_not_fail_a_login() {
    let world = World::new("info=Hello error=Beware echo=alice");
    assert_accepted(&world.login(PASSWORD).await);
    world.module("smtp", "info=Hello error=Your\\npassword auth=auth_err");
    let answer = world.login(WRONG).await;
    assert_rejected(&answer, ReasonCode::BadCredentials, "; module: Hello; module: Your");
    world.module("smtp", "echo_password auth=auth_err");
    let answer = world.login(WRONG).await;
    assert_rejected(&answer, ReasonCode::BadCredentials, "a message that contains the password");
    assert!(!format!("{answer:?}").contains(WRONG));
    world.module("smtp", "style=7");
    assert_unavailable(&world.login(PASSWORD).await, ReasonCode::BackendDown);
}

#[tokio::test]
async fn a_user_that_a_module_renames_is_the_one_accepted() {
    let world = World::new("rename=bob");
    let answer = world.login(PASSWORD).await;
    let Answer::Accepted(Accepted { user: Some(user), .. }) = answer else { panic!("{answer:?}") };
    assert_eq!(user, Identity::new("bob", "example.org").unwrap());
    world.module("smtp", "rename=bob\u{1}");
    assert_unavailable(&world.login(PASSWORD).await, ReasonCode::BackendDown);
    let full = Settings { user: UserForm::Full, ..world.settings.clone() };
    let pam = Pam::connect(full, Reach::Running(world.path("pam.sock")));
    world.module("smtp", "rename=bob@Example.NET");
    let answer = login(&pam, "smtp", PASSWORD).await;
    let Answer::Accepted(Accepted { user: Some(user), .. }) = answer else { panic!("{answer:?}") };
    assert_eq!(user, Identity::new("bob", "example.net").unwrap());
}

#[tokio::test]
async fn modules_see_the_items_and_default_signals() {
    let world = World::new("dump=DIR/items fork stdout=noise");
    assert_accepted(&world.login(PASSWORD).await);
    assert_eq!(
        fs::read_to_string(world.path("items")).unwrap(),
        "SERVICE=smtp\nUSER=alice\nTTY=smtp\nRHOST=192.0.2.7\nRUSER=alice@example.org\n\
         SIGCHLD=default\nSIGPIPE=default\nBLOCKED=0\n"
    );
    assert!(!world.log().contains("noise"), "standard output of modules goes nowhere");
    fs::remove_file(world.path("items")).unwrap();
    let plain = attempt("imap", PASSWORD);
    let nowhere = Arc::new(Attempt {
        realm: RealmSource::Claim,
        origin: Origin::default(),
        identity: plain.identity.clone(),
        password: Secret::copied_from(PASSWORD.as_bytes()).unwrap(),
        service: plain.service.clone(),
    });
    world.module("imap", "dump=DIR/items");
    assert_accepted(&ask(&world.pam, nowhere).await);
    let items = fs::read_to_string(world.path("items")).unwrap();
    assert!(items.contains("TTY=imap\nRHOST=(unset)\n"), "{items}");
}

#[tokio::test]
async fn a_module_that_comes_back_twice_gets_one_answer() {
    let world = World::new("auth=twice");
    assert_accepted(&world.login(PASSWORD).await);
    let workers = world.workers();
    for _ in 0..20 {
        assert_accepted(&world.login(PASSWORD).await);
    }
    assert_eq!(world.workers(), workers, "a second answer spoils the connection");
}

#[tokio::test]
async fn children_of_modules_die_with_the_worker() {
    let world = World::with("dump=DIR/items linger auth=sleep", |settings| {
        settings.timeout = Duration::from_secs(1);
    });
    assert_unavailable(&world.login(PASSWORD).await, ReasonCode::Timeout);
    let items = || fs::read_to_string(world.path("items")).unwrap_or_default();
    until("the module", || items().contains("CHILD=")).await;
    let items = items();
    let child = items.split("CHILD=").nth(1).unwrap().trim().parse().unwrap();
    until("the end of the module's child", || !is_alive(child)).await;
}

#[tokio::test]
async fn a_password_that_was_counted_is_not_sent_again() {
    let world = World::new("count=DIR/count auth=segv");
    assert_unavailable(&world.login(WRONG).await, ReasonCode::BackendDown);
    assert_eq!(fs::read(world.path("count")).unwrap(), b"x");
}
