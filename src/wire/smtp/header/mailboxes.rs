//! A list of addresses as RFC 5322 §3.4 has it, and what old mail made of it.
//!
//! ```text
//! a@b, "Doe, J." <j@c>, =?utf-8?q?J=C3=B6rg?= <j@d> (comment), team: x@e, y@f;
//! ```
//!
//! Names, encoded words and comments are passed over, whatever bytes they hold.
//! Two readers must not see two addresses here, so what is between an address
//! and the next comma is an error. Linear in time; comments nest in a counter.

/// Why a text is no list of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedList {
    /// It holds no address.
    #[error("it holds no address")]
    Empty,
    /// A quote, comment or bracket without its end.
    #[error("a quote, comment or bracket in it does not end")]
    Unterminated,
    /// Anything where an address is expected.
    #[error("something in it is no address")]
    NoAddress,
    /// Text between an address and the next comma.
    #[error("something stands between an address and the next comma")]
    Behind,
    /// An address that is not UTF-8.
    #[error("an address in it is not UTF-8")]
    NotUtf8,
}

/// The addresses of `text`, which is unfolded or not. At least one.
pub(super) fn parse(text: &[u8]) -> Result<Vec<String>, MalformedList> {
    let mut list = List { tokens: Tokens { rest: text }, is_in_group: false };
    let mut found = Vec::new();
    while let Some(first) = list.tokens.next()? {
        if let Some(address) = list.item(first)? {
            found.push(address);
        }
    }
    match (list.is_in_group, found.is_empty()) {
        (true, _) => Err(MalformedList::Unterminated),
        (false, true) => Err(MalformedList::Empty),
        (false, false) => Ok(found),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    /// An atom, or a quoted string with its quotes.
    Word(&'a [u8]),
    /// A domain literal with its brackets.
    Literal(&'a [u8]),
    /// One of `<>@,;:.`
    Special(u8),
}

struct Tokens<'a> {
    rest: &'a [u8],
}

struct List<'a> {
    tokens: Tokens<'a>,
    is_in_group: bool,
}

impl<'a> List<'a> {
    /// Reads one item with its comma; `None` where it is an end, or the name of a group.
    fn item(&mut self, first: Token<'a>) -> Result<Option<String>, MalformedList> {
        let mut words = vec![first];
        loop {
            match words.last() {
                Some(Token::Special(b',')) if words.len() == 1 => return Ok(None),
                Some(Token::Special(b';')) if words.len() == 1 && self.is_in_group => {
                    self.is_in_group = false;
                    return self.end_of_item(None);
                }
                Some(Token::Special(b'<')) => return self.in_brackets(&words).map(Some),
                Some(Token::Special(b':')) => return self.begin_group(&words),
                Some(Token::Special(b',')) => return alone(&words[..words.len() - 1]).map(Some),
                Some(Token::Special(b';')) if self.is_in_group => {
                    self.is_in_group = false;
                    let address = alone(&words[..words.len() - 1])?;
                    return self.end_of_item(Some(address));
                }
                _ => {}
            }
            match self.tokens.next()? {
                Some(token) => words.push(token),
                None => return alone(&words).map(Some),
            }
        }
    }

    /// A group has a name, and no group within it (RFC 5322 §3.4).
    fn begin_group(&mut self, words: &[Token<'a>]) -> Result<Option<String>, MalformedList> {
        let name = &words[..words.len() - 1];
        if self.is_in_group || name.is_empty() || !name.iter().all(is_of_name) {
            return Err(MalformedList::NoAddress);
        }
        self.is_in_group = true;
        Ok(None)
    }

    /// `<...>` behind a name, which may be missing.
    fn in_brackets(&mut self, words: &[Token<'a>]) -> Result<String, MalformedList> {
        if !words[..words.len() - 1].iter().all(is_of_name) {
            return Err(MalformedList::NoAddress);
        }
        let mut inner = Vec::new();
        loop {
            match self.tokens.next()?.ok_or(MalformedList::Unterminated)? {
                Token::Special(b'>') => break,
                token => inner.push(token),
            }
        }
        let address = alone(behind_route(&inner))?;
        self.end_of_item(Some(address)).map(Option::unwrap_or_default)
    }

    /// Nothing but a comma or the end of the group may follow.
    fn end_of_item(&mut self, item: Option<String>) -> Result<Option<String>, MalformedList> {
        loop {
            match self.tokens.next()? {
                None | Some(Token::Special(b',')) => return Ok(item),
                Some(Token::Special(b';')) if self.is_in_group => self.is_in_group = false,
                Some(_) => return Err(MalformedList::Behind),
            }
        }
    }
}

/// A phrase is words; dots and an `@` are what people type into it (RFC 5322 §4.1).
fn is_of_name(token: &Token<'_>) -> bool {
    matches!(token, Token::Word(_) | Token::Special(b'.'))
}

/// What follows a source route `@a,@b:` (RFC 5322 §4.4).
fn behind_route<'a, 'b>(tokens: &'b [Token<'a>]) -> &'b [Token<'a>] {
    let colon = tokens.iter().position(|token| *token == Token::Special(b':'));
    match (tokens.first(), colon) {
        (Some(Token::Special(b'@')), Some(colon)) => &tokens[colon + 1..],
        _ => tokens,
    }
}

/// `word.word@word.word`, `word@[literal]`, or a local part alone.
fn alone(tokens: &[Token<'_>]) -> Result<String, MalformedList> {
    let at = tokens.iter().position(|token| *token == Token::Special(b'@'));
    let (local, domain) = match at {
        Some(at) => (&tokens[..at], Some(&tokens[at + 1..])),
        None => (tokens, None),
    };
    let mut address = dotted(local)?;
    if let Some(domain) = domain {
        address.push(b'@');
        match domain {
            [Token::Literal(literal)] => address.extend_from_slice(literal),
            [Token::Word(word), ..] if !word.starts_with(b"\"") => {
                address.extend(dotted(domain)?);
            }
            _ => return Err(MalformedList::NoAddress),
        }
    }
    String::from_utf8(address).map_err(|_| MalformedList::NotUtf8)
}

fn dotted(tokens: &[Token<'_>]) -> Result<Vec<u8>, MalformedList> {
    let mut text = Vec::new();
    for (number, token) in tokens.iter().enumerate() {
        match token {
            Token::Word(word) if number % 2 == 0 => text.extend_from_slice(word),
            Token::Special(b'.') if number % 2 == 1 => text.push(b'.'),
            _ => return Err(MalformedList::NoAddress),
        }
    }
    if tokens.len() % 2 == 1 { Ok(text) } else { Err(MalformedList::NoAddress) }
}

impl<'a> Tokens<'a> {
    /// The next token behind blanks and comments; `None` at the end.
    fn next(&mut self) -> Result<Option<Token<'a>>, MalformedList> {
        self.skip_blanks()?;
        let Some(&first) = self.rest.first() else { return Ok(None) };
        Ok(Some(match first {
            b'"' => Token::Word(self.enclosed(b'"')?),
            b'[' => Token::Literal(self.enclosed(b']')?),
            b'<' | b'>' | b'@' | b',' | b';' | b':' | b'.' => {
                self.rest = &self.rest[1..];
                Token::Special(first)
            }
            b')' | b']' | b'\\' => return Err(MalformedList::NoAddress),
            _ => {
                let is_end = |byte: &u8| is_blank(*byte) || b"()<>[]:;@\\,.\"".contains(byte);
                let length = self.rest.iter().position(is_end).unwrap_or(self.rest.len());
                Token::Word(self.take(length))
            }
        }))
    }

    /// What stands from here to `end`, both included.
    fn enclosed(&mut self, end: u8) -> Result<&'a [u8], MalformedList> {
        let mut is_escaped = false;
        let length = self.rest.iter().skip(1).position(|byte| {
            let is_end = *byte == end && !is_escaped;
            is_escaped = *byte == b'\\' && !is_escaped;
            is_end
        });
        length.map(|length| self.take(length + 2)).ok_or(MalformedList::Unterminated)
    }

    fn skip_blanks(&mut self) -> Result<(), MalformedList> {
        let mut depth = 0_usize;
        let mut is_escaped = false;
        while let Some((byte, rest)) = self.rest.split_first() {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' if depth > 0 => is_escaped = true,
                b'(' => depth += 1,
                b')' if depth > 0 => depth -= 1,
                _ if depth > 0 || is_blank(*byte) => {}
                _ => break,
            }
            self.rest = rest;
        }
        if depth == 0 { Ok(()) } else { Err(MalformedList::Unterminated) }
    }

    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}
