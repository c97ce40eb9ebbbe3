//! `demo`: the first thing anyone sees.

use std::fs;
use std::path::PathBuf;

use crate::parts::Running;
use crate::program::{PATIENCE, Place, SHORTLEAF, no_secret};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/demo.golden");

/// Hex and digits differ from run to run; words do not.
pub(crate) fn masked(text: &str) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        let words: Vec<String> = line.split(' ').map(mask_word).collect();
        let line = words.join(" ");
        // A number of another width moves what is right-aligned.
        match line.strip_suffix(" N.N ms") {
            Some(what) => lines.push_str(&format!("{}  N.N ms", what.trim_end())),
            None => lines.push_str(&line),
        }
        lines.push('\n');
    }
    lines
}

fn mask_word(word: &str) -> String {
    let hex = word.len() >= 8 && word.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if hex {
        return "HEX".to_owned();
    }
    let mut masked = String::new();
    for c in word.chars() {
        // One N for a run of digits, however long: 127.0.0.1:40123 is N.N.N.N:N.
        if !c.is_ascii_digit() {
            masked.push(c);
        } else if !masked.ends_with('N') {
            masked.push('N');
        }
    }
    masked
}

#[test]
fn it_tells_its_story_and_leaves_nothing_behind() {
    let place = Place::new();
    let words: &[&str] = &["demo"];
    let mut command = place.command(SHORTLEAF);
    command.args(words);
    // A guard against hanging; how fast it is, the benches say.
    let ended = Running::start("shortleaf demo", &mut command).finish(PATIENCE);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert_eq!(ended.stderr, "");
    no_secret(&ended.stdout);
    assert_eq!(place.left_behind(), Vec::<PathBuf>::new());
    let files: Vec<_> = fs::read_dir(place.folder()).unwrap().collect();
    assert_eq!(files.len(), 1, "only the temporary folder: {files:?}");

    let told = masked(&ended.stdout);
    if std::env::var_os("SHORTLEAF_REGENERATE").is_some() {
        fs::write(GOLDEN, &told).unwrap();
    }
    assert_eq!(told, fs::read_to_string(GOLDEN).unwrap());
}

#[test]
fn its_facts_are_json_too() {
    let place = Place::new();
    let facts = place.run(&["--json", "demo"]).exits(0).json();
    assert_eq!(
        facts["identity"],
        "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main"
    );
    assert_eq!(facts["refused"]["reason"], "TOKEN_EXPIRED");
    assert_eq!(facts["refused"]["status"], 400);
    assert!(
        facts["checks"]
            .as_array()
            .is_some_and(|checks| checks.len() >= 4)
    );
    assert!(facts["timing"][0]["ms"].as_f64().is_some_and(|ms| ms > 0.0));
}

#[test]
fn interrupted_it_still_leaves_nothing_behind() {
    let place = Place::new();
    let mut command = place.command(SHORTLEAF);
    let mut demo = Running::start("shortleaf demo", command.arg("demo"));
    // Its folder is there before its first scene is told.
    demo.wait_for_line("1  ", PATIENCE);
    demo.signal("INT");
    let ended = demo.finish(PATIENCE);
    assert_eq!(ended.status.code(), Some(130), "{}", ended.stderr);
    assert_eq!(place.left_behind(), Vec::<PathBuf>::new());
}
