//! How a backend learns whose mail we bring: one way of several, each of its own cost.
//!
//! | way | tells | holds for |
//! |---|---|---|
//! | handover | the user, as if logged in there: AUTH PLAIN with a one-time token | the connection |
//! | rules | user and address, in AUTH= at MAIL, for rules in sendmail's configuration | one message |
//! | XCLIENT | user, address, name and EHLO | the connection |
//! | PROXY | the address, never the user | the connection |
//! | login | that it is the gate | the connection |
//!
//! What holds for the connection makes it that client's own: it is neither kept
//! for others nor taken from among those that are. What a client itself says in
//! AUTH= is never passed on (`wire::smtp::command`).

use std::net::IpAddr;

use super::relay::RelayError;
use super::settings::IdentityWay;
use crate::auth::HandoverToken;
use crate::base::Identity;
use crate::wire::proxy::Ends;
use crate::wire::smtp::ehlo::Capabilities;
use crate::wire::smtp::xtext;

/// What may be told of a client.
#[derive(Debug, Clone)]
pub struct Introduction {
    /// Its address, and where it connected to.
    pub ends: Ends,
    /// Its name in the DNS, where that leads back to the address.
    pub name: Option<String>,
    /// What it called itself, as validated.
    pub helo: String,
    /// Who logged in; `None` before a login.
    pub login: Option<Identity>,
    /// The token for the mail server, where authd gave one and it was not used.
    pub token: Option<HandoverToken>,
}

/// The way that is taken on one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// Nothing is told, or it was told before the greeting.
    Nothing,
    /// At each MAIL.
    Rules,
    /// AUTH PLAIN with this login and token.
    Handover(Identity, HandoverToken),
    /// In one line, and EHLO again.
    Xclient,
    /// AUTH PLAIN as the gate.
    Login,
}

impl Introduction {
    /// The way on a connection to a backend that announced `capabilities`.
    ///
    /// # Errors
    /// [`RelayError::Identity`]: the way of the settings cannot be taken. Mail must
    /// not go out as somebody else's then.
    pub(super) fn way(
        &self,
        wanted: IdentityWay,
        capabilities: &Capabilities,
    ) -> Result<Way, RelayError> {
        let has_plain = capabilities.auth.iter().any(|mechanism| mechanism == "PLAIN");
        let is_xclient_offered = !capabilities.xclient.is_empty();
        let cannot = |why: &str| Err(RelayError::Identity(why.to_owned()));
        match (wanted, &self.login, &self.token) {
            (IdentityWay::None | IdentityWay::Proxy | IdentityWay::ProxyV1, ..) => Ok(Way::Nothing),
            (IdentityWay::Rules, ..) => Ok(Way::Rules),
            (IdentityWay::Login, ..) => Ok(Way::Login),
            (IdentityWay::Xclient, ..) if is_xclient_offered => Ok(Way::Xclient),
            (IdentityWay::Xclient, ..) => cannot(NO_XCLIENT),
            (IdentityWay::Auto, ..) if is_xclient_offered => Ok(Way::Xclient),
            (IdentityWay::Handover | IdentityWay::Auto, Some(login), Some(token)) if has_plain => {
                Ok(Way::Handover(login.clone(), token.clone()))
            }
            // Nobody has logged in: the backend's own rules judge a stranger.
            (IdentityWay::Auto, ..) | (IdentityWay::Handover, None, _) => Ok(Way::Nothing),
            (IdentityWay::Handover, Some(_), Some(_)) => cannot(NO_PLAIN),
            (IdentityWay::Handover, Some(_), None) => cannot(NO_TOKEN),
        }
    }

    /// Refuses before anything is opened what no connection could make possible.
    ///
    /// # Errors
    /// [`RelayError::Identity`].
    pub(super) fn check(&self, wanted: IdentityWay) -> Result<(), RelayError> {
        let has_login_alone = self.login.is_some() && self.token.is_none();
        if wanted == IdentityWay::Handover && has_login_alone {
            return Err(RelayError::Identity(NO_TOKEN.to_owned()));
        }
        Ok(())
    }

    /// True if the backend's connection is best opened at once: the token grows old.
    pub(super) fn is_urgent(&self, wanted: IdentityWay, capabilities: &Capabilities) -> bool {
        let is_handover = |way: Result<Way, _>| matches!(way, Ok(Way::Handover(..)));
        match wanted {
            IdentityWay::Handover => self.token.is_some(),
            IdentityWay::Auto => is_handover(self.way(wanted, capabilities)),
            _ => false,
        }
    }

    /// The parameter of MAIL for the rules in sendmail's configuration, with a blank before it.
    ///
    /// ```text
    ///  AUTH=[192.0.2.7]alice@example.org      [IPv6:2001:db8:0:0:0:0:0:7], and no user before a login
    /// ```
    ///
    /// xtext, with everything encoded that sendmail encodes in its own macros, so that
    /// rules and milters see what they would see of a user who logged in to it.
    pub(super) fn auth_parameter(&self) -> String {
        let address = match self.ends.source.ip().to_canonical() {
            IpAddr::V4(address) => address.to_string(),
            // As sendmail writes and looks up addresses: eight groups, none left out.
            IpAddr::V6(address) => {
                let groups = address.segments().map(|group| format!("{group:x}"));
                format!("IPv6:{}", groups.join(":"))
            }
        };
        let login = self.login.as_ref().map(Identity::to_string).unwrap_or_default();
        format!(" AUTH=[{address}]{}", for_sendmail(&login))
    }
}

/// True if a connection that others have used, and that nobody is named on, will do for
/// a client who logged in as `login` and has this token.
pub(super) fn may_share(
    wanted: IdentityWay,
    login: Option<&Identity>,
    token: Option<&HandoverToken>,
) -> bool {
    match wanted {
        IdentityWay::None | IdentityWay::Rules | IdentityWay::Login => true,
        // What was kept had neither XCLIENT nor a login.
        IdentityWay::Auto => token.is_none(),
        IdentityWay::Handover => login.is_none(),
        IdentityWay::Xclient | IdentityWay::Proxy | IdentityWay::ProxyV1 => false,
    }
}

const NO_XCLIENT: &str = "it offers no XCLIENT: name this host in its smtpd_authorized_xclient_hosts, \
                          or set another `identity`";
const NO_PLAIN: &str = "it offers no AUTH PLAIN for the handover (to sendmail without TLS, \
                        AuthOptions must not have p)";
const NO_TOKEN: &str = "there is no handover token: authd gave none (is the gate's account among \
                        authd.handover.gates?), or the connection that it was for is gone";

/// xtext as sendmail's `xtextify` makes it for `{auth_authen}`.
fn for_sendmail(login: &str) -> String {
    let mut text = String::with_capacity(login.len());
    for character in xtext::encode(login.as_bytes()).chars() {
        match character {
            '\\' => text.push_str("+5C"),
            '(' => text.push_str("+28"),
            ')' => text.push_str("+29"),
            '<' => text.push_str("+3C"),
            '>' => text.push_str("+3E"),
            '"' => text.push_str("+22"),
            plain => text.push(plain),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Secret;

    fn token() -> Option<HandoverToken> {
        let text = format!("saslgate-handover-{}", "x".repeat(43));
        HandoverToken::new(Secret::copied_from(text.as_bytes()).unwrap())
    }

    fn introduction(login: Option<&str>, token: Option<HandoverToken>) -> Introduction {
        Introduction {
            ends: Ends {
                source: "192.0.2.7:50000".parse().unwrap(),
                destination: "198.51.100.1:587".parse().unwrap(),
            },
            name: None,
            helo: "laptop.test".to_owned(),
            login: login.map(|name| Identity::parse(name, "").unwrap()),
            token,
        }
    }

    fn announcing(auth: &[&str], xclient: &[&str]) -> Capabilities {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Capabilities { auth: owned(auth), xclient: owned(xclient), ..Capabilities::default() }
    }

    #[test]
    fn auto_takes_the_best_that_can_work_and_the_others_insist() {
        use IdentityWay::{Auto, Handover, Login, None as Nobody, Proxy, Rules, Xclient};
        let handover = Way::Handover(Identity::new("alice", "").unwrap(), token().unwrap());
        let (plain, xclient) = (announcing(&["PLAIN"], &[]), announcing(&["PLAIN"], &["NAME"]));
        let nothing = Capabilities::default();
        let cases = [
            (Auto, Some("alice"), token(), &xclient, Some(Way::Xclient)),
            (Auto, Some("alice"), token(), &plain, Some(handover.clone())),
            (Auto, Some("alice"), token(), &nothing, Some(Way::Nothing)),
            (Auto, Some("alice"), None, &plain, Some(Way::Nothing)),
            (Auto, None, None, &xclient, Some(Way::Xclient)),
            (Handover, Some("alice"), token(), &xclient, Some(handover)),
            (Handover, Some("alice"), token(), &nothing, None),
            (Handover, Some("alice"), None, &plain, None),
            (Handover, None, None, &plain, Some(Way::Nothing)),
            (Xclient, None, None, &plain, None),
            (Xclient, None, None, &xclient, Some(Way::Xclient)),
            (Rules, Some("alice"), token(), &xclient, Some(Way::Rules)),
            (Login, Some("alice"), None, &nothing, Some(Way::Login)),
            (Proxy, Some("alice"), token(), &xclient, Some(Way::Nothing)),
            (Nobody, Some("alice"), token(), &xclient, Some(Way::Nothing)),
        ];
        for (number, (wanted, login, token, capabilities, expected)) in
            cases.into_iter().enumerate()
        {
            let way = introduction(login, token).way(wanted, capabilities);
            assert_eq!(way.ok(), expected, "case {number}");
        }
    }

    #[test]
    fn a_connection_is_shared_only_where_nobody_is_named_on_it() {
        use IdentityWay::{Auto, Handover, Login, None as Nobody, Proxy, ProxyV1, Rules, Xclient};
        let (alice, bearer) = (introduction(Some("alice"), None), introduction(Some("a"), token()));
        let stranger = introduction(None, None);
        for (wanted, expected) in [
            (Auto, [true, false, true]),
            (Handover, [false, false, true]),
            (Rules, [true; 3]),
            (Login, [true; 3]),
            (Nobody, [true; 3]),
            (Xclient, [false; 3]),
            (Proxy, [false; 3]),
            (ProxyV1, [false; 3]),
        ] {
            let shared = [&alice, &bearer, &stranger]
                .map(|it| may_share(wanted, it.login.as_ref(), it.token.as_ref()));
            assert_eq!(shared, expected, "{wanted:?}");
        }
    }

    #[test]
    fn the_parameter_names_address_and_user_as_sendmail_would() {
        let parameter = |source: &str, login: Option<&str>| {
            let mut client = introduction(login, None);
            client.ends.source = source.parse().unwrap();
            client.auth_parameter()
        };
        assert_eq!(
            parameter("192.0.2.7:1", Some("alice@example.org")),
            " AUTH=[192.0.2.7]alice@example.org"
        );
        assert_eq!(parameter("[::ffff:192.0.2.7]:1", None), " AUTH=[192.0.2.7]");
        assert_eq!(
            parameter("[2001:db8::7]:1", Some("a+b=c (\"<\\>\")")),
            " AUTH=[IPv6:2001:db8:0:0:0:0:0:7]a+2Bb+3Dc+20+28+22+3C+5C+3E+22+29"
        );
    }
}
