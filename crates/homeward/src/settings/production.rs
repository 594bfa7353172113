//! What `mode = "production"` refuses: readable transport beyond this machine, and credentials that everybody knows.

use homeward_chassis::config::{ConfigError, Mode, Secret};
use homeward_chassis::rpc::Listen;
use homeward_notification::Transport;
use url::Url;

use super::{ProviderSettings, Settings};
use crate::compose::Role;
use crate::exit::Failure;

/// Passwords that come with a server, for the user of that name.
const DEFAULT_PASSWORDS: [(&str, &str); 3] = [("guest", "guest"), ("postgres", "postgres"), ("root", "root")];

/// The first thing that makes these settings insecure in production, for a process of `role`, or of all of them.
pub fn check(settings: &Settings, role: Option<Role>) -> Result<(), Failure> {
    let refuse = |error: ConfigError| Failure::Configuration(error.to_string());
    doors(settings, role).map_err(refuse)?;
    if settings.mode == Mode::Development {
        return Ok(());
    }
    links(settings).map_err(refuse)?;
    if role != Some(Role::Console) {
        storage(settings).map_err(refuse)?;
    }
    if matches!(role, None | Some(Role::Notification)) {
        mail(settings).map_err(refuse)?;
    }
    providers(settings).map_err(refuse)
}

fn doors(settings: &Settings, role: Option<Role>) -> Result<(), ConfigError> {
    // `serve` always shows a certificate.
    if role.is_none() {
        settings.listen.grpc.check(settings.mode, "listen.grpc")?;
    }
    if matches!(role, None | Some(Role::Console)) {
        Listen { address: settings.listen.console, tls: None }.check(settings.mode, "listen.console")?;
    }
    Ok(())
}

fn links(settings: &Settings) -> Result<(), ConfigError> {
    if settings.public_url.scheme() == "https" || is_near(settings.public_url.host_str()) {
        return Ok(());
    }
    Err(refused(
        "public_url",
        "is not https, so sessions and the links that act would travel readable; put a TLS proxy before the console",
    ))
}

fn storage(settings: &Settings) -> Result<(), ConfigError> {
    if let Some(database) = &settings.storage.database {
        self::database(database)?;
    }
    if let Some(broker) = &settings.storage.broker {
        self::broker(broker)?;
    }
    Ok(())
}

fn database(secret: &Secret) -> Result<(), ConfigError> {
    const KEY: &str = "storage.database";
    // That it cannot be read is told when it is opened.
    let Ok(url) = Url::parse(secret.reveal()) else { return Ok(()) };
    let parameter = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    // A socket of this machine: the system knows who calls.
    if parameter("host").is_some_and(|host| host.starts_with('/')) {
        return Ok(());
    }
    let checked = parameter("sslmode").is_some_and(|mode| mode == "verify-full" || mode == "verify-ca");
    if !checked && !is_near(url.host_str()) {
        return Err(refused(
            KEY,
            "leads beyond this machine without checking who answers; add ?sslmode=verify-full&sslrootcert=FILE to the address",
        ));
    }
    let password = url.password().unwrap_or_default();
    if password.is_empty() && parameter("sslcert").is_none() {
        return Err(refused(KEY, "has no password and no client certificate (sslcert); give the service's role one"));
    }
    default_password(KEY, url.username(), password)
}

fn broker(secret: &Secret) -> Result<(), ConfigError> {
    const KEY: &str = "storage.broker";
    let Ok(url) = Url::parse(secret.reveal()) else { return Ok(()) };
    if url.scheme() != "amqps" && !is_near(url.host_str()) {
        return Err(refused(KEY, "leads beyond this machine without TLS, so messages would travel readable; use amqps://"));
    }
    let by_certificate = url.query_pairs().any(|(key, value)| key == "auth_mechanism" && value.eq_ignore_ascii_case("external"));
    match (url.username(), url.password()) {
        // AMQP's own default is guest:guest.
        ("", None) if !by_certificate => default_password(KEY, "guest", "guest"),
        (user, password) => default_password(KEY, user, password.unwrap_or_default()),
    }
}

fn default_password(key: &str, user: &str, password: &str) -> Result<(), ConfigError> {
    if DEFAULT_PASSWORDS.contains(&(user, password)) {
        return Err(refused(key, &format!("has the password that {user} has everywhere; make a user of the service's own")));
    }
    Ok(())
}

fn mail(settings: &Settings) -> Result<(), ConfigError> {
    let Some(smtp) = settings.notification.smtp.as_ref().filter(|_| settings.notification.transport == Transport::Smtp) else {
        return Ok(());
    };
    let Ok(url) = Url::parse(&smtp.url) else { return Ok(()) };
    let required = url.query_pairs().any(|(key, value)| key == "tls" && value == "required");
    if url.scheme() == "smtps" || required || is_near(url.host_str()) {
        return Ok(());
    }
    Err(refused("notification.smtp.url", "leads beyond this machine without TLS; use smtps://, or smtp://…?tls=required"))
}

fn providers(settings: &Settings) -> Result<(), ConfigError> {
    for organisation in &settings.organisations {
        let ProviderSettings::Atlassian { base_url, .. } = &organisation.provider;
        if base_url.scheme() != "https" && !is_near(base_url.host_str()) {
            let key = format!("organisations.{}.provider.base_url", organisation.id);
            return Err(refused(&key, "is not https, so the API key would travel readable"));
        }
    }
    Ok(())
}

/// Whether a host is this machine.
fn is_near(host: Option<&str>) -> bool {
    let Some(host) = host else { return false };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Secrets are not repeated: the reason must do without the value.
fn refused(key: &str, reason: &str) -> ConfigError {
    ConfigError::Setting { place: "mode = \"production\"".to_owned(), key: key.to_owned(), reason: reason.to_owned() }
}
