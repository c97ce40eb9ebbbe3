//! The part of Go's text/template that CI-provider files use: `{{ .name }}`,
//! `{{ index . "key" }}`, `{{ eq A B }}`, `{{ if COND }} … {{ else }} … {{ end }}`, parentheses and
//! string literals. Anything else is refused when the template is read, not when a token arrives.
//!
//! A template without `{{` is no template but the name of one value. Values are inserted as they
//! are, without escaping, and are never read as templates themselves.

use std::borrow::Cow;

use super::Problem;
use super::values::Values;

/// Longest template, in bytes.
pub const MAX_TEMPLATE_BYTES: usize = 4096;

/// Room for what most templates give.
const USUAL_BYTES: usize = 128;

/// Deepest nesting of `if` blocks and of parentheses.
pub const MAX_NESTING: usize = 8;

/// Why a text is no template of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// Over [`MAX_TEMPLATE_BYTES`].
    #[error("template of {bytes} bytes is longer than {MAX_TEMPLATE_BYTES}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Nested deeper than [`MAX_NESTING`].
    #[error("template nests deeper than {MAX_NESTING} levels")]
    TooDeep,
    /// `{{` without `}}`.
    #[error("template action {action:?} does not end")]
    Unclosed {
        /// From the `{{` on.
        action: String,
    },
    /// Something this subset does not know.
    #[error("template action {action:?} is not one of the supported forms")]
    Unsupported {
        /// What stands between the braces.
        action: String,
    },
    /// `{{ if }}` without `{{ end }}`.
    #[error("template has an if without an end")]
    NoEnd,
    /// `{{ else }}` or `{{ end }}` without `{{ if }}`.
    #[error("template has {action:?} outside of an if")]
    NoIf {
        /// Which.
        action: String,
    },
}

/// A template, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(Vec<Node>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Text(String),
    Insert(Expression),
    If {
        condition: Expression,
        then: Vec<Node>,
        otherwise: Vec<Node>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Expression {
    /// `.name`: the value must be there.
    Field(String),
    /// `index . "name"`: an absent value is empty, as in Go.
    Index(String),
    Literal(String),
    /// `eq A B C …`: A equals one of the others.
    Equal(Box<Expression>, Vec<Expression>),
}

/// What an `index` of an absent value gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// The empty text, as in Go.
    IsEmpty,
    /// An error: in a SAN an absent value must not quietly shorten somebody's name.
    IsAnError,
}

/// Why a template has no result for these values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Missing { name: String },
    Invalid { name: String, problem: Problem },
}

impl Template {
    /// Reads a template; the empty text gives none.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, TemplateError> {
        if text.len() > MAX_TEMPLATE_BYTES {
            return Err(TemplateError::TooLong { bytes: text.len() });
        }
        if text.trim().is_empty() {
            return Ok(None);
        }
        if !text.contains("{{") {
            let name = Expression::Field(text.to_owned());
            return Ok(Some(Self(vec![Node::Insert(name)])));
        }
        let mut rest = text;
        let (nodes, end) = block(&mut rest, 0)?;
        match end {
            Ending::Text => Ok(Some(Self(nodes))),
            Ending::Else => Err(TemplateError::NoIf {
                action: "else".into(),
            }),
            Ending::End => Err(TemplateError::NoIf {
                action: "end".into(),
            }),
        }
    }

    /// The text for these values.
    pub(super) fn render<'a>(
        &'a self,
        values: &Values<'a>,
        absent: Absent,
    ) -> Result<Cow<'a, str>, Failure> {
        // Most are one value, and that is there already.
        if let [Node::Insert(expression)] = self.0.as_slice() {
            return evaluate(expression, values, absent);
        }
        let mut out = String::with_capacity(USUAL_BYTES);
        render(&self.0, values, absent, &mut out)?;
        Ok(Cow::Owned(out))
    }

    /// Every value the template can look at, in the order written.
    pub(super) fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        names_in(&self.0, &mut names);
        names
    }
}

/// How a block of nodes ends.
enum Ending {
    Text,
    Else,
    End,
}

/// Nodes up to the end of the text, or to an `else` or `end` of this level.
fn block(rest: &mut &str, depth: usize) -> Result<(Vec<Node>, Ending), TemplateError> {
    if depth > MAX_NESTING {
        return Err(TemplateError::TooDeep);
    }
    let mut nodes = Vec::new();
    loop {
        let Some((text, from_action)) = rest.split_once("{{") else {
            push_text(&mut nodes, rest);
            *rest = "";
            return Ok((nodes, Ending::Text));
        };
        push_text(&mut nodes, text);
        let mut tokens = Vec::new();
        let (action, after) = action(from_action, &mut tokens)?;
        *rest = after;
        let unsupported = || TemplateError::Unsupported {
            action: action.to_owned(),
        };
        match tokens.as_slice() {
            [Token::Word("else")] => return Ok((nodes, Ending::Else)),
            [Token::Word("end")] => return Ok((nodes, Ending::End)),
            [Token::Word("if"), condition @ ..] => {
                let condition = expression(condition, 0).ok_or_else(unsupported)?;
                nodes.push(conditional(rest, depth, condition)?);
            }
            tokens => nodes.push(Node::Insert(expression(tokens, 0).ok_or_else(unsupported)?)),
        }
    }
}

fn conditional(
    rest: &mut &str,
    depth: usize,
    condition: Expression,
) -> Result<Node, TemplateError> {
    let (then, end) = block(rest, depth + 1)?;
    let (otherwise, end) = match end {
        Ending::Else => block(rest, depth + 1)?,
        Ending::End | Ending::Text => (Vec::new(), end),
    };
    match end {
        Ending::End => Ok(Node::If {
            condition,
            then,
            otherwise,
        }),
        Ending::Text => Err(TemplateError::NoEnd),
        Ending::Else => Err(TemplateError::NoIf {
            action: "else".into(),
        }),
    }
}

fn push_text(nodes: &mut Vec<Node>, text: &str) {
    if !text.is_empty() {
        nodes.push(Node::Text(text.to_owned()));
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token<'a> {
    /// `.` alone: all values.
    Dot,
    /// `.name`
    Field(&'a str),
    /// `if`, `else`, `end`, `eq`, `index`
    Word(&'a str),
    Literal(String),
    Open,
    Close,
}

/// Cuts the action that `text` begins with into tokens; gives its text and what follows `}}`.
fn action<'a>(
    text: &'a str,
    tokens: &mut Vec<Token<'a>>,
) -> Result<(&'a str, &'a str), TemplateError> {
    let so_far = |rest: &str| text[..text.len() - rest.len()].to_owned();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        if let Some(after) = rest.strip_prefix("}}") {
            return Ok((&text[..text.len() - rest.len()], after));
        }
        let Some(first) = rest.chars().next() else {
            return Err(TemplateError::Unclosed {
                action: text.to_owned(),
            });
        };
        let token = match first {
            '(' => Some((Token::Open, &rest[1..])),
            ')' => Some((Token::Close, &rest[1..])),
            '"' => literal(&rest[1..]),
            '.' => {
                let name = identifier(&rest[1..]);
                let token = if name.is_empty() {
                    Token::Dot
                } else {
                    Token::Field(name)
                };
                separate(token, &rest[1 + name.len()..])
            }
            _ => {
                let word = identifier(rest);
                let token = Some(word).filter(|word| !word.is_empty()).map(Token::Word);
                token.and_then(|token| separate(token, &rest[word.len()..]))
            }
        };
        let (token, after) = token.ok_or_else(|| TemplateError::Unsupported {
            action: so_far(rest) + &first.to_string(),
        })?;
        tokens.push(token);
        rest = after;
    }
}

/// A name or word ends at a blank, a parenthesis or the action's end: `.a.b` and `.a-b` are not ours.
fn separate<'a>(token: Token<'a>, rest: &'a str) -> Option<(Token<'a>, &'a str)> {
    let ends = rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n', ')', '(', '}']);
    ends.then_some((token, rest))
}

/// The longest identifier of ASCII letters, digits and `_` at the front.
fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let name = &text[..end.unwrap_or(text.len())];
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return "";
    }
    name
}

/// An interpreted string literal after its opening quote; of the escapes only `\"` and `\\`.
fn literal(text: &str) -> Option<(Token<'_>, &str)> {
    let mut out = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((Token::Literal(out), &text[at + 1..])),
            '\\' => match characters.next() {
                Some((_, escaped @ ('"' | '\\'))) => out.push(escaped),
                _ => return None,
            },
            '\n' => return None,
            other => out.push(other),
        }
    }
    None
}

/// All of `tokens` as one expression.
fn expression(tokens: &[Token<'_>], depth: usize) -> Option<Expression> {
    match tokens {
        [Token::Word("index"), Token::Dot, Token::Literal(name)] => {
            Some(Expression::Index(name.clone()))
        }
        [Token::Word("eq"), arguments @ ..] => {
            let mut operands = operands(arguments, depth)?.into_iter();
            // Go compares like with like only; the outcome of an `eq` is not a text.
            let first = operands.next().filter(is_text)?;
            let others: Vec<_> = operands.collect();
            let comparable = !others.is_empty() && others.iter().all(is_text);
            comparable.then(|| Expression::Equal(Box::new(first), others))
        }
        tokens => match <[_; 1]>::try_from(operands(tokens, depth)?) {
            Ok([one]) => Some(one),
            Err(_) => None,
        },
    }
}

fn is_text(expression: &Expression) -> bool {
    !matches!(expression, Expression::Equal(..))
}

/// Operands one after another: fields, literals, and expressions in parentheses.
fn operands(mut tokens: &[Token<'_>], depth: usize) -> Option<Vec<Expression>> {
    let mut all = Vec::new();
    while let Some((first, rest)) = tokens.split_first() {
        tokens = rest;
        all.push(match first {
            Token::Field(name) => Expression::Field((*name).to_owned()),
            Token::Literal(text) => Expression::Literal(text.clone()),
            Token::Open if depth < MAX_NESTING => {
                let close = matching_close(rest)?;
                tokens = &rest[close + 1..];
                expression(&rest[..close], depth + 1)?
            }
            Token::Open | Token::Dot | Token::Word(_) | Token::Close => return None,
        });
    }
    Some(all)
}

/// Where the parenthesis closes that was opened just before `tokens`.
fn matching_close(tokens: &[Token<'_>]) -> Option<usize> {
    let mut open = 1_usize;
    tokens.iter().position(|token| {
        match token {
            Token::Open => open += 1,
            Token::Close => open -= 1,
            Token::Dot | Token::Field(_) | Token::Word(_) | Token::Literal(_) => {}
        }
        open == 0
    })
}

fn render(
    nodes: &[Node],
    values: &Values<'_>,
    absent: Absent,
    out: &mut String,
) -> Result<(), Failure> {
    for node in nodes {
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Insert(expression) => out.push_str(&evaluate(expression, values, absent)?),
            Node::If {
                condition,
                then,
                otherwise,
            } => {
                let branch = if holds(condition, values, absent)? {
                    then
                } else {
                    otherwise
                };
                render(branch, values, absent, out)?;
            }
        }
    }
    Ok(())
}

fn evaluate<'a>(
    expression: &'a Expression,
    values: &Values<'a>,
    absent: Absent,
) -> Result<Cow<'a, str>, Failure> {
    let (name, may_be_absent) = match expression {
        Expression::Literal(text) => return Ok(Cow::Borrowed(text)),
        Expression::Equal(..) => {
            let holds = holds(expression, values, absent)?;
            return Ok(Cow::Borrowed(if holds { "true" } else { "false" }));
        }
        Expression::Field(name) => (name, false),
        Expression::Index(name) => (name, absent == Absent::IsEmpty),
    };
    match values.get(name) {
        Ok(Some(text)) => Ok(text),
        Ok(None) if may_be_absent => Ok(Cow::Borrowed("")),
        Ok(None) => Err(Failure::Missing { name: name.clone() }),
        Err(problem) => Err(Failure::Invalid {
            name: name.clone(),
            problem,
        }),
    }
}

/// Go's truth: an `eq` is what it says, a text is true unless it is empty.
fn holds(condition: &Expression, values: &Values<'_>, absent: Absent) -> Result<bool, Failure> {
    if let Expression::Equal(first, others) = condition {
        let first = evaluate(first, values, absent)?;
        for other in others {
            if evaluate(other, values, absent)? == first {
                return Ok(true);
            }
        }
        return Ok(false);
    }
    Ok(!evaluate(condition, values, absent)?.is_empty())
}

fn names_in<'a>(nodes: &'a [Node], names: &mut Vec<&'a str>) {
    for node in nodes {
        match node {
            Node::Text(_) => {}
            Node::Insert(expression) => names_of(expression, names),
            Node::If {
                condition,
                then,
                otherwise,
            } => {
                names_of(condition, names);
                names_in(then, names);
                names_in(otherwise, names);
            }
        }
    }
}

fn names_of<'a>(expression: &'a Expression, names: &mut Vec<&'a str>) {
    match expression {
        Expression::Literal(_) => {}
        Expression::Field(name) | Expression::Index(name) => names.push(name),
        Expression::Equal(first, others) => {
            names_of(first, names);
            others.iter().for_each(|other| names_of(other, names));
        }
    }
}

#[cfg(test)]
mod tests;
