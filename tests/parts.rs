//! The rules of `world/parts.rs` itself: what is started dies, what is missing is named.

#[path = "world/parts.rs"]
mod parts;
#[path = "world/secrets.rs"]
mod secrets;

use std::process::Command;

use parts::{PATIENCE, Running};

fn alive(pid: &str) -> bool {
    // A zombie has an entry too; its state is Z.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| !rest.starts_with(" Z"))
    })
}

#[test]
fn a_dropped_program_takes_what_it_started_along() {
    let mut shell = Running::start(
        "sh",
        Command::new("sh").args(["-c", "sleep 600 & echo CHILD $!; wait"]),
    );
    let grandchild = shell.wait_for_line("CHILD ", PATIENCE);
    assert!(alive(&grandchild));
    drop(shell);
    let gone = parts::wait_until(PATIENCE, || (!alive(&grandchild)).then_some(()));
    assert_eq!(gone, Some(()));
}

#[test]
fn a_program_that_ends_gives_its_status_and_both_streams() {
    let finished = Running::start(
        "sh",
        Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]),
    )
    .finish(PATIENCE);
    assert_eq!(finished.status.code(), Some(3));
    assert_eq!(
        (finished.stdout.as_str(), finished.stderr.as_str()),
        ("out\n", "err\n")
    );
}

#[test]
#[should_panic(expected = "sh ended")]
fn waiting_for_a_line_ends_with_the_program() {
    Running::start("sh", Command::new("sh").args(["-c", "echo REA"]))
        .wait_for_line("READY ", PATIENCE);
}

#[test]
fn a_program_of_the_system_is_found_and_an_invented_one_is_not() {
    assert!(parts::find("sh").is_some());
    assert_eq!(parts::find("no-such-program-of-shortleaf"), None);
}
