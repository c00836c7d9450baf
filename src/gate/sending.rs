//! Who sends as whom, and how much: the desk's rules about users.
//!
//! At MAIL: is the account locked, may it use this sender, may it send another
//! message, does it look stolen. At RCPT: is it locked by now, may it send to one
//! more recipient. Behind the header of the content: may it use what stands in
//! `From:`. A session that has not logged in is counted by its address and
//! network, and has no right to be checked here: the listener decides.
//!
//! The decisions are `policy`'s; here they become replies, and events where a
//! human should look. Called by the desk, and by the driver for content.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::base::Identity;
use crate::ops::event::gate as event;
use crate::policy::rate::{
    Counted, Excess, InWords, Party, Place, RateSettings, Rates, Scope, Sessions, Sign, Theft,
    TheftSettings,
};
use crate::policy::sender::{Rights, SenderSettings};
use crate::wire::smtp::header::Authors;
use crate::wire::smtp::reply::Reply;

/// Who may send what, and how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendingSettings {
    /// The realm of logins that name none; empty for none.
    pub realm: String,
    /// Sessions of one login at once; `None` for any number.
    pub sessions: Option<u32>,
    /// Which login may use which sender.
    pub sender: SenderSettings,
    /// The file that says more of it.
    pub sender_map: Option<PathBuf>,
    /// How much.
    pub rate: RateSettings,
    /// What looks stolen.
    pub theft: TheftSettings,
}

/// The rules as they are now, and what they have counted. A reload makes new
/// rules that go on with the counts.
pub struct Sending {
    settings: SendingSettings,
    rights: Rights,
    rates: Arc<Rates>,
    theft: Arc<Theft>,
    sessions: Arc<Sessions>,
}

/// The client of a session, as these rules see it.
#[derive(Debug, Clone)]
pub struct Account {
    /// Who logged in, with the realm.
    login: Option<Arc<str>>,
    address: IpAddr,
    party: Party,
}

impl Sending {
    /// Rules by `settings` and `rights`, which go on with the counts of `old`.
    #[must_use]
    pub fn new(settings: &SendingSettings, rights: Rights, old: Option<&Self>) -> Self {
        let rates = old.map(|old| &old.rates).filter(|rates| rates.fits(&settings.rate));
        let size = settings.theft.size;
        Self {
            rates: rates.cloned().unwrap_or_else(|| Arc::new(Rates::new(&settings.rate))),
            theft: old.map_or_else(|| Arc::new(Theft::new(size)), |old| Arc::clone(&old.theft)),
            sessions: old.map(|old| Arc::clone(&old.sessions)).unwrap_or_default(),
            settings: settings.clone(),
            rights,
        }
    }

    /// A client at `address`, before it logs in.
    #[must_use]
    pub fn stranger(&self, address: IpAddr) -> Account {
        Account { login: None, address, party: self.rates.party(None, address) }
    }

    /// The same client, logged in as `identity`, and its place among the sessions of that login.
    ///
    /// # Errors
    /// How many sessions it may have, and has.
    pub fn user(
        &self,
        identity: &Identity,
        address: IpAddr,
    ) -> Result<(Account, Option<Place>), u32> {
        let realm = &self.settings.realm;
        let login: Arc<str> = match identity.realm() {
            "" if !realm.is_empty() => format!("{}@{realm}", identity.user()).into(),
            _ => identity.to_string().into(),
        };
        let place = match self.settings.sessions {
            Some(most) => Some(self.sessions.enter(&login, most).ok_or(most)?),
            None => None,
        };
        let party = self.rates.party(Some(&login), address);
        Ok((Account { login: Some(login), address, party }, place))
    }

    /// Whether `account` may begin a message from `sender`, which is without brackets.
    ///
    /// # Errors
    /// The refusal.
    pub fn mail(&self, account: &Account, sender: &str, now: Instant) -> Result<(), Reply> {
        if let Some(login) = &account.login {
            self.not_locked(login, now)?;
            if !self.rights.allow(login, &[], sender) {
                let text =
                    format!("<{sender}>: Sender address rejected: not owned by user {login}");
                return Err(Reply::new(553, "5.7.1", text));
            }
        }
        self.admit(account, Counted::Bytes, now)?;
        self.admit(account, Counted::Messages, now)?;
        let Some(login) = &account.login else { return Ok(()) };
        let settings = &self.settings.theft;
        if let Some(sign) = self.theft.sends(login, account.address, settings, now) {
            let within = InWords(settings.within);
            let detail = match sign {
                Sign::NewNetworks(count) => format!("mail from {count} new networks in {within}"),
                Sign::HardLimit => String::new(),
            };
            self.suspect(account, sign, &detail, now);
            self.not_locked(login, now)?;
        }
        Ok(())
    }

    /// Whether `account` may send to one recipient more.
    ///
    /// # Errors
    /// The refusal.
    pub fn recipient(&self, account: &Account, now: Instant) -> Result<(), Reply> {
        if let Some(login) = &account.login {
            self.not_locked(login, now)?;
        }
        self.admit(account, Counted::Recipients, now)
    }

    /// Counts content that came from `account`.
    pub fn content(&self, account: &Account, bytes: u64, now: Instant) {
        self.rates.spent(&account.party, bytes, now);
    }

    /// True if the `From:` of what `account` sends is to be read.
    #[must_use]
    pub fn reads_from(&self, account: &Account) -> bool {
        account.login.is_some() && self.rights.read_from()
    }

    /// Whether `account` may send a message by `authors`.
    ///
    /// # Errors
    /// The refusal.
    pub fn authors(&self, account: &Account, authors: &Authors) -> Result<(), Reply> {
        let Some(login) = &account.login else { return Ok(()) };
        let unreadable =
            |why: &str| Err(Reply::new(550, "5.7.1", format!("From: header rejected: {why}")));
        match authors {
            // The mail server behind adds one, from the envelope.
            Authors::Missing => Ok(()),
            Authors::Repeated => unreadable("there are several"),
            Authors::TooLong => unreadable("it is too long"),
            Authors::Malformed(error) => unreadable(&error.to_string()),
            Authors::Mailboxes(mailboxes) => {
                let foreign = mailboxes.iter().find(|it| !self.rights.allow(login, &[], it));
                let Some(foreign) = foreign else { return Ok(()) };
                let text = format!(
                    "<{foreign}>: Sender address rejected: From: header not owned by user {login}"
                );
                Err(Reply::new(550, "5.7.1", text))
            }
        }
    }

    /// Ends all locks, and records each.
    pub fn release(&self, now: Instant) {
        for lock in self.theft.release(now) {
            event::account_released(&lock.login, lock.left.as_secs());
        }
    }

    fn not_locked(&self, login: &str, now: Instant) -> Result<(), Reply> {
        let Some(left) = self.theft.locked(login, now) else { return Ok(()) };
        let text = format!(
            "This account may send nothing for another {}: it looks as if others use it, too. \
             Change its password and ask the postmaster",
            InWords(left)
        );
        Err(Reply::new(554, "5.7.1", text))
    }

    fn admit(&self, account: &Account, counted: Counted, now: Instant) -> Result<(), Reply> {
        let Err(excess) = self.rates.admit(&account.party, counted, now) else { return Ok(()) };
        let is_hard = excess.wait.is_none();
        if is_hard && excess.limit.of == Scope::Login {
            let hard = excess.limit.hard.unwrap_or(excess.limit.soft);
            let detail = format!("{hard} attempts, where the limit is {}", excess.limit);
            self.suspect(account, Sign::HardLimit, &detail, now);
        }
        Err(refusal(&excess))
    }

    fn suspect(&self, account: &Account, sign: Sign, detail: &str, now: Instant) {
        let settings = &self.settings.theft;
        let Some(login) = &account.login else { return };
        if !self.theft.note(login, sign, settings, now) {
            return;
        }
        event::account_suspicious(&event::SuspicionEvent {
            login,
            client: event::Client { name: None, address: account.address, session: "" },
            sign: match sign {
                Sign::HardLimit => "hard-limit",
                Sign::NewNetworks(_) => "new-networks",
            },
            detail,
            locked: settings.lock.as_secs(),
        });
    }
}

fn refusal(excess: &Excess) -> Reply {
    match excess.wait {
        Some(_) => Reply::new(451, "4.7.1", excess.to_string()),
        None => Reply::new(554, "5.7.1", excess.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::policy::rate::Limit;
    use crate::policy::sender::SenderMap;

    const HOUR: Duration = Duration::from_secs(3600);
    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    fn settings() -> SendingSettings {
        SendingSettings {
            realm: "example.org".to_owned(),
            sessions: Some(1),
            sender: SenderSettings { own: true, check_from: true, ..SenderSettings::default() },
            sender_map: None,
            rate: RateSettings {
                limits: vec![Limit {
                    count: Counted::Recipients,
                    soft: 2,
                    hard: Some(4),
                    ..Limit::default()
                }],
                size: 100,
            },
            theft: TheftSettings { networks: 2, within: HOUR, lock: HOUR, size: 100 },
        }
    }

    fn rules(settings: &SendingSettings, old: Option<&Sending>) -> Sending {
        let map = SenderMap::parse("alice: sales@example.org", "example.org").unwrap();
        let rights = Rights { settings: settings.sender.clone(), map: Some(Arc::new(map)) };
        Sending::new(settings, rights, old)
    }

    fn alice() -> Identity {
        Identity::new("alice", "").unwrap()
    }

    fn told(result: Result<(), Reply>) -> String {
        result.err().map(|reply| reply.first_line()).unwrap_or_default()
    }

    #[test]
    fn a_login_without_a_realm_is_in_the_default_one() {
        let sending = rules(&settings(), None);
        let (account, _place) = sending.user(&alice(), CLIENT).unwrap();
        let now = Instant::now();
        for sender in ["alice@example.org", "sales@example.org", ""] {
            assert_eq!(told(sending.mail(&account, sender, now)), "", "{sender}");
        }
        assert_eq!(
            told(sending.mail(&account, "bob@example.org", now)),
            "553 5.7.1 <bob@example.org>: Sender address rejected: \
             not owned by user alice@example.org"
        );
    }

    #[test]
    fn sessions_of_a_login_are_counted_over_a_reload() {
        let sending = rules(&settings(), None);
        let first = sending.user(&alice(), CLIENT).unwrap();
        assert!(sending.user(&alice(), CLIENT).is_err());
        let reloaded = rules(&settings(), Some(&sending));
        assert!(reloaded.user(&alice(), CLIENT).is_err());
        drop(first);
        assert!(reloaded.user(&alice(), CLIENT).is_ok());
    }

    #[test]
    fn beyond_a_hard_limit_the_account_is_locked_until_it_is_released() {
        let sending = rules(&settings(), None);
        let (account, place) = sending.user(&alice(), CLIENT).unwrap();
        let now = Instant::now();
        let codes: Vec<_> = (0..6)
            .map(|_| told(sending.recipient(&account, now)).chars().take(9).collect::<String>())
            .collect();
        assert_eq!(codes, ["", "", "451 4.7.1", "451 4.7.1", "554 5.7.1", "554 5.7.1"]);
        drop(place);
        let reloaded = rules(&settings(), Some(&sending));
        let (account, _place) = reloaded.user(&alice(), CLIENT).unwrap();
        let refusal = told(reloaded.mail(&account, "alice@example.org", now));
        assert!(refusal.starts_with("554 5.7.1 This account may send nothing"), "{refusal}");
        assert!(refusal.contains("another 60 minutes"), "{refusal}");
        reloaded.release(now);
        assert_eq!(told(reloaded.mail(&account, "alice@example.org", now)), "");
    }

    #[test]
    fn new_networks_lock_at_the_message_that_shows_it() {
        let sending = rules(&SendingSettings { sessions: None, ..settings() }, None);
        let now = Instant::now();
        let outcomes: Vec<_> = (0..4)
            .map(|network| {
                let address = IpAddr::from([198, 51, network, 1]);
                let (account, _) = sending.user(&alice(), address).unwrap();
                told(sending.mail(&account, "alice@example.org", now)).is_empty()
            })
            .collect();
        assert_eq!(outcomes, [true, true, false, false]);
    }

    #[test]
    fn authors_are_senders() {
        let sending = rules(&settings(), None);
        let (account, _place) = sending.user(&alice(), CLIENT).unwrap();
        let authors = |list: &[&str]| {
            let list = list.iter().map(ToString::to_string).collect();
            told(sending.authors(&account, &Authors::Mailboxes(list)))
        };
        assert_eq!(authors(&["alice@example.org", "sales@example.org"]), "");
        assert_eq!(
            authors(&["alice@example.org", "bob@example.org"]),
            "550 5.7.1 <bob@example.org>: Sender address rejected: \
             From: header not owned by user alice@example.org"
        );
        assert_eq!(told(sending.authors(&account, &Authors::Missing)), "");
        assert_ne!(told(sending.authors(&account, &Authors::Repeated)), "");
        let stranger = sending.stranger(CLIENT);
        assert_eq!(told(sending.authors(&stranger, &Authors::Repeated)), "");
        assert_eq!(told(sending.mail(&stranger, "bob@example.org", Instant::now())), "");
    }
}
