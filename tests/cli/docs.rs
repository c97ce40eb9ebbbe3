//! What the documentation names is there: files, folders, and the pages it links to.

use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Folders whose files are named by their path from the root.
const FOLDERS: [&str; 9] = [
    ".ci/",
    "benches/",
    "config/",
    "docs/",
    "fuzz/",
    "src/",
    "testdata/",
    "tests/",
    "deploy/",
];

/// Every page: those of docs/, and those beside the README.
fn pages() -> Vec<PathBuf> {
    let folders = [ROOT.to_owned(), format!("{ROOT}/docs")];
    let entries = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap());
    let paths = entries.map(|entry| entry.unwrap().path());
    let pages: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|e| e == "md"))
        .collect();
    assert!(pages.len() > 15, "{pages:?}");
    pages
}

/// The paths between back ticks that begin in one of our folders, and say one file or folder.
fn named(page: &str) -> impl Iterator<Item = &str> {
    let quoted = page.split('`').skip(1).step_by(2);
    let words = quoted.flat_map(str::split_whitespace);
    words.filter(|word| {
        FOLDERS.iter().any(|folder| word.starts_with(folder)) && !word.contains(['<', '*', '…'])
    })
}

/// Where the links lead that stay in this repository, without the place in the page.
fn linked(page: &str) -> impl Iterator<Item = &str> {
    let targets = page.split("](").skip(1);
    let targets = targets.filter_map(|rest| rest.split([')', '#']).next());
    targets.filter(|target| !target.is_empty() && !target.contains("://"))
}

#[test]
fn every_file_that_a_page_names_is_there() {
    let mut missing = Vec::new();
    for path in pages() {
        let page = fs::read_to_string(&path).unwrap();
        let page_name = path.file_name().unwrap().to_string_lossy().into_owned();
        let from_root = named(&page).map(|name| Path::new(ROOT).join(name));
        let beside = linked(&page).map(|name| path.parent().unwrap().join(name));
        let absent = from_root.chain(beside).filter(|file| !file.exists());
        missing.extend(absent.map(|file| format!("{page_name}: {}", file.display())));
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn a_name_and_a_link_are_found() {
    let page = "as `tests/no.rs` and `.ci/no NAME` say, `src/keys/<name>.rs`; [x](no.md#y), [z](https://z/)";
    let names: Vec<_> = named(page).collect();
    assert_eq!(names, ["tests/no.rs", ".ci/no"]);
    assert_eq!(linked(page).collect::<Vec<_>>(), ["no.md"]);
}
