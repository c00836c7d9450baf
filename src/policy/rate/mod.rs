//! How much may be sent: messages, recipients and bytes in a time, sessions at once.
//!
//! | file | what it holds |
//! |---|---|
//! | `gcra` | the arithmetic of one limit |
//! | `limit` | a limit as configured: whose, what, how much |
//! | `meter` | what was used under it, by everybody |
//! | `sessions` | how many sessions each login has |
//! | `theft` | which accounts look stolen, and which are locked for it |
//!
//! Beyond a soft limit a client hears when to come back; only what was admitted
//! counts towards it, so a client that keeps trying is not kept out. Attempts
//! count towards a hard limit. A client is asked for its [`Party`] once, which
//! knows the limits that are for it; each command after that is one look-up a
//! limit in a bounded table. Called by the gate's desk, which gives `now`.

mod gcra;
mod limit;
mod meter;
mod sessions;
#[cfg(test)]
mod tests;
mod theft;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::limit::{Counted, InWords, Limit, Scope};
use self::meter::{Meter, Over, Subject};
pub use self::sessions::{Place, Sessions};
pub use self::theft::{Lock, Sign, Theft, TheftSettings};

/// Limits at most: each costs a look-up a command.
pub const MOST_LIMITS: usize = 64;

/// How much may be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RateSettings {
    /// In the order in which they are told, where several are exceeded.
    pub limits: Vec<Limit>,
    /// Entries of the table of each limit at most.
    pub size: usize,
}

/// The limits, and what was used under each. Shared by all threads.
pub struct Rates {
    settings: RateSettings,
    meters: Vec<Meter>,
}

/// A client as the limits see it. Made once, and again when it has logged in.
#[derive(Debug, Clone, Default)]
pub struct Party {
    /// The limits that are for it, by their place, each with whom it counts under.
    accounts: Vec<(usize, Subject)>,
}

/// An attempt beyond a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excess {
    /// What was exceeded.
    pub limit: Arc<Limit>,
    /// How long to wait; `None` where the hard limit was exceeded.
    pub wait: Option<Duration>,
}

impl Rates {
    /// Limits under which nothing was used yet; the first [`MOST_LIMITS`] of them.
    #[must_use]
    pub fn new(settings: &RateSettings) -> Self {
        let size = settings.size.max(1);
        let limits = settings.limits.iter().take(MOST_LIMITS);
        let meters = limits.map(|limit| Meter::new(limit.clone(), size)).collect();
        Self { settings: settings.clone(), meters }
    }

    /// True if it does what `settings` say, and can go on with its counts.
    #[must_use]
    pub fn fits(&self, settings: &RateSettings) -> bool {
        self.settings == *settings
    }

    /// The client at `address`, logged in as `login` or not at all.
    #[must_use]
    pub fn party(&self, login: Option<&Arc<str>>, address: IpAddr) -> Party {
        let address = address.to_canonical();
        let meters = self.meters.iter().enumerate();
        let accounts = meters
            .filter(|(_, meter)| meter.limit.is_for(login.map(AsRef::as_ref), address))
            .map(|(place, meter)| (place, meter.subject(login, address)))
            .collect();
        Party { accounts }
    }

    /// Counts one message or recipient that `party` wants to send at `now`. For bytes: whether any
    /// may come; what came is told to [`spent`](Self::spent).
    ///
    /// # Errors
    /// The limit that forbids it for longest, a hard one before all soft ones.
    /// Then it counts towards no soft limit.
    pub fn admit(&self, party: &Party, counted: Counted, now: Instant) -> Result<(), Excess> {
        let amount = amount_asked(counted);
        let mut worst: Option<(usize, Over)> = None;
        let mut admitted = 0_u64;
        for (number, (place, subject)) in party.accounts.iter().enumerate() {
            let Some(meter) = self.meter(*place, counted) else { continue };
            match meter.admit(subject, amount, now) {
                Ok(()) => admitted |= 1 << number,
                Err(over) if worst.is_none_or(|(_, known)| is_worse(over, known)) => {
                    worst = Some((*place, over));
                }
                Err(_) => {}
            }
        }
        let Some((place, over)) = worst else { return Ok(()) };
        for (number, (place, subject)) in party.accounts.iter().enumerate() {
            if admitted & (1 << number) != 0 {
                self.meters[*place].take_back(subject, amount, now);
            }
        }
        let wait = match over {
            Over::Soft(wait) => Some(wait),
            Over::Hard => None,
        };
        Err(Excess { limit: Arc::clone(&self.meters[place].limit), wait })
    }

    /// Counts `bytes` of content that came from `party`.
    pub fn spent(&self, party: &Party, bytes: u64, now: Instant) {
        for (place, subject) in &party.accounts {
            if let Some(meter) = self.meter(*place, Counted::Bytes) {
                meter.spent(subject, bytes, now);
            }
        }
    }

    fn meter(&self, place: usize, counted: Counted) -> Option<&Meter> {
        self.meters.get(place).filter(|meter| meter.limit.count == counted)
    }
}

/// What is asked for where something is counted: content is only measured when it is there.
fn amount_asked(counted: Counted) -> u64 {
    match counted {
        Counted::Messages | Counted::Recipients => 1,
        Counted::Bytes => 0,
    }
}

fn is_worse(over: Over, known: Over) -> bool {
    match (over, known) {
        (_, Over::Hard) => false,
        (Over::Hard, Over::Soft(_)) => true,
        (Over::Soft(wait), Over::Soft(known)) => wait > known,
    }
}

impl fmt::Display for Excess {
    /// For the client: `Too much mail: at most 100 messages an hour for this login, try again in
    /// 12 minutes`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, wait } = self;
        match wait {
            Some(wait) => {
                write!(f, "Too much mail: at most {limit}, try again in {}", InWords(*wait))
            }
            None => write!(f, "Far too much mail: at most {limit}; ask the postmaster"),
        }
    }
}
