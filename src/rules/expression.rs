//! `when`: a condition in the Common Expression Language, for what claims and globs cannot say.
//!
//! The crate that evaluates has no budget, so what could need one is refused when the rules are
//! read: macros that walk a list, arithmetic, and concatenation. What is left looks at every part
//! of an expression at most once, each time at no more than one token's claims: the bound on an
//! evaluation is [`MAX_EXPRESSION_NODES`] comparisons of texts of 16 KiB together.

use std::fmt;
use std::sync::{Arc, LazyLock};

use cel::common::ast::{EntryExpr, Expr, LiteralValue, operators};
use cel::{Context, Env, IdedExpr, Program, Value};

/// Longest expression, in bytes.
pub const MAX_EXPRESSION_BYTES: usize = 1024;
/// Most nodes of an expression's tree.
pub const MAX_EXPRESSION_NODES: usize = 256;
/// Deepest nesting of parentheses and brackets, counted before anything is parsed.
const MAX_NESTING: usize = 16;

/// Operators and functions there are. None of them makes a text longer than its operands.
const KNOWN: &[&str] = &[
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER,
    operators::GREATER_EQUALS,
    operators::LESS,
    operators::LESS_EQUALS,
    operators::INDEX,
    operators::IN,
    "contains",
    "endsWith",
    "int",
    "size",
    "startsWith",
    "string",
];

/// The one variable.
const CLAIMS: &str = "claims";

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// A condition, compiled.
pub(super) struct Expression {
    source: String,
    program: Program,
}

/// Why a text is no condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExpressionError {
    /// Over [`MAX_EXPRESSION_BYTES`].
    #[error("expression of {bytes} bytes is longer than {MAX_EXPRESSION_BYTES}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Nested too deeply, or more than [`MAX_EXPRESSION_NODES`].
    #[error(
        "expression has more than {MAX_EXPRESSION_NODES} parts or nests deeper than {MAX_NESTING}"
    )]
    TooLarge,
    /// Not CEL.
    #[error("expression does not parse: {problem}")]
    Syntax {
        /// What the parser says.
        problem: String,
    },
    /// A function or operator outside of the list.
    #[error(
        "expression uses {name:?}, which is not available here; there are: {}",
        available()
    )]
    Unavailable {
        /// Which.
        name: String,
    },
    /// A variable other than `claims`.
    #[error(
        "expression reads {name:?}; the token's claims are in \"claims\", as claims.ref or claims[\"ref\"]"
    )]
    Variable {
        /// Which.
        name: String,
    },
}

/// What a condition says about one token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evaluation {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It says nothing about this token: a claim is absent or of another type.
    Failed(String),
}

impl Expression {
    pub(super) fn parse(source: &str) -> Result<Self, ExpressionError> {
        if source.len() > MAX_EXPRESSION_BYTES {
            return Err(ExpressionError::TooLong {
                bytes: source.len(),
            });
        }
        if nesting(source) > MAX_NESTING {
            return Err(ExpressionError::TooLarge);
        }
        let program = Program::compile(source).map_err(|errors| ExpressionError::Syntax {
            problem: one_line(&errors.to_string()),
        })?;
        let mut left = MAX_EXPRESSION_NODES;
        check(program.expression(), &mut left)?;
        Ok(Self {
            source: source.to_owned(),
            program,
        })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.source
    }

    /// The claims it names: `claims.ref`, `claims["ref"]`, `has(claims.ref)`.
    pub(super) fn claims(&self) -> Vec<&str> {
        let mut found = Vec::new();
        name_claims(self.program.expression(), &mut found);
        found
    }

    pub(super) fn evaluate(&self, context: &Context<'_, '_>) -> Evaluation {
        match self.program.execute(context) {
            Ok(Value::Bool(true)) => Evaluation::True,
            Ok(Value::Bool(false)) => Evaluation::False,
            Ok(other) => Evaluation::Failed(format!("it is a {}, not a bool", other.type_of())),
            Err(error) => Evaluation::Failed(problem(&error)),
        }
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

/// An empty context with the standard library.
pub(super) fn context() -> Context<'static, 'static> {
    Context::with_env(Arc::clone(&ENVIRONMENT))
}

/// The error without the values in it: they are claims, and longer than anyone reads.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "the crate's list may grow, and most of it is one thing to a reader"
)]
fn problem(error: &cel::ExecutionError) -> String {
    match error {
        cel::ExecutionError::NoSuchKey(name) => {
            format!("there is no {name:?}; has(…) asks whether there is")
        }
        cel::ExecutionError::NoSuchOverload(overload) => overload.to_string(),
        _ => "its operands do not fit each other".to_owned(),
    }
}

fn available() -> String {
    let words = KNOWN.iter().filter(|name| !name.contains(['_', '@']));
    let words: Vec<_> = words.copied().collect();
    format!("comparisons, &&, ||, !, ?:, in, has, {}", words.join(", "))
}

/// The deepest `(`, `[` or `{`. A quoted one counts too: that only refuses more.
fn nesting(source: &str) -> usize {
    let mut open = 0_usize;
    let mut deepest = 0;
    for octet in source.bytes() {
        match octet {
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    deepest
}

/// Refuses what is not on the list, and counts.
fn check(node: &IdedExpr, left: &mut usize) -> Result<(), ExpressionError> {
    *left = left.checked_sub(1).ok_or(ExpressionError::TooLarge)?;
    let unavailable = |name: &str| ExpressionError::Unavailable {
        name: name.to_owned(),
    };
    match &node.expr {
        Expr::Unspecified => Err(unavailable("nothing")),
        Expr::Literal(_) => Ok(()),
        Expr::Ident(name) if name == CLAIMS => Ok(()),
        Expr::Ident(name) => Err(ExpressionError::Variable { name: name.clone() }),
        Expr::Select(select) => check(&select.operand, left),
        Expr::Call(call) => {
            if !KNOWN.contains(&call.func_name.as_str()) {
                return Err(unavailable(&call.func_name));
            }
            let mut operands = call.target.as_deref().into_iter().chain(&call.args);
            operands.try_for_each(|operand| check(operand, left))
        }
        Expr::List(list) => list.elements.iter().try_for_each(|item| check(item, left)),
        Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => {
                check(&entry.key, left)?;
                check(&entry.value, left)
            }
            EntryExpr::StructField(_) => Err(unavailable("struct")),
        }),
        Expr::Struct(_) => Err(unavailable("struct")),
        // all, exists, exists_one, map, filter.
        Expr::Comprehension(_) => Err(unavailable("a macro over a list")),
    }
}

/// The members of `claims` that are named under this node.
fn name_claims<'e>(node: &'e IdedExpr, found: &mut Vec<&'e str>) {
    let is_claims = |node: &IdedExpr| matches!(&node.expr, Expr::Ident(name) if name == CLAIMS);
    match &node.expr {
        Expr::Select(select) if is_claims(&select.operand) => found.push(&select.field),
        Expr::Select(select) => name_claims(&select.operand, found),
        Expr::Call(call) => {
            let operands = call.target.as_deref().into_iter().chain(&call.args);
            if let (operators::INDEX, [of, key]) = (call.func_name.as_str(), &call.args[..])
                && let (true, Expr::Literal(LiteralValue::String(name))) =
                    (is_claims(of), &key.expr)
            {
                found.push(name);
            }
            operands.for_each(|operand| name_claims(operand, found));
        }
        Expr::List(list) => list
            .elements
            .iter()
            .for_each(|item| name_claims(item, found)),
        Expr::Map(map) => map.entries.iter().for_each(|entry| {
            if let EntryExpr::MapEntry(entry) = &entry.expr {
                name_claims(&entry.key, found);
                name_claims(&entry.value, found);
            }
        }),
        // `check` lets neither of the last two pass.
        Expr::Unspecified
        | Expr::Literal(_)
        | Expr::Ident(_)
        | Expr::Struct(_)
        | Expr::Comprehension(_) => {}
    }
}

fn one_line(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    use crate::rules::claim::Claims;

    fn evaluate(source: &str) -> Evaluation {
        let claims = br#"{"ref":"refs/heads/main","run_attempt":"2","n":7,"big":9007199254740993,
            "huge":123456789012345678901234567890,"f":1.50,"yes":true,"amr":["pwd","mfa"],
            "kubernetes.io":{"namespace":"prod"},"nothing":null}"#;
        let claims = json::parse(claims).unwrap();
        let claims = Claims::new(&[], claims.as_object().unwrap());
        Expression::parse(source)
            .unwrap_or_else(|error| panic!("{source}: {error}"))
            .evaluate(claims.for_expressions())
    }

    #[test]
    fn a_condition_holds_or_does_not() {
        for source in [
            "claims.ref == 'refs/heads/main'",
            "claims.ref.startsWith(\"refs/heads/\") && claims.run_attempt != '1'",
            "claims[\"kubernetes.io\"].namespace in ['prod', 'staging']",
            "'mfa' in claims.amr",
            "claims.n == 7 && claims.big == 9007199254740993",
            "claims.huge == '123456789012345678901234567890' && claims.f == '1.5'",
            "claims.yes && !has(claims.environment)",
            "int(claims.run_attempt) <= 3",
            "size(claims.amr) == 2",
            "claims.nothing == null",
            "has(claims.environment) ? claims.environment == 'prod' : true",
        ] {
            assert_eq!(evaluate(source), Evaluation::True, "{source}");
            let not = format!("!({source})");
            assert_eq!(evaluate(&not), Evaluation::False, "{not}");
        }
    }

    #[test]
    fn a_condition_that_says_nothing_is_told_from_one_that_says_no() {
        for (source, problem) in [
            (
                "claims.environment == 'prod'",
                "there is no \"environment\"; has(…) asks whether there is",
            ),
            ("claims.ref", "it is a string, not a bool"),
            (
                "claims.ref < 7",
                "found no matching overload for '_<_' applied to '(string, int)'",
            ),
        ] {
            let Evaluation::Failed(got) = evaluate(source) else {
                panic!("{source}")
            };
            assert_eq!(got, problem);
        }
    }

    #[test]
    fn the_claims_that_a_condition_names_are_known() {
        let source = "claims.ref in ['a', claims[\"kubernetes.io\"].namespace] || !(has(claims.x) ? claims.y.size() < 3 : claims.z == {'k': claims.v}.k)";
        let expression = Expression::parse(source).unwrap();
        let mut names = expression.claims();
        names.sort_unstable();
        assert_eq!(names, ["kubernetes.io", "ref", "v", "x", "y", "z"]);
    }

    #[test]
    fn what_needs_a_budget_is_refused() {
        for (source, name) in [
            ("claims.amr.all(x, x == 'mfa')", "a macro over a list"),
            ("claims.amr.exists(x, x == 'mfa')", "a macro over a list"),
            ("claims.amr.map(x, x) == []", "a macro over a list"),
            ("claims.amr.filter(x, true) == []", "a macro over a list"),
            ("claims.amr.exists_one(x, true)", "a macro over a list"),
            ("claims.ref + claims.ref == ''", "_+_"),
            ("claims.n * 2 == 14", "_*_"),
            ("claims.ref.matches('a+')", "matches"),
            ("bytes(claims.ref) == b''", "bytes"),
            ("duration('1s') == duration('1s')", "duration"),
        ] {
            let name = name.to_owned();
            let error = Expression::parse(source).map(|_| ()).unwrap_err();
            assert_eq!(error, ExpressionError::Unavailable { name }, "{source}");
        }
        let error = Expression::parse("issuer == 'x'").map(|_| ()).unwrap_err();
        let name = "issuer".to_owned();
        assert_eq!(error, ExpressionError::Variable { name });
    }

    #[test]
    fn a_condition_is_small() {
        let many = |n: usize| vec!["claims.yes"; n].join("&&");
        assert!(Expression::parse(&many(85)).is_ok());
        let long = many(86);
        let bytes = long.len();
        for (source, error) in [
            (long, ExpressionError::TooLong { bytes }),
            (
                format!("[{}] == []", vec!["1"; 300].join(",")),
                ExpressionError::TooLarge,
            ),
            (
                "(".repeat(500) + "true" + &")".repeat(500),
                ExpressionError::TooLarge,
            ),
        ] {
            let got = Expression::parse(&source).map(|_| ()).unwrap_err();
            assert_eq!(got, error, "{source}");
        }
        for source in ["", "claims.", "claims.ref ==", "'"] {
            let error = Expression::parse(source).map(|_| ()).unwrap_err();
            assert!(matches!(error, ExpressionError::Syntax { .. }), "{source}");
        }
    }
}
