//! Sends one documented call and says what its answer, or the lack of one, proves.

mod answer;
mod verdict;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use homeward_types::{Clock, Timestamp};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tracing::{Instrument, Span, field};

pub(super) use answer::Answer;
pub(super) use verdict::Failed;

use super::paths::{Endpoint, Key};
use super::settings::{AtlassianSettings, SettingsError};
use crate::budget::RateBudget;
use crate::priority::Priority;
use crate::self_test::KeyName;

/// One call to make.
pub(super) struct Call<'a> {
    endpoint: &'static Endpoint,
    priority: Priority,
    path: &'a [(&'static str, &'a str)],
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    send_before: Option<Timestamp>,
}

impl<'a> Call<'a> {
    pub(super) fn new(endpoint: &'static Endpoint, priority: Priority) -> Self {
        Self { endpoint, priority, path: &[], query: Vec::new(), body: None, send_before: None }
    }

    /// What the placeholders of the path stand for, beside organisation and directory.
    pub(super) fn path(mut self, path: &'a [(&'static str, &'a str)]) -> Self {
        self.path = path;
        self
    }

    pub(super) fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    pub(super) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Nothing is written to the socket at or after this moment.
    pub(super) fn send_before(mut self, moment: Timestamp) -> Self {
        self.send_before = Some(moment);
        self
    }
}

/// The adapter's way to the provider.
pub(super) struct Client {
    http: reqwest::Client,
    settings: AtlassianSettings,
    main_key: HeaderValue,
    unscoped_key: Option<HeaderValue>,
    /// Calls that refused the main key and took the one without scopes.
    unscoped_only: Mutex<HashSet<&'static str>>,
    budget: RateBudget,
    clock: Arc<dyn Clock>,
}

impl Client {
    pub(super) fn new(settings: AtlassianSettings, clock: Arc<dyn Clock>) -> Result<Self, SettingsError> {
        settings.check()?;
        let main_key = bearer("api_key", &settings.api_key)?;
        let unscoped_key = settings.unscoped_key.as_ref().map(|key| bearer("unscoped_key", key)).transpose()?;
        let http = http_client(&settings)?;
        Ok(Self { http, settings, main_key, unscoped_key, unscoped_only: Mutex::default(), budget: RateBudget::default(), clock })
    }

    pub(super) fn settings(&self) -> &AtlassianSettings {
        &self.settings
    }

    pub(super) fn budget(&self) -> &RateBudget {
        &self.budget
    }

    /// Makes the call. Anything but a success of the 200 family is a [`Failed`].
    pub(super) async fn send(&self, call: Call<'_>) -> Result<Answer, Failed> {
        let endpoint = call.endpoint;
        if self.learned_unscoped(endpoint) {
            return self.send_with(&call, self.unscoped_key.as_ref().unwrap_or(&self.main_key)).await;
        }
        let first = self.send_with(&call, self.key_for(endpoint)).await;
        match (&first, &self.unscoped_key, endpoint.key) {
            (Err(failed), Some(unscoped), Key::NoneListed) if failed.refuses_the_key() => {
                let second = self.send_with(&call, unscoped).await;
                if second.is_ok() {
                    self.unscoped_only.lock().unwrap_or_else(PoisonError::into_inner).insert(endpoint.name);
                }
                second
            }
            (Ok(_) | Err(_), _, Key::Scope(_) | Key::NoneListed | Key::Unscoped) => first,
        }
    }

    /// Makes the call with this key and no other; [`Failed`] also where there is no such key.
    pub(super) async fn send_as(&self, call: Call<'_>, key: KeyName) -> Result<Answer, Failed> {
        let value = match key {
            KeyName::Main => &self.main_key,
            KeyName::Unscoped => {
                self.unscoped_key.as_ref().ok_or_else(|| Failed::impossible(call.endpoint, "there is no unscoped_key"))?
            }
        };
        self.send_with(&call, value).await
    }

    /// The keys that there are.
    pub(super) fn keys(&self) -> impl Iterator<Item = KeyName> {
        [(KeyName::Main, true), (KeyName::Unscoped, self.unscoped_key.is_some())]
            .into_iter()
            .filter_map(|(key, there)| there.then_some(key))
    }

    /// The present moment.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn learned_unscoped(&self, endpoint: &Endpoint) -> bool {
        self.unscoped_only.lock().unwrap_or_else(PoisonError::into_inner).contains(endpoint.name)
    }

    fn key_for(&self, endpoint: &Endpoint) -> &HeaderValue {
        match endpoint.key {
            Key::Unscoped => self.unscoped_key.as_ref().unwrap_or(&self.main_key),
            Key::Scope(_) | Key::NoneListed => &self.main_key,
        }
    }

    async fn send_with(&self, call: &Call<'_>, key: &HeaderValue) -> Result<Answer, Failed> {
        let endpoint = call.endpoint;
        let span = self.span(call);
        let sent = self.attempt(call, key).instrument(span.clone()).await;
        match &sent {
            Ok(answer) => {
                span.record("http.response.status_code", answer.status);
            }
            Err(failed) => {
                match failed.error.status {
                    Some(status) => {
                        span.record("http.response.status_code", status);
                        span.record("error.type", field::display(status));
                    }
                    None => {
                        span.record("error.type", failed.kind());
                    }
                }
                span.record("otel.status_code", "ERROR");
                tracing::debug!(parent: &span, call = endpoint.name, error = %failed.error, "the provider did not do what it was asked");
            }
        }
        sent
    }

    async fn attempt(&self, call: &Call<'_>, key: &HeaderValue) -> Result<Answer, Failed> {
        let endpoint = call.endpoint;
        let request = self.request(call, key)?;
        let permit = self
            .budget
            .admit(endpoint.name, endpoint.per_minute, call.priority, self.settings.patience)
            .await
            .map_err(|wait| Failed::limited(endpoint, wait))?;
        let begun_at = self.clock.now();
        let request = request.timeout(self.time_left(call, begun_at)?);
        let response = request.send().await.map_err(|error| Failed::unanswered(endpoint, &error))?;
        let wait = permit.learn(answer::rate_news(&response, begun_at));
        let status = response.status().as_u16();
        let body = answer::read(response, self.settings.max_answer_bytes).await;
        match body {
            Ok(body) if (200..300).contains(&status) => Ok(Answer { endpoint, status, body, begun_at }),
            Ok(body) => Err(self.redacted(Failed::refused(endpoint, status, &body, wait))),
            Err(reason) => Err(Failed::unreadable(endpoint, status, &reason)),
        }
    }

    fn request(&self, call: &Call<'_>, key: &HeaderValue) -> Result<reqwest::RequestBuilder, Failed> {
        let endpoint = call.endpoint;
        let value = |name: &str| match name {
            "orgId" => Some(self.settings.org_id.as_str()),
            "directoryId" => Some(self.settings.directory_id.as_str()),
            other => call.path.iter().find(|(known, _)| *known == other).map(|(_, value)| *value),
        };
        let mut url = endpoint.url(&self.settings.base_url, value).map_err(|reason| Failed::impossible(endpoint, &reason))?;
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let request = match endpoint.method() {
            "POST" => self.http.post(url),
            "DELETE" => self.http.delete(url),
            _ => self.http.get(url),
        };
        let request = request.header(AUTHORIZATION, key.clone()).header(ACCEPT, "application/json");
        Ok(match &call.body {
            Some(body) => request.json(body),
            None => request,
        })
    }

    /// The time that the call may take: never past the moment until which it may be sent, so that a slow connection cannot
    /// carry it over.
    fn time_left(&self, call: &Call<'_>, now: Timestamp) -> Result<Duration, Failed> {
        let Some(send_before) = call.send_before else { return Ok(self.settings.timeout) };
        match (send_before - now).to_std() {
            Ok(left) if !left.is_zero() => Ok(left.min(self.settings.timeout)),
            Ok(_) | Err(_) => Err(Failed::too_late(call.endpoint)),
        }
    }

    fn span(&self, call: &Call<'_>) -> Span {
        let url = &self.settings.base_url;
        tracing::info_span!(
            "provider.call",
            otel.name = call.endpoint.name,
            otel.kind = "client",
            otel.status_code = field::Empty,
            http.request.method = call.endpoint.method(),
            url.template = call.endpoint.template(),
            server.address = url.host_str().unwrap_or_default(),
            server.port = url.port_or_known_default().unwrap_or_default(),
            http.response.status_code = field::Empty,
            "error.type" = field::Empty,
            homeward.priority = ?call.priority,
        )
    }

    /// A provider may repeat what we sent; a key must not get into a log that way.
    fn redacted(&self, mut failed: Failed) -> Failed {
        for key in [Some(&self.settings.api_key), self.settings.unscoped_key.as_ref()].into_iter().flatten() {
            let key = key.expose_secret().trim();
            if failed.error.sentence.contains(key) {
                failed.error.sentence = failed.error.sentence.replace(key, "(a key)");
            }
        }
        failed
    }
}

fn bearer(setting: &'static str, key: &SecretString) -> Result<HeaderValue, SettingsError> {
    let key = key.expose_secret().trim();
    let wrong = |reason: &str| SettingsError::Setting { setting, reason: reason.into() };
    if key.is_empty() {
        return Err(wrong("is empty; it must be an API key of an organisation administrator"));
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| wrong("holds characters that no key has"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Trusts one more authority. It is added to those of the machine; host names and dates are checked all the same.
fn with_authority(
    builder: reqwest::ClientBuilder,
    settings: &AtlassianSettings,
) -> Result<reqwest::ClientBuilder, SettingsError> {
    let Some(file) = &settings.ca_file else { return Ok(builder) };
    let wrong = |reason: String| SettingsError::Setting { setting: "ca_file", reason };
    let pem = std::fs::read(file).map_err(|error| wrong(format!("{} cannot be read: {error}", file.display())))?;
    let authorities = reqwest::Certificate::from_pem_bundle(&pem)
        .map_err(|_| wrong(format!("{} holds no certificates in PEM", file.display())))?;
    if authorities.is_empty() {
        return Err(wrong(format!("{} holds no certificates in PEM", file.display())));
    }
    Ok(builder.tls_certs_merge(authorities))
}

fn http_client(settings: &AtlassianSettings) -> Result<reqwest::Client, SettingsError> {
    // Without one reqwest panics, also for plain http. If the process has chosen already, its choice stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let encrypted = settings.base_url.scheme() == "https";
    let builder = reqwest::Client::builder()
        .user_agent(&settings.user_agent)
        .connect_timeout(settings.connect_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        // A proxy of the environment would see the key of a plain http address.
        .no_proxy()
        .pool_idle_timeout(Duration::from_secs(30));
    let builder = if encrypted {
        with_authority(builder.https_only(true), settings)?
    } else {
        tracing::warn!(base_url = %settings.base_url, "the provider's address is not https: the key travels in clear text");
        // Reading the system's certificates takes time, and a plain address needs none.
        builder.tls_certs_only([])
    };
    builder.build().map_err(|error| SettingsError::Tls(error.to_string()))
}
