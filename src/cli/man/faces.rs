//! Pages of the originals' names, from the usage texts and tables of their faces.

use super::roff::Page;
use crate::cli::compat;

/// A face as its page tells it; usage text and mechanisms are the face's own.
struct Face {
    name: &'static str,
    purpose: &'static str,
    usage: String,
    text: &'static [&'static str],
    exit: &'static [(&'static str, &'static str)],
    files: &'static [(&'static str, &'static str)],
}

/// Name and text of each page, all of section 8.
pub(super) fn pages() -> Vec<(&'static str, String)> {
    faces().iter().map(|face| (face.name, page(face))).collect()
}

fn page(face: &Face) -> String {
    let mut page = Page::new(face.name, "8", face.purpose);
    page.heading("USAGE");
    page.verbatim(&face.usage);
    page.heading("DESCRIPTION");
    for text in face.text {
        page.paragraph(text);
    }
    if face.name == "saslauthd" {
        page.paragraph(&format!("Mechanisms: {}.", compat::mechanisms()));
    }
    page.heading("EXIT STATUS");
    for (code, meaning) in face.exit {
        page.item(code, meaning);
    }
    page.heading("FILES");
    for (file, meaning) in face.files {
        page.item(file, meaning);
    }
    page.heading("SEE ALSO");
    page.paragraph("saslgate(8), saslgate.toml(5), docs/saslauthd-behaviour.md");
    page.into_text()
}

fn faces() -> Vec<Face> {
    vec![
        Face {
            name: "saslauthd",
            purpose: "saslgate authd, started as Cyrus saslauthd is",
            usage: compat::usage("saslauthd"),
            text: SASLAUTHD,
            exit: &[
                ("0", "it serves (the command returns then, not before); -v, -h, wrong usage"),
                ("1", "it could not start"),
                ("2", "another instance, ours or the original, has the run directory"),
            ],
            files: &[
                ("/run/saslauthd/mux", "the socket"),
                ("/run/saslauthd/saslauthd.pid", "pid of the daemon, locked"),
                ("/run/saslauthd/saslauthd.pid.lock", "lock of a start; with -d to its end"),
                ("/etc/saslgate/saslgate.toml", "what the flags do not say"),
            ],
        },
        Face {
            name: "saslpasswd2",
            purpose: "sets and deletes passwords of saslgate's store",
            usage: compat::usage("saslpasswd2"),
            text: &[
                "Flags, prompts and exit codes are those of Cyrus saslpasswd2; passwords are kept \
                 as argon2id, in the store of saslgate.",
            ],
            exit: &[
                ("0", "done"),
                ("7", "the name or the password cannot be"),
                ("20", "no such user"),
            ],
            files: &[("/var/lib/saslgate/users.db", "the store")],
        },
        Face {
            name: "sasldblistusers2",
            purpose: "lists who has a password in saslgate's store",
            usage: compat::usage("sasldblistusers2"),
            text: &["Prints user@realm: userPassword for each, sorted by realm and name."],
            exit: &[("0", "done"), ("1", "wrong usage, or the store could not be read")],
            files: &[("/var/lib/saslgate/users.db", "the store")],
        },
        Face {
            name: "testsaslauthd",
            purpose: "asks a saslauthd socket about one password",
            usage: compat::usage("testsaslauthd"),
            text: &["The password is on the command line, where ps shows it; -p - reads it from \
                 standard input. -a 'ADDRESS;PORT' names the mail client."],
            exit: &[("0", "OK"), ("1", "wrong usage"), ("255", "anything else")],
            files: &[("/run/saslauthd/mux", "the socket that is asked unless -f names another")],
        },
    ]
}

const SASLAUTHD: &[&str] = &[
    "Verifies passwords for programs with libsasl2, as Cyrus saslauthd 2.1.28 does. Flags win over \
     /etc/saslgate/saslgate.toml, or the file that the environment names in SASLGATE_CONFIG.",
    "-a takes several mechanisms, separated by commas: each is asked until one knows the user. -f \
     stays in the foreground as -d does, without its chatter. -n and -l have no meaning any more, \
     since there is no fixed pool of processes: that is said once in the log. -c remembers accepted \
     logins, -s KiB of 96 bytes each, for -t seconds; without -t for cache.ttl.",
    "SIGHUP reads the configuration again; SIGTERM and SIGINT finish what is under way and end. \
     Without -d or -f lines go to syslog, facility auth.",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_face_has_a_page_with_its_usage() {
        for (name, page) in pages() {
            assert!(page.starts_with(&format!(".TH \"{}\" \"8\"", name.to_uppercase())), "{page}");
            assert!(!compat::usage(name).is_empty(), "{name}");
        }
    }
}
