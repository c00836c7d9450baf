//! The backend against servers that say what a real one says rarely or never.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{
    Address, Deref, Group, Ldap, Method, Scope, ServiceBind, Settings, StartTls, Template, UserForm,
};
use crate::auth::{Answer, Attempt, RealmSource, Service, Verification, Verify};
use crate::base::{Identity, Origin, ReasonCode, Secret};
use crate::tls::{Trust, Verification as Certificates};
use crate::wire::ldap::frame_bytes;

const BIND: u8 = 0x60;
const SEARCH: u8 = 0x63;
const START_TLS: u8 = 0x77;

/// What a scripted server does with a request.
enum Act {
    Say(Vec<u8>),
    Close,
    Nothing,
}

/// Serves with `script`: number of the connection, operation and number of the request. Gives
/// its address and how many binds it has seen.
async fn serve(
    script: impl Fn(usize, u8, u8) -> Act + Send + Sync + 'static,
) -> (Address, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (script, binds) = (Arc::new(script), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&binds);
    tokio::spawn(async move {
        for number in 0.. {
            let Ok((stream, _)) = listener.accept().await else { return };
            let (script, binds) = (Arc::clone(&script), Arc::clone(&seen));
            tokio::spawn(async move { converse(stream, number, &*script, &binds).await });
        }
    });
    (Address::parse(&format!("ldap://127.0.0.1:{port}/")).unwrap(), binds)
}

async fn converse(
    mut stream: TcpStream,
    number: usize,
    script: &(dyn Fn(usize, u8, u8) -> Act + Send + Sync),
    binds: &AtomicUsize,
) {
    let mut bytes = Vec::new();
    loop {
        while let Some(length) = frame_bytes(&bytes, 100_000).unwrap() {
            if bytes.len() < length {
                break;
            }
            // Ours have five bytes of length, and numbers below 128 here.
            let (id, operation) = (bytes[8], bytes[9]);
            bytes.drain(..length);
            binds.fetch_add(usize::from(operation == BIND), Ordering::SeqCst);
            match script(number, operation, id) {
                Act::Say(reply) => stream.write_all(&reply).await.unwrap(),
                Act::Close => return,
                Act::Nothing => {}
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    }
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x82, length[0], length[1]][..], content].concat()
}

fn message(id: u8, operation: &[u8]) -> Vec<u8> {
    element(0x30, &[&[0x02, 1, id][..], operation].concat())
}

fn result(id: u8, tag: u8, code: u8, text: &str) -> Act {
    let body = [&[0x0a, 1, code, 0x04, 0][..], &element(0x04, text.as_bytes())].concat();
    Act::Say(message(id, &element(tag, &body)))
}

fn bound(id: u8, code: u8) -> Act {
    result(id, 0x61, code, "")
}

/// One entry called `name`, and the end of the search.
fn found(id: u8, name: &str) -> Act {
    let entry = [element(0x04, name.as_bytes()), element(0x30, b"")].concat();
    let Act::Say(done) = result(id, 0x65, 0, "") else { return Act::Nothing };
    Act::Say([message(id, &element(0x64, &entry)), done].concat())
}

fn settings(servers: Vec<Address>) -> Settings {
    Settings {
        original: None,
        servers,
        start_tls: StartTls::Never,
        trust: Trust { verification: Certificates::Off, ..Trust::default() },
        service_bind: ServiceBind::Simple,
        bind_dn: String::new(),
        password: None,
        method: Method::Search,
        base: Template::parse("dc=x").unwrap(),
        filter: Template::parse("(uid=%u)").unwrap(),
        scope: Scope::Sub,
        name: Template::default(),
        password_attribute: "userPassword".to_owned(),
        deref: Deref::Never,
        size_limit: 2,
        time_limit: Duration::from_secs(5),
        group: Group {
            name: Template::default(),
            attribute: "member".to_owned(),
            filter: Template::default(),
            base: Template::default(),
            scope: Scope::Sub,
        },
        default_realm: String::new(),
        user: UserForm::Local,
        timeout: Duration::from_secs(20),
        max_connections: 4,
        max_waiting: 4,
        idle_timeout: Duration::from_secs(60),
        retry_after: Duration::from_secs(60),
        notes: Vec::new(),
    }
}

async fn ask(ldap: &Arc<Ldap>) -> Answer {
    let attempt = Attempt {
        identity: Identity::new("alice", "example.org").unwrap(),
        realm: RealmSource::Default,
        password: Secret::copied_from(b"Zauberwort").unwrap(),
        service: Service::from_wire(b"imap").unwrap(),
        origin: Origin::default(),
    };
    match Arc::clone(ldap).verify(Arc::new(attempt)) {
        Verification::Ready(answer) => answer,
        Verification::Pending(answer) => answer.await,
    }
}

/// The answer of one login: `accepted`, `unknown`, or the code of the reason.
fn told(answer: &Answer) -> &'static str {
    match answer {
        Answer::Accepted(_) => "accepted",
        Answer::Unknown => "unknown",
        Answer::Rejected(reason) => reason.code.as_str(),
        Answer::Unavailable(reason) => match reason.code {
            ReasonCode::Timeout => "unavailable: timeout",
            ReasonCode::Busy => "unavailable: busy",
            _ => "unavailable",
        },
    }
}

/// What one login at one server comes to, and how many binds it took.
async fn one(script: impl Fn(usize, u8, u8) -> Act + Send + Sync + 'static) -> (String, usize) {
    let (address, binds) = serve(script).await;
    let ldap = Ldap::open(settings(vec![address])).unwrap();
    let answer = ask(&ldap).await;
    (told(&answer).to_owned(), binds.load(Ordering::SeqCst))
}

/// A script for the search that always finds, and `bind` for the rest.
fn then(
    bind: impl Fn(usize, u8) -> Act + Send + Sync + 'static,
) -> impl Fn(usize, u8, u8) -> Act + Send + Sync + 'static {
    move |number, operation, id| match operation {
        SEARCH => found(id, "uid=alice,dc=x"),
        _ => bind(number, id),
    }
}

#[tokio::test]
async fn results_mean_what_the_table_says() {
    let says = async |code: u8| one(then(move |_, id| bound(id, code))).await.0;
    assert_eq!(says(0).await, "accepted");
    assert_eq!(says(49).await, "bad-credentials");
    assert_eq!(says(19).await, "account-locked");
    assert_eq!(says(51).await, "unavailable: busy");
    assert_eq!(says(53).await, "unavailable");
    let locked = "80090308: LdapErr: DSID-0C09, comment: AcceptSecurityContext error, data 775, v1";
    let answer = one(then(move |_, id| result(id, 0x61, 49, locked))).await;
    assert_eq!(answer.0, "account-locked");
}

#[tokio::test]
async fn an_unknown_user_costs_a_bind_too() {
    let none = |_: usize, operation: u8, id: u8| match operation {
        SEARCH => result(id, 0x65, 32, ""),
        _ => bound(id, 49),
    };
    assert_eq!(one(none).await, ("unknown".to_owned(), 1));
}

/// No password was tried, so nothing may tell it from a wrong one outside (`PAM acct error`).
#[tokio::test]
async fn two_entries_look_like_a_wrong_password() {
    let two = |_: usize, operation: u8, id: u8| match (operation, found(id, "uid=alice,dc=x")) {
        (SEARCH, Act::Say(one)) => {
            let Act::Say(end) = result(id, 0x65, 0, "") else { return Act::Nothing };
            Act::Say([&one[..one.len() - end.len()], &one].concat())
        }
        _ => bound(id, 0),
    };
    assert_eq!(one(two).await, ("bad-credentials".to_owned(), 0));
}

#[tokio::test]
async fn bytes_that_are_no_answer_let_nobody_in() {
    let junk: &[&[u8]] = &[
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x30\x80\0\0",
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30\0",
        b"\x30\x03\x02\x01\x01",
        b"\x30\x05\x02\x01\x01\x61\0",
        // A success, but to another request; and one to another operation.
        b"\x30\x0c\x02\x01\x63\x61\x07\x0a\x01\0\x04\0\x04\0",
        b"\x30\x0c\x02\x01\x01\x65\x07\x0a\x01\0\x04\0\x04\0",
    ];
    for bytes in junk {
        let answer = one(then(move |_, _| Act::Say(bytes.to_vec()))).await;
        assert_eq!(answer, ("unavailable".to_owned(), 1), "{bytes:?}");
    }
    // Entries without an end.
    let flood = |_: usize, _: u8, id: u8| {
        let Act::Say(one) = found(id, "x") else { return Act::Nothing };
        Act::Say(one[..one.len() - 14].repeat(100))
    };
    assert_eq!(one(flood).await.0, "unavailable");
}

#[tokio::test]
async fn an_entry_without_a_name_is_never_bound_as() {
    let script = |_: usize, operation: u8, id: u8| match operation {
        SEARCH => found(id, " "),
        _ => bound(id, 0),
    };
    assert_eq!(one(script).await, ("unavailable".to_owned(), 0));
}

#[tokio::test]
async fn a_password_that_was_sent_is_sent_to_nobody_else() {
    let (second, binds_of_second) = serve(then(|_, id| bound(id, 0))).await;
    for end in [|| Act::Close, || Act::Nothing] {
        let (first, binds) = serve(then(move |_, _| end())).await;
        let mut settings = settings(vec![first, second.clone()]);
        settings.timeout = Duration::from_millis(400);
        let ldap = Ldap::open(settings).unwrap();
        let answer = ask(&ldap).await;
        assert!(matches!(answer, Answer::Unavailable(_)), "{answer:?}");
        assert_eq!(binds.load(Ordering::SeqCst), 1);
        assert_eq!(binds_of_second.load(Ordering::SeqCst), 0);
        // The next login passes the first one over.
        assert_eq!(told(&ask(&ldap).await), "accepted");
        binds_of_second.store(0, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_busy_server_has_looked_at_nothing_so_the_next_is_asked() {
    let (second, _) = serve(then(|_, id| bound(id, 0))).await;
    let (first, _) = serve(then(|_, id| bound(id, 51))).await;
    let ldap = Ldap::open(settings(vec![first, second])).unwrap();
    assert_eq!(told(&ask(&ldap).await), "accepted");
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closes_is_replaced_once() {
    // Says goodbye at the second request of each connection, as with an idle timeout that
    // comes just then.
    let script = |_: usize, operation: u8, id: u8| match (operation, id) {
        (_, 2..) => Act::Close,
        (SEARCH, _) => found(id, "uid=alice,dc=x"),
        (_, _) => bound(id, 0),
    };
    let (address, _) = serve(script).await;
    let ldap = Ldap::open(settings(vec![address])).unwrap();
    for _ in 0..4 {
        assert_eq!(told(&ask(&ldap).await), "accepted");
    }
}

#[tokio::test]
async fn what_comes_behind_the_answer_to_start_tls_is_refused() {
    let script = |_: usize, operation: u8, id: u8| {
        assert_eq!(operation, START_TLS, "nothing else is said before TLS");
        let Act::Say(good) = result(id, 0x78, 0, "") else { return Act::Nothing };
        let Act::Say(injected) = bound(2, 0) else { return Act::Nothing };
        Act::Say([good, injected].concat())
    };
    let (address, _) = serve(script).await;
    let mut settings = settings(vec![address]);
    settings.start_tls = StartTls::Always;
    let answer = ask(&Ldap::open(settings).unwrap()).await;
    let Answer::Unavailable(reason) = answer else { panic!("{answer:?}") };
    assert!(reason.detail.contains("somebody sits in between"), "{reason}");
}

#[tokio::test]
async fn an_empty_password_is_never_sent() {
    let (address, binds) = serve(then(|_, id| bound(id, 0))).await;
    let ldap = Ldap::open(settings(vec![address])).unwrap();
    let attempt = Attempt {
        identity: Identity::new("alice", "").unwrap(),
        realm: RealmSource::Default,
        password: Secret::copied_from(b"").unwrap(),
        service: Service::from_wire(b"").unwrap(),
        origin: Origin::default(),
    };
    let Verification::Pending(answer) = Arc::clone(&ldap).verify(Arc::new(attempt)) else {
        panic!("not at once")
    };
    assert_eq!(told(&answer.await), "empty-password");
    assert_eq!(binds.load(Ordering::SeqCst), 0);
}

mod schemes {
    use super::super::scheme::{Stored, Unusable};
    use crate::backend::hashing::{Cost, HashPool};
    use crate::base::Secret;

    fn fits(stored: &str, password: &str) -> Result<bool, Unusable> {
        let pool = HashPool::start(1, 1, Cost::new(8, 1, 1).unwrap()).unwrap();
        let password = Secret::copied_from(password.as_bytes()).unwrap();
        let stored = Stored::parse(stored.as_bytes())?;
        let job = pool.submit(move |worker| stored.matches(worker, &password));
        job.unwrap().blocking_recv().unwrap()
    }

    /// Of "secret", the salt "salt"; made with Python's hashlib and base64.
    const VECTORS: &[&str] = &[
        "{MD5}Xr4ilOzQ4PCOq3aQ0qbuaQ==",
        "{SMD5}mc0uWpXVVe5747A4pKhGJXNhbHQ=",
        "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
        "{SSHA}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0",
        "{SHA256}K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols=",
        "{SSHA256}+E+iFJ27Yu1ODPH1UNKUmzOmUT06dwfghQJRHHnMsO5zYWx0",
        "{SHA384}WKd1ukESvjAFrkQHznV9iP2nHUBJe7gCbsrFTU4//HIyzo3jq1rLMK45dg/ufFPt",
        "{SSHA384}BPdC1qPVnOtOWlZBhlNvMSsThLk7gG0moXRB2Ulg+UGkFToChXZ4jNzGfK5Uh3Otc2FsdA==",
        "{SHA512}vSsar3708Jvp9Szi2NWZZ02Bqp1qRCFpbcTZPdBhnWgs5WtNZKnvCXdhztmeD2cmW192CF5bDufKRpayrW/isg==",
        "{SSHA512}E491yrR9AdCoE7rbOPYS3EZgSuZpVE65AD9xko08s6floNesY/Zpe9zMVvLix4S2FiQSJ99RIkNvhHomNO9uL3NhbHQ=",
        "{CLEARTEXT}secret",
        "secret",
    ];

    #[test]
    fn each_scheme_fits_its_password_only() {
        for stored in VECTORS {
            assert_eq!(fits(stored, "secret"), Ok(true), "{stored}");
            assert_eq!(fits(stored, "secreT"), Ok(false), "{stored}");
            assert_eq!(fits(stored, stored), Ok(*stored == "secret"), "{stored}");
        }
    }

    #[test]
    fn what_cannot_be_checked_fits_nothing_and_is_named() {
        for stored in ["", "{CRYPT}!", "{CRYPT}*", "{CRYPT}", "{CLEARTEXT}"] {
            assert_eq!(fits(stored, "secret"), Ok(false), "{stored}");
        }
        for stored in ["{SASL}alice@x", "{PBKDF2}x", "{CRYPT}ab01FAX.bQRSU", "{X-Y}z"] {
            assert!(matches!(fits(stored, "x"), Err(Unusable::Scheme(_))), "{stored}");
        }
        for stored in [
            "{SSHA}",
            "{SSHA}!!",
            "{MD5}AAAA",
            "{SHA}5en6G6MezRroT3XKqkdPOmY/BfRzYWx0",
            "{ARGON2}x",
        ] {
            assert!(matches!(fits(stored, "secret"), Err(Unusable::Damaged(..))), "{stored}");
        }
    }

    #[test]
    fn survives_every_truncation_and_every_mutation() {
        let good = VECTORS[3];
        for end in 0..good.len() {
            let _ = Stored::parse(&good.as_bytes()[..end]);
            for byte in 0..=255 {
                let mut bad = good.as_bytes().to_vec();
                bad[end] = byte;
                let _ = Stored::parse(&bad);
            }
        }
    }
}
