//! What `mode = "production"` refuses, and that it says which setting and why. Nothing is started.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// What a refused configuration ends with.
const REFUSED: i32 = 64;

/// Everything as it should be.
const GOOD: &str = r#"
mode = "production"
public_url = "https://homeward.example.com"
[listen]
grpc = { address = "0.0.0.0:7443", tls = { certificate_file = "grpc.pem", key_file = "grpc.key" } }
[storage]
database = "postgres://policy:Pa55@db.example.com/homeward?sslmode=verify-full&sslrootcert=ca.pem"
broker = "amqps://policy:Pa55@mq.example.com/%2f"
[notification]
transport = "smtp"
from = "Homeward <homeward@example.com>"
smtp = { url = "smtps://mail.example.com", username = "homeward", password_file = "mail.password" }
[[organisations]]
id = "acme"
recovery_policy = "pol-recovery"
home_policies = ["pol-everyone"]
default_home = "pol-everyone"
[organisations.policies]
pol-everyone = { name = "Everyone", two_step = "mandatory" }
pol-recovery = { name = "Recovery", two_step = "optional" }
[organisations.provider]
kind = "atlassian"
org_id = "0a1b2c3d-0000-4000-8000-000000000000"
api_key_file = "provider.key"
"#;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for secret in ["grpc.key", "mail.password", "provider.key", "grants.key"] {
            folder.write(secret, "s3cret", 0o600);
        }
        folder
    }

    fn write(&self, name: &str, text: &str, rights: u32) {
        let file = self.0.path().join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(rights)).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// What `homeward config check` says of these settings.
    fn check(&self, settings: &str) -> (Option<i32>, String) {
        self.write("homeward.toml", settings, 0o600);
        self.run(&["config", "check"])
    }

    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_homeward"));
        let said = command.args(arguments).current_dir(self.path()).env_clear().output().unwrap();
        (said.status.code(), String::from_utf8_lossy(&said.stderr).into_owned())
    }
}

#[test]
fn settings_that_are_secure_are_taken() {
    let (status, said) = Folder::new().check(GOOD);
    assert_eq!(status, Some(0), "{said}");
}

#[test]
fn production_refuses_each_weakness_and_names_it() {
    let weak: &[(&str, &str, &str, &str)] = &[
        ("plaintext gRPC", ", tls = { certificate_file = \"grpc.pem\", key_file = \"grpc.key\" }", "", "`listen.grpc`"),
        ("plaintext pages", "[storage]", "console = \"0.0.0.0:7080\"\n[storage]", "`listen.console`"),
        ("plaintext links", "https://homeward.example.com", "http://homeward.example.com", "`public_url`"),
        ("a database whose server is not checked", "sslmode=verify-full", "sslmode=require", "`storage.database`"),
        ("a database without TLS", "?sslmode=verify-full&sslrootcert=ca.pem", "", "`storage.database`"),
        ("a database's default password", "policy:Pa55@db", "postgres:postgres@db", "`storage.database`"),
        ("no database password", "policy:Pa55@db", "policy@db", "`storage.database`"),
        ("a broker without TLS", "amqps://", "amqp://", "`storage.broker`"),
        ("a broker's default password", "policy:Pa55@mq", "guest:guest@mq", "`storage.broker`"),
        ("a broker's default password by silence", "policy:Pa55@mq", "mq", "`storage.broker`"),
        ("mail without TLS", "smtps://mail", "smtp://mail", "`notification.smtp.url`"),
        (
            "a provider without TLS",
            "org_id =",
            "base_url = \"http://api.example.com\"\norg_id =",
            "`organisations.acme.provider.base_url`",
        ),
        ("a secret in the file", "api_key_file = \"provider.key\"", "api_key_file = \"open.key\"", "chmod o-r open.key"),
    ];
    let folder = Folder::new();
    folder.write("open.key", "s3cret", 0o644);
    for (what, good, bad, named) in weak {
        assert!(GOOD.contains(good), "{what}");
        let settings = GOOD.replacen(good, bad, 1);
        let (status, said) = folder.check(&settings);
        assert_eq!(status, Some(REFUSED), "{what}: {said}");
        assert!(said.contains(named), "{what} should name {named}: {said}");
        assert!(!said.contains("Pa55") && !said.contains("s3cret"), "no secret is repeated: {said}");
        // Development takes it all.
        let (status, said) = folder.check(&settings.replacen("production", "development", 1));
        assert_eq!(status, Some(0), "{what}: {said}");
    }
}

#[test]
fn what_stays_on_the_machine_needs_no_tls_but_still_a_password() {
    let folder = Folder::new();
    let near = GOOD
        .replacen("db.example.com/homeward?sslmode=verify-full&sslrootcert=ca.pem", "127.0.0.1/homeward", 1)
        .replacen("amqps://policy:Pa55@mq.example.com", "amqp://policy:Pa55@localhost", 1)
        .replacen("smtps://mail.example.com", "smtp://[::1]:1025", 1);
    let (status, said) = folder.check(&near);
    assert_eq!(status, Some(0), "{said}");
    let (status, said) = folder.check(&near.replacen("policy:Pa55@localhost", "guest:guest@localhost", 1));
    assert_eq!(status, Some(REFUSED), "{said}");
    let socket = near.replacen("policy:Pa55@127.0.0.1/homeward", "policy@/homeward?host=/run/postgresql", 1);
    let (status, said) = folder.check(&socket);
    assert_eq!(status, Some(0), "the system knows who calls on a socket of its own: {said}");
}

#[test]
fn a_secret_in_settings_that_everyone_can_read_is_refused() {
    let folder = Folder::new();
    let literal = GOOD.replacen("api_key_file = \"provider.key\"", "api_key = \"s3cret\"", 1);
    assert_eq!(folder.check(&literal).0, Some(0));
    folder.write("homeward.toml", &literal, 0o644);
    let (status, said) = folder.run(&["config", "check"]);
    assert_eq!(status, Some(REFUSED));
    assert!(said.contains("the secret stands in homeward.toml") && said.contains("chmod o-r homeward.toml"), "{said}");
}

#[test]
fn a_process_of_one_role_reads_no_secret_of_another_and_says_what_it_lacks() {
    let folder = Folder::new();
    folder.write("homeward.toml", GOOD, 0o600);
    for (role, lacks) in [
        ("directory", "grants.key mail.password"),
        ("recovery", "provider.key mail.password"),
        ("notification", "provider.key"),
        ("console", "provider.key mail.password"),
    ] {
        let own = Folder::new();
        own.write("homeward.toml", GOOD, 0o600);
        for secret in lacks.split(' ') {
            std::fs::remove_file(own.path().join(secret)).unwrap();
        }
        let (status, said) = own.run(&["serve", role]);
        assert_eq!(status, Some(REFUSED), "{role}: {said}");
        assert!(said.contains("services.ca_file is missing"), "{role} reads what is not its own: {said}");
    }
    let (status, said) = folder.run(&["serve", "policy", "--config", "nowhere.toml"]);
    assert_eq!(status, Some(REFUSED), "{said}");
    let alone = GOOD.replacen("broker = \"amqps://policy:Pa55@mq.example.com/%2f\"", "", 1)
        + "[services]\nca_file = \"ca.pem\"\ncertificate_file = \"grpc.pem\"\nkey_file = \"grpc.key\"\n";
    folder.write("homeward.toml", &alone, 0o600);
    let (status, said) = folder.run(&["serve", "policy"]);
    assert_eq!(status, Some(REFUSED), "{said}");
    assert!(said.contains("storage.broker is missing"), "{said}");
}
