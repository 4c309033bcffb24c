//! Rust source as tokens: no comments, no blanks, no test modules.

/// What a token is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind<'a> {
    /// A name, a keyword or a number.
    Word(&'a str),
    /// What stands between the quotes of a string.
    Text(&'a str),
    /// `::`.
    PathSeparator,
    /// Any other character.
    Mark(char),
}

use Kind::{Mark, PathSeparator, Text, Word};

/// A token and the lines it stands on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Token<'a> {
    pub kind: Kind<'a>,
    first_line: usize,
    last_line: usize,
}

/// How much code there is, and how much of it is unsafe.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Size {
    pub files: usize,
    /// Lines that hold more than comments.
    pub lines: usize,
    pub unsafe_functions: usize,
    pub unsafe_blocks: usize,
}

/// Reads `source`, which has to be Rust that compiles.
pub fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = source;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let (length, kind) = match first {
            _ if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), None),
            _ if rest.starts_with("/*") => (block_comment(rest), None),
            _ if rest.starts_with("::") => (2, Some(PathSeparator)),
            '\'' => (quoted_or_lifetime(rest), None),
            _ => match string(rest) {
                Some((length, text)) => (length, Some(Text(text))),
                None if is_of_word(first) => {
                    let length = rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
                    (length, Some(Word(&rest[..length])))
                }
                None if first.is_whitespace() => (first.len_utf8(), None),
                None => (first.len_utf8(), Some(Mark(first))),
            },
        };
        let (token, after) = rest.split_at(length);
        let last_line = line + token.matches('\n').count();
        tokens.extend(kind.map(|kind| Token { kind, first_line: line, last_line }));
        (rest, line) = (after, last_line);
    }
    tokens
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of the comment, and of those inside it, with which `text` begins.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// The length of the character literal, or of the lifetime, with which `text` begins.
fn quoted_or_lifetime(text: &str) -> usize {
    let mut after = text[1..].char_indices().map(|(at, c)| (at + 1, c));
    match (after.next(), after.next()) {
        (Some((_, '\\')), Some((escaped, c))) => {
            let from = escaped + c.len_utf8();
            text[from..].find('\'').map_or(text.len(), |end| from + end + 1)
        }
        (_, Some((end, '\''))) => end + 1,
        _ => 1,
    }
}

/// The length and the contents of the string, of whatever sort, with which `text` begins.
fn string(text: &str) -> Option<(usize, &str)> {
    let plain = text.trim_start_matches(['b', 'c']);
    let raw = plain.trim_start_matches('r');
    let quoted = raw.trim_start_matches('#');
    let prefix = text.len() - quoted.len();
    let inside = quoted.strip_prefix('"').filter(|_| text.len() - raw.len() <= 2)?;
    let start = prefix + 1;
    if plain.len() == raw.len() {
        let mut escaped = false;
        let end = inside.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let end = end.unwrap_or(inside.len());
        return Some((text.len().min(start + end + 1), &inside[..end]));
    }
    let quote = format!("\"{}", "#".repeat(raw.len() - quoted.len()));
    let end = inside.find(&quote).unwrap_or(inside.len());
    Some((text.len().min(start + end + quote.len()), &inside[..end]))
}

/// `tokens` without the items that are compiled for tests alone.
pub fn without_tests<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let attribute = &tokens[at..end_of_attribute(tokens, at)];
        if is_for_tests(attribute) {
            at += attribute.len();
            while end_of_attribute(tokens, at) > at {
                at = end_of_attribute(tokens, at);
            }
            at = end_of_item(tokens, at);
        } else {
            kept.push(tokens[at]);
            at += 1;
        }
    }
    kept
}

/// Where the attribute that begins at `at` ends; `at`, if none does.
pub fn end_of_attribute(tokens: &[Token<'_>], at: usize) -> usize {
    let is = |at: usize, mark| tokens.get(at).is_some_and(|token| token.kind == Mark(mark));
    let open = if is(at + 1, '!') { at + 2 } else { at + 1 };
    if is(at, '#') && is(open, '[') { end_of_group(tokens, open) } else { at }
}

/// Where the bracket that opens at `at` has been closed.
fn end_of_group(tokens: &[Token<'_>], at: usize) -> usize {
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate().skip(at) {
        match token.kind {
            Mark('(' | '[' | '{') => depth += 1,
            Mark(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    tokens.len()
}

fn end_of_item(tokens: &[Token<'_>], mut at: usize) -> usize {
    while at < tokens.len() {
        match tokens[at].kind {
            Mark(';') => return at + 1,
            Mark('{') => return end_of_group(tokens, at),
            Mark('(' | '[') => at = end_of_group(tokens, at),
            _ => at += 1,
        }
    }
    at
}

fn is_for_tests(attribute: &[Token<'_>]) -> bool {
    let has = |word| attribute.iter().any(|token| token.kind == Word(word));
    attribute.get(2).is_some_and(|token| token.kind == Word("cfg"))
        && has("test")
        && !has("not")
        && !has("any")
}

/// The size of one file.
pub fn size(tokens: &[Token<'_>]) -> Size {
    let mut size = Size { files: 1, ..Size::default() };
    let mut counted = 0;
    for (at, token) in tokens.iter().enumerate() {
        size.lines += token.last_line.max(counted) - counted.max(token.first_line - 1);
        counted = counted.max(token.last_line);
        let next = |ahead: usize| tokens.get(at + ahead).map(|token| token.kind);
        match (token.kind, next(1)) {
            (Word("unsafe"), Some(Mark('{'))) => size.unsafe_blocks += 1,
            (Word("unsafe"), Some(Word("fn"))) if matches!(next(2), Some(Word(_))) => {
                size.unsafe_functions += 1;
            }
            (Word("unsafe"), Some(Word("extern"))) if matches!(next(4), Some(Word(_))) => {
                size.unsafe_functions += 1;
            }
            _ => {}
        }
    }
    size
}

#[test]
fn comments_strings_and_characters_hide_what_looks_like_code() {
    let source = r##"use a::b; // use c;
        /* use d; /* use e; */ use f; */ 'x' '\'' '"' &'a "use g \" ;" r#"use " h"# b"\\" r#type"##;
    let kinds: Vec<Kind> = tokens(source).iter().map(|token| token.kind).collect();
    let start = [Word("use"), Word("a"), PathSeparator, Word("b"), Mark(';'), Mark('&'), Word("a")];
    let end = [Text("use g \\\" ;"), Text("use \" h"), Text(r"\\"), Word("r"), Mark('#'), Word("type")];
    assert_eq!(kinds, [&start[..], &end].concat());
}

#[test]
fn what_is_for_tests_alone_does_not_count() {
    let left = |source| {
        let tokens = without_tests(&tokens(source));
        let words = tokens.iter().filter_map(|token| match token.kind {
            Word(word) => Some(word.to_owned()),
            _ => None,
        });
        words.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(left("fn a() {} #[cfg(test)] #[x(y)] mod tests { fn b() { {} } } fn c() {}"), "fn a fn c");
    assert_eq!(left("#[cfg(test)] mod tests; #[cfg(all(test, x))] const A: [u8; 1] = [1]; b"), "b");
    assert_eq!(left("#[cfg(not(test))] fn a() {}"), "cfg not test fn a");
}

#[test]
fn lines_and_unsafe_code_are_counted() {
    let source = "//! Docs.\n\nunsafe fn a() { // SAFETY: none.\n    unsafe { b() } }\n\n/* unsafe {} */\n\
                  unsafe impl C for D {}\nunsafe extern \"C\" fn e(f: unsafe fn()) {}\n\"two\nlines\";\n";
    let expected = Size { files: 1, lines: 6, unsafe_functions: 2, unsafe_blocks: 1 };
    assert_eq!(size(&tokens(source)), expected);
}
