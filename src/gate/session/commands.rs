//! Command lines: which verb is allowed when, and the replies that need nobody else.

use zeroize::Zeroizing;

use super::{Channel, Counsel, Greeted, Next, Notice, Outcome, Session, State, Turn, Verb};
use crate::gate::settings::TlsMode;
use crate::wire::smtp::Stray;
use crate::wire::smtp::command::{ClientName, Command};
use crate::wire::smtp::ehlo::Capabilities;
use crate::wire::smtp::line::Line;
use crate::wire::smtp::reply::Reply;

impl Session {
    pub(super) fn on_line(&mut self, line: Line, counsel: &dyn Counsel) -> Turn {
        self.commands += 1;
        if self.commands > self.rules.limits.commands {
            let reply = Reply::new(421, "4.7.0", "too many commands, closing connection");
            return self.close(reply, Some(Notice::TooManyCommands));
        }
        if let State::Challenged(mechanism) = &mut self.state {
            let mechanism = std::mem::take(mechanism);
            return self.on_auth_line(mechanism, line);
        }
        match line {
            // An AUTH command carries the password: the line is wiped with this.
            Line::Complete(bytes) => self.on_command_line(&Zeroizing::new(bytes), counsel),
            Line::TooLong => self.refuse(line_too_long()),
            Line::Malformed(stray) => self.refuse(stray_in_line(stray)),
        }
    }

    fn on_command_line(&mut self, bytes: &[u8], counsel: &dyn Counsel) -> Turn {
        // Only AUTH with an initial response may be longer than a command line (RFC 4954 §4).
        let is_auth = starts_with_verb(bytes, b"AUTH ");
        if !is_auth && bytes.len() + 2 > self.rules.limits.line_bytes {
            return self.refuse(line_too_long());
        }
        match Command::parse(bytes) {
            Ok(command) => self.on_command(command, counsel),
            Err(error) if starts_with_verb(bytes, b"MAIL ") => self.refuse_mail(error.reply()),
            Err(error) => self.refuse(error.reply()),
        }
    }

    fn on_command(&mut self, command: Command, counsel: &dyn Counsel) -> Turn {
        match command {
            Command::Ehlo(name) => self.on_ehlo(name, &counsel.offer()),
            Command::Helo(name) => self.on_helo(name),
            Command::StartTls => self.on_starttls(),
            Command::Auth { mechanism, initial } => self.on_auth(mechanism, initial.as_deref()),
            Command::Mail(mail) => self.on_mail(mail, counsel),
            Command::Rcpt(rcpt) => self.on_rcpt(&rcpt, counsel),
            Command::Data => self.on_data(),
            Command::Rset => self.on_rset(),
            Command::Noop => Turn::reply(Reply::new(250, "2.0.0", "OK")),
            Command::Quit => {
                let text = format!("{} closing connection", self.rules.hostname);
                self.close(Reply::new(221, "2.0.0", text), None)
            }
            Command::Help => Turn::reply(Reply::new(
                214,
                "2.0.0",
                "EHLO STARTTLS AUTH MAIL RCPT DATA RSET NOOP VRFY QUIT: see RFC 5321",
            )),
            Command::Vrfy => Turn::reply(Reply::new(
                252,
                "2.5.2",
                "Cannot VRFY user; try RCPT to attempt delivery",
            )),
            Command::Http => {
                let reply = Reply::new(421, "4.7.0", "This is a mail server, closing connection");
                self.close(reply, Some(Notice::HttpVerb))
            }
            // What follows is content by count, not lines: reading on would take it for commands.
            Command::Bdat => {
                let reply = Reply::new(421, "4.5.1", "BDAT was not offered, closing connection");
                self.close(reply, Some(Notice::Bdat))
            }
            Command::Expn | Command::Etrn | Command::Burl => {
                self.refuse(Reply::new(502, "5.5.1", "Command not implemented"))
            }
            Command::Unknown(_) => self.refuse(Reply::new(500, "5.5.1", "Command unrecognized")),
        }
    }

    /// EHLO, also again: a new start without a transaction (RFC 5321 §4.1.4).
    fn on_ehlo(&mut self, name: ClientName, offer: &Capabilities) -> Turn {
        let ended = self.abandon();
        self.offered = offer.clone();
        let mut lines = vec![format!("{} greets {}", self.rules.hostname, name.as_str())];
        lines.extend(offer.keywords());
        match self.channel {
            Channel::Clear => lines.push("STARTTLS".to_owned()),
            Channel::Encrypted if self.rules.mechanisms.is_empty() => {}
            Channel::Encrypted => lines.push(format!("AUTH {}", self.rules.mechanisms.join(" "))),
        }
        self.greeted = Some(Greeted { name, verb: Verb::Ehlo });
        Turn::reply(Reply::multiline(250, "", lines)).with_ended(ended)
    }

    fn on_helo(&mut self, name: ClientName) -> Turn {
        let ended = self.abandon();
        self.offered = Capabilities::default();
        self.greeted = Some(Greeted { name, verb: Verb::Helo });
        Turn::reply(Reply::new(250, "", self.rules.hostname.clone())).with_ended(ended)
    }

    fn on_starttls(&mut self) -> Turn {
        let is_offered =
            self.rules.kind.tls() == TlsMode::Starttls && self.channel == Channel::Clear;
        if !is_offered {
            return self.refuse(Reply::new(503, "5.5.1", "TLS is already active"));
        }
        let reply = Reply::new(220, "2.0.0", "Ready to start TLS");
        Turn { reply: Some(reply), ..Turn::next(Next::StartTls) }
    }

    fn on_rset(&mut self) -> Turn {
        let ended = self.take_transaction().map(|open| open.end(None, Outcome::Abandoned));
        self.state = State::Ready;
        Turn::reply(Reply::new(250, "2.0.0", "Reset state")).with_ended(ended)
    }
}

/// True if `line` starts with `verb`, which is upper case and has its blank.
pub(super) fn starts_with_verb(line: &[u8], verb: &[u8]) -> bool {
    line.get(..verb.len()).is_some_and(|start| start.eq_ignore_ascii_case(verb))
}

pub(super) fn stray_in_line(stray: Stray) -> Reply {
    let text = format!("Lines end in CRLF: a {} is not allowed", stray.as_str());
    Reply::new(500, "5.5.2", text)
}

fn line_too_long() -> Reply {
    Reply::new(500, "5.5.2", "Line too long")
}
