use super::super::verify::{RealmSource, Service};
use super::*;
use crate::base::Origin;

const LIFETIME: Duration = Duration::from_secs(30);

fn id(name: &str) -> Identity {
    Identity::parse(name, "example.org").unwrap()
}

fn attempt(user: &str, password: &[u8]) -> Attempt {
    Attempt {
        identity: id(user),
        realm: RealmSource::Claim,
        password: Secret::copied_from(password).unwrap(),
        service: Service::from_wire(b"smtp").unwrap(),
        origin: Origin::default(),
    }
}

struct Desk {
    handover: Handover,
    start: Instant,
    drawn: u16,
}

impl Desk {
    fn new() -> Self {
        let handover = Handover::new(&Arc::new(TagKey::for_tests()));
        Self { handover, start: Instant::now(), drawn: 0 }
    }

    fn issue(&mut self, user: &str, second: u64) -> Option<Vec<u8>> {
        let mut random = Zeroizing::new([7; TOKEN_BYTES]);
        random[..2].copy_from_slice(&self.drawn.to_be_bytes());
        self.drawn = self.drawn.wrapping_add(1);
        let now = self.start + Duration::from_secs(second);
        let token = self.handover.issue(&id(user), &random, LIFETIME, now)?;
        Some(token.expose().to_vec())
    }

    /// `Ok`, or a word of the reason.
    fn redeem(&self, user: &str, token: &[u8], second: u64) -> Result<(), String> {
        let now = self.start + Duration::from_secs(second);
        let judged = self.handover.redeem(&attempt(user, token), true, now).expect("no token");
        judged.map_err(|reason| {
            assert_eq!(reason.code, ReasonCode::TokenRefused);
            reason.detail.into_owned()
        })
    }
}

fn is_about(judged: &Result<(), String>, word: &str) -> bool {
    matches!(judged, Err(detail) if detail.contains(word))
}

#[test]
fn a_token_is_good_once_for_its_user_in_its_time() {
    let mut desk = Desk::new();
    let token = desk.issue("alice", 0).unwrap();
    assert_eq!(desk.redeem("alice", &token, 29), Ok(()));
    assert!(is_about(&desk.redeem("alice", &token, 29), "replay"));
    let late = desk.issue("alice", 0).unwrap();
    assert!(is_about(&desk.redeem("alice", &late, 30), "never issued, or its time is over"));
    assert!(is_about(&desk.redeem("alice", &token, 31), "never issued"), "forgotten by now");
}

#[test]
fn a_token_is_nobody_elses_and_is_spent_on_the_attempt() {
    let mut desk = Desk::new();
    let token = desk.issue("alice", 0).unwrap();
    for user in ["bob", "alice@example.net", "alic"] {
        let token = desk.issue("alice", 0).unwrap();
        assert!(is_about(&desk.redeem(user, &token, 1), "another user"), "{user}");
        assert!(is_about(&desk.redeem("alice", &token, 1), "replay"), "{user}");
    }
    assert_eq!(desk.redeem("alice@example.org", &token, 1), Ok(()), "the default realm named");
}

#[test]
fn no_byte_of_a_token_can_be_another() {
    let mut desk = Desk::new();
    let token = desk.issue("alice", 0).unwrap();
    for place in PREFIX.len()..token.len() {
        let mut changed = token.clone();
        changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
        assert!(is_about(&desk.redeem("alice", &changed, 1), "never issued"));
    }
    assert_eq!(desk.redeem("alice", &token, 1), Ok(()));
}

#[test]
fn passwords_are_none_of_its_business() {
    let desk = Desk::new();
    let almost = [PREFIX, &[b'x'; TEXT_BYTES - 1]].concat();
    let blank = [PREFIX, &[b' '; TEXT_BYTES]].concat();
    for password in [b"s3cret".to_vec(), PREFIX.to_vec(), almost, blank] {
        assert!(desk.handover.redeem(&attempt("alice", &password), true, desk.start).is_none());
    }
}

#[test]
fn where_none_are_redeemed_a_token_is_refused_unseen_and_stays_good() {
    let mut desk = Desk::new();
    let token = desk.issue("alice", 0).unwrap();
    let refused = desk.handover.redeem(&attempt("alice", &token), false, desk.start);
    assert!(matches!(refused, Some(Err(reason)) if reason.detail.contains("may not redeem")));
    assert_eq!(desk.redeem("alice", &token, 1), Ok(()));
}

#[test]
fn the_table_is_bounded_and_room_comes_back_with_time() {
    let mut desk = Desk::new();
    for _ in 0..CAPACITY {
        assert!(desk.issue("alice", 0).is_some());
    }
    assert_eq!(desk.issue("alice", 29), None);
    assert_eq!(desk.handover.table.lock().unwrap().entries.len(), CAPACITY);
    assert!(desk.issue("alice", 30).is_some());
    let table = desk.handover.table.lock().unwrap();
    assert_eq!((table.entries.len(), table.ends.len()), (1, 1));
}

#[test]
fn uids_and_sockets_decide_together() {
    let rules = HandoverRules {
        gates: vec![990],
        mail_servers: vec![0],
        sockets: vec![DEFAULT_SOCKET.to_owned(), "smtp".to_owned()],
        lifetime: LIFETIME,
    };
    assert!(rules.is_gate(Some(990)));
    for uid in [None, Some(0), Some(991)] {
        assert!(!rules.is_gate(uid));
    }
    assert!(rules.is_place(Some(0), None) && rules.is_place(Some(0), Some("smtp")));
    for (uid, socket) in [(Some(0), Some("imap")), (Some(990), None), (None, None)] {
        assert!(!rules.is_place(uid, socket), "{uid:?} {socket:?}");
    }
    assert!(!HandoverRules::default().is_gate(Some(0)));
    assert!(!HandoverRules::default().is_place(Some(0), None));
}

#[test]
fn a_token_is_not_printed() {
    let mut desk = Desk::new();
    let secret = Secret::new(desk.issue("alice", 0).unwrap()).unwrap();
    assert_eq!(format!("{:?}", HandoverToken::new(secret).unwrap()), "HandoverToken");
    assert!(HandoverToken::new(Secret::copied_from(b"s3cret").unwrap()).is_none());
}
