//! A mail catcher: Mailpit, over its HTTP API (version 1).

use anyhow::Context;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Mails on a page of the list.
const PAGE: usize = 500;

/// A Mailpit.
#[derive(Clone)]
pub struct Catcher {
    address: String,
    http: reqwest::Client,
}

#[derive(Deserialize)]
struct List {
    messages: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "MessageID")]
    message_id: String,
}

impl Listed {
    /// What stands before the `@` is the delivery key.
    fn name(&self) -> &str {
        self.message_id.trim_start_matches('<').split('@').next().unwrap_or_default()
    }
}

impl Catcher {
    /// The one at this address.
    pub fn at(address: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().build().context("making an HTTP client")?;
        Ok(Self { address: address.trim_end_matches('/').to_owned(), http })
    }

    /// Where it is.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The names of all letters.
    pub async fn names(&self) -> anyhow::Result<Vec<String>> {
        Ok(self.list().await?.iter().map(|mail| mail.name().to_owned()).collect())
    }

    /// The letter of this name as it was sent.
    pub async fn raw(&self, name: &str) -> anyhow::Result<Vec<u8>> {
        let mail = self.list().await?.into_iter().find(|mail| mail.name() == name).context("it is not there any more")?;
        let answer = self.get(&format!("/api/v1/message/{}/raw", mail.id)).await?;
        Ok(answer.bytes().await.context("reading it")?.to_vec())
    }

    async fn list(&self) -> anyhow::Result<Vec<Listed>> {
        let mut all = Vec::new();
        loop {
            let page: List = self.read(&format!("/api/v1/messages?start={}&limit={PAGE}", all.len())).await?;
            let full = page.messages.len() >= PAGE;
            all.extend(page.messages);
            if !full {
                return Ok(all);
            }
        }
    }

    async fn read<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.get(path).await?.json().await.with_context(|| format!("reading the mail catcher's answer to {path}"))
    }

    async fn get(&self, path: &str) -> anyhow::Result<reqwest::Response> {
        let answer = self.http.get(format!("{}{path}", self.address)).send().await;
        answer
            .and_then(reqwest::Response::error_for_status)
            .with_context(|| format!("asking the mail catcher at {}", self.address))
    }
}

#[cfg(test)]
mod tests {
    use axum::Json;
    use axum::extract::{Path, Query};
    use axum::routing::get;
    use serde_json::{Value, json};

    use super::*;
    use crate::demo::mailbox::Mailbox;

    #[derive(Deserialize)]
    struct Paged {
        start: usize,
        limit: usize,
    }

    /// Answers as Mailpit documents it.
    async fn messages(Query(page): Query<Paged>) -> Json<Value> {
        let all: Vec<Value> = (0..=PAGE)
            .map(|n| json!({ "ID": format!("id{n}"), "MessageID": format!("r{n}.invitation.owner@homeward.localhost"), "Subject": "x" }))
            .collect();
        let part: Vec<_> = all.iter().skip(page.start).take(page.limit).cloned().collect();
        Json(json!({ "total": all.len(), "start": page.start, "messages": part }))
    }

    async fn raw(Path(id): Path<String>) -> String {
        format!("From: a@example.com\r\nTo: b@example.com\r\nSubject: x\r\n\r\nHello,\r\nhttps://example.com/{id}\r\n")
    }

    #[tokio::test]
    async fn letters_are_found_in_a_mail_catcher_by_their_delivery_keys() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().route("/api/v1/messages", get(messages)).route("/api/v1/message/{id}/raw", get(raw));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let mailbox = Mailbox::at(&address).unwrap();
        assert_eq!(mailbox.names().await.unwrap().len(), PAGE + 1);
        let letter = mailbox.wait_for(&format!("r{PAGE}"), "invitation").await.unwrap();
        assert_eq!(letter.link().unwrap(), format!("https://example.com/id{PAGE}"));
        assert!(mailbox.wait_for_first("r0", "reset_needed", "invitation").await.unwrap().is_none());
    }
}
