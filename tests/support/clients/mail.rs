//! Mail servers: sendmail, Postfix, Exim, Cyrus IMAP.

use super::{Client, LogIn, Resident, Told, World, sasl_options};
use crate::support::mail_clients::{Login, MESSAGE, Submission, Tls, swaks};
use crate::support::saslauthd::USER;
use crate::support::sendmail::{Options, Sendmail};

/// Says 535 to an outage, too, with any saslauthd; its log tells them apart.
pub(crate) const SENDMAIL: Client = Client {
    name: "sendmail",
    needs: &["/usr/libexec/sendmail/sendmail|/usr/sbin/sendmail.sendmail|/usr/sbin/sendmail"],
    start: |sockets| {
        let options = Options { saslauthd: Some(sockets.join("mux")), ..Options::default() };
        Box::new(Sendmail::start(&options))
    },
    told: Told {
        right: "235 2.0.0",
        wrong: "535 5.7.0",
        stopped: "535 5.7.0",
        outage: "535 5.7.0",
    },
};

impl LogIn for Sendmail {
    fn log_in(&self, password: &str) -> String {
        let ca = self.certificate();
        let finished = swaks(&Submission {
            server: self.address(),
            tls: Tls::Starttls(&ca),
            login: Some(Login { user: USER, password, mechanism: "PLAIN" }),
            from: "alice@client.test",
            to: &["bob@gate.test"],
            message: MESSAGE,
        });
        answer_to_auth(&finished.stdout)
    }

    fn logs(&self) -> String {
        self.maillog()
    }
}

pub(crate) const POSTFIX: Client = Client {
    name: "Postfix",
    needs: &["/usr/sbin/postfix"],
    start: |sockets| {
        let main = "compatibility_level = 3.6\nmyhostname = mx.gate.test\n\
             inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmydestination =\n\
             alias_maps =\nlocal_recipient_maps =\nmaillog_file = /var/log/postfix.log\n\
             smtpd_recipient_restrictions = permit_sasl_authenticated, reject\n\
             smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = cyrus\nsmtpd_sasl_path = smtpd\n\
             cyrus_sasl_config_path = /etc/postfix/sasl\n";
        let master = "smtp inet n - n - - smtpd\npickup unix n - n 60 1 pickup\n\
             cleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\n\
             tlsmgr unix - - n 1000? 1 tlsmgr\nrewrite unix - - n - - trivial-rewrite\n\
             proxymap unix - - n - - proxymap\nanvil unix - - n - 1 anvil\n\
             postlog unix-dgram n - n - 1 postlogd\n";
        let files = [
            ("/etc/postfix/main.cf", main.to_owned()),
            ("/etc/postfix/master.cf", master.to_owned()),
            ("/etc/postfix/sasl/smtpd.conf", sasl_options()),
            ("/etc/sasl2/smtpd.conf", sasl_options()),
        ];
        let world = World::make(sockets, &files);
        world.serve("chown postfix /var/lib/postfix && exec postfix start-fg", 25);
        Box::new(Resident { world, log_in: submit })
    },
    told: Told {
        right: "235 2.7.0",
        wrong: "535 5.7.8",
        stopped: "454 4.7.0",
        outage: "454 4.7.0",
    },
};

/// Its own speaker of the protocol: a fixed path, and four writes, a field each.
pub(crate) const EXIM: Client = Client {
    name: "Exim",
    needs: &["/usr/sbin/exim4|/usr/sbin/exim"],
    start: |sockets| {
        let conf = "primary_hostname = mx.gate.test\nlocal_interfaces = 127.0.0.1\n\
             daemon_smtp_ports = 25\nkeep_environment =\nlog_file_path = /var/log/exim/%slog\n\
             host_lookup =\nrfc1413_query_timeout = 0s\nacl_smtp_rcpt = accept\n\
             auth_advertise_hosts = *\nbegin authenticators\nplain:\n  driver = plaintext\n\
             public_name = PLAIN\n  server_prompts = :\n  server_set_id = $auth2\n  \
             server_condition = ${if saslauthd{{$auth2}{$auth3}{smtp}{}}{yes}{no}}\n";
        let paths = ["/etc/exim4/exim4.conf", "/etc/exim/exim.conf"];
        let world = World::make(sockets, &paths.map(|path| (path, conf.to_owned())));
        let exim = "for place in /var/spool/exim4 /var/spool/exim /var/log/exim; do\n\
             mkdir -p $place && chown Debian-exim $place\ndone\n\
             if command -v exim4 >/dev/null; then exec exim4 -bdf; else exec exim -bdf; fi";
        world.serve(exim, 25);
        Box::new(Resident { world, log_in: submit })
    },
    told: Told {
        right: "235 Authentication",
        wrong: "535 Incorrect",
        stopped: "435 Unable",
        outage: "435 Unable",
    },
};

/// Logs in to the mail server on port 25 of the world.
fn submit(world: &World, password: &str) -> String {
    let arguments = [
        "--server",
        "127.0.0.1:25",
        "--auth",
        "PLAIN",
        "--auth-user",
        USER,
        "--auth-password",
        password,
        "--quit-after",
        "AUTH",
        "--timeout",
        "50",
    ];
    answer_to_auth(&world.run("swaks", &arguments, b"").stdout)
}

/// Code and first word of the reply to AUTH in a transcript of swaks.
fn answer_to_auth(transcript: &str) -> String {
    let replies = transcript.lines().skip_while(|line| !line.contains("> AUTH "));
    let answer = replies
        .map(|line| line.trim_start_matches(['<', '-', '~', '*', ' ']))
        .find(|line| ["235", "435", "454", "535"].iter().any(|code| line.starts_with(code)));
    let words = answer.unwrap_or(transcript).split_whitespace().take(2);
    words.collect::<Vec<_>>().join(" ")
}

pub(crate) const CYRUS_IMAP: Client = Client {
    name: "Cyrus IMAP (imtest)",
    needs: &[
        "/usr/sbin/cyrmaster|/usr/libexec/cyrus-imapd/master",
        "/usr/lib/cyrus/bin/imtest|/usr/bin/imtest",
    ],
    start: |sockets| {
        let imapd = "configdirectory: /var/lib/cyrus\npartition-default: /var/spool/cyrus/mail\n\
             defaultpartition: default\nadmins: cyrus\nallowplaintext: yes\n\
             sasl_pwcheck_method: saslauthd\nsasl_mech_list: PLAIN\n\
             sasl_saslauthd_path: /run/saslauthd/mux\n";
        let cyrus = "START {\n  recover cmd=\"ctl_cyrusdb -r\"\n}\n\
             SERVICES {\n  imap cmd=\"imapd\" listen=\"127.0.0.1:143\" prefork=0\n}\nEVENTS {\n}\n";
        let files = [("/etc/imapd.conf", imapd.to_owned()), ("/etc/cyrus.conf", cyrus.to_owned())];
        let world = World::make(sockets, &files);
        let master = "for place in /var/lib/cyrus /var/spool/cyrus/mail /run/cyrus; do\n\
             mkdir -p $place $place/socket $place/proc $place/db $place/log && chown -R cyrus $place\ndone\n\
             if [ -x /usr/sbin/cyrmaster ]; then exec cyrmaster -D; fi\n\
             exec /usr/libexec/cyrus-imapd/master -D";
        world.serve(master, 143);
        Box::new(Resident { world, log_in: imtest })
    },
    told: Told {
        right: "OK",
        wrong: "NO authentication failure",
        stopped: "NO generic failure",
        outage: "NO generic failure",
    },
};

/// The tagged answer of the IMAP server, without its list of capabilities.
fn imtest(world: &World, password: &str) -> String {
    let path = "PATH=/usr/lib/cyrus/bin:/usr/bin";
    let arguments =
        [path, "imtest", "-m", "PLAIN", "-a", USER, "-u", USER, "-w", password, "127.0.0.1"];
    let finished = world.run("env", &arguments, b". LOGOUT\r\n");
    let said = finished.stdout + &finished.stderr;
    let answer = said.lines().find_map(|line| line.strip_prefix("S: A01 ")).unwrap_or(&said);
    answer.split(" [").next().unwrap_or(answer).to_owned()
}
