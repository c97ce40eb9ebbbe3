//! The certificate log most of the world runs: ctfe over Trillian over MariaDB, from nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::parts::{self, Running};

const PASSWORD: &str = "peer";

/// The parts it takes, besides the tools of the system.
const PARTS: [&str; 6] = [
    "ct_server",
    "trillian_log_server",
    "trillian_log_signer",
    "createtree",
    "mariadbd",
    "mariadb-install-db",
];

/// A log that takes code-signing certificates below one root.
pub(crate) struct Ctfe {
    // In the order they are to end: each needs the ones after it.
    _frontend: Running,
    _signer: Running,
    _server: Running,
    _database: Running,
    url: String,
    key: PathBuf,
}

impl Ctfe {
    /// Starts all four programs in `folder`; `None` after saying so if one is not installed.
    pub(crate) fn start(folder: &Path, root: &Path) -> Option<Self> {
        for part in PARTS {
            parts::require_or_skip(part)?;
        }
        let (database, mysql) = start_database(&folder.join("db"));
        let storage = [
            "--storage_system=mysql",
            "--quota_system=noop",
            &format!("--mysql_uri={mysql}"),
        ];

        let backend = format!("127.0.0.1:{}", parts::free_port());
        let mut server = Running::start(
            "trillian_log_server",
            command("trillian_log_server")
                .args(storage)
                .arg(format!("--rpc_endpoint={backend}"))
                .arg(format!("--http_endpoint=127.0.0.1:{}", parts::free_port())),
        );
        let signer = Running::start(
            "trillian_log_signer",
            command("trillian_log_signer")
                .args(storage)
                .args([
                    "--force_master",
                    "--sequencer_interval=200ms",
                    "--batch_size=1000",
                ])
                .arg(format!("--rpc_endpoint=127.0.0.1:{}", parts::free_port()))
                .arg(format!("--http_endpoint=127.0.0.1:{}", parts::free_port())),
        );
        // Until the server listens, asking it fails.
        let tree = server.wait_for("a tree", parts::PATIENCE, |_| {
            let made = Running::start(
                "createtree",
                command("createtree").arg(format!("--admin_server={backend}")),
            )
            .finish(parts::PATIENCE);
            made.status.success().then(|| made.stdout.trim().to_owned())
        });

        let key = make_key(folder);
        let config = folder.join("ctfe.cfg");
        fs::write(
            &config,
            format!(
                "config {{ log_id: {tree} prefix: \"peer\" roots_pem_file: {root:?} \
                 max_merge_delay_sec: 86400 ext_key_usages: \"CodeSigning\" \
                 private_key: {{ [type.googleapis.com/keyspb.PEMKeyFile] \
                 {{ path: {:?} password: \"{PASSWORD}\" }} }} }}",
                folder.join("log.enc.key.pem"),
            ),
        )
        .expect("the scratch folder is writable");
        let port = parts::free_port();
        let mut frontend = Running::start(
            "ct_server",
            command("ct_server")
                .arg(format!("--log_config={}", config.display()))
                .arg(format!("--log_rpc_server={backend}"))
                .arg(format!("--http_endpoint=127.0.0.1:{port}"))
                .arg(format!(
                    "--metrics_endpoint=127.0.0.1:{}",
                    parts::free_port()
                )),
        );
        let url = format!("http://127.0.0.1:{port}/peer");
        frontend.wait_for_url(&format!("{url}/ct/v1/get-sth"), parts::PATIENCE);
        Some(Self {
            _frontend: frontend,
            _signer: signer,
            _server: server,
            _database: database,
            url,
            key,
        })
    }

    /// The submission prefix: what stands before `/ct/v1/`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Its public key, PEM.
    pub(crate) fn key(&self) -> &Path {
        &self.key
    }
}

fn command(part: &str) -> Command {
    Command::new(parts::find(part).expect("asked for before"))
}

/// A database server with Trillian's schema, and how Go programs name it.
fn start_database(folder: &Path) -> (Running, String) {
    fs::create_dir(folder).expect("the scratch folder is writable");
    let data = folder.join("data");
    let socket = folder.join("socket");
    let port = parts::free_port();
    // As whoever runs the tests, root included.
    parts::run(
        "mariadb-install-db",
        command("mariadb-install-db")
            .args(["--no-defaults", "--user=root", "--skip-test-db"])
            .arg("--auth-root-authentication-method=normal")
            .arg(format!("--datadir={}", data.display())),
        parts::PATIENCE,
    );
    let mut running = Running::start(
        "mariadbd",
        command("mariadbd")
            .args(["--no-defaults", "--user=root", "--bind-address=127.0.0.1"])
            .args(["--skip-log-bin", "--innodb-buffer-pool-size=64M"])
            .arg(format!("--port={port}"))
            .arg(format!("--socket={}", socket.display()))
            .arg(format!("--pid-file={}", folder.join("pid").display()))
            .arg(format!("--datadir={}", data.display())),
    );
    let schema = parts::find("share/trillian.sql").expect("comes with Trillian");
    let set_up = format!(
        "CREATE DATABASE trillian; \
         CREATE USER peer@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'; \
         GRANT ALL ON trillian.* TO peer@'127.0.0.1'; \
         USE trillian;\n{}",
        fs::read_to_string(schema).expect("it is text")
    );
    let client = |statement: &str| {
        Running::start(
            "mariadb",
            Command::new("mariadb")
                .args(["--no-defaults", "--user=root", "--batch", "-e", statement])
                .arg(format!("--socket={}", socket.display())),
        )
        .finish(parts::PATIENCE)
    };
    running.wait_for("an answer", parts::PATIENCE, |_| {
        client("SELECT 1").status.success().then_some(())
    });
    let made = client(&set_up);
    assert!(made.status.success(), "the schema: {}", made.stderr);
    (
        running,
        format!("peer:{PASSWORD}@tcp(127.0.0.1:{port})/trillian"),
    )
}

/// The log's key, encrypted as ctfe reads it; answers with the public half.
fn make_key(folder: &Path) -> PathBuf {
    let path = |name: &str| folder.join(name).display().to_string();
    let openssl = |arguments: &[&str]| {
        parts::run(
            "openssl",
            Command::new("openssl").args(arguments),
            parts::PATIENCE,
        );
    };
    let (plain, encrypted, public) = (
        path("log.key.pem"),
        path("log.enc.key.pem"),
        path("log.pub.pem"),
    );
    openssl(&[
        "ecparam",
        "-name",
        "prime256v1",
        "-genkey",
        "-noout",
        "-out",
        &plain,
    ]);
    openssl(&[
        "ec",
        "-aes128",
        "-passout",
        &format!("pass:{PASSWORD}"),
        "-in",
        &plain,
        "-out",
        &encrypted,
    ]);
    openssl(&["ec", "-pubout", "-in", &plain, "-out", &public]);
    public.into()
}
