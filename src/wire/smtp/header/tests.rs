use super::*;

fn read(header: &[u8]) -> Authors {
    let mut reader = FromReader::default();
    reader.feed(header);
    reader.authors()
}

fn from(value: &str) -> Authors {
    read(format!("From: {value}\r\n\r\n").as_bytes())
}

fn mailboxes(addresses: &[&str]) -> Authors {
    Authors::Mailboxes(addresses.iter().map(ToString::to_string).collect())
}

#[test]
fn addresses_in_all_their_clothes() {
    for (value, addresses) in [
        ("a@b", &["a@b"][..]),
        ("<a@b>", &["a@b"]),
        ("Alice <a@b>", &["a@b"]),
        ("\"Doe, J. <x@y>\" <a@b>", &["a@b"]),
        ("J. Doe <a@b>", &["a@b"]),
        ("=?utf-8?q?x=40y?= <a@b>", &["a@b"]),
        ("=?iso-8859-1?Q?J=F6rg?= =?utf-8?b?eEB5?= <a@b>", &["a@b"]),
        ("a@b (Alice <x@y>, \\) (nested))", &["a@b"]),
        ("(c) a (c) . b (c) @ (c) c . d (c)", &["a.b@c.d"]),
        ("a@b, c@d", &["a@b", "c@d"]),
        ("a@b, , c@d,", &["a@b", "c@d"]),
        ("team: a@b, Carl <c@d>; , e@f", &["a@b", "c@d", "e@f"]),
        ("A <a@b>, team: c@d;", &["a@b", "c@d"]),
        ("team: <a@b>;", &["a@b"]),
        ("\"a b\"@c", &["\"a b\"@c"]),
        ("\"a\\\"@x\"@c", &["\"a\\\"@x\"@c"]),
        ("a@[192.0.2.1]", &["a@[192.0.2.1]"]),
        ("<@r,@s:a@b>", &["a@b"]),
        ("j\u{f6}rg@ex\u{e4}mple.org", &["j\u{f6}rg@ex\u{e4}mple.org"]),
        ("alice", &["alice"]),
    ] {
        assert_eq!(from(value), mailboxes(addresses), "{value}");
    }
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    use MalformedList::{Behind, Empty, NoAddress, Unterminated};
    for (value, error) in [
        ("", Empty),
        ("(only a comment)", Empty),
        ("undisclosed:;", Empty),
        ("<>", NoAddress),
        ("<a@b> <c@d>", Behind),
        ("<a@b> c@d", Behind),
        ("<a@b>;", Behind),
        ("a@b <c@d>", NoAddress),
        ("a@b@c", NoAddress),
        ("a b@c", NoAddress),
        ("=?utf-8?q?a=40b?= x", NoAddress),
        ("a@b c", NoAddress),
        ("a@\"b\"", NoAddress),
        ("a@", NoAddress),
        ("@b", NoAddress),
        ("a..b@c", NoAddress),
        ("a@b;", NoAddress),
        ("a: b: c@d;;", NoAddress),
        (": c@d;", NoAddress),
        ("a@b\\", NoAddress),
        ("a@b)", NoAddress),
        ("<a@b", Unterminated),
        ("\"a@b", Unterminated),
        ("(a@b", Unterminated),
        ("a@[b", Unterminated),
        ("team: a@b", Unterminated),
        ("a@b (c", Unterminated),
    ] {
        assert_eq!(from(value), Authors::Malformed(error), "{value}");
    }
    assert_eq!(read(b"From: \xff <a\xff@b>\r\n\r\n"), Authors::Malformed(MalformedList::NotUtf8));
    // In a name it is old, and harmless.
    assert_eq!(read(b"From: J\xf6rg <a@b>\r\n\r\n"), mailboxes(&["a@b"]));
}

#[test]
fn finds_the_field_wherever_it_stands() {
    let expected = mailboxes(&["a@b"]);
    for header in [
        "From: a@b\r\n\r\n",
        "FROM: a@b\r\n\r\n",
        "from:a@b\r\n\r\n",
        "From : a@b\r\n\r\n",
        "From\t: a@b\r\n\r\n",
        "From:\r\n a@b\r\n\r\n",
        "From: Alice\r\n\t<a@b>\r\n\r\n",
        "To: x@y\r\nFrom: a@b\r\nSubject: z\r\n\r\n",
        "To: x@y,\r\n From: c@d\r\nFrom: a@b\r\n\r\n",
        "From alice Thu Jan  1 00:00:00 2026\r\nFrom: a@b\r\n\r\n",
        ">From alice Thu Jan  1 00:00:00 2026\r\nFrom: a@b\r\n\r\n",
        "Fro: x@y\r\nFromm: x@y\r\nX-From: x@y\r\nFrom: a@b\r\n\r\n",
        "From: a@b\r\n\r\nFrom: x@y\r\n",
        "From: a@b\r\nno field\r\nFrom: x@y\r\n",
        "From: a@b",
        "From: a@b\r\n",
    ] {
        assert_eq!(read(header.as_bytes()), expected, "{header:?}");
    }
}

#[test]
fn a_header_ends_where_it_ends() {
    for header in [
        "",
        "\r\n",
        "\r\nFrom: a@b\r\n",
        " From: a@b\r\n\r\n",
        "no field\r\nFrom: a@b\r\n",
        ": x\r\nFrom: a@b\r\n",
        "To: x@y\r\n\r\nFrom: a@b\r\n",
        "X-From: a@b\r\n\r\n",
    ] {
        assert_eq!(read(header.as_bytes()), Authors::Missing, "{header:?}");
    }
}

#[test]
fn several_are_one_too_many() {
    assert_eq!(read(b"From: a@b\r\nTo: x\r\nfrom : c@d\r\n\r\n"), Authors::Repeated);
    assert_eq!(read(b"From: a@b\r\nFrom: a@b\r\n\r\n"), Authors::Repeated);
}

#[test]
fn the_value_is_bounded_and_other_fields_are_not() {
    let long = format!("X: {}\r\nFrom: a@b\r\n\r\n", "x".repeat(1 << 20));
    assert_eq!(read(long.as_bytes()), mailboxes(&["a@b"]));
    let long = format!("From: {}, a@b\r\n\r\n", "x@y,".repeat(MAX_VALUE_BYTES / 4));
    assert_eq!(read(long.as_bytes()), Authors::TooLong);
    let deep = format!("From: {}a@b\r\n\r\n", "(".repeat(10_000));
    assert_eq!(read(deep.as_bytes()), Authors::Malformed(MalformedList::Unterminated));
}

#[test]
fn any_split_of_the_input_gives_the_same() {
    let header =
        b"X: y\r\nFrom: \"Doe, J\" <j@a>,\r\n team: x@b, y@c;\r\nTo: z\r\n\r\nFrom: no\r\n";
    let whole = read(header);
    assert_eq!(whole, mailboxes(&["j@a", "x@b", "y@c"]));
    for split in 0..=header.len() {
        let mut reader = FromReader::default();
        let is_over = reader.feed(&header[..split]);
        assert!(reader.feed(&header[split..]) || is_over);
        assert_eq!(reader.authors(), whole, "{split}");
    }
    let mut reader = FromReader::default();
    for byte in header {
        reader.feed(std::slice::from_ref(byte));
    }
    assert_eq!(reader.authors(), whole);
}

#[test]
fn no_byte_anywhere_breaks_it() {
    let good = b"From: \"A, B\" <@r:a.b@[::1]> (c(d)), g: x@y;\r\n\r\n";
    for place in 0..good.len() {
        for byte in 0..=u8::MAX {
            let mut header = good.to_vec();
            header[place] = byte;
            read(&header);
            read(&header[..place]);
        }
    }
}
