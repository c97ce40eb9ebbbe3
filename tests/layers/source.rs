//! Just enough Rust, read as text, to see which paths a file names.
//!
//! Comments and literals are blanked first, then `#[cfg(test)]` items are cut out; what is left is
//! split into names, `::` and single characters. Macros are not expanded and nothing is resolved.

/// Every path in the code, groups taken apart: `a::{b, c::d}` gives `a::b` and `a::c::d`.
pub(crate) fn paths(code: &str) -> Vec<Vec<String>> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let starts = is_name(tokens[at])
            && tokens.get(at + 1) == Some(&"::")
            && (at == 0 || tokens[at - 1] != "::");
        if starts {
            at = follow(&tokens, at, &[], &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// Follows one path from `at`; answers where it ended.
fn follow(
    tokens: &[&str],
    mut at: usize,
    prefix: &[String],
    found: &mut Vec<Vec<String>>,
) -> usize {
    let mut path = prefix.to_vec();
    while let Some(token) = tokens.get(at) {
        if is_name(token) || *token == "*" {
            path.push((*token).to_owned());
            at += 1;
            if tokens.get(at) != Some(&"::") {
                break;
            }
            at += 1;
        } else if *token == "{" {
            at += 1;
            while tokens.get(at).is_some_and(|token| *token != "}") {
                let next = follow(tokens, at, &path, found);
                // `as name` and commas between the branches.
                at = if next == at { at + 1 } else { next };
                while tokens
                    .get(at)
                    .is_some_and(|token| *token != "," && *token != "}")
                {
                    at += 1;
                }
                if tokens.get(at) == Some(&",") {
                    at += 1;
                }
            }
            return at + 1;
        } else {
            break;
        }
    }
    if path.len() > prefix.len() {
        found.push(path);
    }
    at
}

/// Names, `::`, and every other character by itself.
fn tokens(code: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        found.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    found
}

pub(crate) fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c| !is_word(c)).filter(|word| !word.is_empty())
}

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

pub(crate) fn declared_modules(code: &str) -> Vec<String> {
    let tokens = tokens(code);
    tokens
        .windows(3)
        .filter(|window| window[0] == "mod" && window[2] == ";")
        .map(|window| window[1].to_owned())
        .collect()
}

/// The text with comments and literals blanked.
pub(crate) fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let next = literal_end(&chars, at);
        if next > at {
            out.push(' ');
            at = next;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

/// Where the comment or literal that starts at `at` ends; `at` if none does.
fn literal_end(chars: &[char], at: usize) -> usize {
    let here = |text: &str| {
        text.chars()
            .enumerate()
            .all(|(i, c)| chars.get(at + i) == Some(&c))
    };
    let find = |from: usize, wanted: &dyn Fn(usize) -> bool| {
        (from..chars.len())
            .find(|i| wanted(*i))
            .unwrap_or(chars.len())
    };
    if here("//") {
        return find(at, &|i| chars[i] == '\n');
    }
    if here("/*") {
        let (mut depth, mut i) = (1, at + 2);
        while depth > 0 && i < chars.len() {
            match (chars[i], chars.get(i + 1)) {
                ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
                ('*', Some('/')) => (depth, i) = (depth - 1, i + 2),
                _ => i += 1,
            }
        }
        return i;
    }
    let after_name = at > 0 && is_word(chars[at - 1]);
    if !after_name && (here("r\"") || here("r#")) {
        let hashes = find(at + 1, &|i| chars[i] != '#') - at - 1;
        if chars.get(at + 1 + hashes) != Some(&'"') {
            return at; // r#name
        }
        let closes = |i: usize| {
            chars[i] == '"' && (1..=hashes).all(|step| chars.get(i + step) == Some(&'#'))
        };
        return (find(at + 2 + hashes, &closes) + 1 + hashes).min(chars.len());
    }
    if chars[at] == '"' {
        let mut i = at + 1;
        while i < chars.len() && chars[i] != '"' {
            i += if chars[i] == '\\' { 2 } else { 1 };
        }
        return (i + 1).min(chars.len());
    }
    if chars[at] == '\'' {
        // A character, unless it is a lifetime: that has no second quote so soon.
        if chars.get(at + 1) == Some(&'\\') {
            return (find(at + 3, &|i| chars[i] == '\'') + 1).min(chars.len());
        }
        if chars.get(at + 2) == Some(&'\'') {
            return at + 3;
        }
    }
    at
}

/// The code apart from its `#[cfg(test)]` items, and those.
pub(crate) fn split_tests(code: &str) -> (String, String) {
    let (mut shipped, mut tests) = (String::new(), String::new());
    let mut rest = code;
    while let Some(start) = rest.find("#[cfg(test)]") {
        let after = start + "#[cfg(test)]".len();
        let end = after + item_end(&rest[after..]);
        shipped.push_str(&rest[..start]);
        tests.push_str(&rest[after..end]);
        rest = &rest[end..];
    }
    shipped.push_str(rest);
    (shipped, tests)
}

/// Where the item at the start of `code` ends: at its closing brace, its semicolon, or, for a
/// field or an arm, its comma.
fn item_end(code: &str) -> usize {
    const ITEMS: &[&str] = &[
        "pub",
        "mod",
        "use",
        "fn",
        "impl",
        "struct",
        "enum",
        "const",
        "static",
        "type",
        "trait",
        "async",
        "macro_rules",
    ];
    let mut head = code.trim_start();
    while let Some(attribute) = head.strip_prefix("#[") {
        head = attribute
            .split_once(']')
            .map_or("", |(_, rest)| rest)
            .trim_start();
    }
    let is_item = words(head).next().is_some_and(|word| ITEMS.contains(&word));
    let mut depth = 0;
    for (at, c) in code.char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => {
                depth -= 1;
                // The end of what encloses it.
                if depth < 0 {
                    return at;
                }
                if depth == 0 && c == '}' {
                    return at + 1;
                }
            }
            ';' if depth == 0 => return at + 1,
            ',' if depth == 0 && !is_item => return at + 1,
            _ => {}
        }
    }
    code.len()
}
