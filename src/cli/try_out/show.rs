//! What `saslgate try` prints: what was set up, what was said, what arrived.
//!
//! Texts of peers come without control characters. The log is not here: it
//! goes to standard error.

use super::client::Letter;
use super::recipes::{self, Facts};
use super::stage::Stage;
use super::transcript::{Transcript, harmless};
use crate::cli::output::show;
use crate::wire::smtp::reply::Reply;

/// Says what was set up.
pub(super) fn opening(stage: &Stage) {
    show(&format!(
        "saslgate try: everything is in {dir}\n\n\
         \x20 STARTTLS       {starttls}\n\
         \x20 implicit TLS   {implicit}\n\
         \x20 saslauthd      {socket}\n\
         \x20 backend        {backend}{kind}\n\
         \x20 configuration  {config}\n\n\
         The log is on standard error. One message goes through now:\n",
        dir = stage.place.dir().display(),
        starttls = stage.starttls,
        implicit = stage.implicit,
        socket = stage.socket().display(),
        backend = stage.backend,
        kind = if stage.is_sink() { " (built in, delivers into Maildir/)" } else { "" },
        config = stage.place.path("saslgate.toml").display(),
    ));
}

/// Shows what was said.
pub(super) fn session(transcript: &Transcript) {
    show(&format!(
        "\nThe session as \"sendmail -X\" writes it: <<< the client, >>> the gate, === notes\n\n\
         {transcript}"
    ));
}

/// Shows what arrived.
pub(super) fn delivery(stage: &Stage, letter: &Letter, reply: &Reply) {
    let Some(maildir) = &stage.maildir else {
        let reply = harmless(&reply.first_line());
        show(&format!("\n{} took the message: {reply}\n", stage.backend));
        return;
    };
    match maildir.find(letter.id.as_bytes()) {
        Ok(Some(message)) => {
            let text = harmless(&String::from_utf8_lossy(&message));
            show(&format!("\nThe message as it lies in {}:\n\n", stage.maildir_path().display()));
            for line in text.lines() {
                show(&format!("| {line}\n"));
            }
        }
        Ok(None) => eprintln!("saslgate try: the message is not in the maildir"),
        Err(error) => eprintln!("saslgate try: cannot read the maildir: {error}"),
    }
}

/// Prints lines that work while this runs.
pub(super) fn recipes(stage: &Stage, letter: &Letter) {
    let certificate = stage.place.path("cert.pem");
    let socket = stage.socket();
    let facts = Facts {
        starttls: stage.starttls,
        implicit: stage.implicit,
        certificate: &certificate,
        socket: &socket,
        user: stage.user(),
        default_realm: super::stage::REALM,
        from: &letter.from,
        to: &letter.to,
    };
    show(&format!(
        "\nTry it from another terminal:\n\n{}\n\n{}\n\n{}\n\nServing until Ctrl-C.\n",
        recipes::swaks(&facts),
        recipes::curl(&facts),
        recipes::testsaslauthd(&facts),
    ));
}

/// One line for scripts: `ready starttls=... implicit=... socket=... dir=...`.
pub(super) fn places(stage: &Stage) {
    show(&format!(
        "ready starttls={} implicit={} socket={} dir={}\n",
        stage.starttls,
        stage.implicit,
        stage.socket().display(),
        stage.place.dir().display(),
    ));
}
