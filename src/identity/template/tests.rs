//! Every supported form as Go renders it, and what is refused when it is read.

use super::*;
use crate::json;

const CLAIMS: &str = r#"{
    "ref": "main", "ref_type": "branch", "empty": "", "list": [1],
    "oidc.example/id": "7", "quote": "\"", "trap": "{{ .ref }}<&>*"
}"#;

fn render(template: &str, absent: Absent) -> Result<String, Failure> {
    let claims = json::parse(CLAIMS.as_bytes()).unwrap();
    let values = Values {
        claims: claims.as_object().unwrap(),
        defaults: &[],
    };
    let template = Template::parse(template).unwrap().unwrap();
    let text = template.render(&values, absent)?;
    Ok(text.into_owned())
}

fn rendered(template: &str) -> String {
    render(template, Absent::IsEmpty).unwrap()
}

#[test]
fn a_text_without_braces_names_one_value() {
    assert_eq!(rendered("ref"), "main");
    assert_eq!(rendered("oidc.example/id"), "7");
    let missing = Failure::Missing {
        name: "refs/heads/main".into(),
    };
    assert_eq!(render("refs/heads/main", Absent::IsEmpty), Err(missing));
}

#[test]
fn every_supported_form_renders_as_in_go() {
    for (template, expected) in [
        ("{{ .ref }}", "main"),
        ("{{.ref}}", "main"),
        ("a/{{ .ref }}/b", "a/main/b"),
        ("}}{{ .ref }}}}", "}}main}}"),
        (r#"{{ index . "oidc.example/id" }}"#, "7"),
        (r#"[{{ index . "absent" }}]"#, "[]"),
        (r#"{{ (index . "oidc.example/id") }}"#, "7"),
        (r#"{{ "lit\"er\\al }}" }}"#, r#"lit"er\al }}"#),
        (
            r#"{{if eq .ref_type "branch"}}heads/{{ else }}tags/{{end}}{{ .ref }}"#,
            "heads/main",
        ),
        (
            r#"{{if eq .ref_type "tag"}}heads/{{ else }}tags/{{end}}{{ .ref }}"#,
            "tags/main",
        ),
        (r#"{{ if eq (index . "absent") "true" }}x{{ end }}y"#, "y"),
        (r#"{{ if eq .ref "a" "b" "main" }}x{{ end }}"#, "x"),
        (r#"{{ if (eq .ref ("main")) }}x{{ end }}"#, "x"),
        (r#"{{ eq .ref "main" }}"#, "true"),
        ("{{ if .empty }}x{{ else }}y{{ end }}", "y"),
        (
            "{{ if .ref }}x{{ if .empty }}y{{ else }}z{{ end }}{{ end }}",
            "xz",
        ),
        ("{{ if .empty }}{{ .absent }}{{ end }}x", "x"),
        (r#"{{ if .empty }}x{{ else }}""{{ end }}"#, "\"\""),
        ("{{\n.ref\t}}", "main"),
    ] {
        assert_eq!(rendered(template), expected, "{template}");
    }
}

#[test]
fn a_value_is_inserted_and_never_read() {
    assert_eq!(rendered("{{ .trap }}"), "{{ .ref }}<&>*");
    assert_eq!(rendered("trap"), "{{ .ref }}<&>*");
    assert_eq!(rendered("{{ .quote }}"), "\"");
}

#[test]
fn a_value_that_is_not_there_is_an_error() {
    for template in [
        "absent",
        "{{ .absent }}",
        r#"{{ if eq .absent "" }}{{ end }}"#,
    ] {
        let missing = Failure::Missing {
            name: "absent".into(),
        };
        assert_eq!(
            render(template, Absent::IsEmpty),
            Err(missing),
            "{template}"
        );
    }
    let missing = Failure::Missing {
        name: "absent".into(),
    };
    assert_eq!(
        render(r#"{{ index . "absent" }}"#, Absent::IsAnError),
        Err(missing)
    );
    let invalid = Failure::Invalid {
        name: "list".into(),
        problem: Problem::NotAScalar,
    };
    assert_eq!(render("{{ .list }}", Absent::IsEmpty), Err(invalid));
}

#[test]
fn a_blank_template_is_none() {
    for text in ["", " ", "\n"] {
        assert_eq!(Template::parse(text), Ok(None));
    }
}

#[test]
fn anything_else_is_refused_when_it_is_read() {
    for action in [
        "",
        " ",
        ".",
        ".a.b",
        "$x",
        "$",
        "-  .ref -",
        "/* c */",
        ".ref | printf",
        "printf \"%s\" .ref",
        "range .ref",
        "with .ref",
        "define \"x\"",
        "template \"x\"",
        "block \"x\" .",
        "ne .a .b",
        "and .a .b",
        "not .a",
        "len .a",
        "html .a",
        "eq",
        "eq .a",
        "eq .a .",
        "index .",
        "index . .a",
        "index .a \"b\"",
        "index . \"a\" \"b\"",
        "if",
        "else if .a",
        ".a .b",
        "(.a",
        ".a)",
        "()",
        "(if .a)",
        "`raw`",
        "'c'",
        "1",
        "true",
        "nil",
        "\"open",
        "\"\\n\"",
        "ref",
        ".1",
        ".é",
        "eq (eq .a .b) \"true\"",
        "break",
        "end .a",
    ] {
        let text = format!("x{{{{{action}}}}}y");
        let error = Template::parse(&text).unwrap_err();
        let right = matches!(
            error,
            TemplateError::Unsupported { .. } | TemplateError::Unclosed { .. }
        );
        assert!(right, "{text}: {error}");
    }
}

#[test]
fn blocks_open_and_close() {
    assert_eq!(Template::parse("{{ if .a }}x"), Err(TemplateError::NoEnd));
    assert_eq!(
        Template::parse("{{ if .a }}x{{ else }}y"),
        Err(TemplateError::NoEnd)
    );
    for (text, action) in [
        ("{{ end }}", "end"),
        ("x{{ else }}", "else"),
        ("{{ if .a }}{{ else }}{{ else }}{{ end }}", "else"),
        ("{{ if .a }}{{ end }}{{ end }}", "end"),
    ] {
        let expected = TemplateError::NoIf {
            action: action.into(),
        };
        assert_eq!(Template::parse(text), Err(expected), "{text}");
    }
    let expected = TemplateError::Unclosed {
        action: " .a ".into(),
    };
    assert_eq!(Template::parse("a{{ .a "), Err(expected));
}

#[test]
fn a_template_has_bounds() {
    let long = "x".repeat(MAX_TEMPLATE_BYTES + 1);
    let expected = TemplateError::TooLong { bytes: long.len() };
    assert_eq!(Template::parse(&long), Err(expected));
    let nested = |n: usize| format!("{}{}", "{{if .a}}".repeat(n), "{{end}}".repeat(n));
    assert!(Template::parse(&nested(MAX_NESTING)).is_ok());
    assert_eq!(
        Template::parse(&nested(MAX_NESTING + 1)),
        Err(TemplateError::TooDeep)
    );
    let parentheses = |n: usize| format!("{{{{{}.a{}}}}}", "(".repeat(n), ")".repeat(n));
    assert!(Template::parse(&parentheses(MAX_NESTING)).is_ok());
    assert!(Template::parse(&parentheses(MAX_NESTING + 1)).is_err());
}

#[test]
fn a_template_tells_what_it_looks_at() {
    let text = r#"{{ if eq .a "x" }}{{ .b }}{{ else }}{{ index . "c" }}{{ end }}"#;
    assert_eq!(
        Template::parse(text).unwrap().unwrap().names(),
        ["a", "b", "c"]
    );
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in r#"(\{\{|\}\}|if|else|end|eq|index|\.|\.a|"|\\|\(|\)| |é|x){0,24}"#) {
        let _ = Template::parse(&text);
    }
}
