//! Printing answers: for people, or as JSON in the canonical form of the wire contract.

use chrono::{DateTime, Utc};
use comfy_table::{ContentArrangement, Table, presets};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};

use crate::cli::Output;
use crate::exit::Failure;

/// Where answers are printed.
#[derive(Clone, Copy)]
pub struct Page(pub Output);

impl Page {
    /// Prints `message`, of the proto type called `name`, as one line of JSON, or what `text` makes of it.
    pub fn print<M: Message>(self, name: &str, message: &M, text: impl FnOnce(&M) -> String) -> Result<(), Failure> {
        let printed = match self.0 {
            Output::Text => text(message),
            Output::Json => json(name, message)?,
        };
        anstream::println!("{}", printed.trim_end());
        Ok(())
    }
}

fn json<M: Message>(name: &str, message: &M) -> Result<String, Failure> {
    let pool = DescriptorPool::decode(homeward_proto::FDS).map_err(anyhow::Error::from)?;
    let descriptor = pool.get_message_by_name(name).ok_or_else(|| anyhow::anyhow!("{name} is not in the wire contract"))?;
    let dynamic = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).map_err(anyhow::Error::from)?;
    let mut line = Vec::new();
    let mut serializer = serde_json::Serializer::new(&mut line);
    let options = SerializeOptions::new().use_proto_field_name(true).skip_default_fields(false).stringify_64_bit_integers(false);
    dynamic.serialize_with_options(&mut serializer, &options).map_err(anyhow::Error::from)?;
    Ok(String::from_utf8(line).map_err(anyhow::Error::from)?)
}

/// A table without decoration, or `nothing` when there are no rows.
pub fn table<const N: usize>(head: [&str; N], rows: Vec<[String; N]>, nothing: &str) -> String {
    if rows.is_empty() {
        return nothing.to_owned();
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(head);
    for row in rows {
        table.add_row(row);
    }
    table.to_string()
}

/// A moment for people, to the second, or a dash.
pub fn local_time(at: Option<prost_types::Timestamp>) -> String {
    moment(at).map_or_else(|| "–".into(), |at| at.format("%Y-%m-%d %H:%M:%S").to_string())
}

/// A moment from the wire; an impossible one counts as unset.
pub fn moment(at: Option<prost_types::Timestamp>) -> Option<DateTime<Utc>> {
    homeward_proto::wire::moment_optional("at", at).ok().flatten()
}

/// `–` for an empty text.
pub fn or_dash(text: &str) -> String {
    if text.is_empty() { "–".into() } else { text.into() }
}
