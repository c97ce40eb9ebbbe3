//! Configuration files: read twice the same, every setting with its source, no secret shown.

use std::sync::OnceLock;

use shortleaf::config::{self, Inputs, Source};
use tempfile::TempDir;

pub(crate) fn run(input: &[u8]) {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().expect("a folder"));
    // Tests of one process share the folder, not the file.
    let path = folder
        .path()
        .join(format!("{:?}.toml", std::thread::current().id()));
    std::fs::write(&path, input).expect("a file");
    let inputs = Inputs {
        file: Some(path.clone()),
        ..Inputs::default()
    };
    match (config::load(&inputs), config::load(&inputs)) {
        (Ok(one), Ok(two)) => {
            let (one, two) = (one.effective.0, two.effective.0);
            assert_eq!(one, two);
            let table: toml::Table = toml::from_str(str::from_utf8(input).expect("UTF-8"))
                .expect("what is loaded is TOML");
            let known = |source: &Source| match source {
                Source::Default | Source::Preset(_) => true,
                Source::File(from) => *from == path && !table.is_empty(),
                Source::Environment(_) | Source::Flag => false,
            };
            assert!(one.iter().all(|(_, _, source)| known(source)));
        }
        (Err(one), Err(two)) => assert_eq!(one.to_string(), two.to_string()),
        _ => panic!("loads once, and once not"),
    }
}
