//! The house's rule of direction: which room may name which, and what the pure floors may not say.
//!
//! Crates forbid cycles, modules do not; this table does. A new room needs a row. A new edge needs
//! an entry, and an entry that points up or closes a circle fails the table's own test.
//!
//! The check reads the source text, not what the compiler made of it: paths that start at `crate`,
//! `super`, `self` or `shortleaf`, and the words of the ban, outside comments, literals and
//! `#[cfg(test)]` items. A re-export through a permitted room is not followed.

#[path = "layers/source.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use source::{blank, declared_modules, is_word, paths, split_tests, words};

/// The floors, lowest first. A room names rooms of its own floor or below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Floor {
    Vocabulary,
    Decisions,
    Services,
    Adapters,
    Doors,
}
use Floor::{Adapters, Decisions, Doors, Services, Vocabulary};

struct Room {
    /// Its module path; an adapter inside a pure room has a row of its own.
    name: &'static str,
    floor: Floor,
    /// The rooms it may name.
    names: &'static [&'static str],
}

const fn room(name: &'static str, floor: Floor, names: &'static [&'static str]) -> Room {
    Room { name, floor, names }
}

#[rustfmt::skip]
const HOUSE: &[Room] = &[
    room("time", Vocabulary, &[]),
    room("spelling", Vocabulary, &[]),
    room("entropy", Vocabulary, &[]),
    room("fault", Vocabulary, &[]),
    room("hash", Vocabulary, &[]),
    room("hex", Vocabulary, &[]),
    room("json", Vocabulary, &[]),
    room("b64", Vocabulary, &[]),
    room("der", Vocabulary, &[]),
    room("merkle", Vocabulary, &["hash", "hex"]),
    room("fixed_key", Vocabulary, &["der"]),
    room("x509", Vocabulary, &["b64", "der", "hex", "time"]),

    room("token", Decisions, &["b64", "fault", "fixed_key", "hash", "hex", "json", "possession", "time"]),
    room("identity", Decisions, &["fault", "json", "spelling", "token"]),
    room("rules", Decisions, &["hash", "identity", "json", "spelling", "token"]),
    room("possession", Decisions, &["der", "fault", "hash", "x509"]),
    room("rates", Decisions, &["fault", "hash"]),
    room("lint", Decisions, &["hex", "time", "x509"]),
    room("ct", Decisions, &["fixed_key", "hash", "hex", "json", "merkle", "time"]),
    room("ca", Decisions, &["ct", "der", "entropy", "fault", "hash", "hex", "identity", "lint", "possession", "time", "x509"]),
    room("audit", Decisions, &["hash", "hex", "time"]),
    room("trust", Decisions, &["ct", "time"]),
    room("verify", Decisions, &["ct", "der", "hash", "hex", "identity", "time", "trust", "x509"]),

    room("issuance", Services, &["audit", "ca", "ct", "entropy", "fault", "hash", "identity", "possession", "rates", "rules", "time", "token", "trace"]),
    room("trace", Services, &["hash", "hex"]),

    room("token::discovery", Adapters, &["fault", "token", "trace"]),
    room("ct::memory", Adapters, &["ct", "merkle", "time"]),
    room("ct::rfc6962", Adapters, &["ct", "time", "trace"]),
    room("rates::memory", Adapters, &["rates"]),
    room("keys", Adapters, &["ca", "der", "entropy", "time", "x509"]),
    room("store", Adapters, &["audit", "ca", "entropy", "issuance", "time", "token"]),
    room("client", Adapters, &["token", "x509"]),
    room("system", Adapters, &["entropy", "time"]),

    room("telemetry", Doors, &["fault", "issuance", "trace"]),
    room("config", Doors, &["ca", "hash", "identity", "possession", "rates", "spelling", "token"]),
    room("server", Doors, &["entropy", "fault", "hex", "issuance", "json", "possession", "rates", "telemetry", "time", "trace", "x509"]),
    room("instance", Doors, &[
        "audit", "ca", "config", "ct", "ct::memory", "ct::rfc6962", "entropy", "fault", "hash", "identity",
        "issuance", "keys", "possession", "rates", "rates::memory", "rules", "server", "store", "system", "telemetry",
        "time", "token", "token::discovery", "trust", "x509",
    ]),
    room("dev", Doors, &[
        "ca", "config", "ct", "ct::memory", "entropy", "hex", "identity", "instance", "issuance", "keys", "possession",
        "rates", "server", "store", "system", "time", "token", "x509",
    ]),
    room("cli", Doors, &[
        "audit", "client", "config", "dev", "fault", "hex", "identity", "instance", "json", "keys", "rules", "system",
        "telemetry", "time", "token", "token::discovery", "trust", "verify", "x509",
    ]),
    room("main", Doors, &["cli"]),
];

/// Crates that bring a runtime, a network, a disk or chance: not for a pure room.
const WORLDLY_CRATES: &[&str] = &[
    "tokio",
    "reqwest",
    "hyper",
    "axum",
    "redb",
    "rand",
    "getrandom",
];
/// Modules of `std` that do.
const WORLDLY_STD: &[&str] = &["fs", "net", "env", "process", "thread"];
/// Names that do, whatever path they came by.
const WORLDLY_NAMES: &[&str] = &["SystemTime", "Instant", "OsRng", "SystemRandom"];
/// Macros that write where no one asked.
const TALKATIVE: &[&str] = &["println!", "eprintln!", "print!", "eprint!"];

// --- the tests ----------------------------------------------------------------------------------

#[test]
fn every_room_names_only_what_its_row_allows() {
    let found = read_house(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").as_path());
    assert_eq!(faults(&found), Vec::<String>::new());
}

#[test]
fn every_room_has_a_row_and_every_row_a_room() {
    let files = read_house(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").as_path());
    let seen: BTreeSet<&str> = files
        .iter()
        .filter_map(|file| home(&file.module).map(|room| room.name))
        .collect();
    let rows: BTreeSet<&str> = HOUSE.iter().map(|room| room.name).collect();
    assert_eq!(seen, rows);
}

/// An entry nobody needs is a door left open.
#[test]
fn every_entry_of_the_table_is_used() {
    let files = read_house(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").as_path());
    let mut unused = Vec::new();
    for room in HOUSE {
        let of_room = |file: &&File| home(&file.module).is_some_and(|home| home.name == room.name);
        let used: BTreeSet<String> = files.iter().filter(of_room).flat_map(named_by).collect();
        let idle = room.names.iter().filter(|name| !used.contains(**name));
        unused.extend(idle.map(|name| format!("{} does not name {name}", room.name)));
    }
    assert_eq!(unused, Vec::<String>::new());
}

#[test]
fn the_table_points_down_and_closes_no_circle() {
    for room in HOUSE {
        for name in room.names {
            let below = row(name);
            assert!(
                below.floor <= room.floor,
                "{} ({:?}) may not stand above {name} ({:?})",
                room.name,
                room.floor,
                below.floor
            );
        }
        assert!(
            !reaches(room.name, room.name),
            "{} reaches itself: a circle",
            room.name
        );
    }
}

// --- the check's own tests: it must be able to fail ---------------------------------------------

#[test]
fn a_path_up_the_house_is_a_fault() {
    for (text, named) in [
        ("use crate::store::redb::RedbStore;", "store"),
        ("use crate::{time::UnixSeconds, store};", "store"),
        ("fn f(x: &crate::server::State) {}", "server"),
        ("use super::cli;", "cli"),
        ("use crate::{ct::{Sct, memory::MemoryLog}};", "ct::memory"),
        ("use shortleaf::config;", "config"),
    ] {
        assert_eq!(
            check("ca/mod.rs", text),
            [format!("src/ca/mod.rs: ca may not name {named}")],
            "{text}"
        );
    }
}

#[test]
fn a_path_the_row_allows_is_none() {
    for text in [
        "use crate::ct::{PreEntry, VerifiedSct};",
        "use crate::{time::UnixSeconds, x509};",
        "use crate::ca::Serial;",
        "use super::lint;",
        "use self::serial::Serial;",
    ] {
        assert_eq!(check("ca/mod.rs", text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn super_is_counted_from_where_the_file_stands() {
    let up = |file| check(file, "use super::super::store;");
    assert_eq!(
        up("ca/issue.rs"),
        ["src/ca/issue.rs: ca may not name store"]
    );
    // Two steps up from a third level end inside the room.
    assert_eq!(up("ca/issue/plan.rs"), Vec::<String>::new());
}

#[test]
fn an_adapter_inside_a_pure_room_stands_on_its_own_floor() {
    assert_eq!(
        check("ct/check.rs", "use super::memory::MemoryLog;"),
        ["src/ct/check.rs: ct may not name ct::memory"]
    );
    assert_eq!(
        check("ct/mod.rs", "pub mod memory; use memory::MemoryLog;"),
        ["src/ct/mod.rs: ct may not name ct::memory"]
    );
    assert_eq!(
        check("ct/rfc6962.rs", "use reqwest::Client; use crate::ct::Sct;"),
        Vec::<String>::new()
    );
    assert_eq!(
        check("ct/memory/tree.rs", "use crate::merkle::Tree;"),
        Vec::<String>::new()
    );
}

#[test]
fn a_worldly_word_on_a_pure_floor_is_a_fault() {
    for (text, word) in [
        ("use tokio::sync::Mutex;", "tokio"),
        ("use std::fs::File;", "std::fs"),
        ("use std::{fmt, env};", "std::env"),
        ("let s = std::net::TcpStream::connect(a);", "std::net"),
        ("let t = SystemTime::now();", "SystemTime"),
        ("use std::time::{Duration, Instant};", "Instant"),
        ("aws_lc_rs::rand::fill(&mut out)", "rand"),
        ("use rand::Rng;", "rand"),
        ("println!(\"{x}\");", "println!"),
    ] {
        assert_eq!(
            check("token/mod.rs", text),
            [format!("src/token/mod.rs: {word} on a pure floor")],
            "{text}"
        );
        assert_eq!(check("cli/mod.rs", text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn the_service_floor_may_wait_but_not_reach_out() {
    assert_eq!(
        check("issuance/mod.rs", "use tokio::sync::Mutex;"),
        Vec::<String>::new()
    );
    assert_eq!(
        check("issuance/mod.rs", "use std::fs;"),
        ["src/issuance/mod.rs: std::fs on the service floor"]
    );
}

#[test]
fn comments_literals_and_test_code_may_say_anything() {
    for text in [
        "//! [`crate::store`] uses tokio::sync\n",
        "/* use crate::store; /* std::fs */ tokio:: */",
        r##"const S: &str = r#"use crate::store; println!"#; const C: char = '"';"##,
        "const T: &str = \"a \\\" crate::store\";",
        "#[cfg(test)]\n#[allow(x)]\nmod tests { use crate::store; fn f() { println!() } }",
        "#[cfg(test)] use crate::{store, cli};",
        "#[cfg(test)] pub(crate) fn f<A, B>(x: [u8; 3]) -> A { std::fs::read(x) }",
        "fn f<'a>(x: &'a str) -> &'a str { x } // 'crate::store'",
    ] {
        assert_eq!(check("ca/issue.rs", text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn what_follows_test_code_is_read_again() {
    for text in [
        "#[cfg(test)] mod tests { fn f() { } } use crate::store;",
        "#[cfg(test)] use crate::cli; use crate::store;",
        "struct S { #[cfg(test)] probe: u8, real: crate::store::Store }",
        "#[cfg(not(test))] use crate::store;",
    ] {
        assert_eq!(
            check("ca/issue.rs", text),
            ["src/ca/issue.rs: ca may not name store"],
            "{text}"
        );
    }
}

#[test]
fn a_file_that_only_tests_see_is_left_out() {
    let file = |name: &str, text: &str| (PathBuf::from(name), text.to_owned());
    let files = keep_shipped(vec![
        file("ct/mod.rs", "#[cfg(test)] mod check; mod sct;"),
        file("ct/check.rs", "use crate::store;"),
        file("ct/sct.rs", ""),
    ]);
    let kept: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(kept, ["ct/mod.rs", "ct/sct.rs"]);
}

#[test]
fn a_room_without_a_row_is_a_fault() {
    assert_eq!(
        check("utils/mod.rs", ""),
        ["src/utils/mod.rs: utils has no row in tests/layers.rs"]
    );
    assert_eq!(
        check("ca/mod.rs", "use crate::utils::x;"),
        ["src/ca/mod.rs: ca may not name utils"]
    );
}

#[test]
fn a_room_is_found_by_its_longest_row() {
    let names: BTreeMap<&str, &str> = [
        ("ct/sct.rs", "ct"),
        ("ct/memory.rs", "ct::memory"),
        ("ct/memory/tree.rs", "ct::memory"),
        ("token/discovery/fetch.rs", "token::discovery"),
        ("time.rs", "time"),
        ("main.rs", "main"),
    ]
    .into();
    for (path, name) in names {
        let found = home(&module_of(Path::new(path))).map(|room| room.name);
        assert_eq!(found, Some(name), "{path}");
    }
}

fn check(path: &str, text: &str) -> Vec<String> {
    faults(&keep_shipped(vec![(path.into(), text.to_owned())]))
}

// --- the table, read ----------------------------------------------------------------------------

fn row(name: &str) -> &'static Room {
    HOUSE
        .iter()
        .find(|room| room.name == name)
        .unwrap_or_else(|| panic!("{name} is named in the table and has no row"))
}

/// Whether `from` reaches `to` in one step or more.
fn reaches(from: &str, to: &str) -> bool {
    let mut next: Vec<&str> = row(from).names.to_vec();
    let mut seen = BTreeSet::new();
    while let Some(name) = next.pop() {
        if name == to {
            return true;
        }
        if seen.insert(name) {
            next.extend(row(name).names);
        }
    }
    false
}

/// The room a module path belongs to: the longest row it starts with.
fn home(module: &[String]) -> Option<&'static Room> {
    (1..=module.len().min(2)).rev().find_map(|length| {
        HOUSE
            .iter()
            .find(|room| room.name == module[..length].join("::"))
    })
}

// --- the source, read ---------------------------------------------------------------------------

struct File {
    /// Below `src/`.
    path: String,
    /// `["ct", "memory"]` for `ct/memory.rs`.
    module: Vec<String>,
    /// Its code: no comments, no literals, no test items.
    code: String,
}

fn read_house(src: &Path) -> Vec<File> {
    let mut texts = Vec::new();
    let mut folders = vec![src.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("src is readable") {
            let path = entry.expect("src is readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("source is text");
                let below = path.strip_prefix(src).expect("found below src").to_owned();
                texts.push((below, text));
            }
        }
    }
    texts.sort();
    keep_shipped(texts)
}

/// Strips every file, and leaves out those that a `#[cfg(test)] mod name;` brings in.
fn keep_shipped(texts: Vec<(PathBuf, String)>) -> Vec<File> {
    let mut test_only = BTreeSet::new();
    let mut files = Vec::new();
    for (path, text) in texts {
        let module = module_of(&path);
        let (code, test_code) = split_tests(&blank(&text));
        for child in declared_modules(&test_code) {
            test_only.insert([module.clone(), vec![child]].concat());
        }
        files.push(File {
            path: path.display().to_string(),
            module,
            code,
        });
    }
    files.retain(|file| {
        !(1..=file.module.len()).any(|length| test_only.contains(&file.module[..length]))
    });
    // The list of rooms itself.
    files.retain(|file| file.path != "lib.rs");
    files
}

fn module_of(path: &Path) -> Vec<String> {
    let mut module: Vec<String> = path
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if module
        .last()
        .is_some_and(|last| last == "mod" || last == "lib")
    {
        module.pop();
    }
    module
}

fn faults(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        let place = format!("src/{}", file.path);
        let Some(room) = home(&file.module) else {
            found.push(format!(
                "{place}: {} has no row in tests/layers.rs",
                file.module[0]
            ));
            continue;
        };
        found.extend(
            named_by(file)
                .into_iter()
                .filter(|named| named != room.name && !room.names.contains(&named.as_str()))
                .map(|named| format!("{place}: {} may not name {named}", room.name)),
        );
        found.extend(
            worldly(&file.code, room.floor)
                .into_iter()
                .map(|word| format!("{place}: {word}")),
        );
    }
    found
}

/// The rooms a file names, its own among them; what has no row, by its first segment.
fn named_by(file: &File) -> BTreeSet<String> {
    paths(&file.code)
        .into_iter()
        .filter_map(|path| absolute(&path, &file.module))
        .filter_map(|path| match home(&path) {
            Some(named) => Some(named.name.to_owned()),
            None => path.first().cloned(),
        })
        .collect()
}

/// The words a floor may not say, as found.
fn worldly(code: &str, floor: Floor) -> BTreeSet<String> {
    let (crates, std, names, floor): (&[&str], _, &[&str], _) = match floor {
        Vocabulary | Decisions => (WORLDLY_CRATES, WORLDLY_STD, WORLDLY_NAMES, "a pure floor"),
        // It waits and times out, but sees the world only through ports.
        Services => (
            &["reqwest", "hyper", "axum", "redb"],
            &["fs", "net", "env", "thread"],
            &["SystemTime", "OsRng", "SystemRandom"],
            "the service floor",
        ),
        Adapters | Doors => return BTreeSet::new(),
    };
    let mut found = BTreeSet::new();
    for path in paths(code) {
        let heads: Vec<&str> = path.iter().map(String::as_str).collect();
        if let ["std", module, ..] = heads[..]
            && std.contains(&module)
        {
            found.insert(format!("std::{module}"));
        }
        if crates.contains(&heads[0]) {
            found.insert(heads[0].to_owned());
        }
        if heads.starts_with(&["aws_lc_rs", "rand"]) {
            found.insert("rand".to_owned());
        }
    }
    found.extend(
        words(code)
            .filter(|word| names.contains(word))
            .map(str::to_owned),
    );
    found.extend(
        TALKATIVE
            .iter()
            .filter(|word| {
                code.match_indices(**word)
                    .any(|(at, _)| !code[..at].ends_with(is_word))
            })
            .map(|word| (*word).to_owned()),
    );
    found
        .into_iter()
        .map(|word| format!("{word} on {floor}"))
        .collect()
}

/// A path as written, from the crate's root; `None` if it does not lead to a room.
fn absolute(path: &[String], module: &[String]) -> Option<Vec<String>> {
    let supers = path
        .iter()
        .take_while(|segment| *segment == "super")
        .count();
    let (base, rest): (&[String], &[String]) = match path[0].as_str() {
        "crate" | "shortleaf" => (&[], &path[1..]),
        "self" => (module, &path[1..]),
        "super" => (
            &module[..module.len().saturating_sub(supers)],
            &path[supers..],
        ),
        // `memory::MemoryLog` in the file that declares `mod memory`: only adapters matter here.
        head => {
            let inner = [module, &[head.to_owned()]].concat();
            let adapter = home(&inner).filter(|room| room.name == inner.join("::"));
            return adapter.map(|_| inner);
        }
    };
    let whole = [base, rest].concat();
    // `crate::CONSTANT`, a glob, or an item of the room itself.
    (!whole.is_empty()).then_some(whole)
}
