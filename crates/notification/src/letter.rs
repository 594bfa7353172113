//! The words that people read.

mod text;

use homeward_types::Timestamp;
use lettre::Message;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;

use crate::config::Config;
use crate::delivery::Notice;
use crate::transport::Letter;

/// Why no letter can be made of a notice.
#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    /// The text needs something that the command does not have.
    #[error("the notice lacks the field {0}")]
    Field(&'static str),
    /// The recipient's address is none.
    #[error("the recipient's address is not an address")]
    Recipient(#[source] lettre::address::AddressError),
    /// The sender's mailbox is none.
    #[error("notification.from is not a mailbox")]
    Sender(#[source] lettre::address::AddressError),
    /// The mail cannot be put together.
    #[error("the mail cannot be put together")]
    Mail(#[from] lettre::error::Error),
}

/// Writes the letter for a notice. The same notice gives the same Message-ID and the same file.
pub fn write(config: &Config, notice: &Notice, now: Timestamp) -> Result<Letter, LetterError> {
    let text = text::of(notice)?;
    let to = Mailbox::new(
        Some(notice.recipient_name.clone()).filter(|name| !name.is_empty()),
        notice.recipient_email.parse().map_err(LetterError::Recipient)?,
    );
    let message = Message::builder()
        .from(config.from.parse().map_err(LetterError::Sender)?)
        .to(to)
        .subject(text.subject)
        .message_id(Some(format!("<{}@{}>", local_part(&notice.delivery_key), config.message_id_domain)))
        .date(now.into())
        .header(ContentType::TEXT_PLAIN)
        .body(text.body)?;
    Ok(Letter { message, file: format!("{}.eml", local_part(&notice.delivery_key)) })
}

/// The delivery key with nothing in it that a Message-ID or a file name cannot have. Keys that differ stay different:
/// what is replaced is written as its code point.
fn local_part(key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    key.trim_start_matches('.').chars().map(|c| if plain(c) { c.to_string() } else { format!("={:x}=", u32::from(c)) }).collect()
}

#[cfg(test)]
mod tests;
