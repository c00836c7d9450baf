//! The connection to a KDC, and which KDC is asked.
//!
//! TCP (RFC 4120 §7.2.2), a connection for each message, as KDCs want it: no
//! datagram that is too short, lost or somebody else's. KDCs are asked in the
//! order of krb5.conf, beginning with the one that answered last; each but the
//! last one gets a share of the time that is left.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::backend::dial;
use crate::base::{Reason, ReasonCode};
use crate::wire::kerberos::framed;
use crate::wire::kerberos::krb5_conf::{Address, Realm};

/// The KDC of each realm that answered last.
#[derive(Default)]
pub(super) struct Preference(Mutex<HashMap<String, Address>>);

impl Preference {
    /// Sends `message` to a KDC of `realm` and gives its answer.
    ///
    /// # Errors
    /// Why none of them answered until `deadline`.
    pub(super) async fn ask(
        &self,
        realm: &Realm,
        message: &[u8],
        deadline: Instant,
    ) -> Result<Vec<u8>, Reason> {
        let framed = framed(message);
        let kdcs = self.ordered(realm);
        let mut failures = Vec::new();
        for (number, kdc) in kdcs.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            let others = u32::try_from(kdcs.len() - number).unwrap_or(u32::MAX);
            let share = if others > 1 { (left / others).min(PATIENCE) } else { left };
            let answer = timeout(share, exchange(kdc, &framed, Instant::now() + share)).await;
            match answer.unwrap_or_else(|_| Err(late(kdc, share))) {
                Ok(bytes) => {
                    if number > 0 {
                        self.prefer(&realm.name, kdc);
                    }
                    return Ok(bytes);
                }
                Err(failure) => failures.push(failure),
            }
        }
        Err(Reason::new(
            ReasonCode::BackendDown,
            format!("no KDC of {} answers ({}); TCP is spoken", realm.name, failures.join("; ")),
        ))
    }

    fn ordered(&self, realm: &Realm) -> Vec<Address> {
        let first = self.lock().get(&realm.name).cloned();
        let mut kdcs = realm.kdcs.clone();
        kdcs.sort_by_key(|kdc| Some(kdc) != first.as_ref());
        kdcs
    }

    fn prefer(&self, realm: &str, kdc: &Address) {
        let mut preferred = self.lock();
        // Realms are those of krb5.conf, which may change over the years.
        if preferred.len() >= MAX_REALMS {
            preferred.clear();
        }
        preferred.insert(realm.to_owned(), kdc.clone());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Address>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `share` is what is left of a limit, cut to pieces: rounded, so that it can be read.
fn late(kdc: &Address, share: Duration) -> String {
    format!("{kdc}: no answer within {share:.1?}")
}

/// # Errors
/// What went wrong, with the place of the KDC.
async fn exchange(kdc: &Address, framed: &[u8], until: Instant) -> Result<Vec<u8>, String> {
    let stream = dial::tcp(&kdc.host, kdc.port, until).await.map_err(|error| error.to_string())?;
    talk(stream, framed).await.map_err(|error| format!("{kdc}: {error}"))
}

async fn talk(mut stream: TcpStream, framed: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(framed).await?;
    let length = stream.read_u32().await?;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > MAX_REPLY_BYTES {
        return Err(io::Error::other(format!("it announced {length} bytes: is it a KDC?")));
    }
    // Grown as bytes come, not as they are announced.
    let mut bytes = Vec::new();
    (&mut stream).take(length as u64).read_to_end(&mut bytes).await?;
    if bytes.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

/// Longest wait for a KDC while there is another one to ask.
const PATIENCE: Duration = Duration::from_secs(3);

/// Tickets of Active Directory list groups, and have some ten KiB.
const MAX_REPLY_BYTES: usize = 256 * 1024;

const MAX_REALMS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn listener() -> (TcpListener, Address) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, Address { host: "127.0.0.1".to_owned(), port })
    }

    /// Answers one connection with these bytes, whatever it is asked.
    fn answering(listener: TcpListener, bytes: Vec<u8>) -> tokio::task::JoinHandle<Vec<u8>> {
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let length = stream.read_u32().await.unwrap();
            let mut asked = vec![0; length as usize];
            stream.read_exact(&mut asked).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
            asked
        })
    }

    fn realm(name: &str, kdcs: &[&Address]) -> Realm {
        Realm { name: name.to_owned(), kdcs: kdcs.iter().copied().cloned().collect() }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[tokio::test]
    async fn goes_on_to_the_next_kdc_and_stays_with_it() {
        let (gone, dead) = listener().await;
        drop(gone);
        let (alive, second) = listener().await;
        let kdcs = realm("R", &[&dead, &second]);
        let preference = Preference::default();
        let asked = answering(alive, framed(b"reply"));
        assert_eq!(preference.ask(&kdcs, b"ask", soon()).await.unwrap(), b"reply");
        assert_eq!(asked.await.unwrap(), b"ask");
        assert_eq!(preference.ordered(&kdcs), [second.clone(), dead.clone()]);
        assert_eq!(preference.ordered(&realm("OTHER", &[&dead, &second]))[0], dead);
    }

    #[test]
    fn a_wait_is_told_in_tenths() {
        let kdc = Address { host: "kdc.test".to_owned(), port: 88 };
        let said = late(&kdc, Duration::from_nanos(9_999_053_902));
        assert_eq!(said, "kdc.test:88: no answer within 10.0s");
        let said = late(&kdc, Duration::from_micros(33_333));
        assert_eq!(said, "kdc.test:88: no answer within 33.3ms");
    }

    #[tokio::test]
    async fn says_what_is_wrong_with_each() {
        let (gone, dead) = listener().await;
        drop(gone);
        for (bytes, text) in [
            (b"HTTP/1.1 400".to_vec(), "is it a KDC?"),
            (b"\0\0\0\x09cut".to_vec(), "end of file"),
            (Vec::new(), "end of file"),
        ] {
            let (alive, odd) = listener().await;
            let asked = answering(alive, bytes);
            let kdcs = realm("R", &[&dead, &odd]);
            let error = Preference::default().ask(&kdcs, b"ask", soon()).await.unwrap_err();
            assert_eq!(error.code, ReasonCode::BackendDown);
            for part in [&dead.to_string(), &odd.to_string(), text] {
                assert!(error.detail.contains(part), "{}", error.detail);
            }
            asked.await.unwrap();
        }
    }

    #[tokio::test]
    async fn one_that_says_nothing_is_not_waited_for_beyond_the_deadline() {
        let (_silent, kdc) = listener().await;
        let deadline = Instant::now() + Duration::from_millis(50);
        let error =
            Preference::default().ask(&realm("R", &[&kdc]), b"ask", deadline).await.unwrap_err();
        assert!(error.detail.contains("no answer within"), "{}", error.detail);
    }
}
