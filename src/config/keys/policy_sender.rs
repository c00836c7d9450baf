//! `[policy.sender]`: which login may use which sender.

use super::{Form, Key, Kind, Section};
use crate::config::forms::{self, detail_separator, optional_path};

pub(super) const SECTION: Section = Section {
    name: "policy.sender",
    form: Form::Once,
    text: "Which login may use which envelope sender, and perhaps which From: header. Somebody who \
           uses another's gets 553. The null sender is everybody's, since receipts have no other. \
           Letters count the same in either case.",
    keys: &[
        Key {
            name: "allow",
            kind: Kind::List {
                least: 0,
                expected: "\"any\", \"own\" and \"domain\"",
                words: &["any", "own", "domain"],
                check: |_| Ok(()),
                set: |config, words| {
                    let has = |word: &str| words.iter().any(|it| it == word);
                    let sender = &mut config.gate.sending.sender;
                    sender.any = has("any");
                    sender.own = has("own");
                    sender.domain = has("domain");
                },
            },
            default: Some("[\"any\"]"),
            text: "What is allowed, beside what the map says; what one word allows is allowed. \
                   \"any\" is everything, \"own\" the address that the login is, \"domain\" every \
                   address in the login's realm.",
        },
        Key {
            name: "map",
            kind: Kind::Text {
                form: forms::OPTIONAL_PATH,
                set: |config, text| {
                    optional_path(text).map(|path| config.gate.sending.sender_map = path)
                },
            },
            default: Some("\"\""),
            text: "A file with a line for each login: \"alice@example.org: sales@example.org, \
                   @alice.example, *@*.example.net\". A line that begins with a blank goes on from \
                   the one above, # begins a comment, and a login may be a pattern, too. Read at \
                   the start and at a reload; a faulty file keeps the gate from starting, and at a \
                   reload the old one counts on.",
        },
        Key {
            name: "detail",
            kind: Kind::Text {
                form: forms::DETAIL,
                set: |config, text| {
                    detail_separator(text).map(|c| config.gate.sending.sender.detail = c)
                },
            },
            default: Some("\"+\""),
            text: "What separates a detail from the mailbox: with \"+\", alice+list@ is alice's own. \
                   Empty is none.",
        },
        Key {
            name: "check_from",
            kind: Kind::Flag { set: |config, is_on| config.gate.sending.sender.check_from = is_on },
            default: Some("false"),
            text: "Whether every address in the From: header must be allowed, too. A message with \
                   another, with several From: headers, or with one that cannot be read, gets 550 \
                   at its end; one without a From: passes, and sendmail adds one.",
        },
    ],
};
